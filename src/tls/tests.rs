//! Handshakes in memory: which certificate, protocol and session a client gets.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ED25519};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, SignatureScheme};

use crate::tls::fixture::{
    Files, check_choice, client, client_with, der, server, settings, shake_hands,
};
use crate::tls::{Acceptor, ServerSettings, Tickets};

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let files = Files::new();
    let default = files.pair("default", &["default.test"]);
    let exact = files.pair("exact", &["a.example.com", "Other.example.com"]);
    let wildcard = files.pair("wildcard", &["*.example.com"]);
    let server = server(vec![default.clone(), wildcard.clone(), exact.clone()]);

    check_choice(&server, "a.example.com", &exact);
    check_choice(&server, "A.Example.COM", &exact);
    check_choice(&server, "a.example.com.", &exact);
    check_choice(&server, "other.example.com", &exact);
    check_choice(&server, "b.example.com", &wildcard);
    // A wildcard stands for one label, no more and no less.
    check_choice(&server, "c.b.example.com", &default);
    check_choice(&server, "example.com", &default);
    check_choice(&server, "default.test", &default);
    check_choice(&server, "com", &default);
    // A client that connects to an address asks for no name.
    check_choice(&server, "192.0.2.1", &default);
}

#[test]
fn a_name_may_have_certificates_of_two_kinds_of_key() {
    let files = Files::new();
    let modern = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let modern = files.pair_of("modern", &["*.a.test"], &modern);
    let common = files.pair("common", &["*.a.test"]);
    let server = server(vec![modern.clone(), common.clone()]);
    check_choice(&server, "x.a.test", &modern);

    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let client = Arc::new(client_with(&[&TLS13], &[], &schemes));
    for name in ["x.a.test", "unknown.test"] {
        let (client, _) = shake_hands(&client, &server, name).unwrap();
        let got = client.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(got, der(&common.cert), "{name}");
    }
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let files = Files::new();
    let server = server(vec![files.pair("a", &["a.test"])]);
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = Arc::new(client(&[version], &[]));
        let (client, _) = shake_hands(&client, &server, "a.test").unwrap();
        assert_eq!(client.protocol_version(), Some(expected));
    }
}

#[test]
fn the_protocol_is_the_first_of_ours_that_the_client_has() {
    let files = Files::new();
    let pair = files.pair("a", &["a.test"]);
    let mut settings = settings(vec![pair]);
    let tickets = Tickets::new().unwrap();
    let negotiate = |settings: &ServerSettings, offered: &[&str]| {
        let server = Acceptor::load(settings, &tickets).unwrap();
        let client = Arc::new(client(&[&TLS12, &TLS13], offered));
        shake_hands(&client, &server, "a.test")
            .ok()
            .map(|(_, server)| server.alpn_protocol().map(<[u8]>::to_vec))
    };

    assert_eq!(
        negotiate(&settings, &["http/1.1", "h2"]),
        Some(Some(b"h2".to_vec()))
    );
    assert_eq!(
        negotiate(&settings, &["http/1.1"]),
        Some(Some(b"http/1.1".to_vec()))
    );
    assert_eq!(negotiate(&settings, &[]), Some(None));
    // RFC 7301, section 3.2: nothing in common is the end of the handshake.
    assert_eq!(negotiate(&settings, &["spdy/3"]), None);

    settings.h2 = false;
    assert_eq!(
        negotiate(&settings, &["h2", "http/1.1"]),
        Some(Some(b"http/1.1".to_vec()))
    );
}

#[test]
fn a_session_is_resumed_after_a_reload_with_a_new_certificate() {
    let files = Files::new();
    let tickets = Tickets::new().unwrap();
    for version in [&TLS12, &TLS13] {
        let before =
            Acceptor::load(&settings(vec![files.pair("a", &["a.test"])]), &tickets).unwrap();
        let after =
            Acceptor::load(&settings(vec![files.pair("a", &["a.test"])]), &tickets).unwrap();
        let client = Arc::new(client(&[version], &["h2"]));
        let kind = |server| {
            let (_, server) = shake_hands(&client, server, "a.test").unwrap();
            server.handshake_kind().unwrap()
        };
        assert_eq!(kind(&before), HandshakeKind::Full);
        assert_eq!(kind(&before), HandshakeKind::Resumed);
        assert_eq!(kind(&after), HandshakeKind::Resumed);
        // One ticket at a time is enough: each resumption brings the next.
        assert_eq!(kind(&after), HandshakeKind::Resumed);
    }
}

#[test]
fn a_listener_with_other_ticket_keys_does_not_resume() {
    let files = Files::new();
    let pair = files.pair("a", &["a.test"]);
    let client = Arc::new(client(&[&TLS13], &[]));
    for _ in 0..2 {
        let server = server(vec![pair.clone()]);
        let (_, server) = shake_hands(&client, &server, "a.test").unwrap();
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    }
}
