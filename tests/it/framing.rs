//! Framing: whichever way a body comes, it leaves in one that the other side reads the same.

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::message::End;
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
async fn a_client_that_asks_for_the_close_gets_it() {
    let (origin, proxy) = hello().await;
    let mut client = proxy.connect().await;
    let answer = client
        .ask(&ask::get("/").field("connection", "close"))
        .await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("connection"), Some("close"));
    client.wire.ended().await;
    // That is between the two; the connection to the origin goes on.
    assert_eq!(proxy.get("/").await.text(), "hello");
    for request in origin.requests() {
        assert_eq!(request.field("connection"), None, "{}", request.head);
    }
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
    for request in origin.requests() {
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
