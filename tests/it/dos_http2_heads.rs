//! Heads of HTTP/2 that are small on the wire and large when they are read (HPACK bombs): what they
//! come to is bounded, and nobody else notices.

use crate::support::config;
use crate::support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, block, bytes,
};
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::siege::{self, GROWTH};

/// The largest frame that every peer takes (RFC 9113, section 4.2).
const FRAME: usize = 16_384;

/// Streams of one attack; a connection may have 200 at a time.
const STREAMS: u32 = 150;

/// The first place in the dynamic table, as an indexed field (RFC 7541, section 6.1).
const NEWEST: u8 = 0x80 | 62;

/// The pseudo-fields of a GET.
const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/hold"),
    (":authority", "edge.test"),
];

async fn start() -> (Origin, Proxy) {
    let origin = origin::held("fine").await;
    let config = config::to(origin.address).http2_too();
    let proxy = proxy::start(&config).await;
    (origin, proxy)
}

/// A head that puts a field into the dynamic table, with whatever stands behind it.
fn head(name: &[u8], value: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut head = block(&GET);
    // RFC 7541, section 6.2.1: a literal that is kept.
    head.push(0x40);
    for text in [name, value] {
        // A length of more than 126 goes on in a second and a third byte.
        match u8::try_from(text.len()) {
            Ok(length) if length < 127 => head.push(length),
            _ => {
                let rest = text.len() - 127;
                let low = u8::try_from(rest % 128).expect("it is small");
                let high = u8::try_from(rest / 128).expect("it is small");
                head.extend([127, 0x80 | low, high]);
            }
        }
        head.extend_from_slice(text);
    }
    head.extend_from_slice(behind);
    head
}

/// The frames of a head on a stream.
fn frames(stream: u32, head: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let pieces = head.chunks(FRAME);
    let n = pieces.len();
    for (nth, piece) in pieces.enumerate() {
        let (kind, flags) = match nth {
            0 => (HEADERS, END_STREAM),
            _ => (CONTINUATION, 0),
        };
        let last = if nth + 1 == n { END_HEADERS } else { 0 };
        all.extend(bytes(kind, flags | last, stream, piece));
    }
    all
}

/// Sends the same head on many streams, and sees that none of it came to an upstream.
async fn refused(head: &[u8]) {
    let (origin, proxy) = start().await;
    let attack = async {
        let mut client = Frames::over(siege::begin(&proxy).await);
        let mut statuses = Vec::new();
        for n in 0..STREAMS {
            let stream = 2 * n + 1;
            client.raw(frames(stream, head)).await;
            match client.outcome(stream).await {
                Outcome::Status(status) => statuses.push(status),
                Outcome::Reset(_) => {}
                Outcome::Goaway(_) | Outcome::Gone => break,
            }
        }
        statuses
    };
    let statuses = siege::withstood(&proxy, GROWTH, attack).await;
    // The status of the first stands for itself; of others that stands in the proxy's own table, 0.
    assert!(
        statuses.iter().all(|status| matches!(status, 0 | 431)),
        "{statuses:?}"
    );
    let targets = origin.requests();
    let targets = targets.iter().map(Message::target);
    assert_eq!(targets.filter(|target| *target != "/").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_field_that_is_named_again_and_again_is_refused() {
    // 4 KiB in the table, and each byte behind it stands for all of that: 32 MiB.
    refused(&head(b"x-bomb", &[b'x'; 4000], &[NEWEST; 8000])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crumb_of_a_cookie_that_is_named_again_and_again_is_refused() {
    refused(&head(b"cookie", b"a=b", &[NEWEST; 16_000])).await;
    refused(&head(b"cookie", b"", &[NEWEST; 16_000])).await;
    // Few enough bytes for the limit of a head, and more crumbs than there may be fields.
    refused(&head(b"cookie", b"", &[NEWEST; 1000])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_without_a_value_that_is_named_again_and_again_is_refused() {
    refused(&head(b"x", b"", &[NEWEST; 16_000])).await;
    refused(&head(b"x", b"", &[NEWEST; 400_000])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_size_is_changed_again_and_again_harms_nobody() {
    // RFC 7541, section 6.3: to nothing, and to 4096 bytes.
    let mut sizes = [0x20, 0x3f, 0xe1, 0x1f].repeat(10_000);
    sizes.extend(block(&GET));
    let (origin, proxy) = start().await;
    let attack = async {
        let mut client = Frames::over(siege::begin(&proxy).await);
        for n in 0..STREAMS {
            client.raw(frames(2 * n + 1, &sizes)).await;
        }
        client.ping().await
    };
    siege::withstood(&proxy, GROWTH, attack).await;
    origin.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_heads_as_there_may_be_of_the_largest_kind_take_what_they_weigh() {
    let (origin, proxy) = start().await;
    let value = [b'x'; 4000];
    let attack = async {
        let mut client = Frames::over(siege::begin(&proxy).await);
        for n in 0..STREAMS {
            client
                .raw(frames(2 * n + 1, &head(b"x-large", &value, &[NEWEST; 11])))
                .await;
        }
        // A ping comes back when all of them were read.
        assert!(client.ping().await);
        client
    };
    // Each is 48 KiB to the upstream, and three times that with what it is made of.
    let growth = GROWTH + u64::from(STREAMS) * 3 * 48 * 1024;
    siege::withstood(&proxy, growth, attack).await;
    origin.release();
}
