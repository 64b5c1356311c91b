//! Interplay: what either side sends is passed on when it comes, in whichever order that is.

use crate::support::ask;
use crate::support::config;
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy;

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        conversation.send(head).await;
        for part in ["one", "two"] {
            conversation.released().await;
            conversation.send(format!("3\r\n{part}\r\n")).await;
        }
        conversation.released().await;
        conversation.send("0\r\n\r\n").await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    // Each part is waited for before the next one is sent.
    let mut answer = client.wire.head().await.expect("a head, before any body");
    origin.release();
    assert_eq!(client.wire.take(8).await, b"3\r\none\r\n");
    origin.release();
    assert_eq!(client.wire.take(8).await, b"3\r\ntwo\r\n");
    origin.release();
    client.wire.response_body(&mut answer).await;
    assert_eq!(answer.end, End::Clean);
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_comes() {
    let origin = origin::serving(|mut conversation| async move {
        let mut request = conversation.request_head().await.expect("a request");
        conversation.body(&mut request).await;
        conversation.ok(&request.body).await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\n";
    client.wire.send(head).await;
    origin.received(1).await;
    client.wire.send("one").await;
    origin
        .got("the first part", |bytes| bytes.ends_with(b"one"))
        .await;
    client.wire.send("two").await;
    assert_eq!(client.answer("POST").await.text(), "onetwo");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on_at_once() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request_head().await;
        let answer = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\n\
                      content-length: 8\r\n\r\ntoo much";
        conversation.send(answer).await;
        conversation.wire.finish().await;
        conversation.wire.rest().await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1000000\r\n\r\nsome of it";
    client.wire.send(head).await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    // The rest of the body would be in the way of a next request.
    client.wire.ended().await;
}

#[tokio::test]
async fn both_bodies_may_be_under_way_at_the_same_time() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request_head().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        conversation.send(head).await;
        // Each piece of the request comes back before the next one is sent.
        for _ in 0..20 {
            let got = conversation.wire.take(4).await;
            let text = String::from_utf8(got).expect("digits");
            conversation.send(format!("4\r\n{text}\r\n")).await;
        }
        conversation.send("0\r\n\r\n").await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 80\r\n\r\n";
    client.wire.send(head).await;
    let mut answer = client.wire.head().await.expect("a head");
    for n in 1000..1020 {
        client.wire.send(n.to_string()).await;
        let expected = format!("4\r\n{n}\r\n");
        assert_eq!(client.wire.take(9).await, expected.as_bytes());
    }
    client.wire.response_body(&mut answer).await;
    assert_eq!(answer.end, End::Clean);
    assert_eq!(answer.text(), "");
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_from_the_origin() {
    let origin = origin::continuing().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let head = "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
                    content-length: 4\r\n\r\n";
        client.wire.send(head).await;
        origin.release();
        let interim = client.wire.response("POST").await;
        assert_eq!(interim.status, 100);
        client.wire.send("body").await;
        let answer = client.wire.response("POST").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    }
}

#[tokio::test]
async fn a_client_that_expects_100_may_get_its_refusal_instead() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let origin = origin::serving(move |mut conversation| async move {
        if conversation.request_head().await.is_some() {
            conversation.send(refusal).await;
            conversation.wire.rest().await;
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
                content-length: 4\r\n\r\n";
    client.wire.send(head).await;
    let answer = client.wire.response("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (401, "no"));
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let origin = origin::raw(format!("{hints}{hints}{answer}")).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.wire.send(ask::get("/").http1()).await;
        for _ in 0..2 {
            let interim: Message = client.wire.response("GET").await;
            assert_eq!(interim.status, 103);
            assert_eq!(interim.field("link"), Some("</a.css>; rel=preload"));
        }
        assert_eq!(client.wire.response("GET").await.text(), "hello");
    }
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_exchange_at_the_origin() {
    let origin = origin::serving(|mut conversation| async move {
        conversation.request().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        conversation.send(head).await;
        conversation.wire.rest().await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    assert!(client.wire.head().await.is_some());
    drop(client);
    origin.all_closed().await;
}

#[tokio::test]
async fn a_client_that_goes_away_before_any_answer_ends_the_exchange_at_the_origin() {
    let origin = origin::silent().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    drop(client);
    origin.all_closed().await;
    let labels = [("route", "all"), ("code", "499")];
    proxy
        .counted("the client's going away", |metrics| {
            metrics.sum("tidegate_requests_total", &labels) == 1.0
        })
        .await;
}
