//! Splits: which variant of a route a request gets, and why.
//!
//! The order of decision is forced, then sticky hash, then draw:
//!
//! - **forced**: the request names a variant that is on, by header, cookie or query parameter. Weight 0
//!   does not stop it, an unavailable variant is not replaced.
//! - **hash**: the first key that is there, else the identity cookie. The key has the variant with the
//!   greatest `weight / -ln u`, where `u` in 0 to 1 comes from
//!   `xxh3_64(name ‖ 0 ‖ key, seed = xxh3_64(salt))`; of equals the one with the smaller name. So the
//!   answer depends on nothing but names, weights, salt and key: not on order, scale, time or
//!   instance. A client with neither gets an identity that is hashed for this very request.
//! - **draw**: no key and no cookie. See [`Draw`].
//!
//! When the variant that a hash or draw chose is unavailable, the runner-up with a weight serves,
//! and whoever was elsewhere stays there. The chosen one is charged.
//!
//! With three or more variants and several weights changed at once a fraction of a percent more
//! users move than the change of shares demands; with one weight changed never one too many.

#[cfg(test)]
mod assign_tests;
mod draw;
mod explain;
mod force;
mod hash;
mod identity;
mod key;
mod ln;
mod moved;
mod pick;
mod spec;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::message::RequestHead;
use crate::split::force::Wish;
use crate::split::pick::Candidate;

pub use crate::split::draw::Draw;
pub use crate::split::explain::{Explanation, Flip, Standing};
pub use crate::split::force::ForceRejected;
pub use crate::split::identity::{Identity, IdentityCookie};
pub use crate::split::key::{ClientKey, HashKey, Key, KeyError};
pub use crate::split::ln::ln;
pub use crate::split::moved::Flow;
pub use crate::split::spec::{
    Force, MAX_NAME_BYTES, MAX_WEIGHT, SplitError, SplitSpec, State, Sticky, VariantSpec,
};

/// The division of a route's requests among its variants. A variant is the index that it had in the
/// [`SplitSpec`].
#[derive(Clone, Debug)]
pub struct Split {
    seed: u64,
    variants: Vec<VariantSpec>,
    /// Who may get new assignments, by name. At least one.
    candidates: Vec<Candidate>,
    /// The sum of the candidates' weights.
    total: u64,
    /// False when every variant that has a weight is off: then these are the candidates, so that
    /// somebody is charged, but nobody serves.
    is_open: bool,
    sticky: Sticky,
    force: Option<Force>,
}

/// Which variant a request got, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The variant that was chosen; what happens is charged to it.
    pub variant: usize,
    /// The variant that answers: another one if the chosen one is unavailable and not forced;
    /// `None` when there is none (503).
    pub served: Option<usize>,
    /// Why it was chosen.
    pub reason: Reason,
    /// True when another variant than the chosen one answers.
    pub failover: bool,
    /// The new identity that was hashed; the response is to set the cookie that carries it.
    pub issue_identity: Option<Identity>,
    /// Why a value that was to force a variant did not.
    pub force_rejected: Option<ForceRejected>,
}

/// Why a variant was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The request named it.
    Forced,
    /// A key or an identity of the client has it.
    Hash,
    /// It was its turn.
    Draw,
}

impl Reason {
    /// The reason as a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Hash => "hash",
            Self::Draw => "draw",
        }
    }
}

impl Split {
    /// Checks a split and prepares what does not depend on the request.
    ///
    /// # Errors
    /// The first thing in it that nobody can have meant, all weights 0 above all.
    pub fn new(spec: SplitSpec) -> Result<Self, SplitError> {
        spec.check()?;
        let is_open = spec
            .variants
            .iter()
            .any(|variant| variant.weight > 0 && variant.state == State::On);
        let mut candidates: Vec<_> = spec
            .variants
            .iter()
            .enumerate()
            .filter(|(_, variant)| variant.weight > 0 && (variant.state == State::On || !is_open))
            .map(|(index, variant)| Candidate {
                variant: index,
                weight: variant.weight,
                prefix: format!("{}\0", variant.name).into_bytes().into(),
            })
            .collect();
        candidates.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        Ok(Self {
            seed: xxh3_64(spec.salt.as_bytes()),
            total: candidates
                .iter()
                .map(|candidate| u64::from(candidate.weight))
                .sum(),
            candidates,
            is_open,
            variants: spec.variants,
            sticky: spec.sticky.unwrap_or_default(),
            force: spec.force,
        })
    }

    /// Decides who gets a request.
    ///
    /// `draw` is the route's, `worker` the number of the thread that asks. `fresh` makes 128 random
    /// bits; it is called only for a client that is to get an identity. `available` tells of a
    /// variant whether it could answer now; it is asked only about variants that might.
    pub fn assign(
        &self,
        request: &RequestHead,
        client: IpAddr,
        draw: &Draw,
        worker: usize,
        fresh: impl FnOnce() -> u128,
        available: impl Fn(usize) -> bool,
    ) -> Assignment {
        let wish = match &self.force {
            Some(force) => Wish::of(request, force, &self.variants),
            None => Wish::default(),
        };
        if let Some(variant) = wish.variant {
            return Assignment {
                variant,
                served: available(variant).then_some(variant),
                reason: Reason::Forced,
                failover: false,
                issue_identity: None,
                force_rejected: wish.rejected,
            };
        }

        let mut issue_identity = None;
        let (reason, variant, served) = if let Some(key) = self.key(request, client) {
            let (variant, served) = self.hashed(key.as_bytes(), available);
            (Reason::Hash, variant, served)
        } else if self.sticky.cookie.is_some() {
            let identity = Identity::from_bits(fresh());
            issue_identity = Some(identity);
            let (variant, served) = self.hashed(identity.as_bytes(), available);
            (Reason::Hash, variant, served)
        } else {
            let (variant, served) = self.drawn(draw.point(worker), available);
            (Reason::Draw, variant, served)
        };
        Assignment {
            variant,
            served,
            reason,
            failover: served.is_some_and(|served| served != variant),
            issue_identity,
            force_rejected: wish.rejected,
        }
    }

    /// What of a request is hashed: the first key that is there, else the first identity cookie that
    /// is valid. `None` when a new identity or a draw decides.
    pub fn key<'a>(&'a self, request: &'a RequestHead, client: IpAddr) -> Option<HashKey<'a>> {
        let by_key = self
            .sticky
            .keys
            .iter()
            .find_map(|key| key.of(request, client));
        by_key.or_else(|| {
            let cookie = self.sticky.cookie.as_ref()?;
            request
                .cookies(cookie.name.as_bytes())
                .find(|value| Identity::parse(value).is_some())
                .map(HashKey::Sent)
        })
    }

    /// The variants, as they were written.
    pub fn variants(&self) -> &[VariantSpec] {
        &self.variants
    }

    /// The cookie that carries identities, if the split gives any.
    pub fn identity_cookie(&self) -> Option<&IdentityCookie> {
        self.sticky.cookie.as_ref()
    }

    /// A variant's part of new assignments, 0 to 1, while all that are on are available.
    pub fn share(&self, variant: usize) -> f64 {
        let own = self
            .candidates
            .iter()
            .find(|candidate| self.is_open && candidate.variant == variant);
        own.map_or(0.0, |own| f64::from(own.weight) / self.total as f64)
    }
}
