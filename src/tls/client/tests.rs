//! Which endpoints are believed, and when a connector stays the same.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::tls::fixture::Files;
use crate::tls::{ClientSettings, Connector, Terms, TlsError, Verify};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings() -> ClientSettings {
    ClientSettings {
        ca: None,
        name: None,
        certificate: None,
        verify: Verify::Off,
        terms: Terms::default(),
        alpn: &["http/1.1"],
    }
}

fn trusting(files: &Files, name: &str) -> ClientSettings {
    ClientSettings {
        ca: Some(files.pair(name, &["ca.test"]).cert),
        verify: Verify::Full,
        ..settings()
    }
}

#[test]
fn a_connector_is_kept_while_neither_settings_nor_files_change() {
    let files = Files::new();
    let trusting = trusting(&files, "ca");
    let first = Connector::load(trusting.clone(), None).unwrap();
    let same = Connector::load(trusting.clone(), Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));

    let named = ClientSettings {
        name: Some(ServerName::try_from("shop.test").unwrap()),
        ..trusting.clone()
    };
    let named = Connector::load(named, Some(&first)).unwrap();
    assert_ne!(first, named);

    files.pair("ca", &["ca.test"]);
    let renewed = Connector::load(trusting, Some(&first)).unwrap();
    assert_ne!(first, renewed);
}

#[test]
fn the_name_is_the_one_set_else_the_hosts_else_the_address() {
    let name = |settings: ClientSettings, host| {
        let connector = Connector::load(settings, None).unwrap();
        connector.towards(host, IP).name.to_str().into_owned()
    };
    let set = ClientSettings {
        name: Some(ServerName::try_from("set.test").unwrap()),
        ..settings()
    };
    assert_eq!(name(set, Some("host.test")), "set.test");
    assert_eq!(name(settings(), Some("host.test")), "host.test");
    assert_eq!(name(settings(), Some("_host_.test")), "_host_.test");
    assert_eq!(name(settings(), Some("host..test")), "127.0.0.1");
    assert_eq!(name(settings(), None), "127.0.0.1");
}

#[test]
fn authorities_that_cannot_be_used_are_refused_by_their_file() {
    let files = Files::new();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text, words) in [
        ("empty", "", "holds no certificate"),
        ("garbage", garbage, "holds an authority that cannot be used"),
    ] {
        let ca = files.write(name, text);
        let settings = ClientSettings {
            ca: Some(ca.clone()),
            verify: Verify::Full,
            ..settings()
        };
        let error = Connector::load(settings, None).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains(&ca.display().to_string()), "{error}");
    }
    let missing = ClientSettings {
        ca: Some(files.path("missing")),
        ..settings()
    };
    let error = Connector::load(missing, None).unwrap_err();
    assert!(matches!(error, TlsError::Read { .. }), "{error}");
}

#[test]
fn a_certificate_of_ours_must_belong_to_its_key() {
    let files = Files::new();
    let mut pair = files.pair("a", &["a.test"]);
    pair.key = files.pair("b", &["b.test"]).key;
    let settings = ClientSettings {
        certificate: Some(pair),
        ..settings()
    };
    let error = Connector::load(settings, None).unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
}
