//! The main promise, as one test: weights change under load, and nobody notices but the shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::support::ask;
use crate::support::certs;
use crate::support::client;
use crate::support::config::Config;
use crate::support::http2::Http2;
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::secure::{self, Secure};
use crate::support::wait;
use crate::support::websocket;

/// What the clients of the long test share.
#[derive(Default)]
struct Load {
    /// Even: the weights of this number are live everywhere; odd: they are being changed.
    phase: AtomicUsize,
    over: AtomicBool,
    /// Answers of each settled phase: from stable, from canary.
    counts: Mutex<Vec<[usize; 2]>>,
}

impl Load {
    /// Counts an answer if the same weights were live before and after it.
    async fn count(&self, phase: usize, answer: &str) {
        if phase % 2 == 1 || self.phase.load(Ordering::SeqCst) != phase {
            return;
        }
        let mut counts = self.counts.lock().await;
        if counts.len() <= phase / 2 {
            counts.resize(phase / 2 + 1, [0, 0]);
        }
        counts[phase / 2][usize::from(answer == "canary")] += 1;
    }

    /// How many answers there are of a phase.
    async fn counted(&self, phase: usize) -> [usize; 2] {
        let counts = self.counts.lock().await;
        counts.get(phase / 2).copied().unwrap_or_default()
    }
}

/// Asks on one connection for as long as the test goes on; every answer is whole and a 200.
async fn ask_on_http1(address: SocketAddr, load: Arc<Load>) -> usize {
    let mut client = client::connect(address).await;
    let mut n = 0;
    while !load.over.load(Ordering::SeqCst) {
        let phase = load.phase.load(Ordering::SeqCst);
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert_eq!(answer.field("connection"), None, "{}", answer.head);
        load.count(phase, &answer.text()).await;
        n += 1;
    }
    n
}

async fn ask_on_http2(client: Http2, load: Arc<Load>) -> usize {
    let mut n = 0;
    while !load.over.load(Ordering::SeqCst) {
        let phase = load.phase.load(Ordering::SeqCst);
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        load.count(phase, &answer.text()).await;
        n += 1;
    }
    assert!(!client.is_closed());
    n
}

/// The variants, and besides them a route to a slow download and one to a WebSocket.
fn under_load(pair: &Pair, slow: &Origin, socket: &Origin, weights: [u32; 2]) -> Config {
    let config = pair
        .split(weights, "")
        .upstream("slow", &[slow.address])
        .route("slow", "match = { path = \"/slow\" }\nupstream = \"slow\"")
        .upstream("socket", &[socket.address])
        .route(
            "socket",
            "match = { path = \"/ws\" }\nupstream = \"socket\"",
        )
        .section("[access_log]\noutput = \"off\"");
    secure::with_https(&config, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_rewrites_under_load_fail_nothing_and_are_followed() {
    const REWRITES: usize = 50;
    /// Answers per phase; the draw is a few off the share at any point of its sequence, and what
    /// is asked while the weights change is left out of it.
    const ANSWERS: usize = 200;

    let pair = Pair::start().await;
    let socket = origin::websocket().await;
    let slow = origin::serving(|mut conversation| async move {
        conversation.request().await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {REWRITES}\r\n\r\n");
        conversation.send(head).await;
        for _ in 0..REWRITES {
            conversation.released().await;
            conversation.send("x").await;
        }
    })
    .await;
    let secure = start_loaded(&pair, &slow, &socket).await;
    let proxy = &secure.proxy;

    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..6 {
        clients.spawn(ask_on_http1(proxy.http(), Arc::clone(&load)));
    }
    clients.spawn(ask_on_http2(secure.http2().await, Arc::clone(&load)));
    let mut websocket = websocket::open(client::tcp(proxy.http()).await, "/ws").await;
    let mut download = proxy.connect().await;
    download.wire.send(ask::get("/slow").http1()).await;
    let mut download_head = download.wire.head().await.expect("a head");

    for n in 0..REWRITES {
        // No two in a row are the same, which would be no change.
        let weight = u32::try_from((n + 1) * 37 % 101).expect("small");
        load.phase.store(2 * n + 1, Ordering::SeqCst);
        let before = proxy.generation().await;
        let config = under_load(&pair, &slow, &socket, [100 - weight, weight]);
        proxy::replace(&proxy.file(), config.text());
        proxy.live_after(before).await;
        load.phase.store(2 * n + 2, Ordering::SeqCst);

        slow.release();
        let text = format!("rewrite {n}");
        assert_eq!(websocket.echo(&text).await, text);
        wait::until("answers under these weights", async || {
            assert!(clients.try_join_next().is_none(), "a client ended early");
            let [stable, canary] = load.counted(2 * n + 2).await;
            stable + canary >= ANSWERS
        })
        .await;
        let [stable, canary] = load.counted(2 * n + 2).await;
        let expected = (stable + canary) as f64 * f64::from(weight) / 100.0;
        let off = (canary as f64 - expected).abs();
        assert!(off <= 15.0, "rewrite {n}: {stable}:{canary} at {weight} %");
    }

    load.over.store(true, Ordering::SeqCst);
    let mut n_answers = 0;
    while let Some(ended) = clients.join_next().await {
        n_answers += ended.expect("no client saw a failure");
    }
    assert!(n_answers >= REWRITES * ANSWERS);
    download.wire.response_body(&mut download_head).await;
    assert_eq!(
        (download_head.end, download_head.body.len()),
        (End::Clean, REWRITES)
    );
    websocket.close().await;

    // Nothing failed that no client saw, either.
    let metrics = proxy.metrics().await;
    for code in ["499", "500", "502", "503", "504"] {
        let labels = [("route", "shop"), ("code", code)];
        assert_eq!(
            metrics.sum("tidegate_requests_total", &labels),
            0.0,
            "{code}"
        );
    }
}

async fn start_loaded(pair: &Pair, slow: &Origin, socket: &Origin) -> Secure {
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    let config = under_load(pair, slow, socket, [100, 0]);
    let proxy = proxy::start_in(dir, &config).await;
    Secure { proxy, authority }
}
