//! Mirrors that compare: what clients get against what their copies do, over all protocols.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::mirror::{beside, resulted};
use crate::support::ask;
use crate::support::certs;
use crate::support::client;
use crate::support::config::Config;
use crate::support::http2::{self, Feed, Http2};
use crate::support::http2_origin::{self, Turn};
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure_origin;
use crate::support::wait;

/// What the status says of the comparison, once so many answers were compared.
async fn compared(proxy: &Proxy, n: u64) -> Value {
    let mut comparison = Value::Null;
    wait::until(&format!("{n} comparisons"), async || {
        comparison = proxy.status().await["routes"]["shop"]["mirror"]["comparison"].clone();
        comparison["compared"] == n
    })
    .await;
    comparison
}

fn mismatches(status: u64, header: u64, body: u64) -> Value {
    json!({ "status": status, "header": header, "body": body })
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn answers_are_compared_by_status_headers_and_body() {
    let html = "content-type: text/html\r\ndate: today\r\n";
    let stable = origin::raw(answer("200 OK", html, "hello")).await;
    let other_date = "date: tomorrow\r\nContent-Type: text/html\r\n";
    for (status, fields, body, expected) in [
        ("200 Fine", other_date, "hello", mismatches(0, 0, 0)),
        ("404 Not Found", "", "", mismatches(1, 0, 0)),
        (
            "200 OK",
            "content-type: text/plain\r\n",
            "hello",
            mismatches(0, 1, 0),
        ),
        ("200 OK", html, "hallo", mismatches(0, 0, 1)),
        ("200 OK", "", "hello!", mismatches(0, 1, 1)),
    ] {
        let next = origin::raw(answer(status, fields, body)).await;
        let proxy = proxy::start(&beside(stable.address, next.address, ", compare = true")).await;
        assert_eq!(proxy.get("/").await.text(), "hello");
        let comparison = compared(&proxy, 1).await;
        assert_eq!(
            comparison["mismatches"], expected,
            "{status} {fields} {body}"
        );
        let differs = expected != mismatches(0, 0, 0);
        assert_eq!(comparison["mismatched"], u64::from(differs));
        let metrics = proxy.metrics().await;
        let result = [
            ("route", "shop"),
            ("result", if differs { "mismatch" } else { "match" }),
        ];
        assert_eq!(
            metrics.sum("tidegate_mirror_comparisons_total", &result),
            1.0
        );
        for kind in ["status", "header", "body"] {
            let labels = [("route", "shop"), ("upstream", "next"), ("kind", kind)];
            let n = metrics.sum("tidegate_mirror_mismatches_total", &labels);
            assert_eq!(Some(n), expected[kind].as_f64(), "{kind}");
        }
    }
}

#[tokio::test]
async fn only_what_is_to_be_compared_is() {
    let stable = origin::raw(answer("200 OK", "x-a: 1\r\nx-b: 1\r\n", "hello")).await;
    let next = origin::raw(answer("200 OK", "x-a: 1\r\nx-b: 2\r\n", "hallo")).await;
    for (keys, expected) in [
        ("{ headers = [\"X-A\"], body = false }", mismatches(0, 0, 0)),
        ("{ headers = [\"x-b\"], body = false }", mismatches(0, 1, 0)),
        ("{ headers = [] }", mismatches(0, 0, 1)),
    ] {
        let keys = format!(", compare = {keys}");
        let proxy = proxy::start(&beside(stable.address, next.address, &keys)).await;
        proxy.get("/").await;
        assert_eq!(compared(&proxy, 1).await["mismatches"], expected, "{keys}");
    }
}

#[tokio::test]
async fn an_answer_that_no_upstream_gave_or_that_was_cut_is_not_compared() {
    let next = origin::answering("hello").await;
    let cut = origin::raw_then_close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await;
    let nonsense = origin::raw_then_close("nonsense\r\n\r\n").await;
    let keys = ", compare = true";
    for stable in [&cut, &nonsense] {
        let proxy = proxy::start(&beside(stable.address, next.address, keys)).await;
        proxy.get("/").await;
        resulted(&proxy, "sent", 1).await;
        assert_eq!(compared(&proxy, 0).await["mismatched"], 0);
    }
    // And the other way round.
    for mirror in [&cut, &nonsense] {
        let proxy = proxy::start(&beside(next.address, mirror.address, keys)).await;
        assert_eq!(proxy.get("/").await.text(), "hello");
        resulted(&proxy, "error", 1).await;
        assert_eq!(compared(&proxy, 0).await["mismatched"], 0);
    }
}

#[tokio::test]
async fn of_a_large_body_the_first_part_is_compared_and_all_of_it_passes() {
    let mut body = vec![b'a'; 3 << 20];
    let stable = origin::answering(body.clone()).await;
    body[2 << 20] = b'b';
    let late = origin::answering(body.clone()).await;
    body[1 << 19] = b'b';
    let early = origin::answering(body).await;
    for (next, expected) in [(&late, mismatches(0, 0, 0)), (&early, mismatches(0, 0, 1))] {
        let proxy = proxy::start(&beside(stable.address, next.address, ", compare = true")).await;
        let answer = proxy.get("/").await;
        assert!(answer.body == vec![b'a'; 3 << 20]);
        assert_eq!(compared(&proxy, 1).await["mismatches"], expected);
    }
}

/// An origin that answers with what it is asked, and something more, by this protocol.
async fn echoing(is_http2: bool, more: &'static str) -> Origin {
    if is_http2 {
        return http2_origin::serving(move |mut turn: Turn| async move {
            turn.whole().await;
            let body = [&turn.request.body[..], more.as_bytes()].concat();
            turn.ok(&body).await;
        })
        .await;
    }
    origin::serving(move |mut conversation| async move {
        while let Some(request) = conversation.request().await {
            let body = [&request.body[..], more.as_bytes()].concat();
            conversation.ok(&body).await;
        }
    })
    .await
}

fn speaking(protocols: [bool; 2], addresses: [std::net::SocketAddr; 2], keys: &str) -> Config {
    let [primary, mirror] = protocols.map(|is_http2| match is_http2 {
        true => "protocol = \"h2\"",
        false => "protocol = \"http/1.1\"",
    });
    beside(addresses[0], addresses[1], keys)
        .http2_too()
        .upstream_keys("stable", primary)
        .upstream_keys("next", mirror)
}

/// Puts a body in two pieces whose length nobody was told.
async fn put_unsized(client: &Http2, pieces: [&[u8]; 2]) -> Message {
    let (sender, feed) = Feed::new();
    let pieces = pieces.map(bytes::Bytes::copy_from_slice);
    let feeding = tokio::spawn(async move {
        for piece in pieces {
            sender
                .send(Ok(http_body::Frame::data(piece)))
                .await
                .expect("a reader");
        }
    });
    let response = client
        .open(&ask::method("PUT", "/"), feed)
        .await
        .expect("a response");
    let answer = http2::whole(response).await;
    feeding.await.expect("all was sent");
    answer
}

#[tokio::test]
async fn bodies_are_copied_and_compared_whatever_is_spoken_on_each_side() {
    let keys = ", compare = true, methods = [\"PUT\"]";
    for primary in [false, true] {
        for mirror in [false, true] {
            let stable = echoing(primary, "").await;
            for (more, n_differ) in [("", 0), ("!", 1)] {
                let next = echoing(mirror, more).await;
                let config = speaking([primary, mirror], [stable.address, next.address], keys);
                let proxy = proxy::start(&config).await;
                let put = ask::method("PUT", "/").body("one, two");
                let mut http1 = proxy.connect().await;
                assert_eq!(http1.ask(&put).await.text(), "one, two");
                http1
                    .wire
                    .send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await;
                http1.wire.send("3\r\none\r\n5\r\n, two\r\n0\r\n\r\n").await;
                assert_eq!(http1.answer("PUT").await.text(), "one, two");
                let http2 = http2::begin(client::tcp(proxy.http()).await).await;
                assert_eq!(http2.ask(&put).await.text(), "one, two");
                assert_eq!(
                    put_unsized(&http2, [b"one", b", two"]).await.text(),
                    "one, two"
                );
                let comparison = compared(&proxy, 4).await;
                let what = format!("{primary} {mirror} {more}");
                assert_eq!(comparison["mismatches"]["body"], 4 * n_differ, "{what}");
                assert_eq!(comparison["mismatches"]["status"], 0, "{what}");
                assert_eq!(next.n_requests(), 4, "{what}");
                resulted(&proxy, "sent", 4).await;
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_passes_by_http2_and_is_not_copied() {
    let keys = ", methods = [\"PUT\"], body = \"1KiB\"";
    for primary in [false, true] {
        let (stable, next) = (echoing(primary, "").await, echoing(false, "").await);
        let config = speaking([primary, false], [stable.address, next.address], keys);
        let proxy = proxy::start(&config).await;
        let http2 = http2::begin(client::tcp(proxy.http()).await).await;
        let (large, small) = (vec![b'a'; 1024], b"b");
        let answer = put_unsized(&http2, [&large, small]).await;
        assert_eq!(answer.body.len(), 1025);
        resulted(&proxy, "dropped_body", 1).await;
        assert_eq!(next.n_connections(), 0);
    }
}

#[tokio::test]
async fn copies_go_out_over_tls() {
    let authority = certs::authority();
    let stable = origin::answering("hello").await;
    for is_http2 in [false, true] {
        let dir = TempDir::new().expect("a directory");
        proxy::replace(&dir.path().join("ca.pem"), &authority.pem);
        let alpn = if is_http2 { "h2" } else { "http/1.1" };
        let server = authority.pair(&["127.0.0.1"]).server(&[alpn]);
        let (secure, by_http2);
        let next = if is_http2 {
            by_http2 = http2_origin::serving_tls(server, |mut turn: Turn| async move {
                turn.ok(b"hello").await;
            })
            .await;
            &by_http2
        } else {
            secure = secure_origin::answering(server, "hello").await;
            &secure.origin
        };
        let config = beside(stable.address, next.address, ", compare = true").upstream_keys(
            "next",
            &format!("protocol = \"{alpn}\"\ntls = {{ ca = \"ca.pem\" }}"),
        );
        let proxy = proxy::start_in(dir, &config).await;
        assert_eq!(proxy.get("/").await.text(), "hello");
        assert_eq!(compared(&proxy, 1).await["mismatched"], 0);
        assert_eq!(next.request().field("x-tidegate-mirror"), Some("1"));
    }
}

/// An origin of gRPC that answers every call with its message and this status.
async fn calls(status: &'static str) -> Origin {
    http2_origin::serving(move |mut turn: Turn| async move {
        turn.whole().await;
        turn.head(200, &[("content-type", "application/grpc")]);
        let body = turn.request.body.clone();
        turn.data(&body).await;
        turn.trailers(&[("grpc-status", status)]);
    })
    .await
}

#[tokio::test]
async fn calls_of_grpc_are_copied_and_compared_by_their_status() {
    let stable = calls("0").await;
    for (status, n_differ) in [("0", 0), ("13", 1)] {
        let next = calls(status).await;
        let keys = ", compare = true, methods = [\"POST\"]";
        let config = speaking([true, true], [stable.address, next.address], keys);
        let proxy = proxy::start(&config).await;
        let http2 = http2::begin(client::tcp(proxy.http()).await).await;
        let call = ask::post("/shop.Cart/Get", b"\0\0\0\0\x02hi".to_vec())
            .field("content-type", "application/grpc")
            .field("te", "trailers");
        let answer = http2.ask(&call).await;
        assert_eq!(
            answer.trailers,
            [("grpc-status".to_owned(), "0".to_owned())]
        );
        let comparison = compared(&proxy, 1).await;
        assert_eq!(comparison["mismatches"], mismatches(n_differ, 0, 0));
        let copy = next.request();
        assert_eq!(copy.field("te"), Some("trailers"));
        resulted(&proxy, "sent", 1).await;
    }
}

#[tokio::test]
async fn whichever_answer_comes_first_they_are_compared() {
    for (slow, fast) in [("stable", "next"), ("next", "stable")] {
        let held = origin::held("same").await;
        let quick = origin::answering("same").await;
        let (stable, next) = match slow {
            "stable" => (&held, &quick),
            _ => (&quick, &held),
        };
        let keys = ", compare = true";
        let proxy = proxy::start(&beside(stable.address, next.address, keys)).await;
        let mut client = proxy.connect().await;
        client.wire.send(ask::get("/hold").http1()).await;
        held.received(1).await;
        quick.received(1).await;
        held.release();
        assert_eq!(client.answer("GET").await.text(), "same", "{fast}");
        assert_eq!(compared(&proxy, 1).await["mismatched"], 0);
    }
}

#[tokio::test]
async fn answers_without_a_body_are_compared() {
    let (stable, next) = (
        origin::answering("one").await,
        origin::answering("three").await,
    );
    let config = beside(stable.address, next.address, ", compare = true").http2_too();
    let proxy = proxy::start(&config).await;
    proxy.ask(&ask::method("HEAD", "/")).await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    http2.ask(&ask::method("HEAD", "/")).await;
    assert_eq!(compared(&proxy, 2).await["mismatched"], 0);
}
