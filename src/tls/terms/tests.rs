//! Handshakes in memory with clients of all kinds: what is agreed on.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedCipherSuite, SupportedProtocolVersion};

use crate::tls::fixture::{Files, client_of, settings, shake_hands};
use crate::tls::{Acceptor, Group, ServerSettings, Suite, Terms, Tickets, Version};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const OLD: &[&SupportedProtocolVersion] = &[&TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&TLS13];

fn server(terms: Terms) -> Arc<Acceptor> {
    let files = Files::new();
    let settings = ServerSettings {
        terms,
        ..settings(vec![files.pair("a", &["a.test"])])
    };
    Acceptor::load(&settings, &Tickets::new().unwrap()).unwrap()
}

fn suites(names: &[&str]) -> Terms {
    Terms {
        suites: Some(
            names
                .iter()
                .map(|name| Suite::named(name).unwrap())
                .collect(),
        ),
        ..Terms::default()
    }
}

fn groups(names: &[&str]) -> Terms {
    Terms {
        groups: Some(
            names
                .iter()
                .map(|name| Group::named(name).unwrap())
                .collect(),
        ),
        ..Terms::default()
    }
}

/// A client that has these suites, else all, and these groups, else those of the library.
fn client(
    versions: &[&'static SupportedProtocolVersion],
    suites: &[SupportedCipherSuite],
    groups: &[&'static dyn SupportedKxGroup],
) -> ClientConfig {
    let mut provider: CryptoProvider = default_provider();
    if !suites.is_empty() {
        provider.cipher_suites = suites.to_vec();
    }
    if !groups.is_empty() {
        provider.kx_groups = groups.to_vec();
    }
    client_of(provider, versions)
}

/// Version, suite and group of a handshake; none when it fails.
fn agreed(client: ClientConfig, server: &Arc<Acceptor>) -> Option<[String; 3]> {
    let (_, server) = shake_hands(&Arc::new(client), server, "a.test").ok()?;
    Some([
        format!("{:?}", server.protocol_version()?),
        format!("{:?}", server.negotiated_cipher_suite()?.suite()),
        format!("{:?}", server.negotiated_key_exchange_group()?.name()),
    ])
}

#[track_caller]
fn check_group(
    server: &Arc<Acceptor>,
    version: &'static SupportedProtocolVersion,
    offered: &[&'static dyn SupportedKxGroup],
    expected: Option<&str>,
) {
    let agreed = agreed(client(&[version], &[], offered), server);
    assert_eq!(agreed.as_ref().map(|agreed| agreed[2].as_str()), expected);
}

#[test]
fn the_key_exchange_is_one_that_outlives_quantum_computers_where_clients_have_it() {
    let server = server(Terms::default());
    check_group(&server, &TLS13, &[], Some("X25519MLKEM768"));
    check_group(
        &server,
        &TLS13,
        &[X25519MLKEM768, X25519],
        Some("X25519MLKEM768"),
    );
}

#[test]
fn older_clients_get_the_key_exchange_that_they_have() {
    let server = server(Terms::default());
    for (group, name) in [
        (X25519, "X25519"),
        (SECP256R1, "secp256r1"),
        (SECP384R1, "secp384r1"),
    ] {
        for version in [&TLS12, &TLS13] {
            check_group(&server, version, &[group], Some(name));
        }
    }
    // TLS 1.2 has none of the new ones.
    check_group(&server, &TLS12, &[], Some("X25519"));
}

#[test]
fn groups_that_are_not_listed_are_not_taken() {
    let server = server(groups(&["secp256r1"]));
    check_group(&server, &TLS13, &[], Some("secp256r1"));
    check_group(&server, &TLS13, &[X25519MLKEM768, X25519], None);
    check_group(&server, &TLS12, &[X25519], None);
}

#[test]
fn versions_before_the_oldest_are_not_spoken() {
    let server = server(Terms {
        min_version: Version::Tls13,
        ..Terms::default()
    });
    let version =
        |versions| agreed(client(versions, &[], &[]), &server).map(|[version, ..]| version);
    assert_eq!(version(OLD), None);
    assert_eq!(version(BOTH).as_deref(), Some("TLSv1_3"));
    assert_eq!(version(NEW).as_deref(), Some("TLSv1_3"));
}

#[test]
fn a_version_for_which_nothing_is_listed_is_not_spoken() {
    let only_12 = server(suites(&["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]));
    let only_13 = server(groups(&["X25519MLKEM768"]));
    let version =
        |versions, server| agreed(client(versions, &[], &[]), server).map(|[version, ..]| version);
    assert_eq!(version(BOTH, &only_12).as_deref(), Some("TLSv1_2"));
    assert_eq!(version(NEW, &only_12), None);
    assert_eq!(version(BOTH, &only_13).as_deref(), Some("TLSv1_3"));
    assert_eq!(version(OLD, &only_13), None);
}

#[test]
fn suites_that_are_listed_are_taken_in_their_order() {
    let (aes, chacha) = (
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    );
    let suite = |server, offered: &[SupportedCipherSuite]| {
        agreed(client(&[&TLS13], offered, &[]), server).map(|[_, suite, _]| suite)
    };
    let listed = server(suites(&[
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    ]));
    let aes_name = Some("TLS13_AES_128_GCM_SHA256".to_owned());
    let chacha_name = Some("TLS13_CHACHA20_POLY1305_SHA256".to_owned());
    assert_eq!(suite(&listed, &[chacha, aes]), aes_name);
    assert_eq!(suite(&listed, &[chacha]), chacha_name);
    assert_eq!(
        suite(&listed, &[cipher_suite::TLS13_AES_256_GCM_SHA384]),
        None
    );
    // Without a list it is the client's order.
    let any = server(Terms::default());
    assert_eq!(suite(&any, &[chacha, aes]), chacha_name);
    assert_eq!(suite(&any, &[aes, chacha]), aes_name);
}

#[test]
fn names_are_those_of_iana() {
    let names: Vec<String> = Suite::all().map(Suite::name).collect();
    assert_eq!(
        names,
        [
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ]
    );
    for name in names {
        assert_eq!(Suite::named(&name).unwrap().name(), name);
    }
    let library = Suite::named("TLS13_AES_128_GCM_SHA256").unwrap();
    assert_eq!(library.name(), "TLS_AES_128_GCM_SHA256");
    assert_eq!(library.version(), Version::Tls13);
    assert_eq!(Suite::named("TLS_RSA_WITH_AES_128_CBC_SHA"), None);

    let names: Vec<String> = Group::all().map(Group::name).collect();
    for name in ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
        let shouted = name.to_ascii_uppercase();
        assert_eq!(Group::named(&shouted).unwrap().name(), name);
    }
    assert!(
        !Group::named("X25519MLKEM768")
            .unwrap()
            .is_of(Version::Tls12)
    );
    assert_eq!(Group::named("secp521r1"), None);
}
