//! Forwarding: what of a message is passed on, what is added, and what stays here.

use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::config;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// An origin that answers `hello`, and a proxy in front of it.
async fn hello() -> (Origin, Proxy) {
    in_front_of(origin::answering("hello").await).await
}

async fn in_front_of(origin: Origin) -> (Origin, Proxy) {
    let proxy = proxy::start(&config::to(origin.address)).await;
    (origin, proxy)
}

/// What the origin gets of a request.
async fn passed(ask: &Ask) -> Message {
    let (origin, proxy) = hello().await;
    assert_eq!(proxy.ask(ask).await.status, 200);
    origin.request()
}

/// What the client gets of an answer, given as raw bytes.
async fn answered(bytes: &str) -> Message {
    let (_origin, proxy) = in_front_of(origin::raw(bytes).await).await;
    proxy.get("/").await
}

#[tokio::test]
async fn a_request_passes_with_its_method_target_host_and_fields() {
    let ask = ask::method("PROPFIND", "/a/../b%2Fc?q=%20&&r")
        .host("shop.example.com:8080")
        .field("X-Some", "one, two")
        .field("x-some", "three")
        .field("Accept", "*/*");
    let got = passed(&ask).await;
    assert_eq!(got.first_line(), "PROPFIND /a/../b%2Fc?q=%20&&r HTTP/1.1");
    assert_eq!(got.field("host"), Some("shop.example.com:8080"));
    assert_eq!(got.values("x-some"), ["one, two", "three"]);
    assert_eq!(got.field("accept"), Some("*/*"));
}

#[tokio::test]
async fn an_answer_passes_with_its_status_and_fields() {
    let got = answered(
        "HTTP/1.1 299 Quite Fine\r\nX-Some: one\r\nx-some: two\r\nset-cookie: a=1\r\n\
         set-cookie: b=2\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    assert_eq!(got.status, 299);
    assert_eq!(got.values("x-some"), ["one", "two"]);
    assert_eq!(got.values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(got.text(), "hello");
}

#[tokio::test]
async fn fields_of_the_hop_stay_on_it() {
    let ask = ask::get("/")
        .field("Connection", "keep-alive, X-Private")
        .field("connection", "x-other")
        .field("X-Private", "1")
        .field("X-Other", "2")
        .field("X-Public", "3")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authorization", "Basic YTpi")
        .field("Proxy-Authenticate", "Basic")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        .field("TE", "gzip");
    let got = passed(&ask).await;
    for name in [
        "x-private",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "upgrade",
        "http2-settings",
        "te",
    ] {
        assert_eq!(got.field(name), None, "{}", got.head);
    }
    assert_eq!(got.field("x-public"), Some("3"));
    let connection = got.values("connection").join(",").to_ascii_lowercase();
    assert!(!connection.contains("x-private"), "{}", got.head);
}

#[tokio::test]
async fn the_wish_for_trailers_is_passed_on() {
    let got = passed(&ask::get("/").field("te", "trailers, deflate;q=0.5")).await;
    assert_eq!(got.field("te"), Some("trailers"));
}

#[tokio::test]
async fn connection_cannot_take_away_what_the_proxy_and_the_origin_rely_on() {
    let ask = ask::get("/")
        .field(
            "connection",
            "host, x-forwarded-for, forwarded, authorization, cookie, content-length",
        )
        .field("authorization", "Bearer a")
        .field("x-forwarded-for", "203.0.113.9");
    let got = passed(&ask).await;
    assert_eq!(got.field("host"), Some("edge.test"));
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(got.field("authorization"), Some("Bearer a"));
}

#[tokio::test]
async fn fields_of_the_hop_stay_on_it_in_answers_too() {
    let got = answered(
        "HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         X-Public: 2\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    for name in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "upgrade",
    ] {
        assert_eq!(got.field(name), None, "{}", got.head);
    }
    assert_eq!(got.field("x-public"), Some("2"));
}

#[tokio::test]
async fn what_an_untrusted_client_says_of_itself_is_replaced() {
    let ask = ask::get("/")
        .field("x-forwarded-for", "203.0.113.9")
        .field("X-Forwarded-For", "203.0.113.10")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-host", "evil.test")
        .field("x-forwarded-port", "1")
        .field("x-real-ip", "203.0.113.9")
        .field("forwarded", "for=203.0.113.9;proto=https");
    let (origin, proxy) = hello().await;
    assert_eq!(proxy.ask(&ask).await.status, 200);
    let got = origin.request();
    assert_eq!(got.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(got.values("x-forwarded-proto"), ["http"]);
    assert_eq!(got.values("x-forwarded-host"), ["edge.test"]);
    let port = proxy.http().port().to_string();
    assert_eq!(got.values("x-forwarded-port"), [port]);
    assert!(!got.head.contains("203.0.113"), "{}", got.head);
    assert!(!got.head.contains("evil"), "{}", got.head);
}

#[tokio::test]
async fn what_a_trusted_client_says_is_appended_to() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("trusted_proxies = [\"127.0.0.0/8\"]");
    let proxy = proxy::start(&config).await;
    let ask = ask::get("/")
        .field("x-forwarded-for", "203.0.113.9")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-host", "shop.test")
        .field("x-forwarded-port", "443")
        .field("x-real-ip", "203.0.113.9");
    assert_eq!(proxy.ask(&ask).await.status, 200);
    let got = origin.request();
    let chain = got.values("x-forwarded-for").join(", ");
    assert_eq!(chain, "203.0.113.9, 127.0.0.1");
    assert_eq!(got.field("x-forwarded-proto"), Some("https"));
    assert_eq!(got.field("x-forwarded-host"), Some("shop.test"));
    assert_eq!(got.field("x-forwarded-port"), Some("443"));
    assert_eq!(got.field("x-real-ip"), Some("203.0.113.9"));
}

#[tokio::test]
async fn the_client_is_the_last_address_that_is_no_trusted_proxys() {
    let origin = origin::answering("hello").await;
    let networks = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
    let config = config::to(origin.address)
        .http(networks)
        .section("[access_log]\nfields = [\"client_ip\"]");
    let proxy = proxy::start(&config).await;
    let chains = [
        // What the client wrote itself stands before the address that a proxy saw.
        ("1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        // What is no address leaves whoever is connected.
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ];
    let mut expected = String::new();
    for (chain, client) in chains {
        let ask = ask::get("/").field("x-forwarded-for", chain);
        assert_eq!(proxy.ask(&ask).await.status, 200);
        // One after the other: each worker writes lines of its own.
        expected.push_str(&format!("{{\"client_ip\":\"{client}\"}}\n"));
        wait::until("the line of the log", async || {
            proxy.process.stdout().len() >= expected.len()
        })
        .await;
        assert_eq!(proxy.process.stdout(), expected);
    }
}

#[tokio::test]
async fn via_is_appended() {
    assert_eq!(
        passed(&ask::get("/")).await.values("via").join(", "),
        "1.1 tidegate"
    );
    let got = passed(&ask::get("/").field("via", "1.0 cache")).await;
    assert_eq!(got.values("via").join(", "), "1.0 cache, 1.1 tidegate");
    let (origin, proxy) = hello().await;
    client::raw(proxy.http(), "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(origin.request().values("via"), ["1.0 tidegate"]);
}

#[tokio::test]
async fn a_request_that_goes_in_circles_is_508() {
    let (origin, proxy) = hello().await;
    let ask = ask::get("/").field("via", "1.1 tidegate, 1.1 other, 1.1 tidegate");
    assert_eq!(proxy.ask(&ask).await.status, 508);
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn an_absolute_target_decides_the_host() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send("GET http://real.test/a?b HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .await;
    assert_eq!(client.answer("GET").await.status, 200);
    let got = origin.request();
    assert_eq!(got.target(), "/a?b");
    assert_eq!(got.field("host"), Some("real.test"));
}
