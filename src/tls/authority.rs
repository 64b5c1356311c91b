//! Whom is believed: the authorities in a file, or those of the system.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::tls::certificate::{chain_of, read_chain, read_file};
use crate::tls::error::TlsError;

/// The clients of a listener that may come in: those with a certificate from these authorities.
#[derive(Clone, Debug)]
pub struct Clients {
    /// True when nobody may come in without one.
    pub(in crate::tls) required: bool,
    pub(in crate::tls) roots: Arc<RootCertStore>,
    /// The SHA-256 of the file.
    contents: [u8; 32],
}

impl PartialEq for Clients {
    fn eq(&self, other: &Self) -> bool {
        self.required == other.required && self.contents == other.contents
    }
}

impl Eq for Clients {}

impl Clients {
    /// Lets in who has a certificate from the authorities in a file, and nobody else.
    ///
    /// # Errors
    /// When the file cannot be read or used.
    pub fn required(file: &Path) -> Result<Self, TlsError> {
        Self::read(file, true)
    }

    /// Lets in who has such a certificate, and who has none at all.
    ///
    /// # Errors
    /// When the file cannot be read or used.
    pub fn optional(file: &Path) -> Result<Self, TlsError> {
        Self::read(file, false)
    }

    fn read(file: &Path, required: bool) -> Result<Self, TlsError> {
        let bytes = read_file(file)?;
        Ok(Self {
            required,
            roots: Arc::new(roots(file, chain_of(file, &bytes)?)?),
            contents: Sha256::digest(&bytes).into(),
        })
    }
}

/// The authorities in a file.
pub(in crate::tls) fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    roots(file, read_chain(file)?)
}

pub(in crate::tls) fn roots(
    file: &Path,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|source| TlsError::BadAuthority {
                file: file.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

/// The authorities that the system trusts. Those that cannot be read are left out, as everywhere.
pub(in crate::tls) fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TlsError::NoSystemAuthorities);
    }
    Ok(roots)
}
