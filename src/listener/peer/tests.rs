//! Whom tidegate believes a request is from.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::{prop_assert, prop_assert_eq};

use crate::listener::peer::{Client, ForwardedSource, Peer, TrustedProxies};
use crate::message::{RequestHead, Scheme};

/// A peer in a trusted network.
const PROXY: &str = "10.0.0.1";

fn proxies() -> TrustedProxies {
    TrustedProxies::new(vec![
        "10.0.0.0/8".parse().unwrap(),
        "fd00::/8".parse().unwrap(),
    ])
}

fn head(name: &str, values: &[impl AsRef<[u8]>]) -> RequestHead {
    let mut head = RequestHead::default();
    for value in values {
        head.append_field(name.as_bytes(), value.as_ref());
    }
    head
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[track_caller]
fn check_x_forwarded_for(values: &[&str], expected: &str) {
    let head = head("x-forwarded-for", values);
    let client = proxies().client(ip(PROXY), &head, ForwardedSource::XForwardedFor);
    let address = ip(expected);
    assert_eq!(
        client,
        Client {
            address,
            trusted: true
        }
    );
}

#[track_caller]
fn check_forwarded(values: &[&str], expected: &str) {
    let head = head("forwarded", values);
    let client = proxies().client(ip(PROXY), &head, ForwardedSource::Forwarded);
    assert_eq!(client.address, ip(expected));
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    let head = head("x-forwarded-for", &["203.0.113.9"]);
    let client = proxies().client(ip("192.0.2.1"), &head, ForwardedSource::XForwardedFor);
    let address = ip("192.0.2.1");
    let trusted = false;
    assert_eq!(client, Client { address, trusted });
}

#[test]
fn the_scheme_is_what_a_trusted_proxy_says_first() {
    let peer = Peer {
        address: (ip(PROXY), 40_000).into(),
        local: (ip(PROXY), 80).into(),
        scheme: Scheme::Http,
        listener: "http".into(),
        identity: None,
    };
    let check = |source, name, values: &[&str], trusted: bool, expected| {
        let address = ip("192.0.2.1");
        let client = Client { address, trusted };
        let scheme = client.scheme(&peer, &head(name, values), source);
        assert_eq!(scheme, expected, "{values:?}");
    };
    let x = ForwardedSource::XForwardedFor;
    for (values, expected) in [
        (&["https"][..], Scheme::Https),
        (&["HTTPS , http"], Scheme::Https),
        (&["http", "https"], Scheme::Http),
        (&["wss"], Scheme::Http),
        (&[""], Scheme::Http),
        (&[], Scheme::Http),
    ] {
        check(x, "x-forwarded-proto", values, true, expected);
        check(x, "x-forwarded-proto", values, false, Scheme::Http);
    }
    let forwarded = ForwardedSource::Forwarded;
    for (value, expected) in [
        ("for=192.0.2.1;proto=https", Scheme::Https),
        ("for=192.0.2.1, for=10.0.0.1;Proto=\"https\"", Scheme::Https),
        ("proto=http, proto=https", Scheme::Http),
        ("for=192.0.2.1;by=\"", Scheme::Http),
        ("proto=https;", Scheme::Https),
    ] {
        check(forwarded, "forwarded", &[value], true, expected);
        check(x, "forwarded", &[value], true, Scheme::Http);
    }
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_proxys() {
    check_x_forwarded_for(&["203.0.113.9"], "203.0.113.9");
    check_x_forwarded_for(&["198.51.100.1, 203.0.113.9"], "203.0.113.9");
    check_x_forwarded_for(&["203.0.113.9, 10.1.1.1 ,fd00::1"], "203.0.113.9");
    check_x_forwarded_for(&["198.51.100.1", "203.0.113.9", "10.1.1.1"], "203.0.113.9");
}

#[test]
fn what_a_client_claims_before_its_own_address_does_no_harm() {
    check_x_forwarded_for(&["nonsense, 203.0.113.9"], "203.0.113.9");
    check_x_forwarded_for(&[", ,unknown, 203.0.113.9, 10.1.1.1"], "203.0.113.9");
    check_forwarded(&["for=\"", "for=203.0.113.9"], "203.0.113.9");
}

#[test]
fn a_chain_of_proxies_alone_began_at_its_first() {
    check_x_forwarded_for(&["10.3.3.3, 10.2.2.2"], "10.3.3.3");
}

#[test]
fn a_chain_that_ends_in_no_address_leaves_the_peer() {
    check_x_forwarded_for(&[], PROXY);
    check_x_forwarded_for(&[""], PROXY);
    check_x_forwarded_for(&["203.0.113.9, unknown"], PROXY);
    check_x_forwarded_for(&["203.0.113.9, "], PROXY);
    check_x_forwarded_for(&["203.0.113.9", ""], PROXY);
    check_x_forwarded_for(&["203.0.113.9, 1.2.3, 10.1.1.1"], PROXY);
    check_x_forwarded_for(&["fe80::1%eth0"], PROXY);
}

#[test]
fn an_address_may_have_a_port_or_brackets() {
    check_x_forwarded_for(&["203.0.113.9:4711"], "203.0.113.9");
    check_x_forwarded_for(&["2001:db8::1"], "2001:db8::1");
    check_x_forwarded_for(&["[2001:db8::1]"], "2001:db8::1");
    check_x_forwarded_for(&["[2001:db8::1]:4711"], "2001:db8::1");
    check_x_forwarded_for(&["203.0.113.9:"], PROXY);
    check_x_forwarded_for(&["203.0.113.9:123456"], PROXY);
    check_x_forwarded_for(&["[2001:db8::1]4711"], PROXY);
    check_x_forwarded_for(&["[203.0.113.9]"], PROXY);
}

#[test]
fn an_ipv4_address_is_one_in_ipv6_clothes_too() {
    check_x_forwarded_for(&["::ffff:203.0.113.9"], "203.0.113.9");
    check_x_forwarded_for(&["203.0.113.9, ::ffff:10.1.1.1"], "203.0.113.9");
    let head = head("x-forwarded-for", &["203.0.113.9"]);
    for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
        let proxies = TrustedProxies::new(vec![network.parse().unwrap()]);
        let peer = ip("::ffff:10.0.0.1");
        let client = proxies.client(peer, &head, ForwardedSource::XForwardedFor);
        assert_eq!(client.address, ip("203.0.113.9"), "{network}");
    }
}

#[test]
fn only_the_chosen_field_is_believed() {
    let head = head("forwarded", &["for=203.0.113.9"]);
    let client = proxies().client(ip(PROXY), &head, ForwardedSource::XForwardedFor);
    assert_eq!(client.address, ip(PROXY));
}

#[test]
fn forwarded_is_read_as_its_rfc_says() {
    check_forwarded(&["for=203.0.113.9"], "203.0.113.9");
    check_forwarded(&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17");
    check_forwarded(
        &["for=203.0.113.9;proto=http;by=203.0.113.43"],
        "203.0.113.9",
    );
    check_forwarded(
        &["by=\"a,b;c=\\\"\" ; for=203.0.113.9 , for=10.1.1.1"],
        "203.0.113.9",
    );
    check_forwarded(&["for=198.51.100.1, for=203.0.113.9"], "203.0.113.9");
    check_forwarded(&["for=\"203.0.113.9:_port\""], "203.0.113.9");
    check_forwarded(&["for=203.0.113.9;"], "203.0.113.9");
    check_forwarded(&["for=198.51.100.1", "for=203.0.113.9"], "203.0.113.9");
}

#[test]
fn forwarded_is_read_unquoted_too() {
    check_forwarded(&["for=203.0.113.9:80;proto=https"], "203.0.113.9");
    check_forwarded(&["for=[2001:db8::1]:80, for=10.1.1.1"], "2001:db8::1");
}

#[test]
fn a_hidden_or_malformed_node_leaves_the_peer() {
    for value in [
        "",
        "for=unknown",
        "for=_hidden",
        "for=\"_SEVKISEK\"",
        "proto=https",
        "for=",
        "for",
        "for =203.0.113.9",
        "for=203.0.113.9;for=203.0.113.9",
        "for=203.0.113.9,",
        "for=203.0.113.9 proto=https",
        "for=\"203.0.113.9",
        "for=\"203.0.113.9\\",
        "for=\"203.0.113.9\"x",
        "for=\"203.0.113.\\9\"",
        "for=203.0.113.9, for=\"",
        "for=203.0.113.9, x=\", for=10.1.1.1",
    ] {
        check_forwarded(&[value], PROXY);
    }
}

fn source() -> impl Strategy<Value = ForwardedSource> {
    prop_oneof![
        proptest::strategy::Just(ForwardedSource::XForwardedFor),
        proptest::strategy::Just(ForwardedSource::Forwarded)
    ]
}

/// Values of forwarding fields, from well-formed to any bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "((for=)?(10\\.0\\.0\\.[0-9]|203\\.0\\.113\\.[0-9]|\"?\\[?fd00::[0-9]\\]?\"?)[,; ]{0,2}){0,5}"
            .prop_map(String::into_bytes),
        "[forby=,;:\\[\\]\"\\\\ .0-9a-f_]{0,40}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
    ]
}

fn claims(values: &[Vec<u8>]) -> RequestHead {
    let mut head = head("x-forwarded-for", values);
    for value in values {
        head.append_field(b"forwarded", value);
    }
    head
}

proptest! {
    #[test]
    fn an_untrusted_peer_never_influences_the_answer(
        peer in any::<[u8; 4]>(),
        values in vec(value(), 0..4),
        source in source(),
    ) {
        let peer = IpAddr::from(peer);
        let client = TrustedProxies::default().client(peer, &claims(&values), source);
        prop_assert_eq!(client, Client { address: peer, trusted: false });
    }

    /// Whatever a client claims, a proxy that adds its address in a field of its own is heard.
    #[test]
    fn no_claim_outdoes_what_a_trusted_proxy_adds(
        values in vec(value(), 0..4),
        source in source(),
    ) {
        let mut head = claims(&values);
        head.append_field(b"x-forwarded-for", b"203.0.113.99, 10.1.1.1");
        head.append_field(b"forwarded", b"for=203.0.113.99, for=10.1.1.1");
        let client = proxies().client(ip(PROXY), &head, source);
        prop_assert_eq!(client.address, ip("203.0.113.99"));
    }

    /// Nor one that adds it to the client's own field; a claim can at most spoil a `Forwarded`.
    #[test]
    fn no_claim_outdoes_what_a_trusted_proxy_appends(value in value(), source in source()) {
        let mut x_forwarded_for = value.clone();
        x_forwarded_for.extend_from_slice(b", 203.0.113.99");
        let mut forwarded = value;
        forwarded.extend_from_slice(b", for=203.0.113.99");
        let mut head = RequestHead::default();
        head.append_field(b"x-forwarded-for", &x_forwarded_for);
        head.append_field(b"forwarded", &forwarded);
        let client = proxies().client(ip(PROXY), &head, source);
        let spoilt = source == ForwardedSource::Forwarded && client.address == ip(PROXY);
        prop_assert!(client.address == ip("203.0.113.99") || spoilt, "{client:?}");
    }
}
