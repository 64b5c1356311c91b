//! TLS towards clients: from certificate files to the configuration of handshakes.
//!
//! Everything is read and checked when a configuration is loaded, so that a bad certificate is
//! refused while the old one still serves. A handshake only looks its name up.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, WebPkiClientVerifier};

use crate::tls::authority::Clients;
use crate::tls::certificate::{Certificate, CertificatePair};
use crate::tls::choice::ByName;
use crate::tls::error::TlsError;
use crate::tls::summary::Summary;
use crate::tls::terms::Terms;

/// How many session tickets a TLS 1.3 client gets after a handshake. A ticket is for one use, and a
/// used one brings the next, so one is enough for a client that comes back; two, the library's
/// default, cost 10 % more per handshake, and none lets nobody resume.
const N_TICKETS: usize = 1;

/// What a listener's TLS is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerSettings {
    /// The certificates. A client gets the one that has the name it asks for, else the first.
    pub certificates: Vec<CertificatePair>,
    /// Whether HTTP/2 is offered; it is preferred to HTTP/1.1.
    pub h2: bool,
    /// Whether HTTP/1.1 is offered.
    pub http1: bool,
    /// The clients that may come in; `None` is anybody.
    pub clients: Option<Clients>,
    /// What may be agreed on.
    pub terms: Terms,
}

/// The keys that session tickets are sealed with; they change every six hours by themselves.
///
/// A client's ticket is good for as long as its keys live, so they are made once and passed to
/// every [`Acceptor`] of a listener: a new certificate then costs nobody a full handshake. Listeners
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

/// What the handshakes of a listener obey.
#[derive(Debug)]
pub struct Acceptor {
    pub(in crate::tls) config: Arc<ServerConfig>,
    /// Its certificates, in the order of the settings.
    certificates: Vec<Summary>,
}

impl Acceptor {
    /// Reads a listener's certificates and makes what its handshakes obey, with session tickets,
    /// and ALPN in the order h2, http/1.1.
    ///
    /// # Errors
    /// When a file cannot be read or used; the first such problem is told.
    pub fn load(settings: &ServerSettings, tickets: &Tickets) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(settings.terms.provider());
        let certificates = settings
            .certificates
            .iter()
            .map(|pair| Certificate::read(pair, &provider))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(nameless) = nameless(&certificates) {
            return Err(TlsError::Nameless {
                file: nameless.summary.file.clone(),
            });
        }
        let summaries = certificates.iter().map(|one| one.summary.clone()).collect();
        let choice = ByName::new(certificates).ok_or(TlsError::NoCertificate)?;

        let clients = match &settings.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(clients) => {
                let roots = Arc::clone(&clients.roots);
                let provider = Arc::clone(&provider);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match clients.required {
                    true => verifier,
                    false => verifier.allow_unauthenticated(),
                };
                verifier.build().map_err(TlsError::NoAuthority)?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&settings.terms.versions())
            .map_err(TlsError::Crypto)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(choice));
        if settings.h2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        if settings.http1 {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        // Who lists suites means their order; else clients know best what their machines do quickly.
        config.ignore_client_order = settings.terms.suites.is_some();
        config.ticketer = Arc::clone(&tickets.0);
        config.send_tls13_tickets = N_TICKETS;
        Ok(Arc::new(Self {
            config: Arc::new(config),
            certificates: summaries,
        }))
    }

    /// The certificates that clients may get, the one for who asks for no known name first.
    pub fn certificates(&self) -> &[Summary] {
        &self.certificates
    }
}

/// The first certificate that no client could ever get.
fn nameless(certificates: &[Certificate]) -> Option<&Certificate> {
    let mut others = certificates.iter().skip(1);
    others.find(|certificate| certificate.names.is_empty())
}
