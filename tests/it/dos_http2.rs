//! Clients of HTTP/2 that flood their connection: they are sent away, and nobody else notices.

use crate::support::config::{self, Config};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, bytes,
};
use crate::support::frames::{Frames, Outcome};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::siege::{self, GROWTH};

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// Far more frames than are taken.
const N: u32 = 400_000;

/// The pseudo-fields of a GET of a path that the origin holds back.
const HOLD: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/hold"),
    (":authority", "edge.test"),
];

async fn start() -> (Origin, Proxy) {
    let origin = origin::held("fine").await;
    let config: Config = config::to(origin.address).http2_too();
    let proxy = proxy::start(&config).await;
    (origin, proxy)
}

/// Waits until a connection has been ended for one of these reasons.
async fn aborted(proxy: &Proxy, reasons: &[&str]) {
    proxy
        .counted("a connection that was ended", |metrics| {
            let of = |reason| {
                let labels = [("listener", "http"), ("reason", reason)];
                metrics.sum("tidegate_downstream_connections_aborted_total", &labels)
            };
            reasons.iter().map(|reason| of(*reason)).sum::<f64>() == 1.0
        })
        .await;
}

/// Sends `first`, and then the same frame over and over, until it is too much.
async fn cut(first: &[u8], again: &[u8]) {
    let (origin, proxy) = start().await;
    let pieces = (0..N).map(|_| again.to_vec());
    siege::withstood(&proxy, GROWTH, siege::flood(&proxy, first, pieces)).await;
    aborted(&proxy, &["flood"]).await;
    // What was under way went with it.
    origin.release();
    origin.all_closed().await;
}

/// A request whose body is still to come.
fn open(stream: u32) -> Vec<u8> {
    bytes(HEADERS, END_HEADERS, stream, &block(&HOLD))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_settings_is_cut() {
    cut(&[], &bytes(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_cut() {
    cut(&[], &bytes(PING, 0, 0, b"12345678")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_empty_data_is_cut() {
    cut(&open(1), &bytes(DATA, 0, 1, &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_priorities_is_cut() {
    cut(&open(1), &bytes(PRIORITY, 0, 1, &[0, 0, 0, 0, 7])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_window_updates_is_cut() {
    cut(&open(1), &bytes(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_frames_is_cut() {
    cut(&[], &bytes(0x42, 0, 0, b"what is that")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_continuations_is_cut() {
    for piece in [&b""[..], b"\0\x01a\x01b"] {
        let begin = bytes(HEADERS, END_STREAM, 1, &block(&HOLD));
        cut(&begin, &bytes(CONTINUATION, 0, 1, piece)).await;
    }
}

/// Begins requests and lets something go wrong with each of them, on the client's side.
async fn provoked(wrong: impl Fn(u32) -> Vec<u8>) {
    let (origin, proxy) = start().await;
    let pieces = (0..20_000).map(|n| [open(2 * n + 1), wrong(2 * n + 1)].concat());
    siege::withstood(&proxy, GROWTH, siege::flood(&proxy, &[], pieces)).await;
    aborted(&proxy, &["flood", "protocol_error"]).await;
    // Nothing goes on at the upstream for the sake of what was reset.
    origin.release();
    let connected = origin.n_connections();
    assert!(connected < 2000, "{connected} connections for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_are_provoked_by_windows_without_room_are_cut() {
    provoked(|stream| bytes(WINDOW_UPDATE, 0, stream, &[0; 4])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_are_provoked_by_windows_too_large_are_cut() {
    provoked(|stream| bytes(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_are_provoked_after_the_end_of_a_request_are_cut() {
    provoked(|stream| {
        let end = bytes(DATA, END_STREAM, stream, &[]);
        [end, bytes(DATA, 0, stream, b"more")].concat()
    })
    .await;
    provoked(|stream| {
        let end = bytes(DATA, END_STREAM, stream, &[]);
        let again = bytes(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &block(&HOLD[..0]),
        );
        [end, again].concat()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_are_provoked_by_heads_that_are_empty_are_cut() {
    provoked(|stream| {
        let empty = bytes(HEADERS, END_STREAM | END_HEADERS, stream + 2, &[]);
        let reset = bytes(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [empty, reset].concat()
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_depends_on_itself_ends_no_other_connection() {
    let (origin, proxy) = start().await;
    let mut client = Frames::over(siege::begin(&proxy).await);
    client.request_head(1, &HOLD).await;
    client.frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 7]).await;
    let outcome = client.outcome(1).await;
    assert_ne!(outcome, Outcome::Status(200));
    assert_eq!(proxy.get("/").await.status, 200);
    origin.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_as_soon_as_they_are_begun_are_cut() {
    let (origin, proxy) = start().await;
    let attack = async {
        let mut client = Frames::over(siege::begin(&proxy).await);
        client.hold_pings();
        for n in 0..20_000 {
            let stream = 2 * n + 1;
            client.request(stream, &HOLD).await;
            // It is known at the upstream's side when the answer to a ping is here.
            if !client.ping().await {
                return true;
            }
            client.reset(stream, 8).await;
        }
        false
    };
    let is_cut = siege::withstood(&proxy, GROWTH, attack).await;
    assert!(is_cut, "it could go on for ever (CVE-2023-44487)");
    aborted(&proxy, &["flood"]).await;
    origin.release();
}

#[tokio::test]
async fn a_burst_of_requests_that_are_taken_back_is_too_much() {
    let (origin, proxy) = start().await;
    let pieces = (0..20_000).map(|n| {
        let head = bytes(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block(&HOLD));
        [head, bytes(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes())].concat()
    });
    let goaways = siege::withstood(&proxy, GROWTH, siege::flood(&proxy, &[], pieces)).await;
    // Where it was not overtaken by the end of the connection.
    let said = goaways.last().is_none_or(|&last| last == ENHANCE_YOUR_CALM);
    assert!(said, "{goaways:?}");
    aborted(&proxy, &["flood"]).await;
    origin.release();
}
