//! Clients by the hundred that are as slow as they may be: none of them holds anything for long, and
//! nobody else notices.

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::frames::Frames;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::siege::{self, GROWTH};

/// How many there are.
const N: usize = 300;

/// How much the listener gives them.
const IMPATIENT: &str = "timeouts = { first_byte = \"2s\", header = \"2s\", body = \"2s\" }";

/// Bytes of an answer that does not fit into what the kernel takes for a client that reads nothing.
const LARGE: usize = 32 * 1024 * 1024;

/// How many clients that take nothing there are: the kernel holds megabytes for each.
const N_READERS: usize = 60;

/// How much of an answer the proxy may hold for each such client.
const HELD: u64 = 160 * 1024;

/// Answers `/large` with much, and all else with little.
async fn origin() -> Origin {
    origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            match request.target() {
                "/large" => {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
                    conversation.send(head).await;
                    let piece = [b'x'; 64 * 1024];
                    for _ in 0..LARGE / piece.len() {
                        if conversation.wire.send_patiently(&piece).await.is_err() {
                            return;
                        }
                    }
                }
                _ => conversation.ok(b"fine").await,
            }
        }
    })
    .await
}

async fn start(change: impl FnOnce(Config) -> Config) -> (Origin, Proxy) {
    let origin = origin().await;
    let config = config::to(origin.address).http(IMPATIENT);
    let proxy = proxy::start(&change(config)).await;
    (origin, proxy)
}

/// Connects so many clients that all say the same.
async fn clients(n: usize, proxy: &Proxy, bytes: &[u8]) -> Vec<Client> {
    let mut clients = Vec::with_capacity(n);
    for _ in 0..n {
        let mut client = proxy.connect().await;
        client.wire.send(bytes).await;
        clients.push(client);
    }
    clients
}

/// Lets all of them say a byte more once in a while, until each has its answer.
async fn answers(clients: Vec<Client>, status: u16) {
    for mut client in clients {
        let period = std::time::Duration::from_millis(50);
        assert_eq!(client.drip("x", period).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_come_byte_by_byte_are_408_in_time() {
    let (origin, proxy) = start(|config| config).await;
    let attack = async {
        let head = "GET / HTTP/1.1\r\nhost: edge.test\r\nx-slow: ";
        answers(clients(N, &proxy, head.as_bytes()).await, 408).await;
    };
    siege::withstood(&proxy, GROWTH, attack).await;
    let metrics = proxy.metrics().await;
    let labels = [("listener", "http"), ("code", "408")];
    let n = metrics.sum("tidegate_unrouted_requests_total", &labels);
    assert_eq!(n, N as f64);
    assert!(origin.requests().iter().all(|one| one.target() == "/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_stop_coming_are_408_in_time() {
    let (_origin, proxy) = start(|config| config).await;
    let attack = async {
        let head = "POST / HTTP/1.1\r\nhost: edge.test\r\ncontent-length: 100\r\n\r\nx";
        for mut client in clients(N, &proxy, head.as_bytes()).await {
            assert_eq!(client.answer("POST").await.status, 408);
        }
    };
    siege::withstood(&proxy, GROWTH, attack).await;
    let metrics = proxy.metrics().await;
    let labels = [("route", "all"), ("reason", "client_timeout")];
    assert_eq!(metrics.sum("tidegate_errors_total", &labels), N as f64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_take_their_answer_are_cut_and_little_is_held_for_them() {
    let (_origin, proxy) = start(|config| config).await;
    let attack = async {
        let ask = ask::get("/large").http1();
        let clients = clients(N_READERS, &proxy, &ask).await;
        proxy
            .counted("all of them are cut", |metrics| {
                let labels = [("route", "all"), ("reason", "client_timeout")];
                metrics.sum("tidegate_errors_total", &labels) == N_READERS as f64
            })
            .await;
        drop(clients);
    };
    siege::withstood(&proxy, N_READERS as u64 * HELD, attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_without_a_window_are_cut_and_little_is_held_for_them() {
    let (_origin, proxy) = start(Config::http2_too).await;
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/large"),
        (":authority", "edge.test"),
    ];
    let attack = async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = Frames::over(siege::begin(&proxy).await);
            // RFC 9113, section 6.5.2: SETTINGS_INITIAL_WINDOW_SIZE is 0.
            client.frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
            for n in 0..100 {
                client.request(2 * n + 1, &get).await;
            }
            clients.push(client);
        }
        proxy
            .counted("all of them are cut", |metrics| {
                let labels = [("route", "all"), ("reason", "client_closed")];
                metrics.sum("tidegate_errors_total", &labels) == 400.0
            })
            .await;
        drop(clients);
    };
    siege::withstood(&proxy, 400 * HELD, attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pings_and_never_reads_is_held_in_no_memory() {
    let (_origin, proxy) = start(Config::http2_too).await;
    let attack = async {
        let mut client = client::over(siege::begin(&proxy).await);
        let ping = crate::support::frames::bytes(6, 0, 0, b"12345678");
        let pings = ping.repeat(1000);
        // As long as somebody takes them; then they wait with the client.
        let mut sent = 0;
        while sent < 2000 {
            let sending = client.wire.send_patiently(&pings);
            let short = std::time::Duration::from_millis(300);
            match tokio::time::timeout(short, sending).await {
                Ok(Ok(())) => sent += 1,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        assert!(sent < 2000, "all of them were taken");
    };
    siege::withstood(&proxy, GROWTH, attack).await;
}
