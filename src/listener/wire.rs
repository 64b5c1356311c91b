//! The bytes of an HTTP/2 connection: counted as they come, gathered as they leave.
//!
//! The library writes frame by frame and flushes after each that is not small. Here frames are
//! gathered into what fills a TLS record, and leave when the connection has nothing more to say for
//! now, or when there is much: fewer records, fewer system calls.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::{give_buffer, take_buffer};
use crate::listener::flood::{Meter, Verdict};
use crate::tls::Stream;

/// Bytes that a TLS record takes (RFC 8446, section 5.1). Without TLS it is as good a measure.
const RECORD: usize = 16 * 1024;

/// Bytes that are read at once from a client that has not sent more than that lately: what it asks
/// for in one go. The library's buffer is larger, and what of it was touched an idle connection holds.
const SMALL_READ: usize = 2 * 1024;

/// Slices that are written at once: a frame of the library has two.
const SLICES: usize = 4;

/// The bytes of a connection; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// What was read before and is not used yet, from `used` on.
    begun: Vec<u8>,
    used: usize,
    stream: Stream,
    n_read: u64,
    meter: Meter,
    /// True while the client sends more than a small read takes.
    is_busy: bool,
    /// What was gathered: less than a record.
    out: Vec<u8>,
    is_flushed: bool,
}

impl Wire {
    /// Puts what was read before what is still to be read.
    pub(crate) fn new(begun: Vec<u8>, stream: Stream) -> Self {
        let inner = Inner {
            begun,
            used: 0,
            stream,
            n_read: 0,
            meter: Meter::new(),
            is_busy: false,
            out: Vec::new(),
            is_flushed: true,
        };
        Self {
            inner: Rc::new(RefCell::new(inner)),
        }
    }

    /// How many bytes have come so far.
    pub(crate) fn n_read(&self) -> u64 {
        self.inner.borrow().n_read
    }

    /// Tells whether what the client sent lately is more than anybody has a use for.
    pub(crate) fn verdict(&self) -> Verdict {
        self.inner.borrow().meter.verdict()
    }

    /// Begins to count anew what the client sends.
    pub(crate) fn forgive(&self) {
        self.inner.borrow_mut().meter.forgive();
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// What the stream says.
    pub(crate) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_send(context)
    }
}

impl Inner {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begun.is_empty() {
            let before = buffer.filled().len();
            if self.is_busy {
                ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            } else {
                let room = buffer.remaining().min(SMALL_READ);
                let mut small = ReadBuf::new(buffer.initialize_unfilled_to(room));
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut small))?;
                let n = small.filled().len();
                buffer.advance(n);
            }
            let new = &buffer.filled()[before..];
            self.meter.read(new);
            let n = new.len();
            self.n_read += n as u64;
            self.is_busy = n >= SMALL_READ;
            return Poll::Ready(Ok(()));
        }
        let left = &self.begun[self.used..];
        let n = left.len().min(buffer.remaining());
        self.meter.read(&left[..n]);
        buffer.put_slice(&left[..n]);
        self.used += n;
        if self.used == self.begun.len() {
            give_buffer(std::mem::take(&mut self.begun));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = slices.iter().map(|slice| slice.len()).sum::<usize>();
        self.is_flushed = false;
        self.meter.wrote(n);
        while self.out.len() + n >= RECORD {
            // Whole records only; the rest comes again.
            let mut left = (self.out.len() + n) / RECORD * RECORD;
            let mut whole = [IoSlice::new(&[]); SLICES];
            let parts = [&self.out[..]]
                .into_iter()
                .chain(slices.iter().map(|slice| &**slice));
            for (into, part) in whole.iter_mut().zip(parts) {
                let part = &part[..part.len().min(left)];
                left -= part.len();
                *into = IoSlice::new(part);
            }
            let written = ready!(self.stream.poll_write_later(context, &whole))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written > self.out.len() {
                let taken = written - self.out.len();
                self.out.clear();
                return Poll::Ready(Ok(taken));
            }
            self.out.drain(..written);
        }
        if self.out.capacity() == 0 {
            self.out = take_buffer();
        }
        for slice in slices {
            self.out.extend_from_slice(slice);
        }
        Poll::Ready(Ok(n))
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let out = [IoSlice::new(&self.out)];
            let written = ready!(self.stream.poll_write_later(context, &out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..written);
        }
        if !self.is_flushed {
            // Who waits holds no buffer.
            give_buffer(std::mem::take(&mut self.out));
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        give_buffer(std::mem::take(&mut self.begun));
        give_buffer(std::mem::take(&mut self.out));
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let slices = [IoSlice::new(bytes)];
        self.inner.borrow_mut().poll_write(context, &slices)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.borrow_mut().poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends, when it has nothing more to say.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_send(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::pin::Pin;

    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use crate::listener::wire::{RECORD, Wire};
    use crate::tls::Stream;

    async fn wire(begun: &[u8]) -> (TcpStream, Wire) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let stream = Stream::Plain(accepted.unwrap().0);
        (client.unwrap(), Wire::new(begun.to_vec(), stream))
    }

    #[tokio::test]
    async fn what_is_little_waits_until_it_is_sent() {
        let (mut client, mut wire) = wire(b"").await;
        wire.write_all(b"a frame").await.unwrap();
        wire.write_all(b" and another").await.unwrap();
        wire.flush().await.unwrap();
        let mut bytes = [0; 64];
        let error = client.try_read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        poll_fn(|context| wire.poll_send(context)).await.unwrap();
        let mut bytes = [0; 19];
        client.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"a frame and another");
    }

    #[tokio::test]
    async fn what_is_much_leaves_in_its_order_and_the_end_takes_all_along() {
        let (mut client, mut wire) = wire(b"").await;
        let sent: Vec<u8> = (0..5 * RECORD + 7).map(|at| (at % 251) as u8).collect();
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        for piece in sent.chunks(RECORD / 3 * 2 + 1) {
            wire.write_all(piece).await.unwrap();
        }
        poll_fn(|context| Pin::new(&mut wire).poll_shutdown(context))
            .await
            .unwrap();
        assert!(reading.await.unwrap() == sent);
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first_and_is_not_counted() {
        let (mut client, mut wire) = wire(b"PRI").await;
        client.write_all(b" *").await.unwrap();
        let mut bytes = [0; 5];
        wire.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, wire.n_read()), (b"PRI *", 2));
    }
}
