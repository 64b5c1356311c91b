//! `Expect: 100-continue`: the body waits for the word of whoever will read it.

use crate::support::ask;
use crate::support::config;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
                    content-length: 4\r\n\r\n";

async fn in_front_of(origin: Origin) -> (Origin, Proxy) {
    let proxy = proxy::start(&config::to(origin.address)).await;
    (origin, proxy)
}

#[tokio::test]
async fn a_client_is_told_to_go_on_when_the_endpoint_never_says_so() {
    let (origin, proxy) = in_front_of(origin::echo().await).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.wire.send(HEAD).await;
        assert_eq!(client.wire.response("POST").await.status, 100);
        client.wire.send("body").await;
        let answer = client.wire.response("POST").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    }
    assert_eq!(origin.requests()[0].field("expect"), Some("100-continue"));
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn nobody_is_told_to_go_on_before_the_endpoint_says_so() {
    let origin = origin::continuing().await;
    let (origin, proxy) = in_front_of(origin).await;
    for n in 1..=5 {
        let mut client = proxy.connect().await;
        client.wire.send(HEAD).await;
        origin
            .got("the head of the request", |bytes| {
                bytes.windows(4).filter(|end| *end == b"\r\n\r\n").count() == n
            })
            .await;
        assert!(!client.wire.poll().await, "the endpoint has said nothing");
        origin.release();
        assert_eq!(client.wire.response("POST").await.status, 100);
        client.wire.send("body").await;
        assert_eq!(client.wire.response("POST").await.text(), "body");
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_does_not_wait_is_served() {
    let origin = origin::echo().await;
    let secure = secure::start(&config::to(origin.address)).await;
    let client = secure.http2().await;
    for _ in 0..2 {
        let ask = ask::post("/", "body").field("expect", "100-continue");
        let answer = client.ask(&ask).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_told_nothing() {
    let (_origin, proxy) = in_front_of(origin::echo().await).await;
    let mut client = proxy.connect().await;
    client.wire.send(format!("{HEAD}body")).await;
    let answer = client.wire.response("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
}

#[tokio::test]
async fn hints_are_not_the_word_that_is_waited_for() {
    let origin = origin::serving(|mut conversation| async move {
        let mut request = conversation.request_head().await.expect("a request");
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        conversation.send(hints).await;
        conversation.body(&mut request).await;
        conversation.ok(&request.body).await;
    })
    .await;
    let (_origin, proxy) = in_front_of(origin).await;
    let mut client = proxy.connect().await;
    client.wire.send(HEAD).await;
    assert_eq!(client.wire.response("POST").await.status, 103);
    assert_eq!(client.wire.response("POST").await.status, 100);
    client.wire.send("body").await;
    assert_eq!(client.wire.response("POST").await.text(), "body");
}

#[tokio::test]
async fn after_a_refusal_the_connection_is_closed() {
    // Whether the body comes now, nobody can know.
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let origin = origin::serving(move |mut conversation| async move {
        conversation.request_head().await;
        conversation.send(refusal).await;
        conversation.wire.rest().await;
    })
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let mut client = proxy.connect().await;
    client.wire.send(HEAD).await;
    let answer = client.wire.response("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (401, "no"));
    assert_eq!(answer.field("connection"), Some("close"));
    client
        .wire
        .try_send(ask::get("/").http1())
        .await
        .unwrap_or_default();
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn a_client_that_was_told_and_sends_nothing_is_408() {
    let (origin, _) = in_front_of(origin::echo().await).await;
    let config = config::to(origin.address).http("timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client.wire.send(HEAD).await;
    assert_eq!(client.wire.response("POST").await.status, 100);
    assert_eq!(client.wire.response("POST").await.status, 408);
    client.wire.ended().await;
}

#[tokio::test]
async fn what_a_client_of_http_1_0_expects_is_ignored() {
    let origin = origin::raw(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let mut client = proxy.connect().await;
    for expect in ["100-continue", "wonders"] {
        let keep = "connection: keep-alive\r\n";
        let head = HEAD.replace("HTTP/1.1\r\n", &format!("HTTP/1.0\r\n{keep}"));
        client
            .wire
            .send(head.replace("100-continue", expect) + "body")
            .await;
        let answer = client.wire.response("POST").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    for request in origin.requests() {
        assert_eq!(request.field("expect"), None);
        assert_eq!(request.text(), "body");
    }
}

#[tokio::test]
async fn nothing_else_can_be_expected() {
    let (origin, proxy) = in_front_of(origin::echo().await).await;
    let ask = ask::post("/", "body").field("expect", "wonders");
    assert_eq!(proxy.ask(&ask).await.status, 417);
    assert_eq!(origin.n_requests(), 0);
}
