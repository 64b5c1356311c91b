//! Identities: a name for a client that has no other key, carried by a cookie.
//!
//! The cookie says who, not which variant: a change of weights moves exactly the users that it must,
//! and weight 0 empties a variant at once.

use std::io::Write as _;
use std::time::Duration;

use crate::message::Scheme;

/// The bytes of an identity as text.
const TEXT_BYTES: usize = 32;

/// 128 random bits as 32 lower-case hexadecimal digits; these digits are what is hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity([u8; TEXT_BYTES]);

impl Identity {
    /// The identity of these bits, which should be random.
    pub fn from_bits(bits: u128) -> Self {
        let mut text = [0; TEXT_BYTES];
        for (digit, shift) in text.iter_mut().rev().zip((0..).step_by(4)) {
            *digit = b"0123456789abcdef"[(bits >> shift) as usize & 15];
        }
        Self(text)
    }

    /// Reads a cookie's value; anything but 32 lower-case hexadecimal digits is no identity.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text: [u8; TEXT_BYTES] = value.try_into().ok()?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.iter().all(is_digit).then_some(Self(text))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The cookie that carries an [`Identity`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityCookie {
    /// Its name, a token.
    pub name: String,
    /// How long a client is to keep it, in whole seconds; `None` is until the browser is closed.
    pub max_age: Option<Duration>,
}

impl Default for IdentityCookie {
    fn default() -> Self {
        Self {
            name: "tidegate_id".to_owned(),
            max_age: None,
        }
    }
}

impl IdentityCookie {
    /// Appends the value of the Set-Cookie field that gives a client this identity.
    ///
    /// `SameSite=Lax`, not `Strict`: with that the first request that comes from another site would
    /// carry no cookie and be assigned anew. No `Domain`: the cookie stays with this very host.
    pub fn set_cookie(&self, identity: &Identity, scheme: Scheme, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(identity.as_bytes());
        out.extend_from_slice(b"; Path=/; HttpOnly; SameSite=Lax");
        match scheme {
            Scheme::Https => out.extend_from_slice(b"; Secure"),
            Scheme::Http => {}
        }
        if let Some(max_age) = self.max_age {
            write!(out, "; Max-Age={}", max_age.as_secs()).expect("a vector takes every write");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::message::Scheme;
    use crate::split::identity::{Identity, IdentityCookie};

    #[test]
    fn an_identity_is_32_lower_case_digits_and_nothing_else() {
        let identity = Identity::from_bits(0x0123_4567_89ab_cdef_0000_0000_0000_00ff);
        let text = b"0123456789abcdef00000000000000ff";
        assert_eq!(identity.as_bytes(), text);
        assert_eq!(Identity::parse(text), Some(identity));
        for value in [
            "",
            "0123456789abcdef00000000000000f",
            "0123456789abcdef00000000000000ff0",
            "0123456789ABCDEF00000000000000FF",
            "0123456789abcdef00000000000000fg",
        ] {
            assert_eq!(Identity::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_cookie_is_for_the_whole_host_and_hidden_from_scripts() {
        let identity = Identity::from_bits(10);
        let mut out = Vec::new();
        IdentityCookie::default().set_cookie(&identity, Scheme::Http, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "tidegate_id=0000000000000000000000000000000a; Path=/; HttpOnly; SameSite=Lax"
        );
        let cookie = IdentityCookie {
            name: "who".to_owned(),
            max_age: Some(Duration::from_secs(2_592_000)),
        };
        let mut out = Vec::new();
        cookie.set_cookie(&identity, Scheme::Https, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "who=0000000000000000000000000000000a; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=2592000"
        );
    }
}
