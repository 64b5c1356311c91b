//! `[upstream.NAME.tls]` and `[listener.NAME.tls]`.

use std::path::Path;

use crate::config::tests::{BASE, checked, config, refused};
use crate::config::{CertificateFiles, ClientAuth, UpstreamTlsConfig, Verify};
use crate::tls::Version;

/// The base upstream's section, which keys may follow.
fn upstream(keys: &str) -> String {
    format!("[upstream.base.tls]\n{keys}\n")
}

fn tls(keys: &str) -> UpstreamTlsConfig {
    let mut config = config(&upstream(keys));
    let upstream = config.upstreams.remove("base").unwrap();
    upstream.tls.unwrap()
}

#[test]
fn the_presence_of_the_table_turns_tls_on() {
    assert_eq!(config("").upstreams["base"].tls, None);
    assert_eq!(tls(""), UpstreamTlsConfig::default());
    assert_eq!(tls("").verify, Verify::Full);
}

#[test]
fn the_tls_of_an_upstream_is_read() {
    let keys = "ca = \"ca.pem\"\nname = \"shop.internal\"\ncert = \"a.crt\"\nkey = \"a.key\"";
    let tls = tls(keys);
    let file = |name: &str| Path::new("/etc/tidegate").join(name);
    assert_eq!(tls.ca, Some(file("ca.pem")));
    assert_eq!(tls.name.unwrap().to_str(), "shop.internal");
    let (cert, key) = (file("a.crt"), file("a.key"));
    assert_eq!(tls.certificate, Some(CertificateFiles { cert, key }));
    let address = self::tls("name = \"10.0.0.1\"").name.unwrap();
    assert_eq!(address.to_str(), "10.0.0.1");
}

#[test]
fn what_makes_no_sense_for_an_upstream_is_refused() {
    refused(
        &upstream("name = \"a b\""),
        &["2:8 upstream.base.tls.name: \"a b\" is not a host name or an IP address"],
    );
    refused(
        &upstream("cert = \"a.crt\""),
        &["1:16 upstream.base.tls.key: missing; the path of a private key belongs here"],
    );
    refused(
        &upstream("key = \"a.key\""),
        &["1:16 upstream.base.tls.cert: missing; the path of a certificate belongs here"],
    );
    refused(
        &upstream("verify = \"none\""),
        &["2:10 upstream.base.tls.verify: \"none\" is not \"full\" or \"off\""],
    );
    refused(
        &upstream("verify = \"off\"\nca = \"ca.pem\""),
        &["3:1 upstream.base.tls.ca: has no effect with verify = \"off\""],
    );
}

#[test]
fn whoever_verifies_nothing_is_warned() {
    let route = "[route.base]\nupstream = \"base\"\n";
    let checked = checked(&format!("{}{BASE}{route}", upstream("verify = \"off\"")));
    checked.config.unwrap();
    let said: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "/etc/tidegate/t.toml:2:10 upstream.base.tls.verify: whoever answers at an endpoint's \
             address is taken for it: nothing is verified"
        ]
    );
}

const HTTPS: &str = "[listener.https]\naddress = \"127.0.0.1:0\"\n[listener.https.tls]\n\
                     certificates = [{ cert = \"a.crt\", key = \"a.key\" }]\n";

#[test]
fn clients_are_asked_once_it_is_known_whom_to_believe() {
    let clients = |keys: &str| {
        let mut config = config(&format!("{HTTPS}{keys}\n"));
        let listener = config.listeners.remove("https").unwrap();
        listener.tls.unwrap().clients
    };
    assert_eq!(clients(""), None);
    let required = clients("client_ca = \"clients.pem\"").unwrap();
    assert_eq!(required.ca, Path::new("/etc/tidegate/clients.pem"));
    assert_eq!(required.auth, ClientAuth::Required);
    let optional = clients("client_ca = \"clients.pem\"\nclient_auth = \"optional\"").unwrap();
    assert_eq!(optional.auth, ClientAuth::Optional);
    refused(
        &format!("{HTTPS}client_auth = \"optional\"\n"),
        &["5:1 listener.https.tls.client_auth: has no effect without client_ca"],
    );
}

#[test]
fn what_handshakes_may_agree_on_is_read() {
    let text = "min_version = \"1.3\"\ncipher_suites = [\"TLS13_AES_128_GCM_SHA256\"]\n\
                key_exchange = [\"x25519mlkem768\"]\n";
    let config = config(&format!("{HTTPS}{text}{}", upstream(text)));
    let listener = config.listeners["https"].tls.as_ref().unwrap();
    let upstream = config.upstreams["base"].tls.as_ref().unwrap();
    assert_eq!(listener.terms, upstream.terms);
    assert_eq!(listener.terms.min_version, Version::Tls13);
    let written = config.effective()["upstream"]["base"]["tls"].clone();
    assert_eq!(written["min_version"], "1.3");
    assert_eq!(written["cipher_suites"][0], "TLS_AES_128_GCM_SHA256");
    assert_eq!(written["key_exchange"][0], "X25519MLKEM768");
}

#[test]
fn what_no_handshake_could_agree_on_is_refused() {
    let refused = |keys: &str, expected: &str| {
        refused(
            &format!("{HTTPS}{keys}\n"),
            &[&expected.replacen(' ', " listener.https.tls.", 1)],
        );
    };
    refused(
        "min_version = \"1.1\"",
        "5:15 min_version: \"1.1\" is not \"1.2\" or \"1.3\", did you mean \"1.2\"?",
    );
    refused(
        "cipher_suites = []",
        "5:17 cipher_suites: empty; a list of cipher suites such as [\"TLS_AES_128_GCM_SHA256\"] \
         belongs here",
    );
    refused(
        "cipher_suites = [\"TLS_AES_128_GCM_SHA265\"]",
        "5:18 cipher_suites[0]: \"TLS_AES_128_GCM_SHA265\" is not a cipher suite that is spoken, did you \
         mean \"TLS_AES_128_GCM_SHA256\"? (known here: TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, \
         TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
         TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
         TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
         TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)",
    );
    refused(
        "key_exchange = [\"X25519\", \"x25519\"]",
        "5:27 key_exchange[1]: \"x25519\" is named twice",
    );
    refused(
        "key_exchange = [\"dh2048\"]",
        "5:17 key_exchange[0]: \"dh2048\" is not a group that is spoken (known here: X25519MLKEM768, \
         secp256r1MLKEM768, X25519, secp256r1, secp384r1, MLKEM768, MLKEM1024)",
    );
    refused(
        "min_version = \"1.3\"\ncipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]",
        "6:18 cipher_suites[0]: is of TLS 1.2 and has no effect with min_version = \"1.3\"",
    );
    refused(
        "cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]\nkey_exchange = [\"MLKEM768\"]",
        "6:16 key_exchange: goes with none of cipher_suites: no version of TLS could be spoken",
    );
}

#[test]
fn a_version_for_which_nothing_is_listed_is_warned_of() {
    let route = "[route.base]\nupstream = \"base\"\n";
    let warned = |keys: &str, expected: &[&str]| {
        let checked = checked(&format!("{HTTPS}{keys}\n{BASE}{route}"));
        checked.config.unwrap();
        let said: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
        let expected = expected
            .iter()
            .map(|line| format!("/etc/tidegate/t.toml:{line}"));
        assert_eq!(said, expected.collect::<Vec<_>>(), "{keys}");
    };
    warned(
        "cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]",
        &[
            "5:17 listener.https.tls.cipher_suites: has no suite of TLS 1.3, which is not spoken then",
        ],
    );
    warned(
        "cipher_suites = [\"TLS_AES_128_GCM_SHA256\"]\nkey_exchange = [\"X25519MLKEM768\"]",
        &[
            "5:17 listener.https.tls.cipher_suites: has no suite of TLS 1.2, which is not spoken then",
            "6:16 listener.https.tls.key_exchange: has no group of TLS 1.2, which is not spoken then",
        ],
    );
    let new = "cipher_suites = [\"TLS_AES_128_GCM_SHA256\"]\nmin_version = \"1.3\"";
    warned(&format!("{new}\nkey_exchange = [\"X25519MLKEM768\"]"), &[]);
}
