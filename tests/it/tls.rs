//! TLS: versions, protocols, certificates by name, resumption, and certificates that change.

use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use crate::support::ask;
use crate::support::certs::{self, Authority};
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure::{self, Secure};
use crate::support::wait;

async fn hello() -> (Origin, Secure) {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&config::to(origin.address)).await;
    (origin, secure)
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let (origin, secure) = hello().await;
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = secure.authority.client_of(&[version], &["http/1.1"]);
        let stream = secure.tls_as(config).await.expect("a TLS connection");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(client::over(stream).get("/").await.text(), "hello");
    }
    for request in origin.requests() {
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_upon_by_alpn() {
    let (_origin, secure) = hello().await;
    let both = secure.tls(&["http/1.1", "h2"]).await;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(http2::begin(both).await.get("/").await.text(), "hello");

    let old = secure.tls(&["http/1.1"]).await;
    assert_eq!(
        old.get_ref().1.alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    assert_eq!(client::over(old).get("/").await.text(), "hello");

    let silent = secure.tls(&[]).await;
    assert_eq!(silent.get_ref().1.alpn_protocol(), None);
    assert_eq!(client::over(silent).get("/").await.text(), "hello");

    let foreign = secure.tls_as(secure.authority.client(&["gopher"])).await;
    assert!(
        foreign.is_err(),
        "no protocol in common (RFC 7301, section 3.2)"
    );
}

#[tokio::test]
async fn a_listener_may_speak_http_1_only() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "protocols = [\"http/1.1\"]").await;
    let stream = secure.tls(&["h2", "http/1.1"]).await;
    let agreed = stream.get_ref().1.alpn_protocol();
    assert_eq!(agreed, Some(b"http/1.1".as_slice()));
}

#[tokio::test]
async fn a_plain_request_to_a_tls_listener_reaches_nobody() {
    let (origin, secure) = hello().await;
    let address = secure.proxy.address("https");
    client::raw(address, ask::get("/").http1()).await;
    assert_eq!(origin.n_connections(), 0);
    assert_eq!(secure.http1().await.get("/").await.text(), "hello");
}

/// A proxy whose listener `https` has a certificate for each of these names, in their order.
struct Named {
    proxy: Proxy,
    authority: Authority,
}

async fn named(config: &Config, names: &[&[&str]]) -> Named {
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    let files: Vec<String> = (0..names.len()).map(|n| format!("cert{n}")).collect();
    for (file, names) in files.iter().zip(names) {
        authority.pair(names).write(dir.path(), file);
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let config = config
        .clone()
        .listener("https", &certs::listener_keys(&files));
    let proxy = proxy::start_in(dir, &config).await;
    Named { proxy, authority }
}

impl Named {
    /// True when the certificate that is shown to who asks for `name` is one for `name`.
    async fn is_for(&self, name: &str) -> bool {
        let config = self.authority.client(&["http/1.1"]);
        let address = self.proxy.address("https");
        client::tls(address, name, config).await.is_ok()
    }
}

#[tokio::test]
async fn a_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let origin = origin::answering("hello").await;
    let names: &[&[&str]] = &[
        &["first.test"],
        &["second.test", "third.test"],
        &["*.wild.test"],
        &["exact.wild.test"],
    ];
    let named = named(&config::to(origin.address), names).await;
    for name in [
        "first.test",
        "second.test",
        "THIRD.test",
        "a.wild.test",
        "exact.wild.test",
    ] {
        assert!(named.is_for(name).await, "{name}");
    }
    // A wildcard stands for one label (RFC 6125, section 6.4.3), and an unknown name gets the
    // first certificate, which is not for it.
    for name in ["wild.test", "a.b.wild.test", "fourth.test"] {
        assert!(!named.is_for(name).await, "{name}");
    }
}

#[tokio::test]
async fn who_names_nobody_gets_the_first_certificate() {
    let origin = origin::answering("hello").await;
    let names: &[&[&str]] = &[&["127.0.0.1"], &["second.test"]];
    let named = named(&config::to(origin.address), names).await;
    // An address is never sent as a name (RFC 6066, section 3).
    assert!(named.is_for("127.0.0.1").await);
}

#[tokio::test]
async fn a_session_is_resumed_by_its_ticket() {
    let (_origin, secure) = hello().await;
    for version in [&TLS12, &TLS13] {
        let config = secure.authority.client_of(&[version], &["http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let stream = secure
                .tls_as(config.clone())
                .await
                .expect("a TLS connection");
            let kind = stream.get_ref().1.handshake_kind();
            // Tickets of TLS 1.3 come after the handshake, with the first bytes.
            assert_eq!(client::over(stream).get("/").await.text(), "hello");
            kinds.push(kind.expect("a handshake is over"));
        }
        let (first, others) = kinds.split_first().expect("four");
        assert_ne!(*first, HandshakeKind::Resumed);
        // Whichever worker took the connection.
        assert!(
            others.iter().all(|kind| *kind == HandshakeKind::Resumed),
            "{version:?}: {kinds:?}"
        );
    }
}

#[tokio::test]
async fn a_session_is_resumed_after_a_reload() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let secure = secure::start(&config).await;
    let trusting = secure.authority.client(&["http/1.1"]);
    for turn in 0..2 {
        let stream = secure
            .tls_as(trusting.clone())
            .await
            .expect("a TLS connection");
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(HandshakeKind::Resumed), turn == 1);
        assert_eq!(client::over(stream).get("/").await.text(), "hello");
        let changed = secure::with_https(&config, "").route(
            &format!("more{turn}"),
            &format!("match = {{ path = \"/more{turn}\" }}\nupstream = \"only\""),
        );
        secure.proxy.reload(&changed).await;
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_shown_to_new_clients_and_closes_no_connection() {
    let (_origin, secure) = hello().await;
    let mut before = secure.http1().await;
    let before2 = secure.http2().await;
    assert_eq!(before.get("/").await.text(), "hello");
    assert_eq!(before2.get("/").await.text(), "hello");

    let other = certs::authority();
    other.pair(&["edge.test"]).write(secure.proxy.dir(), "edge");
    let trusting = other.client(&["http/1.1"]);
    wait::until("the new certificate", async || {
        secure.tls_as(trusting.clone()).await.is_ok()
    })
    .await;

    assert_eq!(before.get("/").await.text(), "hello");
    assert_eq!(before2.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_pair_that_does_not_match_keeps_the_old_one() {
    let (_origin, secure) = hello().await;
    let other = certs::authority();
    let pair = other.pair(&["edge.test"]);
    proxy::replace(&secure.proxy.dir().join("edge.crt"), &pair.cert);
    // The file watcher sees it as well; asked for by the API it is refused with its reason.
    let answer = secure.proxy.ask_reload().await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("edge"), "{}", answer.text());
    assert_eq!(secure.http1().await.get("/").await.text(), "hello");

    // The key comes later, as with two writes of a renewal.
    proxy::replace(&secure.proxy.dir().join("edge.key"), &pair.key);
    let trusting = other.client(&["http/1.1"]);
    wait::until("the new pair", async || {
        secure.tls_as(trusting.clone()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn who_agrees_on_nothing_speaks_http_1_where_that_is_spoken() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    for (protocols, served) in [("\"h2\", \"http/1.1\"", true), ("\"h2\"", false)] {
        let keys = format!("protocols = [{protocols}]");
        let secure = secure::start_with(&config, &keys).await;
        let mut client = client::over(secure.tls(&[]).await);
        client.wire.send(ask::get("/").http1()).await;
        let answer = client.wire.some().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), served, "{answer}");
    }
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn nothing_is_taken_before_a_handshake_is_done() {
    let (_origin, secure) = hello().await;
    let mut config = ClientConfig::clone(&secure.authority.client_of(&[&TLS13], &["http/1.1"]));
    // It would send requests with its first words, which anybody could send again (RFC 8470).
    config.enable_early_data = true;
    let config = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = secure.tls_as(config.clone()).await.expect("a session");
        let tls = stream.get_mut().1;
        assert_eq!(tls.handshake_kind(), Some(kind));
        assert!(!tls.is_early_data_accepted());
        assert!(tls.early_data().is_none(), "its ticket allows it");
        assert_eq!(client::over(stream).get("/").await.text(), "hello");
    }
}
