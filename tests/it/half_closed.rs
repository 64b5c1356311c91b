//! Clients that close their side, and clients that go away: who still gets an answer, and what is
//! cancelled.

use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::http2_origin;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

/// As patient with those who have closed their side as a test.
const PATIENT: &str = "timeouts.half_closed = \"5m\"";

/// A client that has sent a request and closed its side.
async fn half_closed(proxy: &Proxy, request: &[u8]) -> Client {
    let mut client = proxy.connect().await;
    client.wire.send(request).await;
    client.wire.finish().await;
    client
}

/// Requests of clients that were gone.
async fn gone(proxy: &Proxy, n: f64) {
    proxy
        .counted("a client that is gone", |metrics| {
            metrics.sum("tidegate_requests_total", &[("code", "499")]) == n
        })
        .await;
}

/// Origins that answer `/hold` when they are released: of HTTP/1 and of HTTP/2.
async fn both() -> [(Origin, Config); 2] {
    let http1 = origin::held("hello").await;
    let http2 = http2_origin::serving(|mut turn| async move {
        turn.whole().await;
        turn.released().await;
        turn.ok(b"hello").await;
    })
    .await;
    let of_http1 = config::to(http1.address);
    let of_http2 = config::to(http2.address).upstream_keys("only", "protocol = \"h2\"");
    [(http1, of_http1), (http2, of_http2)]
}

#[tokio::test]
async fn who_has_closed_its_side_still_gets_the_answer() {
    for (origin, config) in both().await {
        let proxy = proxy::start(&config.http(PATIENT)).await;
        let post = ask::post("/hold", "a body").http1();
        let mut client = half_closed(&proxy, &post).await;
        origin.received(1).await;
        origin.release();
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, &*answer.text()), (200, "hello"));
        assert!(client.wire.rest().await.is_empty());
        gone(&proxy, 0.0).await;
    }
}

#[tokio::test]
async fn who_has_closed_its_side_gets_all_of_a_large_answer() {
    let body = vec![b'a'; 8 << 20];
    let origin = origin::answering(body.clone()).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = half_closed(&proxy, &ask::get("/").http1()).await;
    assert!(client.answer("GET").await.body == body);
}

#[tokio::test]
async fn who_has_closed_its_side_over_tls_still_gets_the_answer() {
    let origin = origin::held("hello").await;
    let config = config::to(origin.address);
    let proxy = secure::start_with(&config, PATIENT).await;
    let mut client = proxy.http1().await;
    client.wire.send(ask::get("/hold").http1()).await;
    // It says so by close_notify.
    client.wire.finish().await;
    origin.received(1).await;
    origin.release();
    assert_eq!(client.answer("GET").await.text(), "hello");
}

#[tokio::test]
async fn who_has_closed_its_side_is_not_waited_for_long() {
    for (origin, config) in both().await {
        for keys in [
            "timeouts.half_closed = \"50ms\"",
            "timeouts.half_closed = \"0s\"",
        ] {
            let proxy = proxy::start(&config.clone().http(keys)).await;
            let n = origin.n_requests();
            let _client = half_closed(&proxy, &ask::get("/hold").http1()).await;
            origin.received(n + 1).await;
            gone(&proxy, 1.0).await;
        }
    }
}

#[tokio::test]
async fn who_breaks_off_is_gone_at_once_and_its_request_is_cancelled() {
    let origin = origin::silent().await;
    let proxy = proxy::start(&config::to(origin.address).http(PATIENT)).await;
    let stream = client::tcp(proxy.http()).await;
    reset(&stream);
    let mut client = client::over(stream);
    client.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    drop(client);
    gone(&proxy, 1.0).await;
    origin.all_closed().await;
}

/// Lets a stream end by a reset.
fn reset(stream: &TcpStream) {
    let at_once = Some(std::time::Duration::ZERO);
    SockRef::from(stream)
        .set_linger(at_once)
        .expect("an option");
}

#[tokio::test]
async fn who_ends_a_tls_connection_without_a_word_is_gone_at_once() {
    let origin = origin::silent().await;
    let config = config::to(origin.address);
    let proxy = secure::start_with(&config, PATIENT).await;
    let stream = proxy.tls(&["http/1.1"]).await;
    let (tcp, _) = stream.get_ref();
    let tcp = SockRef::from(tcp).try_clone().expect("a second handle");
    let mut client = client::over(stream);
    client.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    tcp.shutdown(Shutdown::Write).expect("an open connection");
    gone(&proxy.proxy, 1.0).await;
    origin.all_closed().await;
}

#[tokio::test]
async fn a_client_of_http2_that_goes_away_cancels_its_request() {
    for (origin, config) in both().await {
        let proxy = proxy::start(&config.http2_too()).await;
        let http2 = http2::begin(client::tcp(proxy.http()).await).await;
        let hold = ask::get("/hold");
        tokio::select! {
            _answer = http2.ask(&hold) => panic!("it was not released"),
            () = origin.received(1) => {}
        }
        // The stream was reset as its future ended.
        gone(&proxy, 1.0).await;
        let _connection = http2;
    }
}
