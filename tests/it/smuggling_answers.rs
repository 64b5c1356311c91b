//! Answers that can be read in two ways are 502, and one that is cut never looks whole.

use std::fmt::Write;

use crate::support::ask;
use crate::support::config;
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy;
use crate::support::secure;

/// Lets the origin answer with these bytes and expects 502, with nothing of them.
async fn bad_gateway(answers: &[&str]) {
    let mut wrong = String::new();
    for bytes in answers {
        let origin = origin::raw_then_close(*bytes).await;
        let proxy = proxy::start(&config::to(origin.address)).await;
        let answer = proxy.get("/").await;
        if answer.status != 502 || answer.head.contains("x-mark") {
            writeln!(wrong, "{bytes:?}\n    became {:?}", answer.head).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "expected 502:\n{wrong}");
}

/// An answer with these fields and five bytes of body.
fn answer(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nx-mark: 1\r\n{fields}\r\n\r\nhello")
}

#[tokio::test]
async fn an_answer_with_framing_that_conflicts_is_502() {
    let answers = [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: five",
        "content-length: -5",
        "content-length: 99999999999999999999999999",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, chunked",
    ];
    let answers = answers.map(answer);
    bad_gateway(&answers.each_ref().map(String::as_str)).await;
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    bad_gateway(&[old]).await;
}

#[tokio::test]
async fn an_answer_whose_head_is_garbage_is_502() {
    let fields = [
        "x-a : b",
        "x-a: b\r\n folded",
        "x-a: b\rc",
        "x-a: b\0c",
        "x-a",
        ": nameless",
    ];
    let answers = fields.map(answer);
    bad_gateway(&answers.each_ref().map(String::as_str)).await;
    bad_gateway(&[
        "garbage\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 2000 Long\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn an_answer_that_ends_within_its_head_is_502() {
    bad_gateway(&[
        "",
        "HTTP/1.1",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nx-a: b\r\n",
    ])
    .await;
}

#[tokio::test]
async fn an_answer_with_an_endless_head_is_502() {
    let long = format!("HTTP/1.1 200 OK\r\nx-a: {}", "a".repeat(1024 * 1024));
    bad_gateway(&[&long]).await;
    let many = format!("HTTP/1.1 200 OK\r\n{}", "x-a: b\r\n".repeat(20_000));
    bad_gateway(&[&many]).await;
}

/// Lets the origin answer with these bytes and close; returns what clients of HTTP/1.1 and of
/// HTTP/2 make of it. The reset of a stream may overtake the head of its response.
async fn both(bytes: &str) -> [Option<Message>; 2] {
    let origin = origin::raw_then_close(bytes).await;
    let secure = secure::start(&config::to(origin.address)).await;
    let http1 = secure.proxy.get("/").await;
    let http2 = secure.http2().await;
    [Some(http1), http2.try_ask(&ask::get("/")).await.ok()]
}

#[tokio::test]
async fn an_answer_with_a_bad_chunk_never_looks_whole() {
    for chunks in [
        "5\r\nhello\r\nzz\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\nffffffffffffffffff\r\n",
        "5\r\nhello\r\n0\r\nx-a : b\r\n\r\n",
    ] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for answer in both(&format!("{head}{chunks}")).await.into_iter().flatten() {
            let bad = answer.status == 502 || answer.end == End::Cut;
            assert!(bad, "{chunks:?} became {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_never_looks_whole() {
    for rest in [
        "content-length: 10\r\n\r\nhello",
        "content-length: 100000\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n50\r\nhello",
    ] {
        let answers = both(&format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        for answer in answers.into_iter().flatten() {
            assert_eq!(answer.status, 200, "{rest:?}");
            assert_eq!(answer.end, End::Cut, "{rest:?} became {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_until_the_close_that_is_reset_never_looks_whole() {
    let origin = origin::serving(|mut conversation| async move {
        if conversation.request().await.is_some() {
            conversation.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
            conversation.released().await;
            conversation.reset();
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    let mut head = client.wire.head().await.expect("a head");
    origin.release();
    client.wire.response_body(&mut head).await;
    assert_eq!(head.end, End::Cut, "{head:?}");
}

#[tokio::test]
async fn a_client_of_http_1_0_sees_a_cut_answer_as_a_reset() {
    let rest = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let origin = origin::raw_then_close(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send("GET / HTTP/1.0\r\nhost: edge.test\r\n\r\n")
        .await;
    let answer = client.wire.try_response("GET").await;
    let whole = answer.is_some_and(|answer| answer.status == 200 && answer.end == End::Clean);
    assert!(!whole, "a cut body ended like a whole one");
}

#[tokio::test]
async fn bytes_after_an_answer_are_never_taken_for_the_next_one() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let origin = origin::raw(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood{evil}"
    ))
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "good");
    }
    assert_eq!(
        origin.n_connections(),
        10,
        "a connection out of step was kept"
    );
}
