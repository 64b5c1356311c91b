//! Who a client is by its certificate, as texts for the fields that tell it.

use rustls::pki_types::CertificateDer;

use crate::message::base64;
use crate::tls::summary::fingerprint;
use crate::tls::x509::{Facts, rfc4514};

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

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use crate::tls::Identity;

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
