//! Timeouts and limits of a route, in the place of those of its upstream and its listener.

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::http2::{self, Feed};
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure;
use crate::support::wait::within;
use crate::support::websocket;

use bytes::Bytes;
use http_body::Frame;

/// The route `own` has these keys, all others go to the same endpoint without them.
fn own(origin: &Origin, keys: &str) -> Config {
    config::to(origin.address).route(
        "own",
        &format!("upstream = \"only\"\nmatch = {{ path = \"/own\" }}\n{keys}"),
    )
}

#[tokio::test]
async fn a_route_may_wait_for_a_response_for_less_time_than_its_upstream() {
    let origin = origin::silent().await;
    let config = own(&origin, "timeouts = { response = \"200ms\" }");
    let secure = secure::start(&config).await;
    assert_eq!(secure.proxy.get("/own").await.status, 504);
    assert_eq!(secure.http2().await.get("/own").await.status, 504);
}

#[tokio::test]
async fn a_route_may_wait_for_a_response_for_more_time_than_its_upstream() {
    let origin = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.released().await;
            conversation.ok(b"late").await;
        }
    })
    .await;
    let config = own(&origin, "timeouts = { response = \"30s\" }")
        .upstream_keys("only", "timeouts = { response = \"200ms\" }");
    let secure = secure::start(&config).await;
    let http2 = secure.http2().await;
    let ask = ask::get("/own");
    let patient = async { tokio::join!(secure.proxy.ask(&ask), http2.ask(&ask)) };
    let impatient = async {
        origin.received(2).await;
        assert_eq!(secure.proxy.get("/").await.status, 504);
        // That one waits to be released, too.
        (0..3).for_each(|_| origin.release());
    };
    let ((http1, http2), ()) = tokio::join!(patient, impatient);
    assert_eq!(
        (http1.text().as_str(), http2.text().as_str()),
        ("late", "late")
    );
}

#[tokio::test]
async fn a_response_that_stops_coming_is_cut_after_the_routes_time() {
    let origin = origin::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await;
    let secure = secure::start(&own(&origin, "timeouts = { body = \"200ms\" }")).await;
    assert_eq!(secure.proxy.get("/own").await.end, End::Cut);
    assert_eq!(secure.http2().await.get("/own").await.end, End::Cut);
}

#[tokio::test]
async fn a_tunnel_without_a_byte_is_closed_after_the_routes_time() {
    let origin = origin::websocket().await;
    let proxy = proxy::start(&own(&origin, "timeouts = { tunnel = \"300ms\" }")).await;
    let mut socket = websocket::open(client::tcp(proxy.http()).await, "/own").await;
    assert_eq!(socket.echo("ping").await, "ping");
    origin.all_closed().await;
    proxy
        .counted("an idle tunnel", |metrics| {
            metrics.sum(
                "tidegate_tunnels_total",
                &[("route", "own"), ("end", "idle")],
            ) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_route_may_take_larger_and_smaller_bodies_than_its_listener() {
    let origin = origin::echo().await;
    let listener = "limits = { body = \"10B\" }";
    let config = own(&origin, "limits = { body = \"20B\" }")
        .route(
            "small",
            "upstream = \"only\"\nmatch = { path = \"/small\" }\nlimits = { body = \"5B\" }",
        )
        .http(listener);
    let secure = secure::start_with(&config, listener).await;
    let http2 = secure.http2().await;
    for (path, largest) in [("/own", 20), ("/small", 5), ("/", 10)] {
        for (length, status) in [(largest, 200), (largest + 1, 413)] {
            let body = "x".repeat(length);
            let ask = ask::post(path, body.as_str());
            assert_eq!(secure.proxy.ask(&ask).await.status, status, "{path}");
            assert_eq!(http2.ask(&ask).await.status, status, "{path}");

            let mut chunked = secure.proxy.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\r\n\
                 {length:x}\r\n{body}\r\n0\r\n\r\n"
            );
            chunked.wire.send(head).await;
            assert_eq!(chunked.answer("POST").await.status, status, "{path}");

            let (frames, feed) = Feed::new();
            let feeding = async {
                let data = Frame::data(Bytes::from(body));
                // Whoever is refused may be so before the last frame.
                frames.send(Ok(data)).await.unwrap_or_default();
                drop(frames);
            };
            let ask = ask::method("POST", path);
            let asking = http2.open(&ask, feed);
            let (answer, ()) = within("an answer", async { tokio::join!(asking, feeding) }).await;
            let answer = http2::whole(answer.expect("a response")).await;
            assert_eq!(answer.status, status, "{path}");
        }
    }
    // A body that is too large is one of the route's requests.
    secure
        .proxy
        .counted("the route's 413", |metrics| {
            let labels = [("route", "small"), ("code", "413")];
            metrics.sum("tidegate_requests_total", &labels) == 4.0
        })
        .await;
}
