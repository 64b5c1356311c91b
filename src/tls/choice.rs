//! Which certificate a client gets: by the name it asks for (SNI; RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::tls::certificate::Certificate;

/// The certificates of a listener by their names.
///
/// A name may have several certificates, in the order of the configuration: one with an ECDSA and
/// one with an RSA key for old clients, for example. No list is ever empty.
#[derive(Debug)]
pub(crate) struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// Puts certificates in order; `None` when there is none.
    pub(crate) fn new(certificates: Vec<Certificate>) -> Option<Self> {
        let first = certificates.first()?;
        let first_name = first.names.first().cloned();
        let mut choice = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: vec![Arc::clone(&first.chain)],
        };
        for Certificate { chain, names, .. } in certificates {
            for name in names {
                let same_name = match name.strip_prefix("*.") {
                    Some(parent) => choice.wildcard.entry(parent.to_owned()),
                    None => choice.exact.entry(name),
                };
                same_name.or_default().push(Arc::clone(&chain));
            }
        }
        // A client that asks for no known name may need the first name's other key as well.
        if let Some(name) = first_name {
            let same_name = match name.strip_prefix("*.") {
                Some(parent) => choice.wildcard.get(parent),
                None => choice.exact.get(&name),
            };
            choice.default.clone_from(same_name?);
        }
        Some(choice)
    }

    /// The certificates for a name: those that have it, else those with a wildcard for its first
    /// label (RFC 9525, section 6.3), else the first of the listener.
    fn of(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else {
            return &self.default;
        };
        // The library has made it lower case. A name may end in a dot, a certificate's does not.
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact
            .get(name)
            .or_else(|| self.wildcard.get(name.split_once('.')?.1))
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.of(client_hello.server_name());
        usable(candidates, client_hello.signature_schemes()).cloned()
    }
}

/// The first whose key can sign as the client asks; the first of all when none can, and the
/// handshake then says so to the client.
fn usable<'a>(
    candidates: &'a [Arc<CertifiedKey>],
    schemes: &[SignatureScheme],
) -> Option<&'a Arc<CertifiedKey>> {
    match candidates {
        [only] => Some(only),
        several => several
            .iter()
            .find(|candidate| candidate.key.choose_scheme(schemes).is_some())
            .or_else(|| several.first()),
    }
}
