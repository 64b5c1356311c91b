//! HTTP/2 clients in front of HTTP/1 origins.

use bytes::Bytes;
use http_body::Frame;

use crate::support::ask::{self, Ask};
use crate::support::config;
use crate::support::frames::{Frames, Outcome};
use crate::support::http2::{self, Feed};
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::secure::{self, Secure};

async fn in_front_of(origin: Origin) -> (Origin, Secure) {
    let secure = secure::start(&config::to(origin.address)).await;
    (origin, secure)
}

#[tokio::test]
async fn a_request_becomes_one_of_http_1() {
    let (origin, secure) = in_front_of(origin::answering("hello").await).await;
    let client = secure.http2().await;
    let ask = ask::get("/a%20b?c=d&e")
        .field("x-some", "one")
        .field("te", "trailers");
    let answer = client.ask(&ask).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let got = origin.request();
    assert_eq!(got.first_line(), "GET /a%20b?c=d&e HTTP/1.1");
    assert_eq!(got.field("host"), Some("edge.test"));
    assert_eq!(got.field("x-some"), Some("one"));
    assert_eq!(got.field("x-forwarded-proto"), Some("https"));
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    let via = got.field("via").unwrap_or_default();
    assert!(via.ends_with(" tidegate"), "{via}");
    assert!(!got.head.contains("\r\n:"), "{}", got.head);
}

#[tokio::test]
async fn a_body_passes_with_its_length_or_in_chunks() {
    let (origin, secure) = in_front_of(origin::echo().await).await;
    let client = secure.http2().await;
    assert_eq!(client.ask(&ask::post("/", "body")).await.text(), "body");
    let got = &origin.requests()[0];
    assert_eq!(got.field("content-length"), Some("4"));

    let (feed, body) = Feed::new();
    let ask = ask::method("POST", "/");
    let (response, ()) = tokio::join!(client.open(&ask, body), async {
        for part in ["one", "two"] {
            let frame = Frame::data(Bytes::from_static(part.as_bytes()));
            feed.send(Ok(frame)).await.expect("a request under way");
        }
        drop(feed);
    });
    let answer = http2::whole(response.expect("a response")).await;
    assert_eq!(answer.text(), "onetwo");
    let got = &origin.requests()[1];
    assert_eq!(got.field("transfer-encoding"), Some("chunked"));
    assert_eq!(got.field("content-length"), None);
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let (_origin, secure) = in_front_of(origin::echo().await).await;
    let client = secure.http2().await;
    let body: Vec<u8> = (0..8_000_000_u32)
        .map(|n| u8::try_from(n % 253).expect("small"))
        .collect();
    let answer = client.ask(&ask::post("/", body.clone())).await;
    assert_eq!(answer.end, End::Clean);
    assert!(answer.body == body, "the body changed on its way");
}

#[tokio::test]
async fn many_streams_are_served_at_a_time() {
    let origin = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            conversation.released().await;
            conversation.ok(request.target().as_bytes()).await;
        }
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let asks: Vec<Ask> = (0..100).map(|n| ask::get(&format!("/{n}"))).collect();
    let asking = futures_util::future::join_all(asks.iter().map(|ask| client.ask(ask)));
    let (answers, ()) = tokio::join!(asking, async {
        // None is answered before all are there.
        origin.received(100).await;
        for _ in 0..100 {
            origin.release();
        }
    });
    for (answer, ask) in answers.iter().zip(&asks) {
        assert_eq!(answer.text(), ask.path);
    }
    for _ in 0..100 {
        origin.release();
    }
    // The connection goes on, and so do the ones to the origin.
    for n in 0..100 {
        assert_eq!(
            client.get(&format!("/more{n}")).await.text(),
            format!("/more{n}")
        );
    }
    assert!(origin.n_connections() <= 100, "{}", origin.n_connections());
}

#[tokio::test]
async fn more_streams_than_allowed_wait_their_turn() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "limits = { streams = 4 }").await;
    let client = secure.http2().await;
    // The limit is known to the client once it has got an answer; who sends more than that at once
    // is refused, and may ask again (RFC 9113, section 5.1.2).
    assert_eq!(client.get("/").await.text(), "hello");
    let ask = ask::get("/");
    let answers = futures_util::future::join_all((0..50).map(|_| client.ask(&ask))).await;
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
            let body = "5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
            conversation.send(format!("{head}{body}")).await;
        }
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let ask = ask::method("POST", "/").field("te", "trailers");
    let (response, ()) = tokio::join!(client.open(&ask, body), async {
        let data = Frame::data(Bytes::from_static(b"body"));
        feed.send(Ok(data)).await.expect("a request under way");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-check", http::HeaderValue::from_static("9"));
        // What belongs into a head is no trailer.
        for name in ["x-forwarded-for", "x-client-cert-subject", "authorization"] {
            trailers.insert(name, http::HeaderValue::from_static("evil"));
        }
        let trailers = Frame::trailers(trailers);
        feed.send(Ok(trailers)).await.expect("a request under way");
        drop(feed);
    });
    let answer = http2::whole(response.expect("a response")).await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let got = origin.request();
    assert_eq!(got.text(), "body");
    assert_eq!(got.trailers, [("x-check".to_owned(), "9".to_owned())]);
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let (_origin, secure) = in_front_of(origin::answering("hello").await).await;
    let client = secure.http2().await;
    let answer = client.ask(&ask::method("HEAD", "/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.field("content-length"), Some("5"));
    assert_eq!(client.get("/").await.text(), "hello");
}

#[tokio::test]
async fn fields_of_the_hop_are_not_passed_to_http2() {
    let head = "HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\nkeep-alive: a\r\n\
                upgrade: b\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (_origin, secure) = in_front_of(origin::raw(head).await).await;
    let answer = secure.http2().await.get("/").await;
    assert_eq!(answer.text(), "hello");
    for name in [
        "connection",
        "x-private",
        "keep-alive",
        "upgrade",
        "transfer-encoding",
    ] {
        assert_eq!(answer.field(name), None, "{:?}", answer.fields);
    }
}

#[tokio::test]
async fn crumbs_of_cookies_are_joined() {
    let (origin, secure) = in_front_of(origin::answering("hello").await).await;
    let ask = ask::get("/").field("cookie", "a=1").field("cookie", "b=2");
    assert_eq!(secure.http2().await.ask(&ask).await.status, 200);
    assert_eq!(origin.request().field("cookie"), Some("a=1; b=2"));
}

/// The pseudo-fields of a plain GET.
const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/"),
    (":authority", "edge.test"),
];

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_never_looks_whole() {
    let (origin, secure) = in_front_of(origin::echo().await).await;
    for body in ["hell", "hello!"] {
        let mut client = Frames::begin(secure.tls(&["h2"]).await).await;
        let mut fields = GET.to_vec();
        fields[0] = (":method", "POST");
        fields.push(("content-length", "5"));
        client.request_head(1, &fields).await;
        client.last_data(1, body.as_bytes()).await;
        let outcome = client.outcome(1).await;
        assert_ne!(outcome, Outcome::Status(200), "{body}");
    }
    // Until a connection ends, more of what it carries may be on its way.
    origin.all_closed().await;
    for received in origin.requests() {
        assert_ne!(received.end, End::Clean, "{received:?}");
    }
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_its_exchange_and_no_other() {
    let (origin, secure) = in_front_of(origin::silent().await).await;
    let client = secure.http2().await;
    let ask = ask::get("/");
    tokio::select! {
        answer = client.ask(&ask) => panic!("an answer from nobody: {answer:?}"),
        // The request is dropped then, which resets its stream.
        () = origin.received(1) => {}
    }
    origin.all_closed().await;
    assert!(!client.is_closed());
}
