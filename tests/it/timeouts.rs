//! Timeouts: whoever is too slow is told so, and holds nothing for longer than he was given.
//!
//! The times are short and only the outcome is asked for: a timeout that does not come makes the
//! test wait until its own patience ends.

use std::time::Duration;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::http2::{self, Feed};
use crate::support::message::End;
use crate::support::origin;
use crate::support::proxy;
use crate::support::secure;
use crate::support::wait;

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("timeouts = { first_byte = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut silent = proxy.connect().await;
    silent.wire.ended().await;
    assert_eq!(proxy.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_408() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("timeouts = { header = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut slow = proxy.connect().await;
    slow.wire.send("GET / HTTP/1.1\r\nhost: a.test\r\n").await;
    assert_eq!(slow.answer("GET").await.status, 408);
    slow.wire.ended().await;
    assert_eq!(origin.n_connections(), 0);
}

#[tokio::test]
async fn a_head_that_comes_in_drops_is_408_all_the_same() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("timeouts = { header = \"300ms\" }");
    let proxy = proxy::start(&config).await;
    let mut slow = proxy.connect().await;
    slow.wire
        .send("GET / HTTP/1.1\r\nhost: a.test\r\nx-a: ")
        .await;
    // Every byte is progress; the head as a whole is what has the time.
    let dripping = slow.drip("a", Duration::from_millis(20));
    assert_eq!(dripping.await.status, 408);
}

#[tokio::test]
async fn a_body_that_makes_no_progress_is_408() {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http("timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    for framing in ["content-length: 10", "transfer-encoding: chunked"] {
        let mut slow = proxy.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a.test\r\n{framing}\r\n\r\n");
        slow.wire.send(head).await;
        slow.wire.send("5\r\nhe").await;
        assert_eq!(slow.answer("POST").await.status, 408, "{framing}");
        slow.wire.ended().await;
    }
    // The origin saw heads, and never an end.
    origin.all_closed().await;
    let requests = origin.requests();
    assert!(requests.iter().all(|received| received.end == End::Cut));
}

#[tokio::test]
async fn an_http2_body_that_makes_no_progress_is_408() {
    let origin = origin::echo().await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "timeouts = { body = \"200ms\" }").await;
    let client = secure.http2().await;
    // It is fed with nothing, and not ended.
    let (_feed, body) = Feed::new();
    let answer = client.open(&ask::method("POST", "/"), body).await;
    let answer = http2::whole(answer.expect("a response")).await;
    assert_eq!(answer.status, 408);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let origin = origin::answering(vec![b'x'; 32 * 1024 * 1024]).await;
    let config = config::to(origin.address).http("timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    origin.all_closed().await;
}

#[tokio::test]
async fn an_endpoint_that_takes_no_more_of_a_body_is_504() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request_head().await;
        conversation.released().await;
    })
    .await;
    let config =
        config::to(origin.address).upstream_keys("only", "timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 33554432\r\n\r\n";
    client.wire.send(head).await;
    let piece = "x".repeat(64 * 1024);
    wait::until("an answer to what nobody takes", async || {
        // The proxy takes no more than the endpoint does.
        let sending = client.wire.send_patiently(piece.as_bytes());
        futures_util::future::poll_immediate(sending).await;
        client.wire.poll().await
    })
    .await;
    assert_eq!(client.answer("POST").await.status, 504);
    origin.release();
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("timeouts = { idle = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "hello");
    client.wire.ended().await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_to_its_end_is_closed() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let keys = "timeouts = { tls = \"200ms\" }";
    let secure = secure::start_with(&config, keys).await;
    let address = secure.proxy.address("https");
    let mut slow = client::connect(address).await;
    // A record of a handshake that is longer than what follows.
    slow.wire.send([22, 3, 1, 1, 0, 1]).await;
    slow.wire.rest().await;
    assert_eq!(secure.http1().await.get("/").await.text(), "hello");
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let timeouts = "timeouts = { first_byte = \"200ms\" }";
    let secure = secure::start_with(&config, timeouts).await;
    let client = secure.http2().await;
    wait::until("the close", async || client.is_closed()).await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "timeouts = { idle = \"200ms\" }").await;
    let client = secure.http2().await;
    assert_eq!(client.get("/").await.text(), "hello");
    wait::until("the close", async || client.is_closed()).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_accept_in_time_is_504() {
    let unreachable = origin::unreachable();
    let config =
        config::to(unreachable.address).upstream_keys("only", "timeouts = { connect = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status, 504);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains("connection_timeout"), "{}", answer.head);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_504() {
    let origin = origin::silent().await;
    let config =
        config::to(origin.address).upstream_keys("only", "timeouts = { response = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.get("/").await;
        assert_eq!(answer.status, 504);
        let status = answer.field("proxy-status").unwrap_or_default();
        assert!(status.contains("http_response_timeout"), "{}", answer.head);
    }
    // What was not answered is not used again, nor asked again.
    origin.all_closed().await;
    assert_eq!((origin.n_connections(), origin.n_requests()), (2, 2));
}

#[tokio::test]
async fn an_answer_whose_body_stalls_is_cut() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
        conversation.send(head).await;
        conversation.wire.rest().await;
    })
    .await;
    let config =
        config::to(origin.address).upstream_keys("only", "timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status, answer.end), (200, End::Cut));
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn an_idle_connection_to_an_endpoint_is_closed_in_time() {
    let origin = origin::answering("hello").await;
    let config =
        config::to(origin.address).upstream_keys("only", "timeouts = { idle = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "hello");
    origin.all_closed().await;
    assert_eq!(client.ask(&ask::get("/")).await.text(), "hello");
    assert_eq!(origin.n_connections(), 2);
}
