//! Looks at the certificates that a configuration names, and tells where they are named what is
//! wrong with them.
//!
//! What cannot be used is a problem. What can be, and is not as it should be, is a warning: one
//! expired certificate must not keep a configuration from being loaded that has fifty.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::problem::with_causes;
use crate::config::reader::Value;
use crate::tls::{CertificatePair, Inspected, Inspector, Purpose, TlsError};

/// The permission of everybody to read.
const READABLE_BY_ALL: u32 = 0o004;

/// How many authorities of one file are told of: a bundle may have hundreds.
const MAX_AUTHORITIES: usize = 3;

/// A file with the place where it is named.
#[derive(Clone)]
pub(crate) struct Placed<'d> {
    /// The place.
    pub(crate) value: Value<'d>,
    /// The path, resolved.
    pub(crate) path: PathBuf,
}

/// A certificate and its key, as they are named.
pub(crate) struct PlacedPair<'d> {
    /// The chain.
    pub(crate) cert: Placed<'d>,
    /// The private key.
    pub(crate) key: Placed<'d>,
}

/// Looks at the certificates of a listener.
pub(crate) fn of_listener(pairs: &[PlacedPair<'_>]) {
    // Which certificate has a name first, for each kind of key.
    let mut places: BTreeMap<(Vec<u8>, String), usize> = BTreeMap::new();
    for (n, pair) in pairs.iter().enumerate() {
        let Some(inspected) = look(pair, Purpose::Server) else {
            continue;
        };
        let file = &pair.cert.path;
        if n > 0 && inspected.dns_names.is_empty() {
            let nameless = TlsError::Nameless { file: file.clone() };
            pair.cert.value.refuse(nameless.to_string());
            continue;
        }
        warn(pair, &inspected);
        let mut shadowed = None;
        for name in inspected.dns_names {
            let first = *places
                .entry((inspected.key_kind.clone(), name.clone()))
                .or_insert(n);
            if first != n {
                shadowed.get_or_insert((name, first));
            }
        }
        if let Some((name, first)) = shadowed {
            pair.cert.value.warn(format!(
                "{}: no client gets it for {name}, which certificates[{first}] is for, with a key of \
                 the same kind",
                file.display()
            ));
        }
    }
}

/// Looks at the certificate that the endpoints of an upstream are shown.
pub(crate) fn of_upstream(pair: &PlacedPair<'_>) {
    if let Some(inspected) = look(pair, Purpose::Client) {
        warn(pair, &inspected);
    }
}

/// Looks at a file of authorities that are trusted.
pub(crate) fn authorities(file: &Placed<'_>) {
    let Some(inspector) = file.value.inspector() else {
        return;
    };
    match inspector.authorities(&file.path) {
        // Whether files can be read is looked at for all of them together.
        Err(TlsError::Read { .. }) => {}
        Err(error) => file.value.refuse(with_causes(&error)),
        Ok((flaws, n)) => {
            for flaw in flaws.iter().take(MAX_AUTHORITIES) {
                let path = file.path.display();
                file.value.warn(format!("{path}: {flaw}"));
            }
            if MAX_AUTHORITIES < flaws.len() {
                file.value.warn(format!(
                    "{}: {} of {n} authorities have expired, do not hold yet or expire soon",
                    file.path.display(),
                    flaws.len()
                ));
            }
        }
    }
}

/// Checks that the system has authorities, where an upstream has to trust them.
pub(crate) fn of_system(tls: &Value<'_>) {
    if let Some(Err(error)) = tls.inspector().map(Inspector::system_authorities) {
        tls.refuse_key(error.to_string());
    }
}

/// Looks at a certificate and its key; `None` when they cannot be used, or were not looked at.
fn look(pair: &PlacedPair<'_>, purpose: Purpose) -> Option<Inspected> {
    let files = CertificatePair {
        cert: pair.cert.path.clone(),
        key: pair.key.path.clone(),
    };
    match pair.cert.value.inspector()?.pair(&files, purpose) {
        Ok(inspected) => Some(inspected),
        Err(error) => {
            let place = match &error {
                TlsError::Read { .. } => return None,
                TlsError::HoldsNoKey { .. }
                | TlsError::BadKey { .. }
                | TlsError::Mismatch { .. } => &pair.key,
                TlsError::Pem { file, .. } if *file == pair.key.path => &pair.key,
                TlsError::Pem { .. }
                | TlsError::NoCertificate
                | TlsError::HoldsNoCertificate { .. }
                | TlsError::BadCertificate { .. }
                | TlsError::NotFirst { .. }
                | TlsError::BadAuthority { .. }
                | TlsError::NoAuthority(_)
                | TlsError::NoSystemAuthorities
                | TlsError::Nameless { .. }
                | TlsError::Crypto(_) => &pair.cert,
            };
            place.value.refuse(with_causes(&error));
            None
        }
    }
}

/// Warns of what is wrong with a pair that can be used.
fn warn(pair: &PlacedPair<'_>, inspected: &Inspected) {
    for flaw in &inspected.flaws {
        let path = pair.cert.path.display();
        pair.cert.value.warn(format!("{path}: {flaw}"));
    }
    if is_readable_by_all(&pair.key.path) {
        pair.key.value.warn(format!(
            "{}: everybody on this machine can read the private key; take the right away",
            pair.key.path.display()
        ));
    }
}

fn is_readable_by_all(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & READABLE_BY_ALL != 0)
}
