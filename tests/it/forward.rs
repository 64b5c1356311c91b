//! Forwarding: what of a message is passed on, what is added, and what stays here.

use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::config;
use crate::support::message::{End, Message};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};

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
        "upgrade",
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
    let got = passed(&ask).await;
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(got.field("x-forwarded-proto"), Some("http"));
    assert_eq!(got.field("x-forwarded-host"), Some("edge.test"));
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
        .field("x-forwarded-host", "shop.test");
    assert_eq!(proxy.ask(&ask).await.status, 200);
    let got = origin.request();
    let chain = got.values("x-forwarded-for").join(", ");
    assert_eq!(chain, "203.0.113.9, 127.0.0.1");
    assert_eq!(got.field("x-forwarded-proto"), Some("https"));
    assert_eq!(got.field("x-forwarded-host"), Some("shop.test"));
}

#[tokio::test]
async fn via_is_appended() {
    assert_eq!(
        passed(&ask::get("/")).await.values("via").join(", "),
        "1.1 tidegate"
    );
    let got = passed(&ask::get("/").field("via", "1.0 cache")).await;
    assert_eq!(got.values("via").join(", "), "1.0 cache, 1.1 tidegate");
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

#[tokio::test]
async fn a_client_of_http_1_0_is_served_and_its_connection_closed() {
    let origin =
        origin::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
    let (origin, proxy) = in_front_of(origin).await;
    let answer = client::raw(proxy.http(), "GET /old HTTP/1.0\r\nhost: a.test\r\n\r\n").await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("chunked"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert_eq!(origin.request().first_line(), "GET /old HTTP/1.1");
}

#[tokio::test]
async fn a_client_of_http_1_0_may_keep_its_connection() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client
            .wire
            .send("GET / HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let answer = client.answer("GET").await;
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
    assert_eq!(origin.n_requests(), 2);
}

#[tokio::test]
async fn the_answer_to_head_keeps_its_length_and_has_no_body() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.ask(&ask::method("HEAD", "/")).await;
        assert_eq!(answer.field("content-length"), Some("5"));
    }
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn answers_that_have_no_body_leave_the_connection_in_step() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let (origin, proxy) = in_front_of(origin::raw(head).await).await;
        let mut client = proxy.connect().await;
        for _ in 0..3 {
            let answer = client.get("/").await;
            assert!(head.contains(&answer.status.to_string()), "{head}");
        }
        assert_eq!(origin.n_connections(), 1, "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_gets_a_framing() {
    let origin = origin::raw_then_close("HTTP/1.1 200 OK\r\n\r\nhello").await;
    let (_origin, proxy) = in_front_of(origin).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let answer = client.get("/").await;
        assert_eq!((answer.text().as_str(), answer.end), ("hello", End::Clean));
    }
}

#[tokio::test]
async fn an_answer_of_http_1_0_is_passed_on_as_1_1() {
    let origin = origin::raw_then_close("HTTP/1.0 200 OK\r\n\r\nhello").await;
    let (_origin, proxy) = in_front_of(origin).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() {
    let origin = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
            let body = "3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nx-sum: 7\r\n\r\n";
            conversation.send(format!("{head}{body}")).await;
        }
    })
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client
            .wire
            .send(
                "POST / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\n\
                 transfer-encoding: Chunked\r\ntrailer: x-check\r\n\r\n\
                 1;a=\"b;c\"\r\nb\r\n0003\r\nody\r\n000\r\nx-check: 9\r\n\r\n",
            )
            .await;
        let answer = client.answer("POST").await;
        assert_eq!((answer.text().as_str(), answer.end), ("hello", End::Clean));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    }
    for received in origin.requests() {
        let request = received.request;
        assert_eq!(request.text(), "body");
        let [(name, value)] = request.trailers.as_slice() else {
            panic!("not one trailer: {:?}", request.trailers);
        };
        assert_eq!((name.as_str(), value.as_str()), ("x-check", "9"));
        assert!(!request.head.contains("content-length"), "{}", request.head);
    }
}

#[tokio::test]
async fn a_trailer_cannot_bring_in_what_belongs_to_a_head() {
    let (origin, proxy) = in_front_of(origin::echo().await).await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send(
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\ncontent-length: 7\r\nhost: evil.test\r\n\
             transfer-encoding: chunked\r\nauthorization: x\r\nx-fine: 1\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer("POST").await.text(), "a");
    let trailers = origin.request().trailers;
    assert_eq!(trailers, [("x-fine".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn requests_in_a_pipeline_are_answered_in_order() {
    let origin = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            let body = format!("{}{}", request.target(), request.text());
            conversation.ok(body.as_bytes()).await;
        }
    })
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let mut sent = Vec::new();
    for n in 0..50 {
        sent.extend(ask::post(&format!("/{n}"), format!(" body {n}")).http1());
    }
    let mut client = proxy.connect().await;
    client.wire.send(sent).await;
    for n in 0..50 {
        assert_eq!(client.answer("POST").await.text(), format!("/{n} body {n}"));
    }
    assert_eq!(origin.n_requests(), 50);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let (_origin, proxy) = in_front_of(origin::echo().await).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        for byte in ask::post("/", "body").http1() {
            client.wire.send([byte]).await;
        }
        assert_eq!(client.answer("POST").await.text(), "body");
    }
}

#[tokio::test]
async fn connect_and_trace_are_not_for_this_proxy() {
    let (origin, proxy) = hello().await;
    let requests = [
        "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: a.test\r\n\r\n",
    ];
    for request in requests {
        let mut client = proxy.connect().await;
        client.wire.send(request).await;
        assert_eq!(client.answer("GET").await.status, 405, "{request}");
    }
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn who_matches_no_route_gets_404() {
    let origin = origin::answering("hello").await;
    let config = config::new()
        .upstream("only", &[origin.address])
        .route("a", "match = { hosts = [\"a.test\"] }\nupstream = \"only\"");
    let proxy = proxy::start(&config).await;
    assert_eq!(
        proxy.ask(&ask::get("/").host("a.test")).await.text(),
        "hello"
    );
    let answer = proxy.ask(&ask::get("/").host("b.test")).await;
    assert_eq!(answer.status, 404);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains("destination_not_found"), "{}", answer.head);
}
