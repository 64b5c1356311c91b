//! What TLS handshakes agree on, with clients and with upstreams: versions, cipher suites, groups for
//! the key exchange.

use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::crypto::SupportedKxGroup;
use tokio_rustls::rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, ServerConfig};

use crate::support::certs;
use crate::support::client;
use crate::support::config;
use crate::support::openssl;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure::{self, Agreed, Secure};
use crate::support::secure_origin;

const HANDSHAKES: &str = "tidegate_tls_handshakes_total";

/// The keys of a listener whose table `tls` has these further keys.
fn tls_keys(keys: &str) -> String {
    certs::listener_keys(&["edge"]).replace("}] }", &format!("}}], {keys} }}"))
}

/// A listener `https` whose table `tls` has these further keys.
async fn with_tls(keys: &str) -> (Origin, Secure) {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    let config = config::to(origin.address).listener("https", &tls_keys(keys));
    let proxy = proxy::start_in(dir, &config).await;
    (origin, Secure { proxy, authority })
}

/// What this client and the listener agree on; none when they do not.
async fn agreed(secure: &Secure, client: Arc<ClientConfig>) -> Option<Agreed> {
    let stream = secure.tls_as(client).await.ok()?;
    let agreed = secure::agreed(stream.get_ref().1);
    // TLS 1.3 tells who is refused only after the client's last word.
    let mut client = client::over(stream);
    (client.get("/").await.text() == "hello").then_some(agreed)
}

#[tokio::test]
async fn keys_are_exchanged_in_a_way_that_outlives_quantum_computers_where_clients_can() {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&config::to(origin.address)).await;
    let group = async |client| agreed(&secure, client).await.expect("a session").group;
    let authority = &secure.authority;
    assert_eq!(
        group(authority.client(&["http/1.1"])).await,
        "X25519MLKEM768"
    );
    // All others get what they have.
    let classical: [(&'static dyn SupportedKxGroup, &str); 3] = [
        (X25519, "X25519"),
        (SECP256R1, "secp256r1"),
        (SECP384R1, "secp384r1"),
    ];
    for (has, name) in classical {
        let client = authority.client_with_groups(ALL_VERSIONS, &[has]);
        assert_eq!(group(client).await, name);
    }
    let old = authority.client_of(&[&TLS12], &["http/1.1"]);
    assert_eq!(group(old).await, "X25519");
    secure
        .proxy
        .counted("handshakes by their key exchange", |metrics| {
            let sum = |version, key_exchange| {
                let labels = [
                    ("listener", "https"),
                    ("version", version),
                    ("session", "new"),
                    ("key_exchange", key_exchange),
                ];
                metrics.sum(HANDSHAKES, &labels)
            };
            sum("1.3", "post_quantum") == 1.0
                && sum("1.3", "classical") == 3.0
                && sum("1.2", "classical") == 1.0
        })
        .await;
}

#[tokio::test]
async fn sessions_that_are_resumed_are_counted_apart() {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&config::to(origin.address)).await;
    let metrics = secure.proxy.metrics().await;
    // Whatever can occur is there at 0; nothing is there of listeners without TLS.
    assert!(metrics.has(HANDSHAKES, &[("version", "1.2"), ("session", "resumed")]));
    assert_eq!(metrics.sum(HANDSHAKES, &[]), 0.0);
    assert!(!metrics.has(HANDSHAKES, &[("listener", "http")]));
    let impossible = [("version", "1.2"), ("key_exchange", "post_quantum")];
    assert!(!metrics.has(HANDSHAKES, &impossible));

    for version in [&TLS12, &TLS13] {
        let client = secure.authority.client_of(&[version], &["http/1.1"]);
        for _ in 0..3 {
            assert!(agreed(&secure, client.clone()).await.is_some());
        }
    }
    secure
        .proxy
        .counted("new sessions and resumed ones", |metrics| {
            ["1.2", "1.3"].iter().all(|version| {
                let sum = |session| {
                    let labels = [("version", *version), ("session", session)];
                    metrics.sum(HANDSHAKES, &labels)
                };
                sum("new") == 1.0 && sum("resumed") == 2.0
            })
        })
        .await;
}

#[tokio::test]
async fn a_version_that_is_too_old_is_not_spoken() {
    let (_origin, secure) = with_tls("min_version = \"1.3\"").await;
    let old = secure.authority.client_of(&[&TLS12], &["http/1.1"]);
    assert_eq!(agreed(&secure, old).await, None);
    let both = secure.authority.client(&["http/1.1"]);
    let agreed = agreed(&secure, both).await.expect("a session");
    assert_eq!(agreed.version, "TLSv1_3");
    secure
        .proxy
        .counted("the one that was refused", |metrics| {
            let labels = [("listener", "https"), ("reason", "tls")];
            metrics.sum("tidegate_downstream_connections_rejected_total", &labels) == 1.0
        })
        .await;
}

#[tokio::test]
async fn what_is_listed_is_what_clients_get_in_that_order() {
    let (_origin, secure) = with_tls(
        "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \"TLS_AES_128_GCM_SHA256\", \
         \"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"], key_exchange = [\"secp384r1\", \"X25519\"]",
    )
    .await;
    let authority = &secure.authority;
    // This client would rather have AES-256 and X25519MLKEM768.
    let new = agreed(&secure, authority.client(&["http/1.1"])).await;
    let new = new.expect("a session");
    assert_eq!(new.suite, "TLS13_CHACHA20_POLY1305_SHA256");
    assert_eq!(new.group, "X25519");
    let old = authority.client_of(&[&TLS12], &["http/1.1"]);
    let old = agreed(&secure, old).await.expect("a session");
    assert_eq!(old.suite, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    let other = authority.client_with_groups(ALL_VERSIONS, &[SECP256R1]);
    assert_eq!(agreed(&secure, other).await, None);
}

#[tokio::test]
async fn other_terms_are_for_new_connections() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let secure = secure::start(&config).await;
    let old = || secure.authority.client_of(&[&TLS12], &["http/1.1"]);
    let stream = secure.tls_as(old()).await.expect("a TLS connection");
    let mut open = client::over(stream);
    assert_eq!(open.get("/").await.text(), "hello");

    let keys = tls_keys("min_version = \"1.3\"");
    secure.proxy.reload(&config.listener("https", &keys)).await;
    assert_eq!(agreed(&secure, old()).await, None);
    assert_eq!(open.get("/").await.text(), "hello");
}

#[tokio::test]
async fn openssl_agrees_on_what_it_has() {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&config::to(origin.address)).await;
    for (arguments, version, words) in [
        (
            [
                "-tls1_2",
                "-groups",
                "P-256",
                "-cipher",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
            ],
            "TLSv1.2",
            ["prime256v1", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        ),
        (
            [
                "-tls1_2",
                "-groups",
                "X25519:P-256",
                "-cipher",
                "ECDHE-ECDSA-CHACHA20-POLY1305",
            ],
            "TLSv1.2",
            ["X25519", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        ),
        (
            [
                "-tls1_3",
                "-groups",
                "P-384",
                "-ciphersuites",
                "TLS_AES_128_GCM_SHA256",
            ],
            "TLSv1.3",
            ["secp384r1", "TLS_AES_128_GCM_SHA256"],
        ),
        (
            [
                "-tls1_3",
                "-groups",
                "X25519",
                "-ciphersuites",
                "TLS_CHACHA20_POLY1305_SHA256",
            ],
            "TLSv1.3",
            ["X25519", "TLS_CHACHA20_POLY1305_SHA256"],
        ),
    ] {
        let Some(said) = openssl::client(&secure, &arguments).await else {
            return;
        };
        assert!(said.contains("hello"), "{said}");
        assert!(said.contains(version), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}\n{said}");
        }
    }
    // Without a word on our side it has whatever it likes best of all.
    let said = openssl::client(&secure, &[]).await.unwrap_or_default();
    assert!(said.contains("hello") && said.contains("TLSv1.3"), "{said}");
}

/// What a proxy whose upstream has these keys agrees on with this endpoint; none when it does not.
async fn with_endpoint(
    serve: impl FnOnce(&certs::Pair) -> ServerConfig,
    keys: &str,
) -> Option<Agreed> {
    let authority = certs::authority();
    let dir = TempDir::new().expect("a directory");
    proxy::replace(&dir.path().join("ca.pem"), &authority.pem);
    let server = serve(&authority.pair(&["127.0.0.1"]));
    let origin = secure_origin::answering(server, "hello").await;
    let keys = format!("tls = {{ ca = \"ca.pem\"{keys} }}");
    let config = config::to(origin.address()).upstream_keys("only", &keys);
    let proxy = proxy::start_in(dir, &config).await;
    let answer = proxy.get("/").await;
    let handshake = origin.handshakes().pop();
    if handshake.is_none() {
        assert_eq!(answer.status, 502);
        let status = answer.field("proxy-status").unwrap_or_default().to_owned();
        assert!(status.contains("error=tls_"), "{status}");
    }
    handshake.map(|handshake| handshake.agreed)
}

#[tokio::test]
async fn endpoints_get_the_best_key_exchange_that_they_have() {
    let usual = with_endpoint(|pair| pair.server(&["http/1.1"]), "").await;
    assert_eq!(usual.expect("a session").group, "X25519MLKEM768");
    let classical: [(&'static dyn SupportedKxGroup, &str); 2] =
        [(X25519, "X25519"), (SECP256R1, "secp256r1")];
    for (has, name) in classical {
        let agreed = with_endpoint(|pair| pair.server_with_groups(&[has]), "").await;
        assert_eq!(agreed.expect("a session").group, name);
    }
}

#[tokio::test]
async fn endpoints_are_held_to_what_is_listed() {
    let old = |pair: &certs::Pair| {
        let anybody = WebPkiClientVerifier::no_client_auth();
        pair.server_with(&[&TLS12], &["http/1.1"], anybody)
    };
    let usual = |pair: &certs::Pair| pair.server(&["http/1.1"]);
    let min = ", min_version = \"1.3\"";
    assert_eq!(with_endpoint(old, min).await, None);
    let agreed = with_endpoint(usual, min).await.expect("a session");
    assert_eq!(agreed.version, "TLSv1_3");
    let listed = ", cipher_suites = [\"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\"], \
                  key_exchange = [\"secp384r1\", \"X25519\"]";
    let agreed = with_endpoint(usual, listed).await.expect("a session");
    assert_eq!(
        agreed,
        Agreed {
            version: "TLSv1_2".to_owned(),
            suite: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256".to_owned(),
            group: "secp384r1".to_owned(),
        }
    );
}
