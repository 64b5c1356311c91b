//! HTTP/2 without TLS, by prior knowledge, and HTTP/1 on the same port.

use std::process::Command;

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::frames::{Frames, Outcome};
use crate::support::http2;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::tool;

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An empty SETTINGS frame.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

const BOTH: &str = "protocols = [\"h2\", \"http/1.1\"]";

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "edge.test"),
];

fn speaking(protocols: &str, origin: &Origin) -> Config {
    config::to(origin.address).http(protocols)
}

async fn serving_both() -> (Origin, Proxy) {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&speaking(BOTH, &origin)).await;
    (origin, proxy)
}

/// Sends these bytes one by one, each by itself.
async fn drip(client: &mut Client, bytes: &[u8]) {
    for byte in bytes {
        client.wire.send([*byte]).await;
        // What is not read in one piece is what this is about.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_port_speaks_both_versions() {
    let (origin, proxy) = serving_both().await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    let answer = client.ask(&ask::post("/a", "body")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(proxy.get("/b").await.text(), "hello");
    let requests = origin.requests();
    assert_eq!(requests[0].field("via"), Some("2.0 tidegate"));
    assert_eq!(requests[0].field("x-forwarded-proto"), Some("http"));
    assert_eq!(requests[1].field("via"), Some("1.1 tidegate"));
    let count = async |protocol: &str| {
        let labels = [("listener", "http"), ("protocol", protocol)];
        let metrics = proxy.metrics().await;
        metrics.sum("tidegate_downstream_connections_total", &labels)
    };
    assert_eq!((count("h2").await, count("h1").await), (1.0, 1.0));
}

#[tokio::test]
async fn a_preface_that_comes_byte_by_byte_is_one() {
    let (_origin, proxy) = serving_both().await;
    let mut slow = proxy.connect().await;
    drip(&mut slow, PREFACE.as_bytes()).await;
    slow.wire.send(SETTINGS).await;
    let (stream, rest) = slow.wire.into_parts();
    assert_eq!(rest, b"");
    let mut client = Frames::over(stream);
    client.request(1, &GET).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
}

#[tokio::test]
async fn a_request_of_http_1_that_begins_like_a_preface_is_one_of_http_1() {
    let (origin, proxy) = serving_both().await;
    for method in ["P", "PR", "PRI", "PROPFIND", "POST"] {
        let mut slow = proxy.connect().await;
        let head = format!("{method} / HTTP/1.1\r\nhost: edge.test\r\n\r\n");
        drip(&mut slow, head.as_bytes()).await;
        let answer = slow.answer(method).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        // The connection goes on, and a head may come in one piece as well.
        assert_eq!(slow.get("/").await.text(), "hello");
    }
    assert_eq!(origin.n_requests(), 10);
}

#[tokio::test]
async fn a_preface_that_goes_wrong_is_never_taken_for_a_request() {
    let (origin, proxy) = serving_both().await;
    for n in 1..PREFACE.len() {
        let wrong = format!("{}!{}", &PREFACE[..n], &PREFACE[n + 1..]);
        let hidden = "GET /hidden HTTP/1.1\r\nhost: edge.test\r\n\r\n";
        let answer = client::raw(proxy.http(), wrong + hidden).await;
        let answer = String::from_utf8_lossy(&answer);
        let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
        let once = answer.matches("HTTP/1.1 ").count() == 1;
        assert!(refused && once, "byte {n}: {answer}");
    }
    assert_eq!(String::from_utf8_lossy(&origin.bytes()), "");
}

#[tokio::test]
async fn a_preface_that_does_not_come_to_its_end_is_closed_in_time() {
    let origin = origin::answering("hello").await;
    let timeouts = "timeouts = { first_byte = \"200ms\", header = \"200ms\" }";
    let proxy = proxy::start(&speaking(BOTH, &origin).http(timeouts)).await;
    let mut silent = proxy.connect().await;
    silent.wire.ended().await;
    let mut slow = proxy.connect().await;
    slow.wire.send(&PREFACE[..10]).await;
    assert_eq!(slow.answer("GET").await.status, 408);
    slow.wire.ended().await;
}

#[tokio::test]
async fn a_listener_for_http_2_alone_serves_nothing_else() {
    let origin = origin::answering("hello").await;
    let timeouts = "timeouts = { first_byte = \"200ms\" }";
    let config = speaking("protocols = [\"h2\"]", &origin).http(timeouts);
    let proxy = proxy::start(&config).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    assert_eq!(client.get("/").await.text(), "hello");
    let request = "GET /hidden HTTP/1.1\r\nhost: edge.test\r\n\r\n";
    let answer = client::raw(proxy.http(), request).await;
    assert!(!String::from_utf8_lossy(&answer).contains("hello"));
    // Who does not even begin is not waited for.
    let mut silent = proxy.connect().await;
    silent.wire.rest().await;
    let mut slow = proxy.connect().await;
    slow.wire.send(&PREFACE[..10]).await;
    slow.wire.rest().await;
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_not_taken_and_not_passed_on() {
    let (origin, proxy) = serving_both().await;
    let ask = ask::get("/")
        .field("connection", "Upgrade, HTTP2-Settings")
        .field("upgrade", "h2c")
        .field("http2-settings", "AAMAAABkAAQAAP__");
    assert_eq!(proxy.ask(&ask).await.text(), "hello");
    let unnamed = ask::get("/").field("http2-settings", "AAMAAABkAAQAAP__");
    assert_eq!(proxy.ask(&unnamed).await.text(), "hello");
    for request in origin.requests() {
        assert_eq!(request.field("upgrade"), None, "{}", request.head);
        assert_eq!(request.field("http2-settings"), None, "{}", request.head);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_h2load_are_served_by_prior_knowledge() {
    let (origin, proxy) = serving_both().await;
    let url = format!("http://{}/", proxy.http());
    if tool::find("curl").is_some() {
        let curl = |flag: &str| {
            let mut curl = Command::new("curl");
            let written = ["-sS", "--max-time", "30", "-w", " %{http_version}"];
            tool::run(curl.args(written).arg(flag).arg(&url))
        };
        assert_eq!(curl("--http2-prior-knowledge"), "hello 2");
        assert_eq!(curl("--http1.1"), "hello 1.1");
        // It offers h2c by Upgrade, and goes on without.
        assert_eq!(curl("--http2"), "hello 1.1");
    }
    if tool::find("h2load").is_some() {
        let before = origin.n_requests();
        let load = ["-n", "400", "-c", "4", "-m", "10"];
        let report = tool::run(Command::new("h2load").args(load).arg(&url));
        assert!(report.contains("400 succeeded, 0 failed"), "{report}");
        assert_eq!(origin.n_requests() - before, 400);
    }
}
