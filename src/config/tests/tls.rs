//! `[upstream.NAME.tls]` and `[listener.NAME.tls]`.

use std::path::Path;

use crate::config::tests::{BASE, checked, config, refused};
use crate::config::{CertificateFiles, ClientAuth, UpstreamTlsConfig, Verify};

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
