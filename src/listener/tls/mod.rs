//! TLS towards clients: from certificate files to the configuration of handshakes.
//!
//! Everything is read and checked when a configuration is loaded, so that a bad certificate is
//! refused while the old one still serves. A handshake only looks its name up.

mod certificate;
mod choice;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem;
use rustls::server::ProducesTickets;
use rustls::version::{TLS12, TLS13};
use thiserror::Error;

use crate::listener::tls::certificate::Certificate;
use crate::listener::tls::choice::ByName;

/// How many session tickets a TLS 1.3 client gets after a handshake. A ticket is for one use, and a
/// used one brings the next, so one is enough for a client that comes back; two, the library's
/// default, cost 10 % more per handshake, and none lets nobody resume.
const N_TICKETS: usize = 1;

/// A certificate and the key that belongs to it, as files in PEM form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificatePair {
    /// The file of the certificate chain: first the listener's own, then those that vouch for it.
    pub cert: PathBuf,
    /// The file of the private key; it may be the same one.
    pub key: PathBuf,
}

/// What a listener's TLS is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsSettings {
    /// The certificates. A client gets the one that has the name it asks for, else the first.
    pub certificates: Vec<CertificatePair>,
    /// Whether HTTP/2 is offered; it is preferred to HTTP/1.1.
    pub h2: bool,
    /// Whether HTTP/1.1 is offered.
    pub http1: bool,
}

/// Why a listener cannot have the TLS that was asked for.
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

/// The keys that session tickets are sealed with; they change every six hours by themselves.
///
/// A client's ticket is good for as long as its keys live, so they are made once and passed to
/// every [`load`] of a listener: a new certificate then costs nobody a full handshake. Listeners
/// may share them as long as none of them asks clients for certificates; one that does must have
/// its own, or a ticket from another listener would stand in for a client's certificate.
#[derive(Clone, Debug)]
pub struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// Makes new keys.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> Result<Self, TlsError> {
        aws_lc_rs::Ticketer::new()
            .map(Self)
            .map_err(TlsError::Crypto)
    }
}

/// Reads a listener's certificates and makes what its handshakes obey: TLS 1.2 and 1.3, session
/// tickets, ALPN in the order h2, http/1.1.
///
/// # Errors
/// When a file cannot be read or used; the first such problem is told.
pub fn load(settings: &TlsSettings, tickets: &Tickets) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificates = settings
        .certificates
        .iter()
        .map(|pair| Certificate::read(pair, &provider))
        .collect::<Result<Vec<_>, _>>()?;
    let unreachable = certificates
        .iter()
        .zip(&settings.certificates)
        .skip(1)
        .find(|(certificate, _)| certificate.names.is_empty());
    if let Some((_, pair)) = unreachable {
        return Err(TlsError::Nameless {
            file: pair.cert.clone(),
        });
    }
    let choice = ByName::new(certificates).ok_or(TlsError::NoCertificate)?;

    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Crypto)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(choice));
    if settings.h2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    if settings.http1 {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    config.ticketer = Arc::clone(&tickets.0);
    config.send_tls13_tickets = N_TICKETS;
    Ok(Arc::new(config))
}
