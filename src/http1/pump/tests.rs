//! Bodies between two streams in memory, whose buffers are small enough to fill.

use std::future::poll_fn;

use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;

use crate::http1::{Connection, Incoming, Outgoing, Pump, PumpError, Sink, Wire};
use crate::message::{Framing, Limits};

impl Wire for DuplexStream {
    fn source(&mut self) -> Option<&TcpStream> {
        None
    }

    fn sink(&self) -> Option<Sink<'_>> {
        None
    }
}

/// Sends `input` in pieces of `piece` bytes through a pump; gives what came out, or why it failed,
/// and what is left for the next message.
async fn pumped(
    input: &[u8],
    piece: usize,
    framing: Framing,
    outgoing: Outgoing,
    limit: Option<u64>,
) -> (Vec<u8>, Result<(), PumpError>, Vec<u8>) {
    let (mut sender, from) = duplex(7);
    let (mut to, mut receiver) = duplex(5);
    let send = async move {
        for piece in input.chunks(piece.max(1)) {
            // The pump may have what it wants before everything is sent.
            if sender.write_all(piece).await.is_err() {
                break;
            }
        }
    };
    let receive = async move {
        let mut got = Vec::new();
        receiver.read_to_end(&mut got).await.unwrap();
        got
    };
    let pump = async move {
        let mut from = Connection::new(from);
        let mut pump = Pump::new(Incoming::new(framing, &Limits::default()), outgoing, limit);
        let result = poll_fn(|context| pump.poll(context, &mut from, &mut to)).await;
        drop(to);
        (result, from.inbox().to_vec())
    };
    let ((), got, (result, left)) = tokio::join!(send, receive, pump);
    (got, result, left)
}

#[tokio::test]
async fn a_length_is_kept_and_what_follows_is_left() {
    let (got, result, _) = pumped(b"helloGET", 8, Framing::Length(5), Outgoing::Raw, None).await;
    assert!(result.is_ok());
    assert_eq!(got, b"hello");
}

#[tokio::test]
async fn a_cut_body_gets_no_clean_end() {
    let (got, result, _) = pumped(b"hel", 8, Framing::Length(5), Outgoing::Chunked, None).await;
    assert!(matches!(result, Err(PumpError::Cut)));
    assert!(!got.ends_with(b"0\r\n\r\n"));
    let chunked = b"3\r\nhel\r\n";
    let (got, result, _) = pumped(chunked, 8, Framing::Chunked, Outgoing::Chunked, None).await;
    assert!(matches!(result, Err(PumpError::Cut)));
    assert!(!got.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let chunked = b"3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n";
    let (_, result, _) = pumped(chunked, 64, Framing::Chunked, Outgoing::Chunked, Some(5)).await;
    assert!(matches!(result, Err(PumpError::TooLarge)));
    let (_, result, _) = pumped(chunked, 64, Framing::Chunked, Outgoing::Chunked, Some(6)).await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn trailers_go_through() {
    let chunked = b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (got, result, _) = pumped(chunked, 64, Framing::Chunked, Outgoing::Chunked, None).await;
    assert!(result.is_ok());
    assert!(got.ends_with(b"0\r\nX-Sum: 1\r\n\r\n"), "{got:?}");
}

/// Writes a body as chunks of these sizes.
fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size.max(1)) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Reads a body from chunks, strictly.
fn dechunk(mut chunked: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunked.windows(2).position(|pair| pair == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&chunked[..end]).ok()?, 16).ok()?;
        chunked = &chunked[end + 2..];
        if size == 0 {
            return (chunked == b"\r\n").then_some(body);
        }
        body.extend_from_slice(chunked.get(..size)?);
        chunked = chunked.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_body_arrives_whole_however_it_is_framed_and_split(
        body in prop::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..40,
        size in 1_usize..50,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let length = Framing::Length(body.len() as u64);
            for (input, framing) in [
                (body.clone(), length),
                (chunks(&body, size), Framing::Chunked),
                (body.clone(), Framing::UntilClose),
            ] {
                let (raw, result, _) = pumped(&input, piece, framing, Outgoing::Raw, None).await;
                prop_assert_eq!(result.is_ok(), true);
                prop_assert_eq!(&raw, &body);
                let (out, result, _) =
                    pumped(&input, piece, framing, Outgoing::Chunked, None).await;
                prop_assert_eq!(result.is_ok(), true);
                // A body whose length was told to be nothing needs no chunks: it has no bytes.
                if !(body.is_empty() && framing == length) {
                    prop_assert_eq!(dechunk(&out), Some(body.clone()));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_decoded_body_is_the_body(
        body in prop::collection::vec(any::<u8>(), 0..300),
        size in 1_usize..50,
    ) {
        for (input, framing) in [
            (body.clone(), Framing::Length(body.len() as u64)),
            (chunks(&body, size), Framing::Chunked),
        ] {
            let incoming = Incoming::new(framing, &Limits::default());
            let mut pump = Pump::new(incoming, Outgoing::Raw, None);
            let mut out = Vec::new();
            let used = pump.decode(&input, &mut out).unwrap();
            prop_assert_eq!(used, input.len());
            prop_assert_eq!(pump.is_read(), true);
            prop_assert_eq!(&out, &body);
        }
    }
}
