//! Tickets: what lets a browser in to a stream, for an `EventSource` can send no token.
//!
//! A ticket stands in the address of the stream, so it is good for nothing else, and not for long.
//! It is `HOUR.CODE`: the hour since 1970 in which it was given, and HMAC-SHA256 (RFC 2104), cut to
//! 128 bits, over the hour, the scope and the name of the token that it stands for. It opens a stream
//! in that hour and in the next.
//!
//! Everybody with the same token has the same ticket for an hour, and that is the point: the answer
//! that carries it stays the same, byte by byte, and so does its entity tag. When the hour is over the
//! tag changes, so that nobody is told `304` for ever while the ticket that they hold has run out.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use crate::ofrep::caller::Caller;
use crate::ofrep::settings::{Settings, TicketSecret};

/// What is signed first, so that no other use of the same key can make a ticket.
const PURPOSE: &str = "tidegate ofrep ticket";
/// How long the same ticket is given out: it opens a stream for that time to twice that time.
const PERIOD: Duration = Duration::from_secs(3600);
/// Bytes of the code.
const CODE: usize = 16;

/// Who gives and takes tickets.
#[derive(Clone, Debug)]
pub(in crate::ofrep) struct Tickets {
    key: hmac::Key,
}

impl Tickets {
    /// Makes one who signs with a secret.
    pub(in crate::ofrep) fn new(secret: &TicketSecret) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        }
    }

    /// The ticket of somebody, now.
    pub(in crate::ofrep) fn give(&self, caller: &Caller, now: SystemTime) -> String {
        let period = period(now);
        format!("{period}.{}", hex(&self.code(period, caller)))
    }

    /// Whose ticket it is, if it is one that is valid now, and they may still ask.
    pub(in crate::ofrep) fn take(
        &self,
        ticket: &str,
        settings: &Settings,
        now: SystemTime,
    ) -> Option<Caller> {
        let (given, code) = ticket.split_once('.')?;
        let given: u64 = given.parse().ok()?;
        // One of an hour that has not come yet is of an instance whose clock goes before.
        if given.abs_diff(period(now)) > 1 {
            return None;
        }
        let mut found = None;
        for caller in Caller::all(settings) {
            let own = hex(&self.code(given, &caller));
            if bool::from(own.as_bytes().ct_eq(code.as_bytes())) {
                found = Some(caller);
            }
        }
        found.filter(|caller| caller.may_still(settings, now))
    }

    fn code(&self, period: u64, caller: &Caller) -> [u8; CODE] {
        let mut context = hmac::Context::with_key(&self.key);
        let (kind, name) = match &caller.token {
            Some(name) => ("token", name.as_str()),
            None => ("anonymous", ""),
        };
        let period = period.to_string();
        for part in [PURPOSE, &period, caller.scope.name(), kind, name] {
            // With its length before it, so that no two lists of parts are the same bytes.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut code = [0; CODE];
        code.copy_from_slice(&context.sign().as_ref()[..CODE]);
        code
    }
}

fn period(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / PERIOD.as_secs()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from(b"0123456789abcdef"[usize::from(four & 15)]);
    let digits = bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)]);
    digits.collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::ofrep::caller::Caller;
    use crate::ofrep::settings::{Scope, Settings, TicketSecret, Token};
    use crate::ofrep::ticket::Tickets;

    fn at(hours: u64, seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600 + seconds)
    }

    fn settings() -> Settings {
        let token = |scope| Token {
            sha256: [1; 32],
            scope,
            expires: Some(at(200, 0)),
        };
        Settings {
            tokens: [("a", token(Scope::Server)), ("b", token(Scope::Client))]
                .map(|(name, token)| (name.to_owned(), token))
                .into(),
            ..Settings::default()
        }
    }

    fn tickets() -> Tickets {
        Tickets::new(&TicketSecret::of(b"secret"))
    }

    #[test]
    fn each_has_a_ticket_of_their_own_and_it_tells_whose_it_is() {
        let settings = settings();
        let callers: Vec<Caller> = Caller::all(&settings).collect();
        assert_eq!(callers.len(), 3);
        for caller in &callers {
            let ticket = tickets().give(caller, at(100, 7));
            let taken = tickets().take(&ticket, &settings, at(100, 8));
            assert_eq!(taken.as_ref(), Some(caller));
        }
    }

    #[test]
    fn a_ticket_is_the_same_for_an_hour_and_opens_for_one_more() {
        let settings = settings();
        let caller = Caller::all(&settings).next().unwrap();
        let ticket = tickets().give(&caller, at(100, 0));
        assert_eq!(tickets().give(&caller, at(100, 3599)), ticket);
        assert_ne!(tickets().give(&caller, at(101, 0)), ticket);
        let is_taken = |now| tickets().take(&ticket, &settings, now).is_some();
        assert!(is_taken(at(100, 0)) && is_taken(at(101, 3599)));
        assert!(!is_taken(at(102, 0)));
        assert!(is_taken(at(99, 0)) && !is_taken(at(98, 3599)));
    }

    #[test]
    fn a_forged_ticket_is_none() {
        let settings = settings();
        let caller = Caller::all(&settings).next().unwrap();
        let now = at(100, 0);
        let ticket = tickets().give(&caller, now);
        let other = Tickets::new(&TicketSecret::of(b"other")).give(&caller, now);
        let later = ticket.replace("100.", "101.");
        let cut = &ticket[..ticket.len() - 1];
        for forged in [other.as_str(), &later, cut, "", ".", "100.", "x.y", "100"] {
            assert_eq!(tickets().take(forged, &settings, now), None, "{forged}");
        }
    }

    #[test]
    fn a_ticket_ends_with_the_token_that_it_stands_for() {
        let mut settings = settings();
        let caller = Caller::all(&settings).nth(1).unwrap();
        let ticket = tickets().give(&caller, at(199, 0));
        let is_taken = |settings: &Settings, now| tickets().take(&ticket, settings, now).is_some();
        assert!(is_taken(&settings, at(199, 3599)));
        assert!(!is_taken(&settings, at(200, 0)), "the token has expired");
        settings.tokens.get_mut("a").unwrap().scope = Scope::Client;
        assert!(!is_taken(&settings, at(199, 1)), "it has another scope");
        settings.tokens.remove("a");
        assert!(!is_taken(&settings, at(199, 1)), "it is gone");
    }
}
