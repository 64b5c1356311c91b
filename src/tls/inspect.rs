//! Looks at the files of certificates before they are used: whether they can be, and what is wrong
//! with them all the same.

use std::cell::OnceCell;
use std::path::Path;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::tls::authority::{roots, system_authorities};
use crate::tls::certificate::{Certificate, CertificatePair, read_chain};
use crate::tls::error::TlsError;
use crate::tls::flaw::{self, Flaw, Purpose};
use crate::tls::summary::{Summary, unix};
use crate::tls::x509::{Parts, contents};

/// Looks at files as they are at one moment.
pub struct Inspector {
    /// The moment, in Unix time.
    now: i64,
    provider: CryptoProvider,
    /// The authorities of the system, once they are asked for; none when there are none.
    system: OnceCell<Option<RootCertStore>>,
}

/// A certificate that can be used, and what is wrong with it all the same.
#[derive(Debug)]
pub struct Inspected {
    /// What it is.
    pub summary: Summary,
    /// What is wrong with its chain.
    pub flaws: Vec<Flaw>,
    /// The DNS names by which clients may ask for it.
    pub dns_names: Vec<String>,
    /// What kind of key it has: equal kinds serve the same clients.
    pub key_kind: Vec<u8>,
}

impl Inspector {
    /// Begins at a moment.
    pub fn new(now: SystemTime) -> Self {
        Self {
            now: unix(now),
            provider: aws_lc_rs::default_provider(),
            system: OnceCell::new(),
        }
    }

    /// Looks at a certificate and its key.
    ///
    /// # Errors
    /// When they cannot be read or used.
    pub fn pair(&self, pair: &CertificatePair, purpose: Purpose) -> Result<Inspected, TlsError> {
        let certificate = Certificate::read(pair, &self.provider)?;
        let chain = &certificate.chain.cert;
        let algorithms = &self.provider.signature_verification_algorithms;
        let flaws = flaw::flaws(chain, purpose, self.now, algorithms, |issuer| {
            self.knows(issuer)
        });
        let leaf = chain.first().and_then(|leaf| Parts::of(leaf));
        Ok(Inspected {
            flaws,
            dns_names: certificate.names,
            key_kind: leaf.map_or_else(Vec::new, |leaf| leaf.key.algorithm.to_vec()),
            summary: certificate.summary,
        })
    }

    /// Looks at a file of authorities; tells those of them that do not hold, and how many there are.
    ///
    /// # Errors
    /// When the file cannot be read or used.
    pub fn authorities(&self, file: &Path) -> Result<(Vec<Flaw>, usize), TlsError> {
        let certificates = read_chain(file)?;
        let flaws = flaw::of_authorities(&certificates, self.now);
        let n = certificates.len();
        roots(file, certificates)?;
        Ok((flaws, n))
    }

    /// Checks that the system has authorities.
    ///
    /// # Errors
    /// When it has none.
    pub fn system_authorities(&self) -> Result<(), TlsError> {
        match self.system() {
            Some(_) => Ok(()),
            None => Err(TlsError::NoSystemAuthorities),
        }
    }

    fn system(&self) -> Option<&RootCertStore> {
        self.system
            .get_or_init(|| system_authorities().ok())
            .as_ref()
    }

    /// Whether the system trusts an authority of this name, given as DER; nothing when it trusts none.
    fn knows(&self, name: &[u8]) -> Option<bool> {
        let name = contents(name)?;
        let mut roots = self.system()?.roots.iter();
        Some(roots.any(|root| root.subject.as_ref() == name))
    }
}
