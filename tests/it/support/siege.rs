//! Sieges: a client or many do their worst, while others ask for what they need and get it, and the
//! proxy's memory stays as it is.

use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client;
use crate::support::frames::{self, GOAWAY};
use crate::support::proxy::Proxy;
use crate::support::wait::within;

/// How much the memory may grow by: buffers and what the allocator makes of them, far less than
/// what is sent.
pub(crate) const GROWTH: u64 = 16 * 1024 * 1024;

/// How much is written at once.
const PIECE: usize = 16 * 1024;

/// Lets `attack` happen while others are served, one after the other; what it takes of memory is
/// less than `growth`.
pub(crate) async fn withstood<T>(proxy: &Proxy, growth: u64, attack: impl Future<Output = T>) -> T {
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    let before = proxy.peak_memory();
    let mut attack = pin!(attack);
    let outcome = loop {
        tokio::select! {
            outcome = &mut attack => break outcome,
            answer = proxy.get("/") => assert_eq!(answer.status, 200),
        }
    };
    assert_eq!(proxy.get("/").await.status, 200);
    let grown = proxy.peak_memory() - before;
    assert!(grown < growth, "grown by {grown} bytes");
    outcome
}

/// Begins a connection of HTTP/2 to the listener `http`, sends `first` and then pieces until the
/// proxy has had enough or there are none, and reads all that comes until the proxy ends it. Gives
/// the error codes of GOAWAY that came, in their order.
pub(crate) async fn flood(
    proxy: &Proxy,
    first: &[u8],
    pieces: impl Iterator<Item = Vec<u8>>,
) -> Vec<u32> {
    let (mut reader, mut writer) = begin(proxy).await.into_split();
    let reading = async {
        let mut bytes = Vec::new();
        // A reset ends it as well.
        let _ended = reader.read_to_end(&mut bytes).await;
        bytes
    };
    let writing = async {
        let mut gathered = first.to_vec();
        for piece in pieces {
            gathered.extend(piece);
            if gathered.len() < PIECE {
                continue;
            }
            if writer.write_all(&gathered).await.is_err() {
                return;
            }
            gathered.clear();
        }
        // Whoever has ended it takes no more.
        writer.write_all(&gathered).await.unwrap_or_default();
    };
    let both = async { tokio::join!(reading, writing) };
    let (read, ()) = within("the end of a flood", both).await;
    goaways(&read)
}

/// A connection on which HTTP/2 has begun.
pub(crate) async fn begin(proxy: &Proxy) -> TcpStream {
    let mut stream = client::tcp(proxy.http()).await;
    let begin = [
        frames::PREFACE.to_vec(),
        frames::bytes(frames::SETTINGS, 0, 0, &[]),
    ];
    stream.write_all(&begin.concat()).await.expect("it is read");
    stream
}

/// The error codes of all GOAWAY frames.
fn goaways(mut bytes: &[u8]) -> Vec<u32> {
    let mut codes = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        if *kind == GOAWAY {
            codes.push(u32::from_be_bytes(
                *payload[4..].first_chunk().expect("a code"),
            ));
        }
        bytes = rest;
    }
    codes
}
