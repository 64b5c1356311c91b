//! HTTP/1 in full: what no other topic is about. `rules` says where each of its rules has its tests.

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                       5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";

async fn hello() -> (Origin, Proxy) {
    in_front_of(origin::answering("hello").await).await
}

async fn in_front_of(origin: Origin) -> (Origin, Proxy) {
    let proxy = proxy::start(&config::to(origin.address)).await;
    (origin, proxy)
}

/// A request of HTTP/1.0 whose client would like to keep its connection.
fn old(method: &str) -> String {
    format!("{method} / HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n")
}

#[tokio::test]
async fn interim_answers_are_not_for_http_1_0() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let (_origin, proxy) = in_front_of(origin::raw(format!("{hints}{hints}{answer}")).await).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.wire.send(old("GET")).await;
        let answer = client.wire.response("GET").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
}

#[tokio::test]
async fn interim_answers_end_here_for_clients_of_http_2() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let origin = origin::raw(format!("{hints}{hints}{answer}")).await;
    let secure = secure::start(&config::to(origin.address)).await;
    let client = secure.http2().await;
    for _ in 0..2 {
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.field("link"), None);
    }
}

#[tokio::test]
async fn an_unsized_answer_to_http_1_0_ends_with_its_connection_and_has_no_trailers() {
    let (_origin, proxy) = in_front_of(origin::raw(CHUNKED).await).await;
    let answer = client::raw(proxy.http(), old("GET")).await;
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "hello");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("connection: close"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn a_client_of_http_1_0_need_not_name_a_host() {
    let (origin, proxy) = hello().await;
    let answer = client::raw(proxy.http(), "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with(b"\r\n\r\nhello"));
    assert_eq!(origin.request().field("host"), Some(""));
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_however_it_is_framed() {
    let unsized_head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for head in [unsized_head, "HTTP/1.1 200 OK\r\netag: \"a\"\r\n\r\n"] {
        let (origin, proxy) = in_front_of(origin::raw(head).await).await;
        let mut client = proxy.connect().await;
        for _ in 0..2 {
            let answer = client.ask(&ask::method("HEAD", "/")).await;
            assert_eq!((answer.status, answer.field("connection")), (200, None));
            client.wire.send(old("HEAD")).await;
            let answer = client.answer("HEAD").await;
            assert_eq!(answer.field("connection"), Some("keep-alive"), "{head}");
        }
        assert_eq!(origin.n_connections(), 1, "{head}");
    }
    // So have our own.
    let origin = origin::answering("hello").await;
    let config = config::new()
        .upstream("only", &[origin.address])
        .route("a", "match = { path = \"/a\" }\nupstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.ask(&ask::method("HEAD", "/")).await;
        assert_eq!(answer.status, 404);
        assert!(
            answer
                .field("content-length")
                .is_some_and(|length| length != "0")
        );
    }
    assert_eq!(client.get("/a").await.text(), "hello");
}

#[tokio::test]
async fn a_length_goes_on_with_304_and_not_with_204() {
    for (status, length) in [("204 No Content", None), ("304 Not Modified", Some("5"))] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n");
        let (_origin, proxy) = in_front_of(origin::raw(head).await).await;
        let mut client = proxy.connect().await;
        for _ in 0..2 {
            let answer = client.get("/").await;
            assert_eq!(answer.field("content-length"), length, "{status}");
        }
    }
    // A body that must not be there is nobody's answer.
    let with_body = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello";
    let (origin, proxy) = in_front_of(origin::raw(with_body).await).await;
    let mut client = proxy.connect().await;
    for n in 1..=3 {
        assert_eq!(client.get("/").await.status, 204);
        assert_eq!(origin.n_connections(), n);
    }
}

#[tokio::test]
async fn an_absolute_target_may_have_no_path() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    for (target, path) in [
        ("http://real.test", "/"),
        ("HTTP://real.test?q", "/?q"),
        ("https://real.test/a", "/a"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: other.test\r\n\r\n");
        client.wire.send(request).await;
        assert_eq!(client.answer("GET").await.status, 200, "{target}");
        let got = origin.requests().pop().expect("a request");
        assert_eq!((got.target(), got.field("host")), (path, Some("real.test")));
    }
}

#[tokio::test]
async fn options_of_everything_asks_the_proxy_itself() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let ask = ask::method("OPTIONS", "*").body("body");
        let answer = client.ask(&ask).await;
        assert_eq!((answer.status, answer.field("connection")), (204, None));
        let allow = answer.field("allow").unwrap_or_default();
        assert!(
            allow.contains("GET, HEAD") && !allow.contains("TRACE"),
            "{allow}"
        );
    }
    assert_eq!(origin.n_requests(), 0);
    assert_eq!(
        client.ask(&ask::method("OPTIONS", "/a")).await.text(),
        "hello"
    );
    assert_eq!(origin.request().first_line(), "OPTIONS /a HTTP/1.1");
}

#[tokio::test]
async fn who_is_refused_for_a_method_is_told_the_others() {
    let (_origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.ask(&ask::method("TRACE", "/")).await;
        assert_eq!(answer.status, 405);
        assert!(
            answer
                .field("allow")
                .is_some_and(|allow| allow.contains("POST"))
        );
    }
    // Their case matters.
    assert_eq!(client.ask(&ask::method("trace", "/")).await.status, 200);
}

#[tokio::test]
async fn a_pipeline_ends_with_what_is_no_request_or_the_last_one() {
    let fine = String::from_utf8(ask::get("/fine").http1()).expect("text");
    let last = String::from_utf8(ask::get("/last").field("connection", "close").http1());
    for (third, status) in [
        ("GET / HTTP/1.1\r\nhost : a.test\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\nhost: a.test\r\n\r\n".to_owned(), 505),
        (last.expect("text"), 200),
    ] {
        let (origin, proxy) = hello().await;
        let mut client = proxy.connect().await;
        client.wire.send(format!("{fine}{fine}{third}{fine}")).await;
        for expected in [200, 200, status] {
            let answer = client.answer("GET").await;
            assert_eq!((answer.status, answer.end), (expected, End::Clean));
        }
        client.wire.ended().await;
        let n = if status == 200 { 3 } else { 2 };
        assert_eq!(origin.n_requests(), n);
    }
}

#[tokio::test]
async fn an_empty_line_before_a_request_is_skipped_and_a_second_one_is_not() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    let ask = String::from_utf8(ask::post("/", "body").http1()).expect("text");
    // As an old client that ends the body of a POST with it (RFC 9112, section 2.2).
    client
        .wire
        .send(format!("{ask}\r\n{ask}\r\n\r\n{ask}"))
        .await;
    for expected in [200, 200, 400] {
        assert_eq!(client.answer("POST").await.status, expected);
    }
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 2);
}

#[tokio::test]
async fn where_forwarded_is_the_source_it_is_believed_and_appended_to() {
    let origin = origin::answering("hello").await;
    for (trusted, expected) in [
        ("[]", "for=127.0.0.1;proto=http;host=\"edge.test\""),
        (
            "[\"127.0.0.0/8\"]",
            "for=203.0.113.9;proto=https, for=127.0.0.1;proto=http;host=\"edge.test\"",
        ),
    ] {
        let keys = format!("trusted_proxies = {trusted}\nforwarded = \"rfc7239\"");
        let proxy = proxy::start(&config::to(origin.address).http(&keys)).await;
        let ask = ask::get("/")
            .field("forwarded", "for=203.0.113.9;proto=https")
            .field("x-real-ip", "203.0.113.9");
        assert_eq!(proxy.ask(&ask).await.status, 200);
        let got = origin.requests().pop().expect("a request");
        assert_eq!(got.values("forwarded").join(", "), expected);
        assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(got.field("x-real-ip").is_some(), trusted != "[]");
    }
}
