//! Upstreams that speak HTTP/2, behind clients of either protocol.

use bytes::Bytes;
use http_body::Frame;

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::http2::{self, Feed, Http2};
use crate::support::http2_origin::{self, Turn};
use crate::support::message::{End, Message};
use crate::support::origin::Origin;
use crate::support::secure::{self, Secure};
use crate::support::wait;

/// Everything goes to one endpoint, by HTTP/2.
pub(crate) fn to(origin: &Origin) -> Config {
    config::to(origin.address).upstream_keys("only", "protocol = \"h2\"")
}

async fn in_front_of(origin: Origin) -> (Origin, Secure) {
    let secure = secure::start(&to(&origin)).await;
    (origin, secure)
}

/// The same by a client of HTTP/1 and by one of HTTP/2.
async fn both(secure: &Secure, ask: &ask::Ask) -> [Message; 2] {
    let one = secure.http1().await.ask(ask).await;
    let two = secure.http2().await.ask(ask).await;
    [one, two]
}

#[tokio::test]
async fn a_request_becomes_one_of_http_2() {
    let (origin, secure) = in_front_of(http2_origin::answering("hello").await).await;
    let ask = ask::get("/a%20b?c=d&e")
        .field("x-some", "One")
        .field("te", "trailers")
        .field("cookie", "a=1; b=2");
    for answer in both(&secure, &ask).await {
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.field("content-length"), Some("5"));
    }
    for got in origin.requests() {
        assert_eq!(got.head, "GET /a%20b?c=d&e");
        assert_eq!(got.field(":authority"), Some("edge.test"));
        assert_eq!(got.field(":scheme"), Some("http"), "that of the connection");
        assert_eq!(got.field("x-some"), Some("One"));
        assert_eq!(got.field("te"), Some("trailers"));
        assert_eq!(got.field("cookie"), Some("a=1; b=2"));
        assert_eq!(got.field("x-forwarded-proto"), Some("https"));
        assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(got.field("host"), None);
        let via = got.field("via").unwrap_or_default();
        assert!(via.ends_with(" tidegate"), "{via}");
    }
}

#[tokio::test]
async fn fields_of_an_http_1_connection_end_here() {
    let (origin, secure) = in_front_of(http2_origin::answering("hello").await).await;
    let ask = ask::get("/")
        .field("connection", "keep-alive, x-private")
        .field("keep-alive", "timeout=5")
        .field("x-private", "1")
        .field("proxy-connection", "close")
        .field("te", "deflate")
        .field("upgrade", "h2c");
    assert_eq!(secure.http1().await.ask(&ask).await.text(), "hello");
    let got = origin.request();
    for name in [
        "connection",
        "keep-alive",
        "x-private",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(got.field(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_request_without_an_authority_gets_none() {
    let (origin, secure) = in_front_of(http2_origin::answering("hello").await).await;
    let mut client = secure.proxy.connect().await;
    client.wire.send("GET /old HTTP/1.0\r\n\r\n").await;
    let answer = client.wire.response("GET").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(origin.request().field(":authority"), None);
}

#[tokio::test]
async fn bodies_pass_both_ways_with_their_length_or_without() {
    let (origin, secure) = in_front_of(http2_origin::echo().await).await;
    for answer in both(&secure, &ask::post("/", "body")).await {
        assert_eq!(answer.text(), "body");
    }
    for got in origin.requests() {
        assert_eq!(got.field("content-length"), Some("4"));
    }
    let mut client = secure.http1().await;
    let head = "POST /chunked HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client
        .wire
        .send(format!("{head}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
        .await;
    assert_eq!(client.wire.response("POST").await.text(), "onetwo");
    let got = &origin.requests()[2];
    assert_eq!(got.field("content-length"), None);
    assert_eq!(got.field("transfer-encoding"), None);
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let (_origin, secure) = in_front_of(http2_origin::echo().await).await;
    let body: Vec<u8> = (0..8_000_000_u32)
        .map(|n| u8::try_from(n % 253).expect("small"))
        .collect();
    for answer in both(&secure, &ask::post("/", body.clone())).await {
        assert_eq!(answer.end, End::Clean);
        assert!(answer.body == body, "the body changed on its way");
    }
}

/// Answers with data and trailers, after the request and its trailers.
async fn with_trailers(mut turn: Turn) {
    turn.whole().await;
    turn.head(200, &[("trailer", "x-sum")]);
    turn.data(b"hello").await;
    turn.trailers(&[("x-sum", "7"), ("content-length", "9")]);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (origin, secure) = in_front_of(http2_origin::serving(with_trailers).await).await;
    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client
        .wire
        .send(format!("{head}4\r\nbody\r\n0\r\nx-check: 9\r\n\r\n"))
        .await;
    let one = client.wire.response("POST").await;

    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let ask = ask::method("POST", "/").field("te", "trailers");
    let (response, ()) = tokio::join!(client.open(&ask, body), async {
        let data = Frame::data(Bytes::from_static(b"body"));
        feed.send(Ok(data)).await.expect("a request under way");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-check", http::HeaderValue::from_static("9"));
        trailers.insert("x-forwarded-for", http::HeaderValue::from_static("evil"));
        let trailers = Frame::trailers(trailers);
        feed.send(Ok(trailers)).await.expect("a request under way");
        drop(feed);
    });
    let two = http2::whole(response.expect("a response")).await;
    for answer in [one, two] {
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    }
    for got in origin.requests() {
        assert_eq!(got.text(), "body");
        assert_eq!(got.trailers, [("x-check".to_owned(), "9".to_owned())]);
    }
}

#[tokio::test]
async fn hints_pass_to_a_client_of_http_1() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.inform(103, &[("link", "</a.css>")]);
        turn.ok(b"hello").await;
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    let mut client = secure.http1().await;
    client.wire.send(ask::get("/").http1()).await;
    let hints = client.wire.response("GET").await;
    assert_eq!(hints.first_line(), "HTTP/1.1 103 Early Hints");
    assert_eq!(hints.field("link"), Some("</a.css>"));
    let answer = client.wire.response("GET").await;
    assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(answer.text(), "hello");
    // hyper's server does not send them over HTTP/2.
    assert_eq!(secure.http2().await.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_body_waits_for_the_endpoints_word() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.released().await;
        turn.inform(100, &[]);
        turn.whole().await;
        let body = turn.request.body.clone();
        turn.ok(&body).await;
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
                content-length: 4\r\n\r\n";
    client.wire.send(head).await;
    origin.received(1).await;
    origin.release();
    assert_eq!(client.wire.response("POST").await.status, 100);
    client.wire.send("body").await;
    assert_eq!(client.wire.response("POST").await.text(), "body");
    assert_eq!(origin.request().field("expect"), Some("100-continue"));
}

#[tokio::test]
async fn a_client_is_told_to_go_on_when_the_endpoint_never_says_so() {
    let (_origin, secure) = in_front_of(http2_origin::echo().await).await;
    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
                content-length: 4\r\n\r\n";
    for _ in 0..2 {
        client.wire.send(head).await;
        assert_eq!(client.wire.response("POST").await.status, 100);
        client.wire.send("body").await;
        assert_eq!(client.wire.response("POST").await.text(), "body");
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let origin = http2_origin::serving(|mut turn| async move {
        match turn.request.target() {
            "/204" => turn.only_head(204, &[]),
            "/304" => turn.only_head(304, &[("etag", "\"a\"")]),
            "/empty" => turn.only_head(200, &[]),
            _ => turn.ok(b"hello").await,
        }
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    for path in ["/204", "/304", "/empty"] {
        for answer in both(&secure, &ask::get(path)).await {
            assert_eq!(answer.text(), "", "{path}");
            assert_eq!(answer.end, End::Clean);
        }
    }
    for answer in both(&secure, &ask::method("HEAD", "/")).await {
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
        assert_eq!(answer.field("content-length"), Some("5"));
    }
    // What follows on the same connection is what belongs to it.
    let mut client = secure.http1().await;
    for path in ["/204", "/304", "/empty", "/x", "/204", "/x"] {
        let text = client.get(path).await.text();
        assert_eq!(text, if path == "/x" { "hello" } else { "" }, "{path}");
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection_of_an_http_1_0_client() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.head(200, &[]);
        turn.data(b"hel").await;
        turn.last_data(b"lo").await;
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    let mut client = secure.proxy.connect().await;
    client
        .wire
        .send("GET / HTTP/1.0\r\nhost: a.test\r\n\r\n")
        .await;
    let answer = client.wire.response("GET").await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(answer.end, End::Clean);
    // And in chunks to others.
    let answer = secure.http1().await.get("/").await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn an_answer_passes_before_the_request_is_through() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.head(200, &[]);
        turn.data(b"first ").await;
        turn.whole().await;
        let body = turn.request.body.clone();
        turn.last_data(&body).await;
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    let client: Http2 = secure.http2().await;
    let (feed, body) = Feed::new();
    let response = client.open(&ask::method("POST", "/"), body).await;
    let frame = Frame::data(Bytes::from_static(b"second"));
    feed.send(Ok(frame)).await.expect("a request under way");
    drop(feed);
    let answer = http2::whole(response.expect("a response")).await;
    assert_eq!(answer.text(), "first second");

    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\n";
    client.wire.send(head).await;
    let mut answer = client.wire.head().await.expect("a head");
    client.wire.send("second").await;
    client.wire.response_body(&mut answer).await;
    assert_eq!(answer.text(), "first second");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_can_go_on_sending() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.head(200, &[]);
        // More than all windows on the way hold.
        turn.leave(vec![b'x'; 16 * 1024 * 1024]);
        turn.whole().await;
        turn.released().await;
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let response = client.open(&ask::method("POST", "/"), body).await;
    let _untouched = response.expect("a response");
    for _ in 0..64 {
        let frame = Frame::data(Bytes::from(vec![b'y'; 64 * 1024]));
        let sent = wait::within("room for more", feed.send(Ok(frame))).await;
        sent.expect("a request under way");
    }
    drop(feed);
    wait::until("the whole request", async || {
        origin.request().body.len() == 64 * 64 * 1024
    })
    .await;
}

#[tokio::test]
async fn an_answer_counts_although_the_endpoint_does_not_want_the_rest_of_the_request() {
    let origin = http2_origin::serving(|mut turn| async move {
        // RFC 9113, section 8.1: a server may ask the client to stop once it has answered, by a
        // reset with NO_ERROR; so does this one, as it drops the rest.
        turn.ok(b"enough").await;
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let frame = Frame::data(Bytes::from_static(b"begun"));
    feed.send(Ok(frame)).await.expect("room for one");
    let response = client.open(&ask::method("POST", "/"), body).await;
    let answer = http2::whole(response.expect("a response")).await;
    assert_eq!((answer.text().as_str(), answer.end), ("enough", End::Clean));

    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1000000\r\n\r\nbegun";
    client.wire.send(head).await;
    let answer = client.wire.response("POST").await;
    assert_eq!((answer.text().as_str(), answer.end), ("enough", End::Clean));
    assert_eq!(answer.field("connection"), Some("close"));
}
