//! Life: how the process starts, drains and ends.

use std::fs;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::ask;
use crate::support::client;
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait::{self, PATIENCE};
use crate::support::websocket;

/// An origin that answers when it is released.
async fn held() -> Origin {
    origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.released().await;
            conversation.ok(b"finished").await;
        }
    })
    .await
}

/// A shutdown that waits for whatever runs, far longer than a test.
fn patient(config: Config) -> Config {
    config.shutdown("delay = \"0s\"\nspread = \"0s\"\ntimeout = \"10m\"")
}

async fn refuses(proxy: &Proxy) {
    wait::until("no new connections", async || {
        TcpStream::connect(proxy.http()).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn it_says_that_it_is_not_ready_and_serves_on_for_the_delay() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let config = config.shutdown("delay = \"10m\"\nspread = \"0s\"\ntimeout = \"20m\"");
    let mut proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    proxy.signal(Signal::TERM);
    wait::until("that it is not ready", async || {
        proxy.get_admin("/readyz").await.status == 503
    })
    .await;
    assert_eq!(proxy.get_admin("/livez").await.status, 200);
    assert_eq!(proxy.metrics().await.sum("tidegate_draining", &[]), 1.0);
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(proxy.get("/").await.text(), "hello");
    // A second signal cuts what there is to wait for.
    proxy.signal(Signal::TERM);
    let exit = proxy.exit().await;
    assert_eq!(exit.signal, None, "{exit:?}");
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_then_it_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let origin = held().await;
        let mut proxy = proxy::start(&patient(config::to(origin.address))).await;
        let mut under_way = proxy.connect().await;
        under_way.wire.send(ask::get("/").http1()).await;
        origin.received(1).await;
        proxy.signal(signal);
        refuses(&proxy).await;
        origin.release();
        let answer = under_way.answer("GET").await;
        assert_eq!(
            (answer.text().as_str(), answer.end),
            ("finished", End::Clean)
        );
        assert_eq!(answer.field("connection"), Some("close"));
        under_way.wire.ended().await;
        assert_eq!(proxy.exit().await.code, Some(0));
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&patient(config::to(origin.address))).await;
    let mut proxy = secure.proxy;
    let mut fresh = proxy.connect().await;
    let mut used = proxy.connect().await;
    assert_eq!(used.get("/").await.text(), "hello");
    proxy.signal(Signal::TERM);
    fresh.wire.ended().await;
    used.wire.ended().await;
    assert_eq!(proxy.exit().await.code, Some(0));
}

#[tokio::test]
async fn http2_streams_are_finished_and_no_new_ones_taken() {
    let origin = held().await;
    let mut secure = secure::start(&patient(config::to(origin.address))).await;
    let client = secure.http2().await;
    let idle = secure.http2().await;
    let ask = ask::get("/");
    let (answer, ()) = tokio::join!(client.ask(&ask), async {
        origin.received(1).await;
        secure.proxy.signal(Signal::TERM);
        wait::until("GOAWAY", async || idle.is_closed()).await;
        origin.release();
    });
    assert_eq!(
        (answer.text().as_str(), answer.end),
        ("finished", End::Clean)
    );
    wait::until("the close", async || client.is_closed()).await;
    assert_eq!(secure.proxy.exit().await.code, Some(0));
}

#[tokio::test]
async fn at_the_deadline_what_still_runs_is_cut() {
    let origin = held().await;
    let config = config::to(origin.address);
    let config = config.shutdown("delay = \"0s\"\nspread = \"0s\"\ntimeout = \"300ms\"");
    let mut proxy = proxy::start(&config).await;
    let mut under_way = proxy.connect().await;
    under_way.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    proxy.signal(Signal::TERM);
    let exit = proxy.exit().await;
    assert_eq!(exit.signal, None, "{exit:?}");
    assert!(under_way.wire.try_response("GET").await.is_none());
    let log = proxy.process.stderr();
    assert!(log.contains("cut"), "what was cut is said: {log}");
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let origin = held().await;
    let mut proxy = proxy::start(&patient(config::to(origin.address))).await;
    let mut under_way = proxy.connect().await;
    under_way.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    proxy.signal(Signal::TERM);
    refuses(&proxy).await;
    proxy.signal(Signal::TERM);
    let exit = proxy.exit().await;
    assert_eq!(exit.signal, None, "{exit:?}");
}

#[tokio::test]
async fn a_tunnel_is_let_finish_until_the_deadline() {
    let origin = origin::websocket().await;
    let mut proxy = proxy::start(&patient(config::to(origin.address))).await;
    let stream = client::tcp(proxy.http()).await;
    let mut socket = websocket::open(stream, "/ws").await;
    proxy.signal(Signal::TERM);
    refuses(&proxy).await;
    assert_eq!(socket.echo("still here").await, "still here");
    socket.close().await;
    assert_eq!(proxy.exit().await.code, Some(0));
}

#[tokio::test]
async fn a_spread_shutdown_closes_all_in_its_time() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let config = config.shutdown("delay = \"0s\"\nspread = \"500ms\"\ntimeout = \"10m\"");
    let mut proxy = proxy::start(&config).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.text(), "hello");
        clients.push(client);
    }
    proxy.signal(Signal::TERM);
    for client in &mut clients {
        client.wire.ended().await;
    }
    assert_eq!(proxy.exit().await.code, Some(0));
}

/// Runs the proxy with this text as its file, to its end.
async fn run(text: &str) -> command::Output {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("tidegate.toml");
    fs::write(&file, text).expect("a file");
    command::run(&["run", "--config", file.to_str().expect("a path")]).await
}

#[tokio::test]
async fn a_bad_configuration_ends_it_with_1_and_all_problems() {
    let origin = origin::answering("hello").await;
    let text = config::to(origin.address)
        .route(
            "first",
            "match = { path = \"/a\" }\nupstream = \"nonesuch\"",
        )
        .route("second", "upstrem = \"only\"")
        .text();
    let output = run(&text).await;
    assert_eq!(output.code, 1, "{output:?}");
    for key in ["route.first.upstream", "route.second"] {
        assert!(output.stderr.contains(key), "{key}: {output:?}");
    }
    assert!(output.stderr.contains("tidegate.toml:"), "{output:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_or_an_address_that_is_taken_ends_it_with_1() {
    let output = command::run(&["run", "--config", "/nonexistent/tidegate.toml"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("/nonexistent"), "{output:?}");

    let origin = origin::answering("hello").await;
    let taken = format!("address = \"{}\"", origin.address);
    let output = run(&config::to(origin.address).listener("taken", &taken).text()).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("taken"), "{output:?}");
}

#[tokio::test]
async fn it_tells_systemd_when_it_is_ready_and_when_it_stops() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    let config = config::to(origin.address);
    let mut proxy = proxy::start_as(dir, &config, |command, dir| {
        command.env("NOTIFY_SOCKET", dir.join("notify"));
    })
    .await;
    // Blocking, with a timeout: nothing else runs in this test.
    let next = || {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let until = |word: &str| {
        let mut said = Vec::new();
        while !said.iter().any(|message: &String| message.contains(word)) {
            said.push(next());
            assert!(said.len() < 20, "no {word}: {said:?}");
        }
    };
    until("READY=1");
    proxy.signal(Signal::TERM);
    until("STOPPING=1");
    assert_eq!(proxy.exit().await.code, Some(0));
}
