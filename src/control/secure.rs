//! TLS as configured: what listeners and upstreams are given for their handshakes.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::{self, CertificateFiles, Protocol, TlsConfig, UpstreamTlsConfig};
use crate::tls::{
    CertificatePair, ClientSettings, Connector, ServerSettings, Tickets, TlsError, Verify,
    load_server,
};

/// What a listener's handshakes obey.
pub(in crate::control) fn listener(
    tls: &TlsConfig,
    protocols: &[Protocol],
    tickets: &Tickets,
) -> Result<Arc<ServerConfig>, TlsError> {
    let settings = ServerSettings {
        certificates: tls.certificates.iter().map(pair).collect(),
        h2: protocols.contains(&Protocol::Http2),
        http1: protocols.contains(&Protocol::Http1),
    };
    load_server(&settings, tickets)
}

/// What handshakes with an upstream's endpoints obey: as `before`, if nothing has changed.
pub(in crate::control) fn upstream(
    tls: &UpstreamTlsConfig,
    before: Option<&Arc<Connector>>,
) -> Result<Arc<Connector>, TlsError> {
    let settings = ClientSettings {
        ca: tls.ca.clone(),
        name: tls.name.clone(),
        certificate: tls.certificate.as_ref().map(pair),
        verify: match tls.verify {
            config::Verify::Full => Verify::Full,
            config::Verify::Off => Verify::Off,
        },
        alpn: &["http/1.1"],
    };
    Connector::load(settings, before)
}

fn pair(files: &CertificateFiles) -> CertificatePair {
    CertificatePair {
        cert: files.cert.clone(),
        key: files.key.clone(),
    }
}
