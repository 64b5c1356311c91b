//! One certificate with its key, read from its files and checked.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::tls::error::TlsError;
use crate::tls::summary::Summary;

/// A certificate and the key that belongs to it, as files in PEM form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificatePair {
    /// The file of the certificate chain: first its own, then those that vouch for it.
    pub cert: PathBuf,
    /// The file of the private key; it may be the same one.
    pub key: PathBuf,
}

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The chain and the key; they belong together.
    pub(crate) chain: Arc<CertifiedKey>,
    /// The DNS names it is for, in lower case, such as `example.com` or `*.example.com`. There may
    /// be none: in a certificate for addresses, and in one of X.509 version 1.
    pub(crate) names: Vec<String>,
    /// What it is, in a few words.
    pub(crate) summary: Summary,
}

impl Certificate {
    /// Reads a certificate and its key.
    pub(crate) fn read(
        pair: &CertificatePair,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let chain = read_chain(&pair.cert)?;
        let key = provider
            .key_provider
            .load_private_key(read_key(&pair.key)?)
            .map_err(|source| TlsError::BadKey {
                file: pair.key.clone(),
                source,
            })?;
        let names = key.public_key().map_or_else(
            || dns_names(&chain[0]).map_err(|source| bad_certificate(&pair.cert, source)),
            |public_key| check(pair, &chain, &public_key),
        )?;
        Ok(Self {
            summary: Summary::of(&pair.cert, &chain),
            chain: Arc::new(CertifiedKey::new(chain, key)),
            names,
        })
    }
}

/// Reads a chain of certificates: at least one.
pub(in crate::tls) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    chain_of(file, &read_file(file)?)
}

/// The chain of certificates that the bytes of a file are: at least one.
pub(in crate::tls) fn chain_of(
    file: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| bad_pem(file, source))?;
    if chain.is_empty() {
        return Err(TlsError::HoldsNoCertificate {
            file: file.to_owned(),
        });
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_file(file)?).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::HoldsNoKey {
            file: file.to_owned(),
        },
        source => bad_pem(file, source),
    })
}

pub(in crate::tls) fn read_file(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Read {
        file: file.to_owned(),
        source,
    })
}

/// Checks that a chain is the one of a key, and tells the names it is for.
fn check(
    pair: &CertificatePair,
    chain: &[CertificateDer<'_>],
    public_key: &SubjectPublicKeyInfoDer<'_>,
) -> Result<Vec<String>, TlsError> {
    // A certificate has its public key in it byte for byte. Looking for the bytes also answers for
    // those that webpki does not read, such as X.509 version 1, which `openssl x509 -req` makes
    // when it is not told otherwise, and which can be served all the same.
    let is_of_key = |der: &CertificateDer<'_>| memmem::find(der, public_key).is_some();
    match chain.iter().position(is_of_key) {
        Some(0) => Ok(dns_names(&chain[0]).unwrap_or_default()),
        Some(at) => Err(TlsError::NotFirst {
            file: pair.cert.clone(),
            position: at + 1,
        }),
        None => match EndEntityCert::try_from(&chain[0]) {
            Ok(_) | Err(webpki::Error::UnsupportedCertVersion) => Err(TlsError::Mismatch {
                cert: pair.cert.clone(),
                key: pair.key.clone(),
            }),
            Err(source) => Err(bad_certificate(&pair.cert, source)),
        },
    }
}

fn dns_names(der: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let certificate = EndEntityCert::try_from(der)?;
    Ok(certificate
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect())
}

fn bad_pem(file: &Path, source: pem::Error) -> TlsError {
    TlsError::Pem {
        file: file.to_owned(),
        source,
    }
}

fn bad_certificate(file: &Path, source: webpki::Error) -> TlsError {
    TlsError::BadCertificate {
        file: file.to_owned(),
        source,
    }
}
