//! Pins: a cookie that names a variant, so that its client stays there whatever the weights become.
//!
//! They are for applications that keep something of a user in one version and lose it elsewhere. An
//! identity follows the weights; a pin survives even weight 0, and ends with the cookie, with a new
//! epoch or secret, or when its variant is turned off.
//!
//! The value is `1.EPOCH.CODE`: the code is HMAC-SHA256 (RFC 2104), cut to 128 bits, over the salt
//! of the split, the name of the variant and the epoch, in 32 lower-case hexadecimal digits. So it
//! says nothing of variants or addresses, nobody without the key can make one, one of another route
//! is none, and instances that share the key agree. It is the same for all clients of a variant,
//! which are found by comparing with few values that are made once.

use std::fmt;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use crate::message::RequestHead;
use crate::split::cookie::StickyCookie;
use crate::split::identity::Identity;
use crate::split::secret::SharedSecret;
use crate::split::spec::{State, VariantSpec};

/// The version of a pin's value.
const VERSION: &str = "1";
/// What is signed first, so that no other use of the same key can make a pin.
const PURPOSE: &str = "tidegate pin";

/// How clients are pinned, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PinSpec {
    /// The cookie.
    pub cookie: StickyCookie,
    /// The number of the pins that count; those of others are as if they were not there.
    pub epoch: u32,
    /// What they are signed with; without it anybody can make one.
    pub secret: Option<SharedSecret>,
}

/// The pins of a split, ready to be compared with.
#[derive(Clone)]
pub(in crate::split) struct Pins {
    cookie: StickyCookie,
    epoch: u32,
    /// The value for each variant, in their order; none for one that is off.
    values: Vec<Option<Box<[u8]>>>,
}

impl Pins {
    /// Makes all values.
    pub(in crate::split) fn new(spec: PinSpec, salt: &str, variants: &[VariantSpec]) -> Self {
        let values = variants.iter().map(|variant| match variant.state {
            State::On => Some(value(&spec, salt, &variant.name)),
            State::Off => None,
        });
        Self {
            values: values.collect(),
            epoch: spec.epoch,
            cookie: spec.cookie,
        }
    }

    /// The variant that a request is pinned to: that of the first pin which is valid. Clients send
    /// several cookies of one name when others set some, too.
    pub(in crate::split) fn of(&self, request: &RequestHead) -> Option<usize> {
        let mut sent = request.cookies(self.cookie.name.as_bytes());
        sent.find_map(|sent| self.variant(sent))
    }

    /// The variant that a value is the pin of. How long it takes tells nothing of how much of the
    /// value is right.
    fn variant(&self, sent: &[u8]) -> Option<usize> {
        let mut found = None;
        for (variant, value) in self.values.iter().enumerate() {
            if let Some(value) = value
                && bool::from(value.ct_eq(sent))
            {
                found = Some(variant);
            }
        }
        found
    }

    /// The cookie and its value for clients that are to stay on a variant.
    pub(in crate::split) fn value(&self, variant: usize) -> Option<(&StickyCookie, &[u8])> {
        let value = self.values[variant].as_ref()?;
        Some((&self.cookie, value))
    }

    /// The cookie.
    pub(in crate::split) fn cookie(&self) -> &StickyCookie {
        &self.cookie
    }

    /// What there is to say of a request's pins, none of which is valid.
    pub(in crate::split) fn trouble(&self, request: &RequestHead) -> PinTrouble {
        let epoch = |sent: &[u8]| -> Option<u32> {
            let mut parts = str::from_utf8(sent).ok()?.split('.');
            let version = parts.next()?;
            let epoch = parts.next()?.parse().ok()?;
            (version == VERSION && parts.next()?.len() == 32).then_some(epoch)
        };
        let mut sent = request.cookies(self.cookie.name.as_bytes()).peekable();
        if sent.peek().is_none() {
            return PinTrouble::Missing;
        }
        match sent.find_map(epoch).filter(|&epoch| epoch != self.epoch) {
            Some(epoch) => PinTrouble::Epoch {
                sent: epoch,
                now: self.epoch,
            },
            None => PinTrouble::Invalid,
        }
    }
}

impl fmt::Debug for Pins {
    /// Without the values: who knows one is where it leads.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pins")
            .field("cookie", &self.cookie)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Why a request is not pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinTrouble {
    /// It has no pin.
    Missing,
    /// Its pin is of another epoch.
    Epoch {
        /// That of the pin.
        sent: u32,
        /// That which counts.
        now: u32,
    },
    /// Its pin is another route's, signed with another secret, forged, or its variant is off.
    Invalid,
}

fn value(spec: &PinSpec, salt: &str, variant: &str) -> Box<[u8]> {
    let epoch = spec.epoch.to_string();
    // Unsigned pins look the same, and everybody knows their key.
    let key = spec.secret.as_ref().map_or(&[][..], SharedSecret::as_bytes);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [PURPOSE, VERSION, salt, variant, &epoch] {
        // With its length before it, so that no two lists of parts are the same bytes.
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let tag = context.sign();
    let mut code = [0; 16];
    code.copy_from_slice(&tag.as_ref()[..16]);
    let code = Identity::from_bits(u128::from_be_bytes(code));
    let mut value = format!("{VERSION}.{epoch}.").into_bytes();
    value.extend_from_slice(code.as_bytes());
    value.into()
}
