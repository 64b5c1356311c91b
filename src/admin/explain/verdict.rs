//! Which variant a described request gets.

use crate::admin::explain::Asked;
use crate::admin::explain::asked::Request;
use crate::config::OnUnavailable;
use crate::proxy::Edge;
use crate::split::{self, Assignment, ForceRejected, PinTrouble, Reason, Split, State};

/// Which variant a described request gets, and why.
pub(in crate::admin::explain) struct Verdict {
    /// The chosen variant; none when it is another one for each request, or each new client.
    pub(in crate::admin::explain) chosen: Option<usize>,
    /// The variant that answers in its place.
    pub(in crate::admin::explain) stand_in: Option<usize>,
    /// Why.
    pub(in crate::admin::explain) reason: Reason,
    /// The rule whose weights count, by its place.
    pub(in crate::admin::explain) rule: Option<usize>,
    /// What was hashed.
    pub(in crate::admin::explain) key: Option<Vec<u8>>,
    /// What else there is to say.
    pub(in crate::admin::explain) notes: Vec<String>,
}

impl Verdict {
    /// Judges a request, or the key that is asked about in its place.
    pub(in crate::admin::explain) fn of(
        split: &Split,
        on_unavailable: OnUnavailable,
        (request, edge): (&Request, &Edge),
        asked: &Asked,
        available: impl Fn(usize) -> bool,
    ) -> Self {
        let mut verdict = match &asked.key {
            Some(key) => Self::of_key(split, &request.asked(edge), key.as_bytes(), &available),
            None => Self::of_request(split, (request, edge), &available),
        };
        let Some(chosen) = verdict.chosen else {
            return verdict;
        };
        if verdict.stand_in.is_some() && on_unavailable == OnUnavailable::Error {
            verdict.stand_in = None;
        }
        if verdict.stand_in.is_none() && !can_serve(split, chosen, &available) {
            verdict.note("no endpoint of it may be used now: it is answered 503");
        }
        verdict
    }

    fn of_key(
        split: &Split,
        asked: &split::Asked<'_>,
        key: &[u8],
        available: impl Fn(usize) -> bool,
    ) -> Self {
        let rule = split.rule(asked, Some(key));
        let (chosen, served) = split.hashed(rule, key, available);
        let pinned = split.pin_cookie().map(|cookie| {
            let name = &cookie.name;
            format!("whoever has a pin in the cookie {name} is where that says")
        });
        Self {
            chosen: Some(chosen),
            stand_in: served.filter(|&served| served != chosen),
            reason: Reason::Hash,
            rule,
            key: Some(key.to_vec()),
            notes: pinned.into_iter().collect(),
        }
    }

    fn of_request(
        split: &Split,
        (request, edge): (&Request, &Edge),
        available: impl Fn(usize) -> bool,
    ) -> Self {
        // No draw goes on for it: asking moves nobody.
        let Assignment {
            variant,
            served,
            reason,
            rule,
            slice: _,
            failover,
            pin,
            issue_identity,
            force_rejected,
        } = split.assign(&request.asked(edge), |_| 0, || 0, available);
        let key = split.key(&request.head, request.client);
        let is_sure = match reason {
            Reason::Forced | Reason::Pin => true,
            Reason::Hash => issue_identity.is_none(),
            Reason::Draw => false,
        };
        // Where one variant has everything, dice cannot change it.
        let is_sure = is_sure || split.share(rule, variant) == 1.0;
        let mut verdict = Self {
            chosen: is_sure.then_some(variant),
            stand_in: served.filter(|_| failover && is_sure),
            reason,
            rule,
            key: key
                .filter(|_| reason == Reason::Hash)
                .map(|key| key.as_bytes().to_vec()),
            notes: Vec::new(),
        };
        match force_rejected {
            Some(ForceRejected::Unknown) => {
                verdict.note("it asks for a variant that does not exist, which is ignored");
            }
            Some(ForceRejected::Off) => {
                verdict.note("it asks for a variant that is off, which is ignored");
            }
            Some(ForceRejected::Untrusted) => {
                verdict.note("it asks for a variant, but its client may not; that is ignored");
            }
            Some(ForceRejected::BadSecret) => {
                verdict.note("it asks for a variant without the right secret, which is ignored");
            }
            None => {}
        }
        if reason == Reason::Pin {
            verdict.note(
                "its pin keeps it there, whatever the weights are, until the pin ends or the \
                 variant is turned off",
            );
        }
        if pin {
            verdict.note_pin(split, request);
        }
        if issue_identity.is_some()
            && let Some(cookie) = split.identity_cookie()
        {
            let name = &cookie.name;
            verdict.note(&format!(
                "it has no key: the client gets an identity in the cookie {name}, which is hashed"
            ));
        }
        verdict
    }

    /// Tells why a request is not pinned, and that its client will be.
    fn note_pin(&mut self, split: &Split, request: &Request) {
        let why = match split.pin_trouble(&request.head) {
            None => return,
            Some(PinTrouble::Missing) => "it has no pin".to_owned(),
            Some(PinTrouble::Epoch { sent, now }) => {
                format!("its pin is of epoch {sent}, and now it is {now}")
            }
            Some(PinTrouble::Invalid) => {
                "its pin is not valid: of another route or secret, or its variant is off".to_owned()
            }
        };
        if let Some(cookie) = split.pin_cookie() {
            let name = &cookie.name;
            self.note(&format!(
                "{why}: the response pins it, by the cookie {name}, to the variant that serves"
            ));
        }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }
}

fn can_serve(split: &Split, variant: usize, available: impl Fn(usize) -> bool) -> bool {
    split.variants()[variant].state == State::On && available(variant)
}
