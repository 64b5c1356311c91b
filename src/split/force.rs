//! Forcing: a request that names its variant.

use std::net::IpAddr;

use crate::message::RequestHead;
use crate::split::spec::{Force, Preview, State, VariantSpec};

/// The names by which the newer of two variants is known, so that `always` and `never` have a
/// meaning.
const NEWER: [&str; 3] = ["canary", "candidate", "green"];

/// Why a value that was to force a variant did not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForceRejected {
    /// No variant has that name.
    Unknown,
    /// The variant is off.
    Off,
    /// The client is none of those that may.
    Untrusted,
    /// The secret is wrong or missing.
    BadSecret,
}

impl ForceRejected {
    /// The reason as a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Off => "off",
            Self::Untrusted => "untrusted",
            Self::BadSecret => "bad_secret",
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::split) struct Wish {
    /// The variant that it forces.
    pub(in crate::split) variant: Option<usize>,
    /// Why the first value that forced nothing did not.
    pub(in crate::split) rejected: Option<ForceRejected>,
}

impl Wish {
    /// Reads a request. A value that forces nothing is as if it were not there, so the next place
    /// counts.
    pub(in crate::split) fn of(
        request: &RequestHead,
        client: IpAddr,
        force: &Force,
        variants: &[VariantSpec],
    ) -> Self {
        let preview = force.preview.as_ref();
        if let Some(variant) = preview.and_then(|preview| preview.of(request, variants)) {
            return Self {
                variant: Some(variant),
                rejected: None,
            };
        }
        let header = force.header.iter();
        let cookie = force.cookie.iter();
        let query = force.query.iter();
        let values = header
            .filter_map(|name| request.field(name.as_bytes()))
            .chain(cookie.flat_map(|name| request.cookies(name.as_bytes())))
            .chain(query.filter_map(|name| request.query_value(name.as_bytes())));
        let mut wish = Self::default();
        for value in values {
            let permitted = permitted(value, client, force);
            match permitted.and_then(|name| named(name, variants)) {
                Ok(variant) => {
                    wish.variant = Some(variant);
                    return wish;
                }
                Err(rejected) => wish.rejected = wish.rejected.or(Some(rejected)),
            }
        }
        wish
    }
}

impl Preview {
    /// The variant of a request that is for the host and has all of the fields, unless it is off.
    fn of(&self, request: &RequestHead, variants: &[VariantSpec]) -> Option<usize> {
        let has = |(name, value): &(String, String)| {
            request.field(name.as_bytes()) == Some(value.as_bytes())
        };
        let says_something = self.host.is_some() || !self.fields.is_empty();
        let host = self.host.as_ref();
        let is_for = host.is_none_or(|host| request.host().eq_ignore_ascii_case(host.as_bytes()));
        if !(says_something && is_for && self.fields.iter().all(has)) {
            return None;
        }
        let is_it =
            |variant: &VariantSpec| variant.name == self.variant && variant.state == State::On;
        variants.iter().position(is_it)
    }
}

/// What of a value names the variant, if the client may name one.
fn permitted<'v>(
    value: &'v [u8],
    client: IpAddr,
    force: &Force,
) -> Result<&'v [u8], ForceRejected> {
    if !force.trusted.is_empty() && !force.trusted.contains(client) {
        return Err(ForceRejected::Untrusted);
    }
    let Some(secret) = &force.secret else {
        return Ok(value);
    };
    // No name has a colon; a secret may.
    let colon = memchr::memchr(b':', value).ok_or(ForceRejected::BadSecret)?;
    if secret.is(&value[colon + 1..]) {
        Ok(&value[..colon])
    } else {
        Err(ForceRejected::BadSecret)
    }
}

/// The variant that a name stands for: one of that name, or by `always` and `never` the newer and
/// the older of two.
fn named(value: &[u8], variants: &[VariantSpec]) -> Result<usize, ForceRejected> {
    let by_name = variants
        .iter()
        .position(|variant| variant.name.as_bytes() == value);
    let by_word = || match (value, newer(variants)?) {
        (b"always", newer) => Some(newer),
        (b"never", newer) => Some(1 - newer),
        _ => None,
    };
    match by_name.or_else(by_word) {
        None => Err(ForceRejected::Unknown),
        Some(variant) => match variants[variant].state {
            State::On => Ok(variant),
            State::Off => Err(ForceRejected::Off),
        },
    }
}

/// Which of exactly two variants is the newer: the only one that is named as such.
fn newer(variants: &[VariantSpec]) -> Option<usize> {
    let is_newer = |variant: &VariantSpec| NEWER.contains(&variant.name.as_str());
    match variants {
        [first, second] => match (is_newer(first), is_newer(second)) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            _ => None,
        },
        _ => None,
    }
}
