//! Signatures of what is sent, so that who gets it knows that it is from us and fresh.
//!
//! As Stripe's and Slack's: HMAC-SHA256 (RFC 2104, FIPS 180-4) over the time, a dot and the body,
//! both of them sent. Who checks it refuses a time that is some minutes off, so that nobody can
//! send again what was overheard.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use http::{HeaderName, HeaderValue};

/// The field of the time of sending, in whole seconds since 1970.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-tidegate-timestamp");
/// The field of the signature: `sha256=` and 64 hexadecimal digits.
const SIGNATURE: HeaderName = HeaderName::from_static("x-tidegate-signature");

/// A secret that requests are signed with. It is never shown.
#[derive(Clone)]
pub struct SigningKey {
    secret: Vec<u8>,
    key: Arc<hmac::Key>,
}

impl SigningKey {
    /// Makes the key of a secret that both sides know.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            secret: secret.to_vec(),
            key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)),
        }
    }

    /// The fields that go with a body that is sent now.
    pub fn sign(&self, body: &[u8], now: SystemTime) -> [(HeaderName, HeaderValue); 2] {
        let seconds = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut context = hmac::Context::with_key(&self.key);
        context.update(seconds.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let mut signature = String::from("sha256=");
        for byte in context.sign().as_ref() {
            signature.push_str(&format!("{byte:02x}"));
        }
        let signature = HeaderValue::try_from(signature).expect("hexadecimal digits are ASCII");
        [
            (TIMESTAMP, HeaderValue::from(seconds)),
            (SIGNATURE, signature),
        ]
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use crate::outbound::signature::SigningKey;

    #[test]
    fn a_signature_covers_time_and_body() {
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let [(_, time), (_, signature)] = SigningKey::new(b"hunter2").sign(b"{\"a\":1}", now);
        assert_eq!(time, "1700000000");
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2
        assert_eq!(
            signature,
            "sha256=56b25cbf563812b38800e5f4dd1febfde087d36841155e70b3aa285517e1570a"
        );
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(
            format!("{:?}", SigningKey::new(b"hunter2")),
            "SigningKey(…)"
        );
    }
}
