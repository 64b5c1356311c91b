//! Faults of upstreams: what the client sees of each, over HTTP/1 and HTTP/2, and what the numbers
//! say. An answer that was cut never looks whole, and who failed is the upstream.

use std::net::SocketAddr;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::conversation::Conversation;
use crate::support::http2;
use crate::support::message::{End, Message};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};

/// How long the proxy is to wait where nothing comes.
const IMPATIENT: &str =
    "timeouts = { connect = \"300ms\", response = \"300ms\", body = \"300ms\" }";

/// What is to be seen of a fault.
struct Seen {
    status: u16,
    end: End,
    /// The reason in log and metrics, and the error in `Proxy-Status` where the answer is our own.
    reason: &'static str,
    proxy_status: Option<&'static str>,
}

/// An own answer for a fault.
const fn own(status: u16, reason: &'static str, proxy_status: &'static str) -> Seen {
    Seen {
        status,
        end: End::Clean,
        reason,
        proxy_status: Some(proxy_status),
    }
}

/// An answer that began well.
const CUT: Seen = Seen {
    status: 200,
    end: End::Cut,
    reason: "truncated",
    proxy_status: None,
};

const INVALID: Seen = own(502, "upstream_protocol_error", "http_protocol_error");

fn config(endpoint: SocketAddr) -> Config {
    config::to(endpoint).upstream_keys("only", IMPATIENT)
}

#[track_caller]
fn check(answer: &Message, seen: &Seen) {
    assert_eq!((answer.status, answer.end), (seen.status, seen.end));
    let status = answer.field("proxy-status").unwrap_or_default();
    match seen.proxy_status {
        Some(error) => assert!(status.contains(error), "{status}"),
        None => assert_eq!(status, ""),
    }
}

/// Asks once by each protocol, each of a proxy that knows nothing of the upstream as yet, and looks
/// at what comes and what is counted.
async fn fault(endpoint: SocketAddr, seen: &Seen) {
    let config = config(endpoint).http2_too();
    for is_http2 in [false, true] {
        let proxy = proxy::start(&config).await;
        if is_http2 {
            let http2 = http2::begin(client::tcp(proxy.http()).await).await;
            match http2.try_ask(&ask::get("/")).await {
                Ok(answer) => check(&answer, seen),
                // The reset of a stream may overtake the head before it, which then is no answer at all.
                Err(error) => assert_eq!(seen.end, End::Cut, "{error}"),
            }
        } else {
            check(&proxy.get("/").await, seen);
        }
        is_counted(&proxy, seen).await;
    }
}

/// Waits until it is counted as what it is, and as nothing else.
async fn is_counted(proxy: &Proxy, seen: &Seen) {
    proxy
        .counted("it is counted", |metrics| {
            let errors = |labels: &[_]| metrics.sum("tidegate_errors_total", labels);
            errors(&[("route", "all"), ("reason", seen.reason)]) == 1.0
                && errors(&[("route", "all")]) == 1.0
                && metrics.sum("tidegate_requests_in_flight", &[]) == 0.0
        })
        .await;
    let source = match seen.proxy_status {
        Some(_) => "proxy",
        None => "upstream",
    };
    let code = seen.status.to_string();
    let labels = [("code", &*code), ("source", source)];
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_requests_total", &labels), 1.0);
}

/// Lets an origin do this with each request that it has read.
async fn does<F>(what: impl Fn(Conversation) -> F + Clone + Send + 'static, seen: Seen)
where
    F: Future<Output = ()> + Send + 'static,
{
    let origin = origin::serving(move |mut conversation| {
        let what = what.clone();
        async move {
            if conversation.request().await.is_some() {
                what(conversation).await;
            }
        }
    })
    .await;
    fault(origin.address, &seen).await;
}

/// Lets an origin say this, and end.
async fn says(bytes: impl Into<Vec<u8>>, seen: Seen) {
    let bytes = bytes.into();
    does(
        move |mut conversation| {
            let bytes = bytes.clone();
            async move {
                conversation.send(bytes).await;
                // Whoever has had enough may be gone by now.
                conversation.wire.rest().await;
            }
        },
        seen,
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_refuses_is_502() {
    let refusing = origin::refusing();
    fault(
        refusing.address,
        &own(502, "connect_failure", "connection_refused"),
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_is_504() {
    let unreachable = origin::unreachable();
    fault(
        unreachable.address,
        &own(504, "connect_timeout", "connection_timeout"),
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let silent = |mut conversation: Conversation| async move {
        conversation.wire.rest().await;
    };
    let seen = own(504, "response_timeout", "http_response_timeout");
    does(silent, seen).await;
}

#[tokio::test]
async fn an_upstream_that_resets_before_it_answers_is_502() {
    let seen = own(502, "upstream_reset", "connection_terminated");
    let reset = |conversation: Conversation| async move { conversation.reset() };
    does(reset, seen).await;
}

#[tokio::test]
async fn an_upstream_that_resets_within_its_answer_cuts_it() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let reset = move |mut conversation: Conversation| async move {
            conversation.send(head).await;
            conversation.reset();
        };
        does(reset, CUT).await;
    }
}

#[tokio::test]
async fn an_upstream_that_ends_within_its_answer_cuts_it() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let end = move |mut conversation: Conversation| async move {
            conversation.send(head).await;
            conversation.wire.finish().await;
            conversation.wire.rest().await;
        };
        does(end, CUT).await;
    }
}

#[tokio::test]
async fn an_upstream_that_stops_within_its_answer_cuts_it() {
    says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello", CUT).await;
}

#[tokio::test]
async fn an_upstream_that_says_what_is_no_http_is_502() {
    for bytes in [
        &b"\0\x01\x02\x03\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"<html>hello</html>\r\n\r\n",
    ] {
        says(bytes, INVALID).await;
    }
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_502() {
    for fields in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "content-length: -5",
    ] {
        says(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"), INVALID).await;
    }
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_502() {
    says(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20_000),
        INVALID,
    )
    .await;
}

#[tokio::test]
async fn a_giant_head_is_502() {
    let field = format!("x-large: {}\r\n", "x".repeat(2 * 1024 * 1024));
    says(format!("HTTP/1.1 200 OK\r\n{field}\r\n"), INVALID).await;
    let fields = "x-many: 1\r\n".repeat(100_000);
    says(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), INVALID).await;
}

#[tokio::test]
async fn a_change_of_protocol_that_nobody_asked_for_is_502() {
    says(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        INVALID,
    )
    .await;
}

#[tokio::test]
async fn a_fault_ends_no_other_request_of_the_connection() {
    let origin: Origin = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            if request.target() == "/bad" {
                conversation.reset();
                return;
            }
            conversation.ok(b"fine").await;
        }
    })
    .await;
    let proxy = proxy::start(&config(origin.address).http2_too()).await;
    let mut plain = proxy.connect().await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    for _ in 0..5 {
        let bad = ask::post("/bad", "x");
        assert_eq!(plain.ask(&bad).await.status, 502);
        assert_eq!(plain.get("/").await.text(), "fine");
        let good = ask::get("/");
        let (bad, good) = tokio::join!(http2.ask(&bad), http2.ask(&good));
        assert_eq!((bad.status, &*good.text()), (502, "fine"));
    }
}
