//! Splits: which variant of a route a request gets, and why.
//!
//! The order of decision is forced, then pinned, then sticky hash, then draw, the last two by the
//! weights of the first rule whose segment holds, else by the route's:
//!
//! - **forced**: the request names a variant that is on, by header, cookie or query parameter. Weight 0
//!   does not stop it, an unavailable variant is not replaced.
//! - **pin**: the request has a cookie that names a variant which is on, see [`PinSpec`].
//! - **hash**: the first key that is there, else the identity cookie. The key has the variant with the
//!   greatest `weight / -ln u`, where `u` in 0 to 1 comes from
//!   `mix(xxh3_64(key, seed = xxh3_64(salt)) xor xxh3_64(name))`; of equals the one with the smaller
//!   name. So the answer depends on nothing but names, weights, salt and key: not on order, scale,
//!   time or instance. A client with neither gets an identity that is hashed for this very request.
//! - **draw**: no key and no cookie. See [`Draw`].
//!
//! When the variant that a pin, hash or draw chose is unavailable, the runner-up with a weight serves,
//! and whoever was elsewhere stays there. The chosen one is charged.
//!
//! A rule changes weights and nothing else: salt and names stay, so a user moves at the same share
//! within its segment as outside of it, and a change of a rule moves nobody outside.
//!
//! With three or more variants and several weights changed at once a fraction of a percent more
//! users move than the change of shares demands; with one weight changed never one too many.

#[cfg(test)]
mod assign_tests;
mod asked;
mod cohorts;
mod cookie;
mod division;
mod draw;
mod explain;
mod force;
#[cfg(test)]
mod force_tests;
mod hash;
mod identity;
mod key;
mod ln;
mod moved;
mod pin;
#[cfg(test)]
mod pin_tests;
mod rule;
#[cfg(test)]
mod rule_tests;
mod sample;
mod secret;
mod spec;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::iter;
use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::message::RequestHead;
use crate::split::division::Division;
use crate::split::force::Wish;
use crate::split::hash::{KeyHash, slice_of};
use crate::split::pin::Pins;
use crate::split::rule::{By, Rule};

pub use crate::split::asked::{Asked, Elsewhere, Nowhere};
pub use crate::split::cohorts::Cohorts;
pub use crate::split::cookie::StickyCookie;
pub use crate::split::draw::Draw;
pub use crate::split::explain::{Explanation, Flip, Standing};
pub use crate::split::force::ForceRejected;
pub use crate::split::hash::mix;
pub use crate::split::identity::Identity;
pub use crate::split::key::{ClientKey, HashKey, Key, KeyError};
pub use crate::split::ln::ln;
pub use crate::split::moved::Flow;
pub use crate::split::pin::{PinSpec, PinTrouble};
pub use crate::split::rule::RuleSpec;
pub use crate::split::sample::Sample;
pub use crate::split::secret::SharedSecret;
pub use crate::split::spec::{
    Force, MAX_NAME_BYTES, MAX_WEIGHT, Preview, SplitError, SplitSpec, State, Sticky, VariantSpec,
    is_logged,
};

/// The division of a route's requests among its variants. A variant is the index that it had in the
/// [`SplitSpec`].
#[derive(Clone, Debug)]
pub struct Split {
    seed: u64,
    variants: Vec<VariantSpec>,
    division: Division,
    rules: Vec<Rule>,
    keys: Vec<Key>,
    identity: Option<StickyCookie>,
    pins: Option<Pins>,
    private_cookies: Vec<String>,
    private_header: Option<String>,
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
    /// The rule whose weights chose it, by its place; `None` where those of the route did, or no
    /// weights.
    pub rule: Option<usize>,
    /// One of 16 slices, from 0: always the same for a key, whatever variant has it; of a point of
    /// the draw, and of a pinned client's address, where there is no key. A forced request has none.
    pub slice: u8,
    /// True when another variant than the chosen one answers.
    pub failover: bool,
    /// True when the response is to pin the client to the variant that serves.
    pub pin: bool,
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
    /// A cookie of the client names it.
    Pin,
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
            Self::Pin => "pin",
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
        let seed = xxh3_64(spec.salt.as_bytes());
        let weights: Vec<u32> = spec.variants.iter().map(|it| it.weight).collect();
        let rules = spec.rules.into_iter().map(|rule| Rule {
            segment: rule.segment,
            division: Division::new(&spec.variants, &rule.weights),
        });
        let sticky = spec.sticky.unwrap_or_default();
        let own_cookie = sticky
            .cookie
            .as_ref()
            .or(sticky.pin.as_ref().map(|pin| &pin.cookie));
        let own_cookie = own_cookie.map(|cookie| cookie.name.clone());
        // What forces with a secret tells it.
        let secret_force = spec.force.as_ref().filter(|force| force.secret.is_some());
        let force_cookie = secret_force.and_then(|force| force.cookie.clone());
        Ok(Self {
            seed,
            division: Division::new(&spec.variants, &weights),
            rules: rules.collect(),
            private_cookies: own_cookie.into_iter().chain(force_cookie).collect(),
            private_header: secret_force.and_then(|force| force.header.clone()),
            keys: sticky.keys,
            identity: sticky.cookie,
            pins: sticky
                .pin
                .map(|pin| Pins::new(pin, &spec.salt, &spec.variants)),
            variants: spec.variants,
            force: spec.force,
        })
    }

    /// Decides who gets a request.
    ///
    /// `point` is the next one of the [`Draw`] of a rule, or of the route. `fresh` makes 128 random
    /// bits; it is called only for a client that is to get an identity. `available` tells of a
    /// variant whether it could answer now; it is asked only about variants that might.
    pub fn assign(
        &self,
        asked: &Asked<'_>,
        point: impl FnOnce(Option<usize>) -> u64,
        fresh: impl FnOnce() -> u128,
        available: impl Fn(usize) -> bool,
    ) -> Assignment {
        let Asked {
            request, client, ..
        } = *asked;
        let wish = match &self.force {
            Some(force) => Wish::of(request, client, force, &self.variants),
            None => Wish::default(),
        };
        if let Some(variant) = wish.variant {
            return Assignment {
                variant,
                served: available(variant).then_some(variant),
                reason: Reason::Forced,
                rule: None,
                slice: 0,
                failover: false,
                pin: false,
                issue_identity: None,
                force_rejected: wish.rejected,
            };
        }

        if let Some(variant) = self.pins.as_ref().and_then(|pins| pins.of(request)) {
            let key = self.key(request, client);
            let key = key.as_ref().map(HashKey::as_bytes);
            let hash = key.map(|key| self.hash(key));
            let served = if available(variant) {
                Some(variant)
            } else {
                let rule = self.rule(asked, key);
                let by = hash.map_or_else(|| By::Point(point(rule)), By::Key);
                self.stand_in(rule, by, variant, available)
            };
            return Assignment {
                variant,
                served,
                reason: Reason::Pin,
                rule: None,
                slice: hash.map_or_else(|| slice_of(address_bits(client)), KeyHash::slice),
                failover: served.is_some_and(|served| served != variant),
                pin: false,
                issue_identity: None,
                force_rejected: wish.rejected,
            };
        }

        let key = self.key(request, client);
        let issue_identity = match (&key, &self.identity) {
            (None, Some(_)) => Some(Identity::from_bits(fresh())),
            _ => None,
        };
        let key = key.as_ref().map(HashKey::as_bytes);
        let key = key.or(issue_identity.as_ref().map(Identity::as_bytes));
        let rule = self.rule(asked, key);
        let by = key.map_or_else(|| By::Point(point(rule)), |key| By::Key(self.hash(key)));
        let (reason, (variant, served)) = match by {
            By::Key(hash) => (Reason::Hash, self.by_hash(rule, hash, available)),
            By::Point(point) => (Reason::Draw, self.drawn(rule, point, available)),
        };
        Assignment {
            variant,
            served,
            reason,
            rule,
            slice: by.slice(),
            failover: served.is_some_and(|served| served != variant),
            pin: self.pins.is_some(),
            issue_identity,
            force_rejected: wish.rejected,
        }
    }

    /// What of a request is hashed: the first key that is there, else the first identity cookie that
    /// is valid. `None` when a new identity or a draw decides.
    pub fn key<'a>(&'a self, request: &'a RequestHead, client: IpAddr) -> Option<HashKey<'a>> {
        let by_key = self.keys.iter().find_map(|key| key.of(request, client));
        by_key.or_else(|| {
            let cookie = self.identity.as_ref()?;
            request
                .cookies(cookie.name.as_bytes())
                .find(|value| Identity::parse(value).is_some())
                .map(HashKey::Sent)
        })
    }

    /// The hash of a key under the split's salt.
    #[inline]
    pub(in crate::split) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::new(self.seed, key)
    }

    /// The variants, as they were written.
    pub fn variants(&self) -> &[VariantSpec] {
        &self.variants
    }

    /// The cookie that carries identities, if the split gives any.
    pub fn identity_cookie(&self) -> Option<&StickyCookie> {
        self.identity.as_ref()
    }

    /// The cookie that pins clients, if it does.
    pub fn pin_cookie(&self) -> Option<&StickyCookie> {
        self.pins.as_ref().map(Pins::cookie)
    }

    /// The cookie and its value that pin a client to a variant; none where the split pins nobody or
    /// the variant is off.
    pub fn pin(&self, variant: usize) -> Option<(&StickyCookie, &[u8])> {
        self.pins.as_ref()?.value(variant)
    }

    /// Why a request that is not pinned is not; `None` where the split pins nobody.
    pub fn pin_trouble(&self, request: &RequestHead) -> Option<PinTrouble> {
        Some(self.pins.as_ref()?.trouble(request))
    }

    /// The cookies that are between the client and us, by their names: upstreams do not see them.
    pub fn private_cookies(&self) -> &[String] {
        &self.private_cookies
    }

    /// The header that is between the client and us, by its name.
    pub fn private_header(&self) -> Option<&str> {
        self.private_header.as_deref()
    }

    /// A variant's part of new assignments, 0 to 1, by the weights of a rule or of the route, while
    /// all that are on are available.
    pub fn share(&self, rule: Option<usize>, variant: usize) -> f64 {
        self.division_of(rule).share(variant)
    }

    /// A variant's weight by a rule or by the route.
    pub fn weight(&self, rule: Option<usize>, variant: usize) -> u32 {
        self.division_of(rule).weight(variant)
    }

    /// True when a variant may get requests that do not ask for it by its name: new ones by a
    /// weight, or those of clients that are pinned to it.
    pub fn may_get(&self, variant: usize) -> bool {
        if self.pin(variant).is_some() {
            return true;
        }
        let mut divisions =
            iter::once(&self.division).chain(self.rules.iter().map(|rule| &rule.division));
        divisions.any(|division| division.share(variant) > 0.0)
    }

    fn division_of(&self, rule: Option<usize>) -> &Division {
        rule.map_or(&self.division, |rule| &self.rules[rule].division)
    }
}

/// An address as a number, an IPv6 address by its /64 network.
fn address_bits(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}
