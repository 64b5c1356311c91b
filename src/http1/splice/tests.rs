//! Bytes through a pipe between real sockets.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http1::splice::{PIPE_BYTES, PIPES, Piped, Sink};

/// Two ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

async fn fill(from: &TcpStream) -> Option<Piped> {
    let filled = poll_fn(|context| Piped::poll_fill(context, from, PIPE_BYTES)).await;
    filled.unwrap()
}

fn n_kept() -> usize {
    PIPES.with_borrow(Vec::len)
}

#[tokio::test]
async fn bytes_come_out_as_they_went_in_and_the_pipe_is_kept() {
    let ((mut sender, from), (to, mut receiver)) = (connection().await, connection().await);
    let expected: Vec<u8> = (0..3 * PIPE_BYTES).map(|n| (n % 251) as u8).collect();
    let sent = expected.clone();
    let send = async move {
        sender.write_all(&sent).await.unwrap();
        drop(sender);
    };
    let carry = async move {
        let mut written = 0;
        while let Some(mut piped) = fill(&from).await {
            poll_fn(|context| piped.poll_drain(context, Sink::Reactor(&to), |n| written += n))
                .await
                .unwrap();
            assert_eq!(piped.held(), 0);
            piped.end();
        }
        written
    };
    let receive = async move {
        let mut got = Vec::new();
        receiver.read_to_end(&mut got).await.unwrap();
        got
    };
    let ((), written, got) = tokio::join!(send, carry, receive);
    assert_eq!(written, expected.len());
    assert!(got == expected, "other bytes");
    assert_eq!(n_kept(), 1);
}

#[tokio::test]
async fn a_pipe_with_bytes_in_it_is_not_used_again() {
    let (mut sender, from) = connection().await;
    poll_fn(|context| {
        assert!(Piped::poll_fill(context, &from, PIPE_BYTES).is_pending());
        Poll::Ready(())
    })
    .await;
    sender.write_all(b"hello").await.unwrap();
    let piped = fill(&from).await.expect("bytes came");
    assert_eq!(piped.held(), 5);
    piped.end();
    assert_eq!(n_kept(), 0);
}
