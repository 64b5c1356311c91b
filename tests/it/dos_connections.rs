//! Clients that hold connections and ask for nothing, by the thousand: they cost little, they are
//! closed in time, and nobody else notices.

use std::process::Command;

use tempfile::TempDir;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::frames::Frames;
use crate::support::origin;
use crate::support::proxy;
use crate::support::secure;
use crate::support::siege::{self, GROWTH};
use crate::support::wait;

/// How many there are. The test has a descriptor for each, too, and so have other tests.
const N: usize = 1500;

/// How much one of them may take.
const EACH: u64 = 8 * 1024;

/// Fewer handshakes: each of them costs.
const N_TLS: usize = 300;
const EACH_TLS: u64 = 64 * 1024;

/// How many files the proxy may open where its table is to be full.
const FILES: usize = 64;

const REJECTED: &str = "tidegate_downstream_connections_rejected_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_by_the_thousand_cost_little_and_are_closed_in_time() {
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address)
        .http2_too()
        .http("timeouts = { first_byte = \"5s\" }");
    let proxy = proxy::start(&config).await;
    let attack = async {
        let mut silent = Vec::with_capacity(N);
        for n in 0..N {
            silent.push(match n {
                // HTTP/2 has begun, and nothing comes of it.
                0..100 => siege::begin(&proxy).await,
                _ => client::tcp(proxy.http()).await,
            });
        }
        let labels = [("listener", "http"), ("reason", "timeout")];
        proxy
            .counted("all of them are closed", |metrics| {
                metrics.sum(REJECTED, &labels) == N as f64
            })
            .await;
        silent
    };
    let silent = siege::withstood(&proxy, GROWTH + N as u64 * EACH, attack).await;
    drop(silent);
    wait::until("no connection is left", async || {
        proxy.status().await["listeners"]["http"]["connections"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_of_tls_that_stall_are_closed_in_time() {
    let origin = origin::answering("fine").await;
    let keys = "timeouts = { tls = \"3s\" }";
    let secure = secure::start_with(&config::to(origin.address), keys).await;
    let proxy = &secure.proxy;
    let attack = async {
        let mut stalled = Vec::with_capacity(N_TLS);
        for n in 0..N_TLS {
            let mut client = client::connect(proxy.address("https")).await;
            // Nothing at all, or the beginning of a record that is longer.
            if n % 2 == 0 {
                client.wire.send([22, 3, 1, 64, 0, 1, 0, 63, 252]).await;
            }
            stalled.push(client);
        }
        // Others shake hands meanwhile.
        assert_eq!(secure.http1().await.get("/").await.text(), "fine");
        assert_eq!(secure.http2().await.get("/").await.text(), "fine");
        let labels = [("listener", "https"), ("reason", "timeout")];
        proxy
            .counted("all of them are closed", |metrics| {
                metrics.sum(REJECTED, &labels) == N_TLS as f64
            })
            .await;
        stalled
    };
    let growth = GROWTH + N_TLS as u64 * EACH_TLS;
    drop(siege::withstood(proxy, growth, attack).await);
    assert_eq!(secure.http1().await.get("/").await.text(), "fine");
}

#[tokio::test]
async fn an_http2_client_that_never_asks_is_counted() {
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address)
        .http2_too()
        .http("timeouts = { first_byte = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    let mut client = Frames::over(siege::begin(&proxy).await);
    // Once is enough to show that it is there; again and again is another thing.
    assert!(client.ping().await);
    let labels = [("listener", "http"), ("reason", "timeout")];
    proxy
        .counted("it is counted", |metrics| {
            metrics.sum(REJECTED, &labels) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_listener_that_is_full_says_so() {
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address).http("limits = { connections = 2 }");
    let proxy = proxy::start(&config).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.status, 200);
        clients.push(client);
    }
    let mut waiting = proxy.connect().await;
    waiting.wire.send(ask::get("/").http1()).await;
    let labels = [("listener", "http"), ("reason", "limit")];
    proxy
        .counted("a pause", |metrics| {
            metrics.sum("tidegate_accept_pauses_total", &labels) >= 1.0
        })
        .await;
    drop(clients);
    assert_eq!(waiting.answer("GET").await.status, 200);
}

#[tokio::test]
async fn a_flood_of_connections_at_the_limit_of_files_takes_no_processor_time() {
    let origin = origin::answering("fine").await;
    let dir = TempDir::new().expect("a directory");
    let config = config::to(origin.address);
    std::fs::write(dir.path().join("tidegate.toml"), config.text()).expect("a file");
    let mut command = Command::new("sh");
    let script = "ulimit -n \"$1\" && exec \"$0\" run --config tidegate.toml \
                  --ready-file ready.json";
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_tidegate")])
        .arg(FILES.to_string())
        .current_dir(dir.path());
    let proxy = proxy::launch(dir, command).await;
    // They are there before the flood, and go on being served.
    let mut before = proxy.connect().await;
    assert_eq!(before.get("/").await.status, 200);
    let mut flood = Vec::new();
    for _ in 0..4 * FILES {
        flood.push(client::tcp(proxy.http()).await);
    }
    // Who comes to the admin listener now is answered all the same.
    let pauses = async || {
        let metrics = proxy.metrics().await;
        metrics.sum("tidegate_accept_pauses_total", &[("reason", "resources")])
    };
    wait::until("a pause", async || pauses().await >= 1.0).await;
    // Each rest is twice as long as the one before, so that by then seconds have passed. A loop
    // that spins has used as many by then, of each worker.
    let used = proxy.processor_time();
    wait::until("rests that grow", async || {
        assert_eq!(before.get("/").await.text(), "fine");
        pauses().await >= 16.0
    })
    .await;
    let used = proxy.processor_time() - used;
    assert!(pauses().await < 40.0);
    drop(flood);
    wait::until("room again", async || {
        let mut client = proxy.connect().await;
        client.wire.try_send(ask::get("/").http1()).await.is_ok()
            && client.wire.try_response("GET").await.is_some()
    })
    .await;
    assert!(used.as_millis() < 2000, "{used:?}");
}
