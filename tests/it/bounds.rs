//! Bounds: no client and no upstream, however it behaves, makes the proxy take more than a little.

use std::time::Duration;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::frames::{Frames, Outcome};
use crate::support::http2;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait;
use crate::support::websocket;

/// How much the memory may grow by: buffers and what the allocator makes of them, far less than
/// what the misbehaving side sends.
const GROWTH: u64 = 12 * 1024 * 1024;

/// How much a misbehaving side sends in all, at most.
const FLOOD: usize = 128 * 1024 * 1024;

/// Idle connections, and how much each may take with what the allocator makes of it. What few
/// connections ever come to has memory of its own, and no room in every connection's task.
const N_IDLE: u64 = 400;
const IDLE: u64 = 8 * 1024;

/// Answers `/` properly, and everything else with `first` and then `again` over and over.
async fn flooding(first: &'static str, again: &'static str) -> Origin {
    origin::serving(move |mut conversation| async move {
        while let Some(request) = conversation.request().await {
            if request.target() == "/" {
                conversation.ok(b"fine").await;
                continue;
            }
            let piece = again.repeat(64 * 1024 / again.len());
            conversation.send(first).await;
            for _ in 0..FLOOD / piece.len() {
                let sent = conversation.wire.send_patiently(piece.as_bytes()).await;
                if sent.is_err() {
                    return;
                }
            }
            conversation.wire.rest().await;
        }
    })
    .await
}

/// The memory that a proxy took at most once it has served some.
async fn memory_when_warm(proxy: &Proxy) -> u64 {
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    proxy.peak_memory()
}

/// A configuration that gives up soon on an endpoint that comes to no end.
fn impatient(origin: &Origin) -> Config {
    let keys = "timeouts = { response = \"2s\" }";
    config::to(origin.address).upstream_keys("only", keys)
}

/// Asks for a flood, reads whatever comes of it, and sees that little of it was kept.
async fn withstands(first: &'static str, again: &'static str) {
    let origin = flooding(first, again).await;
    let proxy = proxy::start(&impatient(&origin)).await;
    let before = memory_when_warm(&proxy).await;
    let mut client = proxy.connect().await;
    let ask = ask::get("/flood").field("connection", "close");
    client.wire.send(ask.http1()).await;
    while !client.wire.some().await.is_empty() {}
    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
    assert_eq!(proxy.get("/").await.text(), "fine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_without_an_end_are_withstood() {
    withstands("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_without_an_end_are_withstood() {
    let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
    withstands(first, "x-a: some value or other\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_extensions_without_an_end_are_withstood() {
    let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1";
    withstands(first, ";extension").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_and_never_reads_is_withstood() {
    let origin = origin::answering("x".repeat(16 * 1024)).await;
    let config = config::to(origin.address).http("timeouts = { body = \"500ms\" }");
    let proxy = proxy::start(&config).await;
    let before = memory_when_warm(&proxy).await;
    let mut client = proxy.connect().await;
    let asks = ask::get("/").http1().repeat(1000);
    let mut sent = 0;
    while sent < FLOOD {
        // It takes no more, or has had enough of it.
        let sending = client.wire.send_patiently(&asks);
        let short = Duration::from_millis(300);
        match tokio::time::timeout(short, sending).await {
            Ok(Ok(())) => sent += asks.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert!(sent < FLOOD, "all of it was taken");
    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

/// The pseudo-fields of a GET.
const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/"),
    (":authority", "edge.test"),
];

#[tokio::test]
async fn a_client_that_opens_streams_and_resets_them_is_sent_away() {
    let origin = origin::silent().await;
    let secure = secure::start(&config::to(origin.address)).await;
    let mut client = Frames::begin(secure.tls(&["h2"]).await).await;
    let mut gone = false;
    for n in 0..20_000 {
        gone = client.try_request_and_reset(2 * n + 1, &GET).await.is_err();
        if gone {
            break;
        }
    }
    let last = client.outcome(u32::MAX).await;
    let refused = gone || matches!(last, Outcome::Goaway(_) | Outcome::Gone);
    assert!(refused, "it could go on for ever (CVE-2023-44487)");
}

#[tokio::test]
async fn an_idle_connection_takes_little_memory() {
    let origin = origin::answering("fine").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    // What a worker has once, such as the buffers of its ring, is none of theirs.
    for _ in 0..N_IDLE {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    let before = memory_when_warm(&proxy).await;
    let mut idle = Vec::new();
    for _ in 0..N_IDLE {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.status, 200);
        idle.push(client);
    }
    let each = (proxy.peak_memory() - before) / N_IDLE;
    assert!(each < IDLE, "{each} bytes for each connection");
}

#[tokio::test]
async fn memory_is_flat_over_reloads_with_tunnels_open() {
    let origin = origin::websocket().await;
    let other = origin::answering("other").await;
    let config = |n: usize| {
        let weight = u32::try_from(n % 100).expect("small");
        let config = config::split(
            "sticky = { keys = [\"header:u\"] }",
            &[
                ("old", 100 - weight, origin.address),
                ("new", weight, other.address),
            ],
        );
        let config = config.http2_too();
        config.split_route(
            &format!("r{}", n % 7),
            "match = { path = \"/x\" }",
            &[("old", 1), ("new", 1)],
        )
    };
    let proxy = proxy::start(&config(0)).await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let stream = client::tcp(proxy.http()).await;
        sockets.push(websocket::open(stream, "/ws").await);
        sockets.push(http2.websocket("/ws").await);
    }
    let (mut at_first, mut after_warming) = (0, 0);
    for n in 1..800 {
        proxy.reload(&config(n)).await;
        if n == 100 {
            at_first = proxy.peak_memory();
        }
        if n == 400 {
            after_warming = proxy.peak_memory();
        }
    }
    let grown = proxy.peak_memory().saturating_sub(after_warming);
    assert!(grown < GROWTH / 2, "grown by {grown} bytes");
    let warming = after_warming.saturating_sub(at_first);
    assert!(warming < GROWTH, "grown by {warming} bytes at first");
    for socket in &mut sockets {
        assert_eq!(socket.echo("still here").await, "still here");
    }
    wait::until("what runs is all that is counted", async || {
        let status = proxy.status().await;
        let routes = status["routes"].as_object().map_or(0, serde_json::Map::len);
        routes == 2
    })
    .await;
}

#[tokio::test]
async fn an_http2_client_that_does_not_take_its_answer_is_cut() {
    let origin = origin::answering("x".repeat(1024 * 1024)).await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "timeouts = { body = \"200ms\" }").await;
    // It never gives more of the 64 KiB that a stream has to begin with.
    let mut client = Frames::begin(secure.tls(&["h2"]).await).await;
    client.request(1, &GET).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
    let outcome = client.outcome(1).await;
    assert!(
        matches!(
            outcome,
            Outcome::Reset(_) | Outcome::Goaway(_) | Outcome::Gone
        ),
        "{outcome:?}"
    );
    origin.all_closed().await;
}
