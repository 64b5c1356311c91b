//! The reference file is the code's own defaults, and all of its keys.

use crate::config::Config;
use crate::config::schema::uncommented;
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
