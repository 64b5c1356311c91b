//! Smuggling: nothing that can be read in two ways passes, in either direction.
//!
//! What RFC 9112 calls an error is refused and the connection closed, and no byte of it reaches the
//! origin. An answer that cannot be read in one way only is 502, and one that is cut never looks
//! whole.

use std::fmt::Write;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy;
use crate::support::secure;

/// A request that must never be taken for one, hidden behind a bad one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: edge.test\r\n\r\n";

/// Sends each request and expects one of the statuses, the end of the connection, and that the
/// origin did not get a byte.
async fn refused(statuses: &[u16], requests: &[&str]) {
    let origin = origin::answering("served").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut wrong = String::new();
    for request in requests {
        let sent = format!("{request}{HIDDEN}");
        let answer = client::raw(proxy.http(), &sent).await;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let once = answer.matches("HTTP/1.1 ").count() == 1;
        if !once || !status.is_some_and(|status| statuses.contains(&status)) {
            writeln!(wrong, "{request:?}\n    got {answer:?}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "expected {statuses:?}:\n{wrong}");
    assert_eq!(String::from_utf8_lossy(&origin.bytes()), "");
    // It was they that were refused, not everything.
    assert_eq!(proxy.get("/").await.text(), "served");
}

/// A request with these fields after its `Host`.
fn with(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: edge.test\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn a_length_beside_a_transfer_encoding_is_refused() {
    let requests = [
        with("content-length: 5\r\ntransfer-encoding: chunked") + "0\r\n\r\n",
        with("transfer-encoding: chunked\r\ncontent-length: 5") + "0\r\n\r\n",
        with("transfer-encoding: chunked\r\ncontent-length: 0") + "0\r\n\r\n",
    ];
    refused(&[400], &requests.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_length_that_conflicts_or_is_no_number_is_refused() {
    let lengths = [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length:",
        "content-length: 1e1",
        "content-length: 5;",
        "content-length: ٥",
        "content-length: 18446744073709551617",
        "content-length: 99999999999999999999999999",
    ];
    let requests = lengths.map(|length| with(length) + "hello");
    refused(&[400], &requests.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_transfer_encoding_that_does_not_end_in_chunked_is_refused() {
    let codings = [
        "transfer-encoding: gzip",
        "transfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding:",
        "transfer-encoding: ,",
        "transfer-encoding: \u{b}chunked",
    ];
    let requests = codings.map(|coding| with(coding) + "0\r\n\r\n");
    refused(&[400, 501], &requests.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_transfer_encoding_in_http_1_0_is_refused() {
    let request = "POST / HTTP/1.0\r\nhost: edge.test\r\n\
                   transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(&[400], &[request]).await;
}

#[tokio::test]
async fn field_lines_that_others_read_otherwise_are_refused() {
    let lines = [
        "transfer-encoding : chunked",
        "content-length : 5",
        "x-a : b",
        "x-a\t: b",
        "x-a: b\r\n folded",
        "x-a: b\r\n\tfolded",
        " x-a: b",
        "x-a: b\rc",
        "x-a: b\r\r\nx-b: c",
        "x-a: b\0c",
        "x\0a: b",
        "x-a",
        ": nameless",
        "x(a): b",
        "x a: b",
        "x-a\u{e9}: b",
        "x-a: b\u{7f}c",
        "x-a: b\u{1}c",
    ];
    let requests = lines.map(with);
    refused(&[400], &requests.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_missing_or_repeated_or_broken_host_is_refused() {
    let requests = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nx-a: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test, b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test:port\r\n\r\n",
    ];
    refused(&[400], &requests).await;
}

#[tokio::test]
async fn a_request_line_that_is_none_is_refused() {
    let requests = [
        "GET  / HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET / a HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET /  HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET /\tHTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET / http/1.1\r\nhost: edge.test\r\n\r\n",
        "GET / HTTP/1.1 \r\nhost: edge.test\r\n\r\n",
        "GET / HTTP/11\r\nhost: edge.test\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET /a\rb HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "G(ET / HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET a HTTP/1.1\r\nhost: edge.test\r\n\r\n",
        "GET\r\nhost: edge.test\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n",
    ];
    refused(&[400], &requests).await;
}

#[tokio::test]
async fn another_version_of_http_is_refused_as_such() {
    let requests = [
        "GET / HTTP/2.0\r\nhost: edge.test\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: edge.test\r\n\r\n",
        "GET / HTTP/0.9\r\nhost: edge.test\r\n\r\n",
    ];
    refused(&[505], &requests).await;
}

#[tokio::test]
async fn a_request_with_bad_chunks_is_refused_and_never_ended() {
    let bodies = [
        "5g\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-a : b\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-a: b\0\r\n\r\n",
        "5\r\nhello\r\n0\r\n folded\r\n\r\n",
    ];
    let origin = origin::answering("served").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut wrong = String::new();
    for body in bodies {
        let sent = with("transfer-encoding: chunked") + body + HIDDEN;
        let answer = client::raw(proxy.http(), &sent).await;
        let answer = String::from_utf8_lossy(&answer);
        if !answer.starts_with("HTTP/1.1 400 ") || answer.matches("HTTP/1.1 ").count() != 1 {
            writeln!(wrong, "{body:?}\n    got {answer:?}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "expected 400:\n{wrong}");
    // A head may have been on its way before the bad chunk came, an end never.
    let got = String::from_utf8_lossy(&origin.bytes()).into_owned();
    assert!(!got.contains("\r\n0\r\n"), "{got}");
    assert!(!got.contains("hidden"), "{got}");
}

#[tokio::test]
async fn an_endless_chunk_extension_is_refused() {
    let origin = origin::answering("served").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let long = "a".repeat(128 * 1024);
    let sent = with("transfer-encoding: chunked") + "5;" + &long;
    let answer = client::raw(proxy.http(), &sent).await;
    let answer = Message::from_head(&answer);
    assert!(matches!(answer.status, 400 | 431), "{}", answer.head);
}

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
/// HTTP/2 make of it.
async fn both(bytes: &str) -> [Message; 2] {
    let origin = origin::raw_then_close(bytes).await;
    let secure = secure::start(&config::to(origin.address)).await;
    let http1 = secure.proxy.get("/").await;
    let http2 = secure.http2().await;
    [http1, http2.get("/").await]
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
        for answer in both(&format!("{head}{chunks}")).await {
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
        for answer in both(&format!("HTTP/1.1 200 OK\r\n{rest}")).await {
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
