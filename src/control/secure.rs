//! TLS as configured: what listeners and upstreams are given for their handshakes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, CertificateFiles, ClientAuth, Protocol, TlsConfig, UpstreamTlsConfig};
use crate::tls::{
    Acceptor, CertificatePair, ClientSettings, Clients, Connector, ServerSettings, Tickets,
    TlsError, Verify,
};

/// The keys of session tickets, which outlive reloads.
pub(in crate::control) struct TicketKeys {
    /// Those of listeners that let anybody in.
    shared: Tickets,
    /// Those of listeners that ask for certificates, by name. A session stands for the certificate
    /// that it began with, so that its ticket is good while the same clients may come in.
    own: BTreeMap<String, (Clients, Tickets)>,
}

impl TicketKeys {
    /// Makes the keys.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(in crate::control) fn new() -> Result<Self, TlsError> {
        Ok(Self {
            shared: Tickets::new()?,
            own: BTreeMap::new(),
        })
    }

    /// Those of a listener that lets these clients in.
    fn of(&mut self, listener: &str, clients: Option<&Clients>) -> Result<Tickets, TlsError> {
        let Some(clients) = clients else {
            self.own.remove(listener);
            return Ok(self.shared.clone());
        };
        if let Some((before, tickets)) = self.own.get(listener)
            && before == clients
        {
            return Ok(tickets.clone());
        }
        let tickets = Tickets::new()?;
        let own = (clients.clone(), tickets.clone());
        self.own.insert(listener.to_owned(), own);
        Ok(tickets)
    }

    /// Forgets those of listeners that are no more.
    pub(in crate::control) fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.own.retain(|listener, _| exists(listener));
    }
}

/// What a listener's handshakes obey.
pub(in crate::control) fn listener(
    name: &str,
    tls: &TlsConfig,
    protocols: &[Protocol],
    tickets: &mut TicketKeys,
) -> Result<Arc<Acceptor>, TlsError> {
    let clients = tls.clients.as_ref().map(|clients| match clients.auth {
        ClientAuth::Required => Clients::required(&clients.ca),
        ClientAuth::Optional => Clients::optional(&clients.ca),
    });
    let clients = clients.transpose()?;
    let tickets = tickets.of(name, clients.as_ref())?;
    let settings = ServerSettings {
        certificates: tls.certificates.iter().map(pair).collect(),
        h2: protocols.contains(&Protocol::Http2),
        http1: protocols.contains(&Protocol::Http1),
        clients,
        terms: tls.terms.clone(),
    };
    Acceptor::load(&settings, &tickets)
}

/// What handshakes with an upstream's endpoints obey: as `before`, if nothing has changed.
pub(in crate::control) fn upstream(
    tls: &UpstreamTlsConfig,
    protocol: Protocol,
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
        terms: tls.terms.clone(),
        // One only: what is agreed on is what will be spoken, or there is no connection.
        alpn: match protocol {
            Protocol::Http1 => &["http/1.1"],
            Protocol::Http2 => &["h2"],
        },
    };
    Connector::load(settings, before)
}

fn pair(files: &CertificateFiles) -> CertificatePair {
    CertificatePair {
        cert: files.cert.clone(),
        key: files.key.clone(),
    }
}
