//! Upgrades: WebSockets, and tunnels of what claims to be one.

use crate::support::client::{self, Client};
use crate::support::config;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait;
use crate::support::websocket::{self, WebSocket};

/// A request for a tunnel, without what makes a WebSocket of it.
const REQUEST: &str = "GET /tunnel HTTP/1.1\r\nhost: edge.test\r\nconnection: Upgrade\r\n\
                       upgrade: websocket\r\n\r\n";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                         upgrade: websocket\r\n\r\n";

async fn in_front_of(origin: Origin) -> (Origin, Proxy) {
    let proxy = proxy::start(&config::to(origin.address)).await;
    (origin, proxy)
}

async fn open(proxy: &Proxy) -> WebSocket {
    websocket::open(client::tcp(proxy.http()).await, "/ws").await
}

#[tokio::test]
async fn a_websocket_passes() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let mut socket = open(&proxy).await;
    for n in 0..100 {
        let text = format!("message {n}");
        assert_eq!(socket.echo(&text).await, text);
    }
    let large = "x".repeat(1_000_000);
    assert_eq!(socket.echo(&large).await, large);
    let got = origin.request();
    assert_eq!(got.field("upgrade"), Some("websocket"));
    let connection = got.field("connection").unwrap_or_default();
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{}", got.head);
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    socket.close().await;
    origin.all_closed().await;
}

#[tokio::test]
async fn a_websocket_passes_through_tls() {
    let origin = origin::websocket().await;
    let secure = secure::start(&config::to(origin.address)).await;
    let mut socket = websocket::open(secure.tls(&["http/1.1"]).await, "/ws").await;
    assert_eq!(socket.echo("ping").await, "ping");
    socket.close().await;
    origin.all_closed().await;
}

#[tokio::test]
async fn an_upgrade_that_the_origin_refuses_is_an_answer_like_any_other() {
    let (_origin, proxy) = in_front_of(origin::answering("no").await).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.wire.send(REQUEST).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "no"));
        assert_eq!(answer.field("upgrade"), None);
    }
    assert_eq!(client.get("/").await.text(), "no");
}

#[tokio::test]
async fn nothing_but_websocket_is_something_to_upgrade_to() {
    let (origin, proxy) = in_front_of(origin::answering("plain").await).await;
    let mut client = proxy.connect().await;
    for protocol in ["custom/1", "h2c", "HTTP/2.0", "TLS/1.0", "h2c, websocket"] {
        client
            .wire
            .send(REQUEST.replace("websocket", protocol))
            .await;
        assert_eq!(client.answer("GET").await.text(), "plain");
    }
    for request in origin.requests() {
        assert_eq!(request.field("upgrade"), None, "{}", request.head);
        let connection = request.field("connection").unwrap_or_default();
        assert!(!connection.contains("pgrade"), "{}", request.head);
    }
}

#[tokio::test]
async fn a_change_to_anything_else_than_was_asked_for_is_502() {
    for upgrade in ["", "upgrade: custom/1\r\n", "upgrade: h2c\r\n"] {
        let head =
            format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{upgrade}\r\n");
        let (_origin, proxy) = in_front_of(origin::raw(head).await).await;
        let mut client = proxy.connect().await;
        client.wire.send(REQUEST).await;
        assert_eq!(client.answer("GET").await.status, 502, "{upgrade}");
    }
}

/// Opens a raw tunnel.
async fn tunnel(proxy: &Proxy) -> Client {
    let mut client = proxy.connect().await;
    client.wire.send(REQUEST).await;
    assert_eq!(client.wire.response("GET").await.status, 101);
    client
}

#[tokio::test]
async fn either_side_may_end_while_the_other_goes_on() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        conversation.send(SWITCHING).await;
        let got = conversation.wire.rest().await;
        conversation.send("you said: ").await;
        conversation.send(got).await;
    })
    .await;
    let (_origin, proxy) = in_front_of(origin).await;
    let mut client = tunnel(&proxy).await;
    client.wire.send("something").await;
    client.wire.finish().await;
    assert_eq!(client.wire.rest().await, b"you said: something");

    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        conversation.send(SWITCHING).await;
        conversation.send("that is all").await;
        conversation.wire.finish().await;
        conversation.wire.rest().await;
    })
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let mut client = tunnel(&proxy).await;
    assert_eq!(client.wire.rest().await, b"that is all");
    client.wire.send("not from here").await;
    origin
        .got("what comes after the end", |bytes| {
            bytes.ends_with(b"not from here")
        })
        .await;
    drop(client);
    origin.all_closed().await;
}

#[tokio::test]
async fn what_comes_together_with_the_answer_is_not_lost() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        conversation.send(format!("{SWITCHING}early ")).await;
        let got = conversation.wire.take(5).await;
        conversation.send(got).await;
    })
    .await;
    let (_origin, proxy) = in_front_of(origin).await;
    let mut client = tunnel(&proxy).await;
    client.wire.send("hello").await;
    assert_eq!(client.wire.rest().await, b"early hello");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_tunnel() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let mut socket = open(&proxy).await;
    assert_eq!(socket.echo("ping").await, "ping");
    drop(socket);
    origin.all_closed().await;
}

#[tokio::test]
async fn an_origin_that_goes_away_ends_its_tunnel() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let mut socket = open(&proxy).await;
    assert_eq!(socket.echo("ping").await, "ping");
    drop(origin);
    assert_eq!(socket.next().await, None);
}

#[tokio::test]
async fn a_tunnel_survives_reloads() {
    let origin = origin::websocket().await;
    let other = origin::answering("other").await;
    let split = |weights: [u32; 2]| {
        let [old, new] = weights;
        config::split(
            "",
            &[("old", old, origin.address), ("new", new, other.address)],
        )
    };
    let proxy = proxy::start(&split([1, 0])).await;
    let mut socket = open(&proxy).await;
    for n in 1..20 {
        proxy.reload(&split([20 - n, n])).await;
        let text = format!("after {n} reloads");
        assert_eq!(socket.echo(&text).await, text);
    }
    // Its variant, its route and its upstream may go; the tunnel does not.
    proxy.reload(&config::to(other.address)).await;
    assert_eq!(proxy.get("/").await.text(), "other");
    assert_eq!(socket.echo("still here").await, "still here");
    socket.close().await;
    origin.all_closed().await;
}

#[tokio::test]
async fn tunnels_are_counted() {
    let (_origin, proxy) = in_front_of(origin::websocket().await).await;
    let first = open(&proxy).await;
    let second = open(&proxy).await;
    let tunnels =
        async || proxy.status().await["routes"]["all"]["variants"]["default"]["tunnels"].as_u64();
    // They are counted when they are open to the client already.
    wait::until("two tunnels", async || tunnels().await == Some(2)).await;
    let all = [("route", "all")];
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_tunnels_open", &all), 2.0);
    first.close().await;
    second.close().await;
    proxy
        .counted("the end of the tunnels", |metrics| {
            metrics.sum("tidegate_tunnels_open", &all) == 0.0
                && metrics.sum("tidegate_tunnels_total", &all) == 2.0
        })
        .await;
    assert_eq!(tunnels().await, Some(0));
}

#[tokio::test]
async fn an_idle_tunnel_is_closed_in_time() {
    let origin = origin::websocket().await;
    let config = config::to(origin.address).http("timeouts = { tunnel = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut socket = open(&proxy).await;
    assert_eq!(socket.next().await, None);
    origin.all_closed().await;
}
