//! Reads `[listener.NAME.tls]` and `[upstream.NAME.tls]`.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::config::advice;
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
    value.table(|table| of_upstream(table, files)).flatten()
}

fn of_listener<'d>(table: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<TlsConfig> {
    let what = "a list of { cert = \"…\", key = \"…\" }";
    let value = table.required("certificates", what)?;
    let certificates = value.list(what, |value| {
        value
            .table(|table| {
                let cert = file(table, "cert", CERT, files);
                let key = file(table, "key", KEY, files);
                Some(CertificateFiles {
                    cert: cert?,
                    key: key?,
                })
            })
            .flatten()
    })?;
    if certificates.is_empty() {
        value.refuse("empty; a listener with tls needs at least one certificate");
        return None;
    }
    let ca = match table.optional("client_ca") {
        Some(value) => Some(named(value, files)?),
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
        certificates,
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
        tls.ca = Some(named(value, files)?);
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
        let cert = file(table, "cert", CERT, files);
        let key = file(table, "key", KEY, files);
        tls.certificate = Some(CertificateFiles {
            cert: cert?,
            key: key?,
        });
    }
    Some(tls)
}

fn file<'d>(
    table: &mut Table<'d>,
    key: &'static str,
    what: &str,
    files: &mut Vec<NamedFile<'d>>,
) -> Option<PathBuf> {
    let value = table.required(key, what)?;
    named(value, files)
}

/// Reads the path of a file, and adds it to those that are named.
fn named<'d>(value: Value<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<PathBuf> {
    let path = value.path()?;
    files.push(NamedFile {
        value,
        path: path.clone(),
    });
    Some(path)
}
