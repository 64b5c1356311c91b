//! Heads of HTTP/2 requests that RFC 9113 calls malformed, or that HTTP/1 would read otherwise: each
//! is refused, and not a byte of it reaches the origin.
//!
//! A malformed request is a stream error (section 8.1.1), by RST_STREAM where hyper finds it and by
//! an answer where we do. The connection goes on, unless the fault is one of the connection.

use std::fmt::Write;

use crate::support::client;
use crate::support::config;
use crate::support::frames::{Frames, Outcome};
use crate::support::message::Message;
use crate::support::origin;
use crate::support::proxy;

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// RFC 9113, section 7: PROTOCOL_ERROR.
const RESET: Outcome = Outcome::Reset(1);
const BAD: Outcome = Outcome::Status(400);
/// The library gives the connection up for what is none of HPACK's literals, as it may (section 5.4).
const GONE: Outcome = Outcome::Goaway(1);

/// What every request here begins with, unless it is what is wrong.
const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/bad"),
    (":authority", "edge.test"),
];

/// A good request, which shows that the connection goes on.
const FINE: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/fine"),
    (":authority", "edge.test"),
];

/// A GET with a field more.
fn with<'a>(name: &'a str, value: &'a str) -> Fields<'a> {
    [&GET[..], &[(name, value)]].concat()
}

/// A GET with a field in front of all others.
fn after<'a>(name: &'a str, value: &'a str) -> Fields<'a> {
    [&[(name, value)], &GET[..]].concat()
}

/// A GET with another value of a pseudo-field.
fn as_if<'a>(name: &str, value: &'a str) -> Fields<'a> {
    let fields = GET.iter().map(|field| match *field {
        (known, _) if known == name => (known, value),
        other => other,
    });
    fields.collect()
}

/// A GET without a pseudo-field.
fn without(name: &str) -> Fields<'_> {
    let fields = GET.iter().copied();
    fields.filter(|(known, _)| *known != name).collect()
}

/// Sends each request by itself, and expects its outcome and that the origin hears nothing of it.
async fn refused(cases: &[(Fields<'_>, Outcome)]) {
    refused_by("", cases).await;
}

/// Does so with a listener that has these keys.
async fn refused_by(keys: &str, cases: &[(Fields<'_>, Outcome)]) {
    let origin = origin::answering("served").await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config.http(keys)).await;
    let mut wrong = String::new();
    let mut n_fine = 0;
    for (fields, expected) in cases {
        let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
        client.request(1, fields).await;
        let outcome = client.outcome(1).await;
        if outcome != *expected {
            let shown = format!("{fields:?}");
            let shown = shown.get(..400).unwrap_or(&shown);
            writeln!(wrong, "{shown}\n    {outcome:?}, not {expected:?}").expect("a string");
        } else if outcome != GONE {
            client.request(3, &FINE).await;
            assert_eq!(client.outcome(3).await, Outcome::Status(200), "{fields:?}");
            n_fine += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let requests = origin.requests();
    let targets: Vec<_> = requests.iter().map(Message::first_line).collect();
    assert_eq!(targets, vec!["GET /fine HTTP/1.1"; n_fine]);
}

#[tokio::test]
async fn names_of_fields_that_are_no_tokens_in_lower_case_are_refused() {
    refused(&[
        (with("X-Upper", "a"), GONE),
        (with("x-uppeR", "a"), GONE),
        (with("x a", "b"), GONE),
        (with(" x", "b"), GONE),
        (with("x ", "b"), GONE),
        (with("x\0", "b"), GONE),
        (with("x\r\ny", "b"), GONE),
        (with("x\ny", "b"), GONE),
        (with("x:y", "b"), GONE),
        (with("x(y)", "b"), GONE),
        (with("x\u{e9}", "b"), GONE),
        (with("", "b"), GONE),
    ])
    .await;
}

#[tokio::test]
async fn values_of_fields_that_end_lines_or_begin_with_space_are_refused() {
    refused(&[
        (with("x-a", "b\r\nx-c: d"), GONE),
        (with("x-a", "b\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"), GONE),
        (with("x-a", "b\nc"), GONE),
        (with("x-a", "b\rc"), GONE),
        (with("x-a", "b\0c"), GONE),
        (with("x-a", "b\u{1}c"), GONE),
        (with("x-a", "b\u{7f}c"), GONE),
        (with("x-a", " b"), BAD),
        (with("x-a", "b "), BAD),
        (with("x-a", "\tb"), BAD),
        (with("x-a", " "), BAD),
        (with("cookie", "a=1\r\nx-c: d"), GONE),
    ])
    .await;
}

#[tokio::test]
async fn paths_that_are_none_are_refused() {
    refused(&[
        (as_if(":path", ""), RESET),
        (as_if(":path", "a"), RESET),
        (as_if(":path", "?a"), BAD),
        (as_if(":path", "*"), BAD),
        (as_if(":path", "//edge.test:80:80/\u{e9}"), BAD),
        (as_if(":path", "http://other.test/"), RESET),
        (as_if(":path", "/a b"), RESET),
        (as_if(":path", "/a HTTP/1.1\r\nx-b: c"), RESET),
        (as_if(":path", "/a\nb"), RESET),
        (as_if(":path", "/a\tb"), RESET),
        (as_if(":path", "/a\0b"), RESET),
        (as_if(":path", "/a\u{7f}"), RESET),
        (as_if(":path", "/a\u{e9}"), BAD),
        (as_if(":path", "/a?b=\u{e9}"), BAD),
        (without(":path"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn methods_that_are_no_tokens_are_refused() {
    let long = "A".repeat(65);
    refused(&[
        (as_if(":method", ""), GONE),
        (as_if(":method", "G ET"), GONE),
        (as_if(":method", "GET "), GONE),
        (as_if(":method", "GET / HTTP/1.1\r\nx-a: b\r\n\r\n"), GONE),
        (as_if(":method", "GE\0T"), GONE),
        (as_if(":method", "G(T"), GONE),
        (as_if(":method", "G\u{e9}T"), GONE),
        (as_if(":method", &long), Outcome::Status(501)),
        (as_if(":method", "TRACE"), Outcome::Status(405)),
        (without(":method"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn schemes_other_than_http_and_https_are_refused() {
    refused(&[
        (as_if(":scheme", ""), BAD),
        (as_if(":scheme", "ht tp"), RESET),
        (as_if(":scheme", "http\r\nx"), RESET),
        (as_if(":scheme", "ftp"), BAD),
        (as_if(":scheme", "ws"), BAD),
        (as_if(":scheme", "httpss"), BAD),
        (without(":scheme"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn authorities_that_are_none_or_differ_from_host_are_refused() {
    let bare = |host| [&without(":authority")[..], &[("host", host)]].concat();
    refused(&[
        (as_if(":authority", ""), RESET),
        (as_if(":authority", "user@edge.test"), BAD),
        (as_if(":authority", "user:word@edge.test"), BAD),
        (as_if(":authority", "@edge.test"), BAD),
        (as_if(":authority", "edge.test@"), RESET),
        (as_if(":authority", "edge test"), RESET),
        (as_if(":authority", "edge.test\r\nx-a: b"), RESET),
        (as_if(":authority", "edge.test\0"), RESET),
        (as_if(":authority", "edge.test/path"), RESET),
        (as_if(":authority", "edge.test?query"), RESET),
        (as_if(":authority", "edge.test#there"), RESET),
        (as_if(":authority", "edge.test:port"), BAD),
        (as_if(":authority", "edge.test:65536"), BAD),
        (as_if(":authority", "edge.test:80:80"), RESET),
        (as_if(":authority", ":80"), BAD),
        (as_if(":authority", "[::1"), RESET),
        (as_if(":authority", "[::g]"), BAD),
        (as_if(":authority", "\u{e9}.test"), RESET),
        (with("host", "other.test"), BAD),
        (with("host", "edge.test:80"), BAD),
        (with("host", ""), BAD),
        (
            [&with("host", "edge.test")[..], &[("host", "edge.test")]].concat(),
            BAD,
        ),
        (
            [&bare("edge.test")[..], &[("host", "edge.test")]].concat(),
            BAD,
        ),
        (bare(""), BAD),
        (bare("a b"), BAD),
        (bare("user@edge.test"), BAD),
        (bare("edge.test, other.test"), BAD),
        (without(":authority"), BAD),
    ])
    .await;
}

#[tokio::test]
async fn pseudo_fields_that_are_repeated_unknown_or_late_are_refused() {
    refused(&[
        (with(":method", "GET"), RESET),
        (with(":scheme", "http"), RESET),
        (with(":path", "/bad"), RESET),
        (with(":path", "/again"), RESET),
        (with(":authority", "edge.test"), RESET),
        (with(":status", "200"), RESET),
        (with(":unknown", "a"), GONE),
        (with(":", "a"), GONE),
        (with(":protocol", "websocket"), RESET),
        (after("x-a", "b"), RESET),
        (after("host", "edge.test"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn fields_of_http_1_connections_are_refused() {
    refused(&[
        (with("connection", "close"), RESET),
        (with("connection", "x-a"), RESET),
        (with("keep-alive", "timeout=5"), RESET),
        (with("proxy-connection", "close"), RESET),
        (with("transfer-encoding", "chunked"), RESET),
        (with("transfer-encoding", "identity"), RESET),
        (with("upgrade", "websocket"), RESET),
        (with("te", "gzip"), RESET),
        (with("te", "trailers, gzip"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn lengths_that_are_none_or_differ_from_the_body_are_refused() {
    let head = |length| {
        let mut fields = as_if(":method", "HEAD");
        fields.push(("content-length", length));
        fields
    };
    let twice = |one, other| {
        [
            &with("content-length", one)[..],
            &[("content-length", other)],
        ]
        .concat()
    };
    // None of them has a body.
    refused(&[
        (with("content-length", "5"), RESET),
        (head("5"), RESET),
        (with("content-length", "-1"), RESET),
        (with("content-length", "+0"), RESET),
        (with("content-length", "0x0"), RESET),
        (with("content-length", "0 0"), RESET),
        (with("content-length", "0, 0"), RESET),
        (with("content-length", ""), BAD),
        (with("content-length", "18446744073709551616"), RESET),
        (twice("0", "0"), BAD),
        (twice("0", "5"), RESET),
        (twice("5", "0"), RESET),
    ])
    .await;
}

#[tokio::test]
async fn heads_past_the_limits_are_refused() {
    let path = format!("/{}", "a".repeat(400));
    let value = "a".repeat(2000);
    let many: Fields<'_> = GET
        .iter()
        .copied()
        .chain((0..11).map(|_| ("x-a", "b")))
        .collect();
    let limits = "limits = { head = \"1KiB\", fields = 10, uri = \"256B\" }";
    let cases = [
        (as_if(":path", &path), Outcome::Status(414)),
        (many, Outcome::Status(431)),
        (with("x-long", &value), Outcome::Status(431)),
    ];
    refused_by(limits, &cases).await;
    // As large as it may be by default, over several frames.
    let value = "a".repeat(80_000);
    refused(&[(with("x-long", &value), Outcome::Status(431))]).await;
}

#[tokio::test]
async fn a_fragment_is_cut_off_before_anybody_reads_the_path() {
    let origin = origin::answering("served").await;
    let other = origin::answering("other").await;
    let config = config::to(origin.address)
        .http("protocols = [\"h2\"]")
        .upstream("other", &[other.address])
        .route(
            "exact",
            "match = { path_exact = \"/a\" }\nupstream = \"other\"",
        );
    let proxy = proxy::start(&config).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    // hyper does that, so that it cannot be refused; what is routed is what is forwarded.
    client.request(1, &as_if(":path", "/a#b?c")).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
    assert_eq!(other.request().first_line(), "GET /a HTTP/1.1");
    assert_eq!(origin.n_requests(), 0);
}
