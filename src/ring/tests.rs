//! Streams over a real ring, and what their peers see.

use std::cell::Cell;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split};
use tokio::task::{LocalSet, spawn_blocking, spawn_local, yield_now};
use tokio::time::timeout;

use crate::ring::kernel::BUFFER_BYTES;
use crate::ring::{Stream, probe, run, start, turn};

/// How long a test waits for what should be at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a thread with a ring; where the kernel gives none there is nothing to test.
fn with_ring<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    if let Err(error) = probe() {
        eprintln!("left out: no io_uring here ({error})");
        return;
    }
    start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(turn)
        .on_thread_unpark(turn)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        spawn_local(async { run().await.unwrap() });
        timeout(PATIENCE, test()).await.expect("done in time");
    });
}

/// A stream over the ring, and the other end of it.
fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (Stream::new(near), far)
}

/// What the peer reads until the end.
async fn read_all(mut far: TcpStream) -> std::io::Result<Vec<u8>> {
    spawn_blocking(move || {
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
    .unwrap()
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i / 251) as u8 ^ (i % 251) as u8).collect()
}

#[test]
fn what_is_written_arrives_in_order_whatever_its_pieces() {
    with_ring(|| async {
        for piece in [1, 700, BUFFER_BYTES - 1, BUFFER_BYTES, 100_000] {
            let (mut stream, far) = pair();
            let sent = pattern(piece * 7 + 3);
            let reading = spawn_local(read_all(far));
            for piece in sent.chunks(piece) {
                stream.write_all(piece).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            assert!(reading.await.unwrap().unwrap() == sent, "pieces of {piece}");
        }
    });
}

#[test]
fn what_the_peer_writes_is_read_in_order_whatever_its_pieces() {
    with_ring(|| async {
        for piece in [1, 700, BUFFER_BYTES - 1, BUFFER_BYTES, 100_000] {
            let (mut stream, mut far) = pair();
            let sent = pattern(piece * 7 + 3);
            let writing = spawn_blocking({
                let sent = sent.clone();
                move || {
                    sent.chunks(piece)
                        .for_each(|piece| far.write_all(piece).unwrap());
                }
            });
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            writing.await.unwrap();
            assert!(read == sent, "pieces of {piece}");
        }
    });
}

#[test]
fn small_and_large_writes_in_turns_stay_in_order() {
    with_ring(|| async {
        let (mut stream, far) = pair();
        let reading = spawn_local(read_all(far));
        let mut sent = Vec::new();
        for n in [10, 70_000, 5, 5, 16_384, 1, 300_000, 16_383, 2].repeat(5) {
            let piece = pattern(n);
            stream.write_all(&piece).await.unwrap();
            sent.extend(piece);
        }
        stream.shutdown().await.unwrap();
        assert!(reading.await.unwrap().unwrap() == sent);
    });
}

#[test]
fn a_peer_that_reads_nothing_is_sent_no_more_than_fits() {
    with_ring(|| async {
        for piece in [100, 50_000] {
            let (mut stream, far) = pair();
            let mut n_taken = 0;
            let bytes = vec![7; piece];
            // 64 MiB are more than any socket's buffers.
            while n_taken < 64 << 20 {
                match timeout(Duration::from_millis(200), stream.write(&bytes)).await {
                    Ok(n) => n_taken += n.unwrap(),
                    Err(_) => break,
                }
            }
            assert!(n_taken < 32 << 20, "{n_taken} bytes in pieces of {piece}");
            // It goes on where it stopped.
            let reading = spawn_local(read_all(far));
            stream.shutdown().await.unwrap();
            assert_eq!(reading.await.unwrap().unwrap().len(), n_taken);
        }
    });
}

#[test]
fn a_peer_that_has_ended_its_side_still_gets_an_answer() {
    with_ring(|| async {
        let (mut stream, mut far) = pair();
        far.write_all(b"question").unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"question");
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_all(far).await.unwrap(), b"answer");
    });
}

#[test]
fn a_dropped_stream_is_closed_at_once_and_what_was_written_arrives() {
    with_ring(|| async {
        let (mut stream, far) = pair();
        // A read waits in the kernel, which must not keep the connection open.
        stream.watch();
        stream.write_all(b"last words").await.unwrap();
        drop(stream);
        assert_eq!(read_all(far).await.unwrap(), b"last words");
    });
}

#[test]
fn a_stream_is_silent_until_its_peer_speaks_or_closes() {
    with_ring(|| async {
        for close in [false, true] {
            let (stream, mut far) = pair();
            stream.watch();
            yield_now().await;
            assert!(stream.is_silent());
            if close {
                drop(far);
            } else {
                far.write_all(b"!").unwrap();
            }
            while stream.is_silent() {
                yield_now().await;
            }
        }
    });
}

#[test]
fn a_reset_is_told_to_who_reads_and_to_who_writes() {
    with_ring(|| async {
        let (mut stream, far) = pair();
        socket2::SockRef::from(&far)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(far);
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // What is small is taken first and told of later.
        let error = loop {
            if let Err(error) = stream.write_all(b"anybody?").await {
                break error;
            }
            yield_now().await;
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn more_streams_than_there_are_buffers_all_get_their_bytes() {
    with_ring(|| async {
        let mut pairs: Vec<_> = (0..400).map(|_| pair()).collect();
        for (i, (stream, far)) in pairs.iter_mut().enumerate() {
            stream.watch();
            far.write_all(&(i as u32).to_be_bytes()).unwrap();
        }
        yield_now().await;
        for (i, (stream, _)) in pairs.iter_mut().enumerate() {
            assert_eq!(stream.read_u32().await.unwrap(), i as u32);
        }
    });
}

/// A descriptor's number is given to the next connection as soon as it is closed; nothing that was
/// meant for the last one may go there.
#[test]
fn what_was_written_to_one_stream_never_reaches_another() {
    with_ring(|| async {
        for round in 0..200_u32 {
            let (mut first, first_far) = pair();
            first.watch();
            first.write_all(&[b'a'; 100]).await.unwrap();
            if round % 2 == 0 {
                drop(first_far);
            }
            drop(first);
            let (mut second, mut second_far) = pair();
            second.write_all(b"b").await.unwrap();
            second_far.write_all(b"c").unwrap();
            assert_eq!(second.read_u8().await.unwrap(), b'c');
            second.shutdown().await.unwrap();
            assert_eq!(read_all(second_far).await.unwrap(), b"b", "round {round}");
        }
    });
}

/// Moves what there is from one stream to another, by the bare sockets where it can be done and
/// `choice` says so.
async fn relay(from: &mut Stream, to: &mut Stream, choice: usize) -> usize {
    let mut bytes = vec![0; [10, 900, BUFFER_BYTES, 100_000][choice % 4]];
    let n = match from.source() {
        Some(tcp) if choice & 4 == 0 => loop {
            tcp.readable().await.unwrap();
            match tcp.try_read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => break read.unwrap(),
            }
        },
        _ => from.read(&mut bytes).await.unwrap(),
    };
    let mut bytes = &bytes[..n];
    while choice & 8 == 0 && !bytes.is_empty() {
        poll_fn(|context| to.poll_writable(context)).await.unwrap();
        match to.try_write(|fd| Ok(send(fd, bytes, SendFlags::NOSIGNAL)?)) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    to.write_all(bytes).await.unwrap();
    n
}

#[test]
fn a_stream_that_goes_from_the_ring_to_the_reactor_and_back_keeps_the_order() {
    with_ring(|| async {
        for seed in 1_usize..9 {
            let (mut from, mut sender) = pair();
            let (mut to, receiver) = pair();
            let sent = pattern(2_000_000 + seed);
            let expected = sent.clone();
            let sending = spawn_blocking(move || {
                let mut rest = &sent[..];
                for size in [100_000, 700, 40_000, 600_000].iter().cycle().skip(seed) {
                    // Small ones in a row, so that the ring gets it back.
                    for _ in 0..40 {
                        let (piece, after) = rest.split_at(50.min(rest.len()));
                        sender.write_all(piece).unwrap();
                        rest = after;
                    }
                    let (piece, after) = rest.split_at((*size).min(rest.len()));
                    sender.write_all(piece).unwrap();
                    rest = after;
                    if rest.is_empty() {
                        break;
                    }
                }
            });
            let reading = spawn_local(read_all(receiver));
            let mut choice = seed;
            while relay(&mut from, &mut to, choice >> 7).await > 0 {
                choice = choice.wrapping_mul(25_214_903_917).wrapping_add(11) % (1 << 24);
            }
            to.shutdown().await.unwrap();
            sending.await.unwrap();
            let got = reading.await.unwrap().unwrap();
            assert!(got == expected, "seed {seed}, {} bytes", got.len());
        }
    });
}

#[test]
fn large_pieces_take_a_stream_from_the_ring_and_small_ones_bring_it_back() {
    with_ring(|| async {
        let (mut stream, mut far) = pair();
        let mut bytes = vec![0; BUFFER_BYTES];
        far.write_all(b"small").unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 5);
        assert!(stream.source().is_none(), "the ring is better for it");
        far.write_all(&pattern(BUFFER_BYTES)).unwrap();
        stream.read_exact(&mut bytes).await.unwrap();
        assert!(stream.source().is_some());
        for _ in 0..40 {
            far.write_all(b"small").unwrap();
            stream.read_exact(&mut bytes[..5]).await.unwrap();
            let waiting = poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut bytes);
                Poll::Ready(Pin::new(&mut stream).poll_read(context, &mut buffer))
            });
            assert!(waiting.await.is_pending());
        }
        assert!(stream.source().is_none(), "it came back");
        far.write_all(b"last").unwrap();
        stream.read_exact(&mut bytes[..4]).await.unwrap();
        assert_eq!(&bytes[..4], b"last");
    });
}

/// Who waits to write is known to the reactor alone, which forgets it when the socket leaves.
#[test]
fn a_writer_that_waits_at_the_reactor_hears_of_it_whatever_is_read() {
    with_ring(|| async {
        let (mut stream, mut far) = pair();
        let mut bytes = vec![0; BUFFER_BYTES];
        far.write_all(&pattern(BUFFER_BYTES)).unwrap();
        stream.read_exact(&mut bytes).await.unwrap();
        assert!(stream.source().is_some(), "it is the reactor's");
        let sent = pattern(20_000_000);
        let expected = sent.len();
        let (mut reader, mut writer) = split(stream);
        let waits = Rc::new(Cell::new(false));
        let writing = spawn_local({
            let waits = Rc::clone(&waits);
            async move {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let has_written = rest.len() < expected;
                    let n = poll_fn(|context| {
                        let written = Pin::new(&mut writer).poll_write(context, rest);
                        waits.set(written.is_pending() && has_written);
                        written
                    });
                    rest = &rest[n.await.unwrap()..];
                }
                writer.shutdown().await.unwrap();
            }
        });
        while !waits.get() {
            yield_now().await;
        }
        for _ in 0..40 {
            far.write_all(b"small").unwrap();
            reader.read_exact(&mut bytes[..5]).await.unwrap();
        }
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut bytes);
            let waiting = Pin::new(&mut reader).poll_read(context, &mut buffer);
            assert!(waiting.is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(waits.get(), "it waits still");
        let got = read_all(far).await.unwrap();
        assert_eq!(got.len(), expected);
        writing.await.unwrap();
    });
}

/// One side takes nothing: the other's calls must tell so, not wait.
#[test]
fn a_call_never_waits_for_a_full_socket() {
    with_ring(|| async {
        let (mut stream, far) = pair();
        let piece = pattern(60_000);
        stream.write_all(b"first").await.unwrap();
        poll_fn(|context| stream.poll_writable(context))
            .await
            .unwrap();
        let mut n_sent = 0;
        let error = loop {
            match stream.try_write(|fd| Ok(send(fd, &piece, SendFlags::NOSIGNAL)?)) {
                Ok(n) => n_sent += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        poll_fn(|context| {
            assert!(stream.poll_writable(context).is_pending());
            Poll::Ready(())
        })
        .await;
        let reading = spawn_local(read_all(far));
        poll_fn(|context| stream.poll_writable(context))
            .await
            .unwrap();
        stream.write_all(b"last").await.unwrap();
        stream.shutdown().await.unwrap();
        let got = reading.await.unwrap().unwrap();
        assert_eq!(got.len(), 5 + n_sent + 4);
        assert!(got.ends_with(b"last"));
    });
}

#[test]
fn what_is_unsafe_is_in_two_files() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path)
                .unwrap()
                .contains(concat!("unsafe", "_code"))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("src/ring/kernel.rs"), "{found:?}");
    assert!(found[1].ends_with("src/telemetry/memory.rs"), "{found:?}");
}
