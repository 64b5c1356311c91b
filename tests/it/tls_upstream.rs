//! TLS towards upstreams: whom the proxy believes, what it shows of itself, and what is said when
//! there is no secure connection.

use tempfile::TempDir;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ServerConfig};

use crate::support::ask;
use crate::support::certs::{self, Authority};
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::secure_origin::{self, SecureOrigin};
use crate::support::wait;
use crate::support::websocket;

/// The authority that the proxies of these tests trust, written to their directory as `ca.pem`.
struct Trust {
    authority: Authority,
    dir: TempDir,
}

fn trust() -> Trust {
    let trust = Trust {
        authority: certs::authority(),
        dir: TempDir::new().expect("a directory"),
    };
    proxy::replace(&trust.dir.path().join("ca.pem"), &trust.authority.pem);
    trust
}

impl Trust {
    /// A server with a certificate for these names.
    fn server(&self, names: &[&str]) -> ServerConfig {
        self.authority.pair(names).server(&["http/1.1"])
    }

    /// Starts a proxy in the directory that holds `ca.pem`.
    async fn start(self, config: &Config) -> Proxy {
        proxy::start_in(self.dir, config).await
    }
}

/// Everything goes to one endpoint with TLS, which has these keys.
fn to(origin: &SecureOrigin, keys: &str) -> Config {
    config::to(origin.address()).upstream_keys("only", &format!("tls = {{ {keys} }}"))
}

const CA: &str = "ca = \"ca.pem\"";

#[track_caller]
fn refused(answer: &Message, error: &str) {
    assert_eq!(answer.status, 502, "{}", answer.head);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains(&format!("error={error}")), "{status}");
}

/// Waits until so many failures of TLS are charged to the variant.
async fn charged(proxy: &Proxy, n: f64) {
    proxy
        .counted(
            "failures of TLS that the variant is charged with",
            |metrics| {
                let failed = [("route", "all"), ("reason", "tls_failure")];
                metrics.sum("tidegate_errors_total", &failed) == n
            },
        )
        .await;
}

#[tokio::test]
async fn an_endpoint_is_spoken_to_with_tls_and_its_connection_used_again() {
    let trust = trust();
    let origin = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
    let proxy = trust.start(&to(&origin, CA)).await;
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "hello");
    }
    let [handshake] = origin.handshakes().try_into().expect("one handshake");
    // An address is never sent as a name (RFC 6066, section 3).
    assert_eq!(handshake.name, None);
    assert_eq!(handshake.alpn.as_deref(), Some("http/1.1"));
    assert!(!handshake.resumed);
}

#[tokio::test]
async fn the_name_that_is_asked_for_is_the_one_that_is_set_or_else_the_hosts() {
    for (endpoint, keys, asked) in [
        ("127.0.0.1", ", name = \"shop.internal\"", "shop.internal"),
        ("localhost", "", "localhost"),
    ] {
        let trust = trust();
        let origin = secure_origin::answering(trust.server(&[asked]), "hello").await;
        let at = format!("{endpoint}:{}", origin.address().port());
        let config = config::new()
            .upstream_named("only", &[&at])
            .upstream_keys("only", &format!("tls = {{ {CA}{keys} }}"))
            .route("all", "upstream = \"only\"");
        let proxy = trust.start(&config).await;
        assert_eq!(proxy.get("/").await.text(), "hello");
        assert_eq!(origin.handshakes()[0].name.as_deref(), Some(asked));
    }
}

#[tokio::test]
async fn who_has_not_the_right_certificate_is_not_spoken_to() {
    let stranger = certs::authority();
    let long_ago = |names: &[&str]| {
        let authority = trust();
        let pair = authority.authority.pair_with(names, |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        (authority, pair.server(&["http/1.1"]))
    };
    let with = |server: &dyn Fn(&Trust) -> ServerConfig| {
        let trust = trust();
        let server = server(&trust);
        (trust, server)
    };
    for (what, (trust, server)) in [
        ("another name", with(&|trust| trust.server(&["other.test"]))),
        (
            "another authority",
            with(&|_| stranger.pair(&["127.0.0.1"]).server(&["http/1.1"])),
        ),
        ("no longer", long_ago(&["127.0.0.1"])),
    ] {
        let origin = secure_origin::answering(server, "hello").await;
        let proxy = trust.start(&to(&origin, CA)).await;
        let answer = proxy.ask(&ask::post("/secret", "a secret")).await;
        refused(&answer, "tls_certificate_error");
        assert_eq!(origin.origin.bytes(), b"", "{what}");
        assert_eq!(origin.origin.n_requests(), 0, "{what}");
        charged(&proxy, 1.0).await;
    }
}

#[tokio::test]
async fn without_an_authority_of_its_own_an_upstream_is_believed_as_the_system_says() {
    let stranger = certs::authority();
    for (name, status) in [("ca.pem", 200), ("other.pem", 502)] {
        let trust = trust();
        proxy::replace(&trust.dir.path().join("other.pem"), &stranger.pem);
        let origin = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
        let proxy = proxy::start_as(trust.dir, &to(&origin, ""), |command, dir| {
            command
                .env("SSL_CERT_FILE", dir.join(name))
                .env_remove("SSL_CERT_DIR");
        })
        .await;
        let answer = proxy.get("/").await;
        if status == 200 {
            assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        } else {
            refused(&answer, "tls_certificate_error");
            assert_eq!(origin.origin.n_requests(), 0);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_is_told_from_one_that_does() {
    let trust = trust();
    let origin = origin::serving(|mut conversation| async move {
        conversation.wire.some().await;
        conversation.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        conversation.wire.rest().await;
    })
    .await;
    let config = config::to(origin.address).upstream_keys("only", &format!("tls = {{ {CA} }}"));
    let proxy = trust.start(&config).await;
    refused(&proxy.get("/").await, "tls_protocol_error");
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_instead_of_shaking_hands_is_charged_with_it() {
    for resets in [false, true] {
        let trust = trust();
        let origin = origin::serving(move |mut conversation| async move {
            conversation.wire.some().await;
            if resets {
                conversation.reset();
            }
        })
        .await;
        let config = config::to(origin.address).upstream_keys("only", &format!("tls = {{ {CA} }}"));
        let proxy = trust.start(&config).await;
        refused(&proxy.get("/").await, "tls_protocol_error");
        charged(&proxy, 1.0).await;
    }
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_connect() {
    let trust = trust();
    let origin = origin::silent().await;
    let config = config::to(origin.address).upstream_keys(
        "only",
        &format!("tls = {{ {CA} }}\ntimeouts.connect = \"50ms\""),
    );
    let proxy = trust.start(&config).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status, 504);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains("error=connection_timeout"), "{status}");
}

#[tokio::test]
async fn without_verification_anybody_is_believed_and_everybody_warned() {
    let trust = trust();
    let stranger = certs::authority().pair(&["other.test"]);
    let origin = secure_origin::answering(stranger.server(&["http/1.1"]), "hello").await;
    let proxy = trust.start(&to(&origin, "verify = \"off\"")).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    let log = proxy.process.stderr();
    assert!(log.contains("upstream.only.tls.verify"), "{log}");
}

#[tokio::test]
async fn both_versions_of_tls_carry_both_bodies() {
    let body = "0123456789abcdef".repeat(40_000);
    for version in [&TLS12, &TLS13] {
        let trust = trust();
        let pair = trust.authority.pair(&["127.0.0.1"]);
        let server = pair.server_with(
            &[version],
            &["http/1.1"],
            WebPkiClientVerifier::no_client_auth(),
        );
        let origin = secure_origin::serving(server, |mut conversation| async move {
            while let Some(request) = conversation.request().await {
                conversation.ok(&request.body).await;
            }
        })
        .await;
        let proxy = trust.start(&to(&origin, CA)).await;
        let mut client = proxy.connect().await;
        for _ in 0..2 {
            let answer = client.ask(&ask::post("/", body.clone())).await;
            assert_eq!(answer.status, 200);
            assert!(answer.body == body.as_bytes());
        }
        assert_eq!(origin.handshakes().len(), 1);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let trust = trust();
    let pair = trust.authority.pair(&["127.0.0.1"]);
    let clients = certs::authority();
    clients.pair(&["edge.test"]).write(trust.dir.path(), "edge");
    let server = pair.server_with(ALL_VERSIONS, &["http/1.1"], clients.asking());
    let origin = secure_origin::answering(server, "hello").await;
    let config = to(
        &origin,
        &format!("{CA}, cert = \"edge.crt\", key = \"edge.key\""),
    );
    let proxy = trust.start(&config).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
}

#[tokio::test]
async fn an_endpoint_that_does_not_take_our_certificate_is_blamed_for_it() {
    for version in [&TLS12, &TLS13] {
        let trust = trust();
        let pair = trust.authority.pair(&["127.0.0.1"]);
        let asking = certs::authority().asking();
        let server = pair.server_with(&[version], &["http/1.1"], asking);
        let origin = secure_origin::answering(server, "hello").await;
        let proxy = trust.start(&to(&origin, CA)).await;
        refused(&proxy.get("/").await, "tls_alert_received");
        assert_eq!(origin.origin.n_requests(), 0);
        charged(&proxy, 1.0).await;
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole_only_if_tls_says_so() {
    for (says_so, end) in [(true, End::Clean), (false, End::Cut)] {
        let trust = trust();
        let server = trust.server(&["127.0.0.1"]);
        let origin = secure_origin::serving(server, move |mut conversation| async move {
            if conversation.request().await.is_some() {
                conversation
                    .send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf of it")
                    .await;
                if says_so {
                    conversation.wire.finish().await;
                    conversation.wire.rest().await;
                }
            }
        })
        .await;
        let proxy = trust.start(&to(&origin, CA)).await;
        let answer = proxy.get("/").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.end, end, "close_notify: {says_so}");
        assert_eq!(answer.text(), "half of it");
    }
}

#[tokio::test]
async fn a_tunnel_goes_through_tls() {
    let trust = trust();
    let server = trust.server(&["127.0.0.1"]);
    let origin = secure_origin::serving(server, origin::upgrade).await;
    let proxy = trust.start(&to(&origin, CA)).await;
    let stream = client::tcp(proxy.http()).await;
    let mut socket = websocket::open(stream, "/ws").await;
    assert_eq!(socket.echo("hello").await, "hello");
}

#[tokio::test]
async fn another_endpoint_serves_when_there_is_no_tls_with_the_first() {
    let trust = trust();
    let good = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
    let bad = secure_origin::answering(trust.server(&["other.test"]), "evil").await;
    let config = config::new()
        .upstream_with(
            "only",
            &[bad.address(), good.address()],
            &format!("balance = \"round_robin\"\ntls = {{ {CA} }}"),
        )
        .route("all", "upstream = \"only\"");
    let proxy = trust.start(&config).await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.text(), "hello");
    }
    assert_eq!(bad.origin.n_requests(), 0);
}

#[tokio::test]
async fn an_authority_that_changes_makes_new_connections_and_one_that_stays_keeps_them() {
    let trust = trust();
    let origin = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
    let config = to(&origin, CA).upstream_keys("only", "timeouts.idle = \"60s\"");
    let proxy = trust.start(&config).await;
    // One connection, so that one worker has the pool.
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "hello");

    // A reload for something else changes nothing here.
    let more = config
        .clone()
        .route("more", "match = { path = \"/more\" }\nupstream = \"only\"");
    proxy.reload(&more).await;
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(origin.handshakes().len(), 1);

    // The file is watched; who is not trusted any more is not spoken to, not even as before.
    let other = certs::authority();
    proxy::replace(&proxy.dir().join("ca.pem"), &other.pem);
    wait::until("another authority is trusted", async || {
        client.get("/").await.status == 502
    })
    .await;
    assert_eq!(origin.handshakes().len(), 1);
    origin.origin.all_closed().await;
}

#[tokio::test]
async fn a_session_is_resumed_with_the_endpoint() {
    let trust = trust();
    let server = trust.server(&["127.0.0.1"]);
    let origin = secure_origin::answering(server, "hello").await;
    let config = to(&origin, CA).upstream_keys("only", "pool = { idle = 0 }");
    let proxy = trust.start(&config).await;
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.text(), "hello");
    }
    let resumed: Vec<_> = origin.handshakes().iter().map(|one| one.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_their_upstream() {
    let trust = trust();
    let origin = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
    let config = to(&origin, CA);
    let proxy = trust.start(&config).await;
    proxy::replace(&proxy.dir().join("ca.pem"), "no certificate");
    let answer = proxy.ask_reload().await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.text().contains("upstream.only.tls"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("ca.pem"), "{}", answer.text());
    assert_eq!(proxy.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_health_check_believes_whom_requests_believe() {
    let trust = trust();
    let known = secure_origin::answering(trust.server(&["127.0.0.1"]), "hello").await;
    let unknown = certs::authority().pair(&["127.0.0.1"]);
    let unknown = secure_origin::answering(unknown.server(&["http/1.1"]), "hello").await;
    let health = "{ path = \"/live\", interval = \"20ms\" }";
    let config = config::new()
        .upstream_with(
            "only",
            &[known.address(), unknown.address()],
            &format!("tls = {{ {CA} }}\nhealth = {health}"),
        )
        .route("all", "upstream = \"only\"");
    let proxy = trust.start(&config).await;
    wait::until("a verdict on both", async || {
        let status = proxy.status().await;
        let endpoints = &status["upstreams"]["only"]["endpoints"];
        let healthy = |n: usize| endpoints[n]["health"]["healthy"].as_bool();
        (healthy(0), healthy(1)) == (Some(true), Some(false))
    })
    .await;
    assert_eq!(known.origin.requests()[0].target(), "/live");
    assert!(unknown.origin.requests().is_empty());
}
