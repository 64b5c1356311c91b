//! What can be wrong with certificates, keys and what is made of them.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;
use thiserror::Error;

/// Why there cannot be the TLS that was asked for.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields are the files that the message names"
)]
pub enum TlsError {
    /// There is no certificate in the settings.
    #[error("no certificate")]
    NoCertificate,
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is broken PEM.
    #[error("{} is not valid PEM", file.display())]
    Pem {
        file: PathBuf,
        #[source]
        source: pem::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM form", file.display())]
    HoldsNoCertificate { file: PathBuf },
    /// A file holds no key that can be used without a password.
    #[error("{} holds no unencrypted private key in PEM form", file.display())]
    HoldsNoKey { file: PathBuf },
    /// A certificate cannot be understood.
    #[error("{} holds a certificate that cannot be read", file.display())]
    BadCertificate {
        file: PathBuf,
        #[source]
        source: webpki::Error,
    },
    /// A private key cannot be used.
    #[error("{} holds a private key that cannot be used", file.display())]
    BadKey {
        file: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// The key is another certificate's.
    #[error("{} does not hold the key of the certificate in {}", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    /// The certificate of the key is not the first of its chain.
    #[error(
        "the certificate of the key must come first in {}, but is number {position}",
        file.display()
    )]
    NotFirst {
        file: PathBuf,
        /// Where it is, counted from 1.
        position: usize,
    },
    /// A certificate cannot stand for an authority.
    #[error("{} holds an authority that cannot be used", file.display())]
    BadAuthority {
        file: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// There is nobody to trust.
    #[error("no authority can be used")]
    NoAuthority(#[source] VerifierBuilderError),
    /// The system trusts nobody.
    #[error("the system has no authorities that it trusts; name yours with `ca`")]
    NoSystemAuthorities,
    /// No client could ever get this certificate.
    #[error(
        "the certificate in {} has no DNS name in subjectAltName, so no client could ask for it; \
         only the first one of a listener may have none",
        file.display()
    )]
    Nameless { file: PathBuf },
    /// The cryptographic library failed: it got no randomness, for example.
    #[error("tls cannot be set up")]
    Crypto(#[source] rustls::Error),
}

/// Why a client's TLS handshake came to nothing.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The client was too slow.
    #[error("tls handshake not finished in time")]
    TooSlow,
    /// The client went away, or what it sent was not what TLS asks for.
    #[error("tls handshake failed")]
    Failed(#[source] io::Error),
}

/// What it was that went wrong with TLS (RFC 9209, sections 2.3.14 to 2.3.16).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The peer's certificate is not what it should be.
    Certificate,
    /// The peer did not want to go on, and said so.
    Alert,
    /// What came was not what TLS asks for.
    Protocol,
}

impl Fault {
    /// What it was; `None` when the connection failed and not TLS.
    pub fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match error {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Self::Certificate
            }
            rustls::Error::AlertReceived(_) => Self::Alert,
            _ => Self::Protocol,
        })
    }
}
