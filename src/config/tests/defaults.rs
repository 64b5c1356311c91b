//! The reference file is the code's own defaults, and all of its keys.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::config::Config;
use crate::config::reader::{Disk, Document, without_names};
use crate::config::sections;
use crate::config::tests::read;

const REFERENCE: &str = include_str!("../../../config/tidegate.toml");

/// What the reference sets that has no default, and nothing else.
const REQUIRED: &str = r#"
[listener.http]
address = "0.0.0.0:8080"
[upstream.shop-v1]
endpoints = ["127.0.0.1:9001", "127.0.0.1:9002"]
[upstream.shop-v2]
endpoints = ["127.0.0.1:9003"]
[route.shop]
match = { hosts = ["shop.example.com", "*.shop.example.com"], path = "/" }
[route.shop.split]
stable = { upstream = "shop-v1", weight = 95 }
canary = { upstream = "shop-v2", weight = 5 }
[route.assets]
match = { path_exact = "/assets/logo.svg" }
upstream = "shop-v1"
"#;

/// The defaults of what the reference has commented out.
const COMMENTED: &str = r#"
[listener.https]
address = "0.0.0.0:8443"
[listener.https.tls]
certificates = [{ cert = "certs/edge.crt", key = "certs/edge.key" }]
client_ca = "certs/clients.pem"
cipher_suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
key_exchange = ["X25519MLKEM768", "X25519"]
"#;

/// The reference with all that is commented out without a space.
fn uncommented() -> String {
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest)
            if rest.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) =>
        {
            rest
        }
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn effective(config: &Config) -> String {
    serde_json::to_string_pretty(&config.effective()).unwrap()
}

#[test]
fn the_values_of_the_reference_are_the_defaults() {
    let reference = read(REFERENCE).unwrap();
    assert_eq!(effective(&reference), effective(&read(REQUIRED).unwrap()));
}

#[test]
fn the_values_commented_out_for_a_listener_with_tls_are_the_defaults() {
    let start = REFERENCE.find("#[listener.https]").unwrap();
    let end = start + REFERENCE[start..].find("\n\n").unwrap();
    let section: String = REFERENCE[start..end]
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    assert_eq!(
        effective(&read(&section).unwrap()),
        effective(&read(COMMENTED).unwrap())
    );
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let text = uncommented();
    let entries = DeTable::parse(&text).unwrap();
    let mut written = BTreeSet::new();
    collect("", entries.get_ref(), &mut written);
    let document = Document::new(Disk::Ignore);
    document.add(PathBuf::from("tidegate.toml"), text.clone());
    document.root(entries.get_ref(), |root| sections::read(root, |_| {}));
    let known: BTreeSet<String> = document.asked();
    assert_eq!(written, known);
    assert_eq!(document.take_found().problems, []);
}

/// Collects all keys of a table, as the schema has them.
fn collect(path: &str, table: &DeTable<'_>, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        let plain = without_names(&path);
        if !plain.ends_with('*') {
            keys.insert(plain);
        }
        match value.get_ref() {
            DeValue::Table(table) => collect(&path, table, keys),
            DeValue::Array(values) => {
                for value in values {
                    if let DeValue::Table(table) = value.get_ref() {
                        collect(&path, table, keys);
                    }
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

#[test]
fn what_is_effective_is_a_configuration_with_the_same_effect() {
    let first = read(&uncommented()).unwrap().effective();
    let again = read(&toml::to_string(&first).unwrap()).unwrap().effective();
    assert_eq!(first, again);
    assert_eq!(
        first["admin"]["token"]["file"],
        "/etc/tidegate/secrets/admin-token"
    );
    assert_eq!(first["route"]["shop"]["split"]["canary"]["weight"], 5);
    assert_eq!(first["listener"]["http"]["timeouts"]["idle"], "75s");
}
