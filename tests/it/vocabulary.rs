//! The vocabulary itself: clients and origins understand each other without a proxy in between.

use std::process::Command;

use crate::support::ask;
use crate::support::client;
use crate::support::message::End;
use crate::support::origin;
use crate::support::tool;
use crate::support::websocket;

#[tokio::test]
async fn an_origin_writes_down_the_exact_bytes() {
    let origin = origin::answering("hello").await;
    let answer = client::once(origin.address, &ask::post("/a?b", "body")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let sent = ask::post("/a?b", "body").http1();
    assert_eq!(origin.bytes(), sent);
    let request = origin.request();
    assert_eq!((request.method(), request.target()), ("POST", "/a?b"));
    assert_eq!(request.body, b"body");
    origin.all_closed().await;
    assert_eq!((origin.n_connections(), origin.n_open()), (1, 0));
}

#[tokio::test]
async fn a_client_tells_a_whole_body_from_a_cut_one() {
    check("content-length: 5\r\n\r\nhello", End::Clean).await;
    check("content-length: 6\r\n\r\nhello", End::Cut).await;
    check("\r\nhello", End::Clean).await;
    let chunked = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    check(&format!("{chunked}0\r\n\r\n"), End::Clean).await;
    check(&format!("{chunked}0\r\n"), End::Cut).await;
    check(chunked, End::Cut).await;

    async fn check(rest: &str, end: End) {
        let origin = origin::raw_then_close(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        let answer = client::once(origin.address, &ask::get("/")).await;
        assert_eq!((answer.text().as_str(), answer.end), ("hello", end));
    }
}

#[tokio::test]
async fn an_origin_may_be_unreachable_or_refuse() {
    let refusing = origin::refusing();
    let error = tokio::net::TcpStream::connect(refusing.address).await;
    let error = error.expect_err("it refuses");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);

    let unreachable = origin::unreachable();
    let connecting = tokio::net::TcpStream::connect(unreachable.address);
    let short = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(short, connecting).await.is_err());
}

#[tokio::test]
async fn a_websocket_sends_back_what_it_gets() {
    let origin = origin::websocket().await;
    let mut socket = websocket::open(client::tcp(origin.address).await, "/ws").await;
    assert_eq!(socket.echo("ping").await, "ping");
    socket.close().await;
    origin.all_closed().await;
}

#[test]
fn the_peers_from_elsewhere_are_there() {
    let Some(python) = tool::python() else {
        return;
    };
    let imports = "import grpc, grpc_health, h2.connection, websockets; print('all')";
    let said = tool::run(Command::new(python).args(["-c", imports]));
    assert_eq!(said.trim(), "all");
}
