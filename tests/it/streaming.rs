//! Large bodies: they pass at the pace of whoever is slower, in bounded memory.

use std::sync::Arc;

use crate::support::ask;
use crate::support::config;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::wire::Wire;

/// How much passes where memory is watched.
const LARGE: usize = 256 * 1024 * 1024;

/// How much the proxy's memory may grow by while that passes: a few buffers of two connections and
/// what the allocator makes of them, and far less than anything that was passed.
const GROWTH: u64 = 8 * 1024 * 1024;

/// What is sent and compared piece by piece.
fn piece() -> Arc<Vec<u8>> {
    let bytes = (0..256 * 1024_u32).map(|n| u8::try_from(n % 251).expect("small"));
    Arc::new(bytes.collect())
}

/// Sends a large body made of pieces.
async fn send_large(wire: &mut Wire, piece: &[u8]) {
    for _ in 0..LARGE / piece.len() {
        wire.send(piece).await;
    }
}

/// Reads a large body and compares each piece.
async fn read_large(wire: &mut Wire, piece: &[u8]) {
    for n in 0..LARGE / piece.len() {
        let got = wire.take(piece.len()).await;
        assert!(got == piece, "piece {n} differs");
    }
}

/// The memory that a proxy took at most once it has served some.
async fn memory_when_warm(proxy: &Proxy) -> u64 {
    for _ in 0..20 {
        assert_eq!(proxy.ask(&ask::post("/warm", "body")).await.status, 200);
    }
    proxy.peak_memory()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_passes_in_bounded_memory() {
    let piece = piece();
    let shared = Arc::clone(&piece);
    let origin = origin::serving(move |mut conversation| {
        let piece = Arc::clone(&shared);
        async move {
            while let Some(request) = conversation.request().await {
                if request.target() == "/warm" {
                    conversation.ok(b"warm").await;
                    continue;
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
                conversation.send(head).await;
                send_large(&mut conversation.wire, &piece).await;
            }
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let before = memory_when_warm(&proxy).await;

    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/large").http1()).await;
    let head = client.wire.head().await.expect("a head");
    assert_eq!(head.field("content-length"), Some("268435456"));
    read_large(&mut client.wire, &piece).await;

    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_request_passes_in_bounded_memory() {
    let piece = piece();
    let shared = Arc::clone(&piece);
    let origin = origin::serving(move |mut conversation| {
        let piece = Arc::clone(&shared);
        async move {
            while let Some(mut request) = conversation.request_head().await {
                if request.target() == "/warm" {
                    conversation.body(&mut request).await;
                } else {
                    read_large(&mut conversation.wire, &piece).await;
                }
                conversation.ok(b"got it").await;
            }
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let before = memory_when_warm(&proxy).await;

    let mut client = proxy.connect().await;
    let head = format!("POST /large HTTP/1.1\r\nhost: a.test\r\ncontent-length: {LARGE}\r\n\r\n");
    client.wire.send(head).await;
    send_large(&mut client.wire, &piece).await;
    assert_eq!(client.answer("POST").await.text(), "got it");

    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_the_origin_back() {
    let piece = piece();
    let (progress, sent) = tokio::sync::watch::channel(0_usize);
    let progress = Arc::new(progress);
    let origin = origin::serving(move |mut conversation| {
        let (piece, progress) = (Arc::clone(&piece), Arc::clone(&progress));
        async move {
            while let Some(request) = conversation.request().await {
                if request.target() == "/warm" {
                    conversation.ok(b"warm").await;
                    continue;
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
                conversation.send(head).await;
                for _ in 0..LARGE / piece.len() {
                    // Not the bounded one: it is held back on purpose.
                    if conversation
                        .wire
                        .send_patiently(piece.as_slice())
                        .await
                        .is_err()
                    {
                        return;
                    }
                    progress.send_modify(|sent| *sent += piece.len());
                }
            }
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let before = memory_when_warm(&proxy).await;

    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/large").http1()).await;
    let head = client.wire.head().await.expect("a head");
    assert_eq!(head.status, 200);
    // Another client is served all the while, which also gives the first one's bytes the time to
    // pile up where they may.
    for _ in 0..300 {
        assert_eq!(proxy.get("/warm").await.text(), "warm");
    }
    let passed = *sent.borrow();
    assert!(passed < LARGE / 2, "{passed} bytes went to nobody");
    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[tokio::test]
async fn an_origin_that_does_not_read_holds_the_client_back() {
    let origin = origin::serving(|mut conversation| async move {
        while let Some(mut request) = conversation.request_head().await {
            if request.target() == "/large" {
                conversation.released().await;
                return;
            }
            conversation.body(&mut request).await;
            conversation.ok(b"warm").await;
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let before = memory_when_warm(&proxy).await;
    let piece = piece();
    let (progress, sent) = tokio::sync::watch::channel(0_usize);
    let mut client = proxy.connect().await;
    let head = format!("POST /large HTTP/1.1\r\nhost: a.test\r\ncontent-length: {LARGE}\r\n\r\n");
    client.wire.send(head).await;
    let sending = async {
        for _ in 0..LARGE / piece.len() {
            // Not the bounded one: it is held back on purpose.
            if client.wire.send_patiently(&piece).await.is_err() {
                return;
            }
            progress.send_modify(|sent| *sent += piece.len());
        }
    };
    // Others are served all the while, which also gives the bytes the time to pile up where they may.
    let others = async {
        for _ in 0..300 {
            assert_eq!(proxy.get("/warm").await.text(), "warm");
        }
    };
    tokio::select! {
        () = sending => panic!("all of it went to nobody"),
        () = others => {}
    }
    let passed = *sent.borrow();
    assert!(passed < LARGE / 2, "{passed} bytes went to nobody");
    let grown = proxy.peak_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} bytes");
    origin.release();
}
