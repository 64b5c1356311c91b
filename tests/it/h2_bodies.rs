//! Bodies and trailers of HTTP/2 requests that are not what they say: none looks whole to the origin,
//! and nothing of them is taken for a request.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::support::client;
use crate::support::config;
use crate::support::frames::{Frames, Outcome};
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy;

/// RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;
const STREAM_CLOSED: u32 = 5;
/// RFC 9113, section 6.5.2.
const INITIAL_WINDOW_SIZE: u16 = 4;

const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/bad"),
    (":authority", "edge.test"),
];

/// Frames after a head.
enum Then {
    /// Data.
    Data(&'static str),
    /// The last data.
    Last(&'static str),
    /// Trailers.
    Trailers(&'static [(&'static str, &'static str)]),
    /// Any frame: its kind, its flags and its payload.
    Frame(u8, u8, &'static [u8]),
}

use Then::{Data, Frame, Last, Trailers};

/// A request that is refused: its further fields, what follows its head, and its outcome.
type Case<'a> = (Fields<'a>, &'a [Then], Outcome);
type Fields<'a> = &'a [(&'a str, &'a str)];

/// Sends a head with these further fields, and what follows it, at once: a head that is a whole
/// request may else be answered before what is wrong with it comes.
async fn send(client: &mut Frames, stream: u32, fields: Fields<'_>, then: &[Then]) {
    let fields = [&POST[..], fields].concat();
    client.gather();
    client.request_head(stream, &fields).await;
    for then in then {
        match then {
            Data(data) => client.data(stream, data.as_bytes()).await,
            Last(data) => client.last_data(stream, data.as_bytes()).await,
            Trailers(fields) => client.trailers(stream, fields).await,
            Frame(kind, flags, payload) => client.frame(*kind, *flags, stream, payload).await,
        }
    }
    client.send_gathered().await;
}

/// Sends each request by itself, and expects its outcome and that the origin sees no end of it.
async fn refused(cases: &[Case<'_>]) {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    let mut wrong = String::new();
    for (n, (fields, then, expected)) in cases.iter().enumerate() {
        let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
        send(&mut client, 1, fields, then).await;
        let outcome = client.outcome(1).await;
        if outcome != *expected {
            writeln!(wrong, "{n}: {fields:?} became {outcome:?}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    origin.all_closed().await;
    for got in origin.requests() {
        assert_eq!(got.end, End::Cut, "{got:?}");
        assert_eq!(got.first_line(), "POST /bad HTTP/1.1");
    }
}

/// Sends a request, which must be echoed, and gives what the origin got.
async fn passed(fields: Fields<'_>, then: &[Then]) -> Message {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    send(&mut client, 1, fields, then).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
    origin.request()
}

#[tokio::test]
async fn a_body_of_another_length_than_it_says_is_refused() {
    let five: Fields<'_> = &[("content-length", "5")];
    let none: Fields<'_> = &[("content-length", "0")];
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    refused(&[
        (five, &[Last("hell")], reset),
        (five, &[Last("hello!")], reset),
        (five, &[Last("")], reset),
        (five, &[Data("hello"), Last("!")], reset),
        (five, &[Data("hel"), Trailers(&[("x-a", "b")])], reset),
        (none, &[Last("x")], reset),
        (
            none,
            &[Data("GET /hidden HTTP/1.1\r\n\r\n"), Last("")],
            reset,
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_of_the_length_that_it_says_passes_however_it_comes() {
    let five = [("content-length", "5")];
    for then in [
        &[Last("hello")][..],
        &[Data("he"), Data(""), Data("llo"), Last("")],
        &[Data("hello"), Trailers(&[("x-a", "b")])],
        // Padding (section 6.1) is none of the body's bytes.
        &[Frame(0, 9, b"\x04hello\0\0\0\0")],
        // Nor is a frame of a kind that nobody knows (section 5.5).
        &[Data("hel"), Frame(77, 255, b"lo"), Last("lo")],
    ] {
        let got = passed(&five, then).await;
        assert_eq!((got.text().as_str(), got.end), ("hello", End::Clean));
        assert_eq!(got.field("content-length"), Some("5"));
        assert_eq!(got.field("transfer-encoding"), None);
    }
    let got = passed(&[("content-length", "0")], &[Last("")]).await;
    assert_eq!(got.field("content-length"), Some("0"));
}

#[tokio::test]
async fn a_body_that_looks_like_framing_is_only_a_body() {
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: edge.test\r\n\r\n";
    let got = passed(&[], &[Data(hidden), Last("5\r\nhello\r\n")]).await;
    assert_eq!(got.text(), format!("{hidden}5\r\nhello\r\n"));
    assert_eq!(got.field("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn trailers_that_are_none_are_refused() {
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    let gone = Outcome::Goaway(PROTOCOL_ERROR);
    refused(&[
        (&[], &[Data("a"), Trailers(&[("X-Upper", "b")])], gone),
        (&[], &[Data("a"), Trailers(&[("x-a", "b\r\nx-c: d")])], gone),
        (&[], &[Data("a"), Trailers(&[("x-a", "b\0")])], gone),
        (
            &[],
            &[Data("a"), Trailers(&[("connection", "close")])],
            reset,
        ),
        (
            &[],
            &[Data("a"), Trailers(&[("transfer-encoding", "chunked")])],
            reset,
        ),
        // Fields in the middle of a body: only the last block may follow data (section 8.1).
        (
            &[],
            &[Data("a"), Frame(1, 4, b"\0\x03x-a\x01b"), Last("")],
            reset,
        ),
    ])
    .await;
}

#[tokio::test]
async fn trailers_that_belong_into_a_head_are_not_passed_on() {
    // hyper drops pseudo-fields itself, which are malformed there (section 8.1).
    let trailers = Trailers(&[
        (":path", "/hidden"),
        (":status", "200"),
        ("content-length", "5"),
        ("host", "other.test"),
        ("x-sum", "7"),
        ("te", "trailers"),
    ]);
    let got = passed(&[], &[Data("hello"), trailers]).await;
    assert_eq!(got.first_line(), "POST /bad HTTP/1.1");
    assert_eq!(got.trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn what_follows_the_end_of_a_request_ends_the_stream() {
    let origin = origin::silent().await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    for then in [
        &[Last("a"), Data("GET /hidden HTTP/1.1\r\n\r\n")][..],
        &[Last("a"), Trailers(&[("x-a", "b")])],
    ] {
        let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
        send(&mut client, 1, &[], then).await;
        let outcome = client.outcome(1).await;
        let closed = matches!(
            outcome,
            Outcome::Reset(STREAM_CLOSED) | Outcome::Goaway(STREAM_CLOSED | PROTOCOL_ERROR)
        );
        assert!(closed, "{outcome:?}");
    }
    origin.all_closed().await;
    let got = origin.bytes();
    assert!(!String::from_utf8_lossy(&got).contains("hidden"));
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused() {
    let origin = origin::echo().await;
    let keys = "protocols = [\"h2\"]\nlimits = { body = \"4B\" }";
    let proxy = proxy::start(&config::to(origin.address).http(keys)).await;
    for fields in [&[("content-length", "5")][..], &[]] {
        let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
        send(&mut client, 1, fields, &[Data("hel"), Last("lo")]).await;
        assert_eq!(client.outcome(1).await, Outcome::Status(413), "{fields:?}");
    }
    origin.all_closed().await;
    assert!(origin.requests().iter().all(|got| got.end == End::Cut));
}

#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    // CONTINUATION for ever (CVE-2024-27316).
    let piece = [("x-a", "b"); 100];
    client.endless_head(1, &piece, 100_000).await;
    let outcome = client.outcome(1).await;
    assert!(
        matches!(outcome, Outcome::Goaway(_) | Outcome::Gone),
        "{outcome:?}"
    );
    assert_eq!(origin.n_connections(), 0);
}

#[tokio::test]
async fn a_client_far_away_that_sends_much_may_send_more_ahead() {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    client.hold_pings();
    let get = [(":method", "GET"), POST[1], POST[2], POST[3]];
    // What it may send ahead comes with the answer.
    client.request(1, &get).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
    client.request_head(3, &POST).await;
    for _ in 0..5 {
        client.data(3, &[b'x'; 16_000]).await;
    }
    let mut streams = (5..).step_by(2);
    let mut asked = None;
    loop {
        if client.n_pings() > 0 {
            let asked = asked.get_or_insert_with(Instant::now);
            if asked.elapsed() > Duration::from_millis(40) {
                break;
            }
        }
        let stream = streams.next().expect("a stream");
        client.request(stream, &get).await;
        assert_eq!(client.outcome(stream).await, Outcome::Status(200));
    }
    assert_eq!(client.setting(INITIAL_WINDOW_SIZE), Some(256 * 1024));
    let room = client.room();
    client.answer_pings().await;
    while client.setting(INITIAL_WINDOW_SIZE) == Some(256 * 1024)
        || client.room() < room + 2_900_000
    {
        let stream = streams.next().expect("a stream");
        client.request(stream, &get).await;
        assert_eq!(client.outcome(stream).await, Outcome::Status(200));
    }
    assert!(client.setting(INITIAL_WINDOW_SIZE) >= Some(1_000_000));
}
