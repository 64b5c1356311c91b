//! Who a client is by its certificate, as texts for the fields that tell it.

use rustls::pki_types::CertificateDer;

use crate::tls::summary::fingerprint;
use crate::tls::x509::{Facts, rfc4514};

/// The digits of base64 (RFC 4648, section 4).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The certificate that a client has proved to be its own, made once for a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The certificate as a byte sequence of structured fields (RFC 9440, section 2.1).
    pub certificate: String,
    /// Whose it is, such as `CN=alice,O=Example` (RFC 4514), in visible ASCII.
    pub subject: String,
    /// The SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
}

impl Identity {
    /// Makes the texts of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self {
            certificate: format!(":{}:", base64(certificate)),
            subject: Facts::of(certificate)
                .and_then(|facts| rfc4514(facts.subject))
                .unwrap_or_default(),
            fingerprint: fingerprint(certificate),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut four = [0; 4];
        four[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(four) as usize;
        for n in 0..4 {
            text.push(if n <= group.len() {
                char::from(DIGITS[bits >> (18 - 6 * n) & 63])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use crate::tls::Identity;
    use crate::tls::identity::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, section 10.
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn even_a_certificate_that_cannot_be_read_has_a_fingerprint() {
        let identity = Identity::of(&CertificateDer::from(b"abc".as_slice()));
        assert_eq!(identity.certificate, ":YWJj:");
        assert_eq!(identity.subject, "");
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            identity.fingerprint,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
