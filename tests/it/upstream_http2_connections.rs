//! Connections with upstreams that speak HTTP/2: how many there are, what they carry, when they end.

use crate::support::ask;
use crate::support::certs;
use crate::support::config;
use crate::support::http2_origin::{self, Turn};
use crate::support::origin::Origin;
use crate::support::proxy::{self, Proxy};
use crate::support::secure::{self, Secure};
use crate::support::wait;
use crate::upstream_http2::to;

async fn in_front_of(origin: Origin) -> (Origin, Secure) {
    let secure = secure::start(&to(&origin)).await;
    (origin, secure)
}

#[tokio::test]
async fn all_requests_share_one_connection_of_their_worker() {
    let (origin, secure) = in_front_of(http2_origin::answering("hello").await).await;
    let (one, two) = (secure.http2().await, secure.http1().await);
    let asks: Vec<_> = (0..50).map(|n| ask::get(&format!("/{n}"))).collect();
    let answers = futures_util::future::join_all(asks.iter().map(|ask| one.ask(ask))).await;
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
    let mut two = two;
    for _ in 0..50 {
        assert_eq!(two.get("/").await.text(), "hello");
    }
    // There are two workers.
    assert!(origin.n_connections() <= 2, "{}", origin.n_connections());
    secure
        .proxy
        .counted("idle connections", |metrics| {
            let idle = [("upstream", "only"), ("state", "idle")];
            let active = [("upstream", "only"), ("state", "active")];
            let n = metrics.sum("tidegate_upstream_connections", &idle);
            n >= 1.0 && metrics.sum("tidegate_upstream_connections", &active) == 0.0
        })
        .await;
}

#[tokio::test]
async fn over_tls_http_2_is_agreed_on_by_alpn_or_there_is_no_connection() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let authority = certs::authority();
    proxy::replace(&dir.path().join("ca.pem"), &authority.pem);
    let server = |alpn: &[&str]| authority.pair(&["127.0.0.1"]).server(alpn);
    let answer = |mut turn: Turn| async move { turn.ok(b"hello").await };
    let good = http2_origin::serving_tls(server(&["h2"]), answer).await;
    let silent = http2_origin::serving_tls(server(&[]), answer).await;
    let other = http2_origin::serving_tls(server(&["http/1.1"]), answer).await;
    let keys = "protocol = \"h2\"\ntls = { ca = \"ca.pem\" }";
    let config = config::new()
        .upstream_with("good", &[good.address], keys)
        .upstream_with("silent", &[silent.address], keys)
        .upstream_with("other", &[other.address], keys)
        .route("good", "upstream = \"good\"\nmatch = { path = \"/good\" }")
        .route(
            "silent",
            "upstream = \"silent\"\nmatch = { path = \"/silent\" }",
        )
        .route(
            "other",
            "upstream = \"other\"\nmatch = { path = \"/other\" }",
        );
    let proxy = proxy::start_in(dir, &config).await;
    assert_eq!(proxy.get("/good").await.text(), "hello");
    assert_eq!(good.request().field(":scheme"), Some("https"));
    for (path, error) in [
        ("/silent", "tls_protocol_error"),
        ("/other", "tls_alert_received"),
    ] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status, 502, "{path}");
        let status = answer.field("proxy-status").unwrap_or_default();
        assert!(status.ends_with(error), "{path}: {status}");
    }
    let log = proxy.process.stderr();
    assert!(log.contains("h2 was not agreed on by ALPN"), "{log}");
    assert!(silent.requests().is_empty() && other.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_http_2_is_told_apart() {
    let origin = crate::support::origin::answering("hello").await;
    let proxy = proxy::start(&to(&origin)).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.field("proxy-status"),
        Some("tidegate; error=http_protocol_error")
    );
    proxy
        .counted("an error of protocol", |metrics| {
            let error = [("reason", "upstream_protocol_error")];
            metrics.sum("tidegate_errors_total", &error) == 1.0
        })
        .await;
    let log = proxy.process.stderr();
    assert!(log.contains("the endpoint does not speak HTTP/2"), "{log}");
}

#[tokio::test]
async fn a_reload_keeps_connections_and_the_streams_on_them() {
    let origin = http2_origin::serving(|mut turn| async move {
        if turn.request.target() == "/hold" {
            turn.released().await;
        }
        turn.ok(b"hello").await;
    })
    .await;
    let config = to(&origin).upstream_keys("only", "timeouts = { idle = \"60s\" }");
    let secure = secure::start(&config).await;
    let client = secure.http2().await;
    let ask = ask::get("/hold");
    let (answer, ()) = tokio::join!(client.ask(&ask), async {
        origin.received(1).await;
        let keys = "pool = { idle = 10 }";
        let changed = secure::with_https(&config.clone().upstream_keys("only", keys), "");
        secure.proxy.reload(&changed).await;
        origin.release();
    });
    assert_eq!(answer.text(), "hello");
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_changes_its_protocol_gets_new_connections() {
    let one = crate::support::origin::answering("one").await;
    let proxy = proxy::start(&config::to(one.address)).await;
    assert_eq!(proxy.get("/").await.text(), "one");
    let address = one.address;
    one.stop().await;
    let two = http2_origin::serving_at(
        address,
        |_| {},
        |mut turn: Turn| async move { turn.ok(b"two").await },
    )
    .await;
    proxy.reload(&to(&two)).await;
    assert_eq!(proxy.get("/").await.text(), "two");
}

#[tokio::test]
async fn idle_connections_are_closed_in_good_order() {
    let origin = http2_origin::answering("hello").await;
    let config = to(&origin).upstream_keys("only", "timeouts = { idle = \"100ms\" }");
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    origin.all_closed().await;
    proxy
        .counted("an idle connection closed", |metrics| {
            let idle = [("upstream", "only"), ("reason", "idle")];
            metrics.sum("tidegate_upstream_connections_closed_total", &idle) == 1.0
        })
        .await;
}

#[tokio::test]
async fn connections_with_an_endpoint_that_went_away_are_closed_once_their_streams_have_ended() {
    let old = http2_origin::serving(|mut turn| async move {
        turn.released().await;
        turn.ok(b"old").await;
    })
    .await;
    let new = http2_origin::answering("new").await;
    let config = to(&old).upstream_keys("only", "timeouts = { idle = \"60s\" }");
    let proxy: Proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    old.received(1).await;
    proxy.reload(&to(&new)).await;
    assert_eq!(proxy.get("/").await.text(), "new");
    old.release();
    assert_eq!(client.wire.response("GET").await.text(), "old");
    old.all_closed().await;
}

#[tokio::test]
async fn a_burst_of_requests_opens_no_more_connections_than_it_needs() {
    let origin = http2_origin::serving_as(
        |builder| {
            builder.max_concurrent_streams(10);
        },
        |mut turn: Turn| async move {
            turn.released().await;
            turn.ok(b"hello").await;
        },
    )
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let ask = ask::get("/");
    let asking = futures_util::future::join_all((0..45).map(|_| client.ask(&ask)));
    let (answers, ()) = tokio::join!(asking, async {
        origin.received(45).await;
        // Ten on each; a client's connection is one worker's.
        assert_eq!(origin.n_connections(), 5);
        for _ in 0..45 {
            origin.release();
        }
    });
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
}

#[tokio::test]
async fn a_slow_client_holds_up_its_own_stream_and_no_other() {
    let origin = http2_origin::serving(|mut turn| async move {
        if turn.request.target() != "/large" {
            return turn.ok(b"hello").await;
        }
        turn.head(200, &[]);
        let piece = vec![b'x'; 64 * 1024];
        // More than anybody holds.
        for _ in 0..1024 {
            if !turn.data(&piece).await {
                return;
            }
        }
        turn.last_data(b"").await;
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut client = secure.proxy.connect().await;
        client.wire.send(ask::get("/large").http1()).await;
        client.wire.take(100).await;
        slow.push(client);
    }
    origin.received(40).await;
    let two = secure.http2().await;
    for _ in 0..20 {
        assert_eq!(two.get("/").await.text(), "hello");
        assert_eq!(secure.proxy.get("/").await.text(), "hello");
    }
    // 40 bodies of 64 MiB are under way; what of them is in memory is the windows' share.
    let peak = secure.proxy.peak_memory();
    assert!(peak < 160 * 1024 * 1024, "{peak} bytes");
    let first = slow.remove(0);
    drop(slow);
    drop(first);
    wait::until("all streams have ended", async || {
        let metrics = secure.proxy.metrics().await;
        metrics.sum("tidegate_requests_in_flight", &[]) == 0.0
    })
    .await;
}
