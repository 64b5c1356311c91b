//! Large bodies, which go from socket to socket: they come whole, or are seen not to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::origin;
use crate::support::proxy;
use crate::support::wait::within;

const BYTES: usize = 5 * 1024 * 1024 + 17;

/// Bytes of which no two pieces are the same.
fn pattern() -> Vec<u8> {
    (0..BYTES as u32 / 4 + 1)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_ne_bytes())
        .take(BYTES)
        .collect()
}

#[tokio::test]
async fn a_large_body_comes_out_as_it_went_in_both_ways_and_its_connections_go_on() {
    let origin = origin::echo().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let body = pattern();
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        let answer = client.ask(&ask::post("/", body.clone())).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "other bytes");
    }
    let answer = client.ask(&ask::post("/", "small")).await;
    assert_eq!(answer.text(), "small");
    assert!(origin.requests()[0].body == body, "other bytes");
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn a_reader_with_little_room_gets_all_of_a_large_body() {
    let origin = origin::answering(pattern()).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let connecting = socket.connect(proxy.http());
    let mut stream = within("a connection", connecting).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut got = Vec::new();
    within("all of it", stream.read_to_end(&mut got))
        .await
        .unwrap();
    assert!(got.ends_with(&pattern()), "other bytes, {}", got.len());
}

#[tokio::test]
async fn a_large_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n");
    let half = [head.as_bytes(), &pattern()[..BYTES / 2]].concat();
    let origin = origin::raw_then_close(half).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let got = client::raw(proxy.http(), "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let body = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(got[body..] == pattern()[..BYTES / 2], "other bytes");
}
