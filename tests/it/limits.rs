//! Limits: what is too large is refused with the status that says so, and what is too much waits.

use std::process::Command;

use tempfile::TempDir;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::message::{End, Message};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait;

/// How many files the proxy may open where its table is to be full.
const FILES: usize = 64;

async fn limited(keys: &str) -> (Origin, Proxy) {
    let origin = origin::echo().await;
    let config = config::to(origin.address).http(keys);
    let proxy = proxy::start(&config).await;
    (origin, proxy)
}

/// Sends bytes and expects this status, the end of the connection, and nothing at the origin.
async fn refused(keys: &str, bytes: &str, status: u16) {
    let (origin, proxy) = limited(keys).await;
    let answer = client::raw(proxy.http(), bytes).await;
    assert_eq!(Message::from_head(&answer).status, status, "{keys}");
    assert_eq!(origin.n_requests(), 0);
    assert_eq!(proxy.get("/").await.status, 200);
}

#[tokio::test]
async fn a_target_that_is_too_long_is_414() {
    let long = "a".repeat(9000);
    let request = format!("GET /{long} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    refused("", &request, 414).await;
    // It is known before the line has come to its end.
    refused("", &format!("GET /{long}"), 414).await;
    let request = format!("GET /{} HTTP/1.1\r\nhost: a.test\r\n\r\n", "a".repeat(200));
    refused("limits = { uri = \"128B\" }", &request, 414).await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_431() {
    let long = "a".repeat(70_000);
    let request = format!("GET / HTTP/1.1\r\nhost: a.test\r\nx-a: {long}\r\n\r\n");
    refused("", &request, 431).await;
    let endless = format!("GET / HTTP/1.1\r\nhost: a.test\r\nx-a: {long}");
    refused("", &endless, 431).await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a.test\r\nx-a: {}\r\n\r\n",
        "a".repeat(2000)
    );
    refused("limits = { head = \"1KiB\" }", &request, 431).await;
}

#[tokio::test]
async fn too_many_fields_are_431() {
    let fields = "x-a: b\r\n".repeat(101);
    let request = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
    refused("", &request, 431).await;
    let fields = "x-a: b\r\n".repeat(8);
    let request = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
    refused("limits = { fields = 8 }", &request, 431).await;
}

#[tokio::test]
async fn what_is_as_large_as_the_limit_passes() {
    let keys = "limits = { fields = 8, body = \"10B\" }";
    let (_origin, proxy) = limited(keys).await;
    let fields = "x-a: b\r\n".repeat(6);
    let mut client = proxy.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n{fields}\r\n");
    client.wire.send(head + "0123456789").await;
    assert_eq!(client.answer("POST").await.text(), "0123456789");
}

#[tokio::test]
async fn a_body_whose_length_is_too_large_is_413_before_it_comes() {
    let request = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 11\r\n\r\n";
    refused("limits = { body = \"10B\" }", request, 413).await;
}

#[tokio::test]
async fn chunks_that_grow_too_large_are_413_and_never_ended() {
    let (origin, proxy) = limited("limits = { body = \"10B\" }").await;
    let mut client = proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.wire.send(head).await;
    client.wire.send("8\r\n01234567\r\n").await;
    origin.received(1).await;
    client.wire.send("8\r\n01234567\r\n").await;
    assert_eq!(client.answer("POST").await.status, 413);
    client.wire.ended().await;
    origin.all_closed().await;
    assert_eq!(origin.request().end, End::Cut);
}

#[tokio::test]
async fn an_http2_body_that_is_too_large_is_413() {
    let origin = origin::echo().await;
    let config = config::to(origin.address);
    let secure = secure::start_with(&config, "limits = { body = \"10B\" }").await;
    let client = secure.http2().await;
    assert_eq!(
        client.ask(&ask::post("/", "0123456789")).await.text(),
        "0123456789"
    );
    assert_eq!(client.ask(&ask::post("/", "0123456789a")).await.status, 413);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_listener_takes_as_many_connections_as_it_may() {
    let (_origin, proxy) = limited("limits = { connections = 4 }").await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.status, 200);
        clients.push(client);
    }
    // A fifth one is either kept waiting or sent away; served it is when there is room again.
    let mut fifth = proxy.connect().await;
    let sent = fifth.wire.try_send(ask::get("/").http1()).await;
    for client in &mut clients {
        assert_eq!(client.get("/").await.status, 200);
    }
    let early = sent.is_ok() && fifth.wire.poll().await;
    if early {
        let answer = fifth.wire.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            !answer.contains(" 200 "),
            "one too many was served: {answer}"
        );
    }
    drop(clients);
    wait::until("room for a client", async || {
        let mut client = proxy.connect().await;
        let sent = client.wire.try_send(ask::get("/").http1()).await;
        sent.is_ok()
            && client
                .wire
                .try_response("GET")
                .await
                .is_some_and(|answer| answer.status == 200)
    })
    .await;
}

#[tokio::test]
async fn a_full_file_table_pauses_accepting_and_recovers_by_itself() {
    let origin = origin::answering("hello").await;
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

    // More clients than it can have files: some are served, the others wait in the queue.
    let mut clients = Vec::new();
    for _ in 0..2 * FILES {
        let mut client = proxy.connect().await;
        client.wire.send("GET / HTTP/1.1\r\n").await;
        clients.push(client);
    }
    // A quarter of it is left to upstreams and the admin listener.
    wait::until("a table that is full", async || {
        proxy.open_files() + 2 >= FILES / 4 * 3
    })
    .await;
    drop(clients);

    wait::until("the table has room again", async || {
        proxy.open_files() < FILES / 8 * 5
    })
    .await;
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.text(), "hello");
    }
}
