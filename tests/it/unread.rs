//! Requests whose own answer comes before their body was read: a small rest costs no connection,
//! and no byte of it is ever taken for a request.

use rustix::process::Signal;

use crate::support::ask;
use crate::support::client::Client;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};

/// What a body must never become.
const EVIL: &str = "GET /evil HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// Only the host `a.test` is known; what is said to others is our own answer.
fn known(origin: &Origin) -> Config {
    config::new()
        .upstream("only", &[origin.address])
        .route("a", "match = { hosts = [\"a.test\"] }\nupstream = \"only\"")
}

async fn start() -> (Origin, Proxy, Client) {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&known(&origin)).await;
    let client = proxy.connect().await;
    (origin, proxy, client)
}

/// The head of a request that no route catches.
fn unknown(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: b.test\r\n{fields}\r\n")
}

fn sized(n: usize) -> String {
    unknown(&format!("content-length: {n}\r\n"))
}

fn chunked() -> String {
    unknown("transfer-encoding: chunked\r\n")
}

/// A chunk that looks like a request.
fn chunk() -> String {
    format!("{:x}\r\n{EVIL}\r\n", EVIL.len())
}

/// Reads the 404 and asks on the same connection for what is there.
async fn goes_on(client: &mut Client) {
    let answer = client.answer("POST").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.field("connection"), None, "{}", answer.head);
    assert_eq!(
        client.ask(&ask::get("/fine").host("a.test")).await.text(),
        "hello"
    );
}

/// Reads the 404, which is the last answer on its connection.
async fn ends(mut client: Client) {
    let answer = client.answer("POST").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.field("connection"), Some("close"));
    client.wire.ended().await;
}

#[tokio::test]
async fn a_body_that_has_come_costs_no_connection() {
    let (origin, _proxy, mut client) = start().await;
    for request in [
        sized(0),
        sized(EVIL.len()) + EVIL,
        chunked() + &chunk() + &chunk() + "0\r\nx-trailer: 1\r\n\r\n",
        sized(60_000) + &"x".repeat(60_000),
    ] {
        client.wire.send(request).await;
        goes_on(&mut client).await;
    }
    let targets: Vec<_> = origin
        .requests()
        .iter()
        .map(|one| one.target().to_owned())
        .collect();
    assert_eq!(targets, ["/fine"; 4]);
}

#[tokio::test]
async fn a_small_body_that_comes_after_the_answer_costs_no_connection() {
    let (origin, _proxy, mut client) = start().await;
    let parts = [
        (sized(EVIL.len()), EVIL.to_owned()),
        (sized(EVIL.len() + 3) + "abc", EVIL.to_owned()),
        (chunked(), chunk() + "0\r\n\r\n"),
        (
            chunked() + &chunk() + "5\r\nab",
            "cde\r\n".to_owned() + &chunk() + "0\r\n\r\n",
        ),
    ];
    for (first, rest) in parts {
        client.wire.send(first).await;
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, answer.field("connection")), (404, None));
        client.wire.send(rest).await;
        let next = ask::get("/fine").host("a.test");
        assert_eq!(client.ask(&next).await.text(), "hello");
    }
    // Also when the next request comes together with the rest.
    client.wire.send(sized(EVIL.len())).await;
    assert_eq!(client.answer("POST").await.status, 404);
    let next = ask::get("/fine").host("a.test").http1();
    client.wire.send([EVIL.as_bytes(), &next].concat()).await;
    assert_eq!(client.answer("GET").await.text(), "hello");
    assert_eq!(origin.n_requests(), 5);
    assert!(origin.requests().iter().all(|one| one.target() == "/fine"));
}

#[tokio::test]
async fn a_large_body_is_not_waited_for() {
    let (origin, proxy, mut client) = start().await;
    client.wire.send(sized(10_000_000) + EVIL).await;
    ends(client).await;
    // Nobody knew how long these would be.
    let mut client = proxy.connect().await;
    client.wire.send(chunked()).await;
    assert_eq!(client.answer("POST").await.status, 404);
    for _ in 0..20 {
        let chunk = format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000));
        // It may be closed before the last of them.
        client.wire.try_send(chunk).await.unwrap_or_default();
    }
    client
        .wire
        .try_send("0\r\n\r\n".to_owned() + EVIL)
        .await
        .unwrap_or_default();
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_longer_than_others() {
    let origin = origin::answering("hello").await;
    let config = known(&origin).http("timeouts = { body = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client.wire.send(sized(10)).await;
    assert_eq!(client.answer("POST").await.status, 404);
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_rest_that_is_no_body_ends_the_connection() {
    let (origin, _proxy, mut client) = start().await;
    client.wire.send(chunked()).await;
    assert_eq!(client.answer("POST").await.status, 404);
    client.wire.send(format!("zz\r\n{EVIL}")).await;
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_has_its_connection_closed() {
    // It may leave the body out now, or not: what it sends next could be either.
    let (origin, _proxy, mut client) = start().await;
    let fields = format!("expect: 100-continue\r\ncontent-length: {}\r\n", EVIL.len());
    client.wire.send(unknown(&fields)).await;
    ends(client).await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_body_that_was_sent_to_an_endpoint_in_vain_costs_no_connection() {
    let cut = origin::serving(|mut conversation| async move {
        conversation.request().await;
    })
    .await;
    let garbage = origin::raw("HTTP/1.1 garbage\r\n\r\n").await;
    let refusing = origin::refusing();
    let fine = origin::echo().await;
    let mut config = config::new();
    for (name, address) in [
        ("cut", cut.address),
        ("garbage", garbage.address),
        ("refusing", refusing.address),
        ("fine", fine.address),
    ] {
        let route = format!("match = {{ path = \"/{name}\" }}\nupstream = \"{name}\"");
        config = config.upstream(name, &[address]).route(name, &route);
    }
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for path in ["/cut", "/garbage", "/refusing"] {
        for body in ["", EVIL] {
            let answer = client.ask(&ask::post(path, body)).await;
            // One that refused is left alone for a while.
            assert!(matches!(answer.status, 502 | 503), "{path}");
            assert_eq!(answer.field("connection"), None, "{path}");
            assert_eq!(client.ask(&ask::post("/fine", path)).await.text(), path);
        }
    }
    // So does one of which the endpoint saw only a part.
    let head = format!(
        "POST /garbage HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n",
        EVIL.len() + 3
    );
    let garbage = origin::serving(|mut conversation| async move {
        conversation.request_head().await;
        conversation.send("HTTP/1.1 garbage\r\n\r\n").await;
        conversation.wire.rest().await;
    })
    .await;
    let proxy = proxy::start(
        &config
            .upstream_with("late", &[garbage.address], "")
            .route("late", "match = { path = \"/late\" }\nupstream = \"late\""),
    )
    .await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send(head.replace("/garbage", "/late") + "abc")
        .await;
    assert_eq!(client.answer("POST").await.status, 502);
    client.wire.send(EVIL).await;
    assert_eq!(client.ask(&ask::post("/fine", "on")).await.text(), "on");
    assert!(fine.requests().iter().all(|one| one.target() == "/fine"));
}

#[tokio::test]
async fn what_follows_a_connect_is_no_request() {
    let (origin, _proxy, mut client) = start().await;
    let connect = "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n";
    client.wire.send(format!("{connect}{EVIL}")).await;
    let answer = client.answer("CONNECT").await;
    assert_eq!(
        (answer.status, answer.field("connection")),
        (405, Some("close"))
    );
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn what_an_endpoint_that_answered_and_hung_up_did_not_take_is_no_request() {
    let origin = origin::serving(|mut conversation| async move {
        if conversation.request_head().await.is_some() {
            conversation.wire.take(3).await;
            conversation.released().await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            conversation.send(answer).await;
            conversation.reset();
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    let length = EVIL.len() + 3;
    let head = format!("PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {length}\r\n\r\n");
    client.wire.send(head + "abc").await;
    origin
        .got("the first part", |bytes| bytes.ends_with(b"abc"))
        .await;
    // Both are there when the proxy looks: the answer, and more that cannot be sent any more.
    proxy.stopped().await;
    origin.release();
    origin.all_closed().await;
    client.wire.send(EVIL).await;
    proxy.signal(Signal::CONT);
    let answer = client.answer("PUT").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    // With io_uring it is lost on its way only after it was taken for sent, and the client's
    // connection could go on; else the proxy closes it.
    if proxy.status().await["io"] != "epoll" {
        client.wire.finish().await;
    }
    client.wire.ended().await;
    assert_eq!(origin.n_requests(), 1);
}
