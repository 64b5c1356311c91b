//! Overload: over a bound of memory or connections new work is refused, quickly, and what is under way
//! is finished.

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::frames::{Event, Frames};
use crate::support::http2;
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::siege;
use crate::support::wait;

/// Less memory than any process has, and more than any.
const LITTLE: &str = "[overload]\nmemory = \"16MiB\"";
const MUCH: &str = "[overload]\nmemory = \"1TiB\"";

async fn start(section: &str) -> (Origin, Proxy, Config) {
    let origin = origin::held("fine").await;
    let config = config::to(origin.address).http2_too();
    let proxy = proxy::start(&config.clone().section(section)).await;
    (origin, proxy, config)
}

/// Makes the process one that has too much to carry.
async fn overload(proxy: &Proxy, config: &Config) {
    proxy.reload(&config.clone().section(LITTLE)).await;
    wait::until("overload", async || {
        proxy.status().await["overload"]["refuses"] == true
    })
    .await;
}

/// Takes the load off it.
async fn relieve(proxy: &Proxy, config: &Config) {
    proxy.reload(&config.clone().section(MUCH)).await;
    wait::until("no overload", async || {
        proxy.status().await["overload"]["refuses"] == false
    })
    .await;
}

#[tokio::test]
async fn a_request_on_an_open_connection_is_503_and_its_last() {
    let (origin, proxy, config) = start(MUCH).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "fine");
    overload(&proxy, &config).await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(answer.field("connection"), Some("close"));
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 1);
    let listener = ("listener", "http");
    let metrics = proxy.metrics().await;
    let refused = metrics.sum("tidegate_overload_refused_requests_total", &[listener]);
    let unrouted = metrics.sum(
        "tidegate_unrouted_requests_total",
        &[listener, ("code", "503")],
    );
    let overloaded = metrics.sum("tidegate_overloaded", &[("cause", "memory")]);
    assert_eq!((refused, unrouted, overloaded), (1.0, 1.0, 1.0));
    wait::until("a line in the log", async || {
        proxy.process.stdout().contains("\"reason\":\"overload\"")
    })
    .await;
    relieve(&proxy, &config).await;
    assert_eq!(proxy.get("/").await.text(), "fine");
}

#[tokio::test]
async fn a_new_connection_is_closed_at_once() {
    let (_origin, proxy, config) = start(MUCH).await;
    // Somebody is there, else it would be over as soon as it is looked at.
    let mut there = proxy.connect().await;
    assert_eq!(there.get("/").await.text(), "fine");
    overload(&proxy, &config).await;
    for _ in 0..3 {
        proxy.connect().await.wire.ended().await;
    }
    let labels = [("listener", "http"), ("reason", "overload")];
    proxy
        .counted("they are counted", |metrics| {
            metrics.sum("tidegate_downstream_connections_rejected_total", &labels) == 3.0
        })
        .await;
    // The control plane is none of that.
    assert_eq!(proxy.get_admin("/healthz").await.status, 200);
    assert_eq!(proxy.get_admin("/readyz").await.status, 200);
    relieve(&proxy, &config).await;
    assert_eq!(proxy.get("/").await.text(), "fine");
}

#[tokio::test]
async fn what_is_under_way_is_finished() {
    let (origin, proxy, config) = start(MUCH).await;
    let mut plain = proxy.connect().await;
    plain.wire.send(ask::get("/hold").http1()).await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    let waiting = tokio::spawn(async move { http2.get("/hold").await });
    origin.received(2).await;
    overload(&proxy, &config).await;
    origin.release();
    origin.release();
    let answer = plain.answer("GET").await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    assert_eq!(answer.text(), "fine");
    let answer = waiting.await.expect("no panic");
    assert_eq!((answer.status, answer.end), (200, End::Clean));
}

#[tokio::test]
async fn an_http2_client_is_told_503_and_to_go() {
    let (origin, proxy, config) = start(MUCH).await;
    let mut client = Frames::over(siege::begin(&proxy).await);
    let get = |path| {
        [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "edge.test"),
        ]
    };
    client.request(1, &get("/hold")).await;
    origin.received(1).await;
    overload(&proxy, &config).await;
    client.request(3, &get("/")).await;
    assert_eq!(client.event(3).await, Event::Head(503, false));
    origin.release();
    assert!(matches!(client.event(1).await, Event::Head(200, false)));
    // GOAWAY without an error, and the end of the connection.
    while client.ping().await {}
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn a_connection_more_than_there_may_be_is_closed_at_once() {
    let (_origin, proxy, _) = start("[overload]\nconnections = 2").await;
    let mut first = proxy.connect().await;
    assert_eq!(first.get("/").await.status, 200);
    let mut second = proxy.connect().await;
    assert_eq!(second.get("/").await.status, 200);
    proxy.connect().await.wire.ended().await;
    // Those that are there go on.
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    let labels = [("listener", "http"), ("reason", "limit")];
    proxy
        .counted("it is counted", |metrics| {
            metrics.sum("tidegate_downstream_connections_rejected_total", &labels) == 1.0
                && metrics.sum("tidegate_overloaded", &[("cause", "connections")]) == 1.0
        })
        .await;
    let status = proxy.status().await;
    assert_eq!(status["overload"]["connections"], 2);
    assert_eq!(status["overload"]["connections_bound"], 2);
    drop(first);
    wait::until("a place", async || {
        let mut client = proxy.connect().await;
        client.wire.try_send(ask::get("/").http1()).await.is_ok()
            && client.wire.try_response("GET").await.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_memory_is_refused_at_the_bound_and_forgotten_after_it() {
    // Each holds as much as a head may have, and there is no end of it.
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address).http("limits = { head = \"1MiB\" }");
    let section = "[overload]\nmemory = \"96MiB\"";
    let proxy = proxy::start(&config.section(section)).await;
    let mut there = proxy.connect().await;
    assert_eq!(there.get("/").await.status, 200);
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(900 * 1024));
    let mut flood = Vec::new();
    wait::until("the bound", async || {
        let mut client = proxy.connect().await;
        // Whoever is refused is not kept.
        if client.wire.try_send(head.as_bytes()).await.is_ok() {
            flood.push(client);
        }
        proxy.status().await["overload"]["refuses"] == true
    })
    .await;
    assert!(flood.len() < 200, "{} were let in", flood.len());
    assert_eq!(there.get("/").await.status, 503);
    drop(flood);
    wait::until("memory that was given back", async || {
        proxy.status().await["overload"]["refuses"] == false
    })
    .await;
    assert_eq!(proxy.get("/").await.text(), "fine");
    assert!(proxy.peak_memory() < 192 * 1024 * 1024);
}
