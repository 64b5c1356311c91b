//! Requests that can be read in two ways: none passes.
//!
//! What RFC 9112 calls an error is refused and the connection closed, and no byte of it reaches the
//! origin.

use std::fmt::Write;

use crate::support::client;
use crate::support::config;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::proxy;

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
