//! Reads `[listener.NAME.tls]` and `[upstream.NAME.tls]`.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::config::advice;
use crate::config::certificates::{self, Placed, PlacedPair};
use crate::config::listener::NamedFile;
use crate::config::reader::{Table, Value};
use crate::config::settings::{
    CertificateFiles, ClientAuth, ClientsConfig, TlsConfig, UpstreamTlsConfig, Verify,
};
use crate::config::terms;

/// What belongs where files are named.
const CERT: &str = "the path of a certificate";
const KEY: &str = "the path of a private key";

/// Reads the TLS of a listener; `None` when a problem was recorded. Adds the files that it names.
pub(crate) fn listener<'d>(value: &Value<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<TlsConfig> {
    value.table(|table| of_listener(table, files)).flatten()
}

/// Reads the TLS of an upstream likewise.
pub(crate) fn upstream<'d>(
    value: &Value<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> Option<UpstreamTlsConfig> {
    let tls = value.table(|table| of_upstream(table, files)).flatten()?;
    if tls.ca.is_none() && tls.verify == Verify::Full {
        certificates::of_system(value);
    }
    Some(tls)
}

fn of_listener<'d>(table: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<TlsConfig> {
    let what = "a list of { cert = \"…\", key = \"…\" }";
    let value = table.required("certificates", what)?;
    let pairs = value.list(what, |value| {
        let pair = value.table(|table| {
            table.requires("cert");
            table.requires("key");
            pair(table, files)
        });
        pair.flatten()
    })?;
    certificates::of_listener(&pairs);
    if pairs.is_empty() {
        value.refuse("empty; a listener with tls needs at least one certificate");
        return None;
    }
    let ca = match table.optional("client_ca") {
        Some(value) => Some(authorities(value, files)?),
        None => None,
    };
    let mut auth = ClientAuth::default();
    table.set("client_auth", &mut auth, |value| {
        value.choice(&[ClientAuth::Required, ClientAuth::Optional].map(|kind| (kind.name(), kind)))
    });
    if ca.is_none() {
        table.refuse_key("client_auth", "has no effect without client_ca");
    }
    Some(TlsConfig {
        certificates: pairs.iter().map(paths).collect(),
        clients: ca.map(|ca| ClientsConfig { ca, auth }),
        terms: terms::read(table)?,
    })
}

fn of_upstream<'d>(
    table: &mut Table<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> Option<UpstreamTlsConfig> {
    let mut tls = UpstreamTlsConfig::default();
    table.set("verify", &mut tls.verify, |value| {
        let verify = value.choice(&[Verify::Full, Verify::Off].map(|kind| (kind.name(), kind)))?;
        if verify == Verify::Off {
            advice::unverified(value);
        }
        Some(verify)
    });
    tls.terms = terms::read(table)?;
    if tls.verify == Verify::Off {
        table.refuse_key("ca", "has no effect with verify = \"off\"");
    }
    if let Some(value) = table.optional("ca") {
        tls.ca = Some(authorities(value, files)?);
    }
    table.set("name", &mut tls.name, |value| {
        let what = "a host name or an IP address";
        value.parsed(what, |text| {
            Some(Some(ServerName::try_from(text).ok()?.to_owned()))
        })
    });
    let (cert, key) = (table.optional("cert"), table.optional("key"));
    if cert.is_some() || key.is_some() {
        // Whichever is missing is told of.
        let pair = pair(table, files)?;
        certificates::of_upstream(&pair);
        tls.certificate = Some(paths(&pair));
    }
    Some(tls)
}

/// Reads the keys `cert` and `key`.
fn pair<'d>(table: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<PlacedPair<'d>> {
    let cert = table.needed("cert", CERT);
    let cert = cert.and_then(|value| named(value, files));
    let key = table.needed("key", KEY);
    let key = key.and_then(|value| named(value, files));
    Some(PlacedPair {
        cert: cert?,
        key: key?,
    })
}

fn paths(pair: &PlacedPair<'_>) -> CertificateFiles {
    CertificateFiles {
        cert: pair.cert.path.clone(),
        key: pair.key.path.clone(),
    }
}

/// Reads the path of a file of authorities.
fn authorities<'d>(value: Value<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<PathBuf> {
    let file = named(value, files)?;
    certificates::authorities(&file);
    Some(file.path)
}

/// Reads the path of a file, and adds it to those that are named.
fn named<'d>(value: Value<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<Placed<'d>> {
    let path = value.path()?;
    files.push(NamedFile {
        value: value.clone(),
        path: path.clone(),
    });
    Some(Placed { value, path })
}
