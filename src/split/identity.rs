//! Identities: a name for a client that has no other key, carried by a cookie.
//!
//! The cookie says who, not which variant: a change of weights moves exactly the users that it must,
//! and weight 0 empties a variant at once.

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
        // All of them, and no early end: so a few instructions look at sixteen at a time.
        let is_digit = |byte: u8| byte.is_ascii_digit() | (byte.wrapping_sub(b'a') < 6);
        let are_digits = text.iter().fold(true, |all, &byte| all & is_digit(byte));
        are_digits.then_some(Self(text))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use crate::split::identity::Identity;

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
}
