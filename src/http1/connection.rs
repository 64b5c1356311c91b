//! One HTTP/1 connection, of a client or with an upstream: heads in, bytes out.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::buffer::{give_buffer, poll_read, take_buffer};
use crate::http1::codec::{HeadError, HeadScanner, likely_end};
use crate::message::Limits;

/// Bytes read at once when a head is expected: it with a body of 64 KiB. What of a larger body is not
/// read here need not be copied.
const HEAD_BYTES: usize = 72 * 1024;

/// Why no head could be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The peer closed in the middle of a head.
    #[error("closed within a head")]
    Cut,
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// The bytes are no head that can be read in one way only.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// How a peer has closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// It sends nothing more; whether it still reads, nobody can tell.
    Side,
    /// The connection is no more, or ended as it must not.
    Whole,
}

/// An HTTP/1 connection: a stream, and what has been read from it but not been used.
#[derive(Debug)]
pub struct Connection<S> {
    /// The stream below.
    pub stream: S,
    /// Bytes that were read and not used: the rest behind a head, or a part of one.
    inbox: Vec<u8>,
    scanner: HeadScanner,
}

impl<S> Connection<S> {
    /// Makes a connection over a stream of which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self::with(stream, Vec::new())
    }

    /// Makes a connection over a stream of which these bytes have been read.
    pub fn with(stream: S, inbox: Vec<u8>) -> Self {
        Self {
            stream,
            inbox,
            scanner: HeadScanner::default(),
        }
    }

    /// What has been read and not been used yet.
    pub fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Drops the first `n` bytes of what has been read: they were used.
    pub fn consume(&mut self, n: usize) {
        if n >= self.inbox.len() {
            give_buffer(std::mem::take(&mut self.inbox));
        } else {
            self.inbox.drain(..n);
        }
    }

    /// Puts bytes that were read and not used behind those that are waiting.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.inbox.capacity() == 0 {
            self.inbox = take_buffer();
        }
        self.inbox.extend_from_slice(bytes);
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        give_buffer(std::mem::take(&mut self.inbox));
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Polls for the next head.
    ///
    /// `take` sees the bytes of one whole head and what was read behind it, and tells how many of
    /// those behind it it used; the others wait in the inbox. `None` is the end of the stream
    /// between two messages.
    ///
    /// # Errors
    /// When the stream ends or fails within a head, when the bytes are no head, or as `take` says.
    pub fn poll_head<T>(
        &mut self,
        context: &mut Context<'_>,
        limits: &Limits,
        mut take: impl FnMut(&mut Context<'_>, &[u8], &[u8]) -> Result<(T, usize), HeadError>,
    ) -> Poll<Result<Option<T>, ReadError>> {
        loop {
            if !self.inbox.is_empty()
                && let Some(end) = self.scanner.scan(&self.inbox, limits)?
            {
                self.scanner.reset();
                let inbox = std::mem::take(&mut self.inbox);
                let (head, rest) = inbox.split_at(end);
                let (taken, used) = take(context, head, rest)?;
                self.inbox = inbox;
                self.consume(end + used);
                return Poll::Ready(Ok(Some(taken)));
            }
            let Self {
                stream,
                inbox,
                scanner,
            } = self;
            let step = ready!(poll_read(stream, context, HEAD_BYTES, |context, bytes| {
                if bytes.is_empty() {
                    return if inbox.is_empty() {
                        Ok(Some((None, Vec::new())))
                    } else {
                        Err(ReadError::Cut)
                    };
                }
                // The common case: a whole head in one read is used where it lies.
                if inbox.is_empty()
                    && let Some(end) = likely_end(bytes, limits)
                {
                    let (head, rest) = bytes.split_at(end);
                    let (taken, used) = match take(context, head, rest) {
                        Ok(taken) => taken,
                        Err(error) => {
                            scanner.scan(bytes, limits)?;
                            return Err(error.into());
                        }
                    };
                    return Ok(Some((Some(taken), kept(&rest[used..]))));
                }
                if inbox.capacity() == 0 {
                    *inbox = take_buffer();
                }
                inbox.extend_from_slice(bytes);
                Ok(None)
            }))??;
            if let Some((taken, rest)) = step {
                if !rest.is_empty() {
                    self.inbox = rest;
                }
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Polls for bytes or the end when none are expected now: between the end of a request and
    /// its response, or on an idle connection. Bytes wait in the inbox; while some do, it does not
    /// read more. Ready when the peer has closed or the connection failed.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<Closed> {
        while self.inbox.is_empty() {
            let Self { stream, inbox, .. } = self;
            // A pipelined request at most; what is larger waits in the socket.
            match ready!(poll_read(stream, context, 16 * 1024, |_, bytes| {
                if bytes.is_empty() {
                    return true;
                }
                *inbox = kept(bytes);
                false
            })) {
                Ok(false) => {}
                Ok(true) => return Poll::Ready(Closed::Side),
                Err(_) => return Poll::Ready(Closed::Whole),
            }
        }
        Poll::Pending
    }

    /// Polls until so many bytes wait in the inbox.
    ///
    /// # Errors
    /// When the stream ends or fails before.
    pub fn poll_gather(
        &mut self,
        context: &mut Context<'_>,
        n: usize,
    ) -> Poll<Result<(), ReadError>> {
        while self.inbox.len() < n {
            let missing = n - self.inbox.len();
            let Self { stream, inbox, .. } = self;
            ready!(poll_read(stream, context, missing, |_, bytes| {
                if bytes.is_empty() {
                    return Err(ReadError::Cut);
                }
                if inbox.capacity() == 0 {
                    *inbox = take_buffer();
                }
                inbox.extend_from_slice(bytes);
                Ok(())
            }))??;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the peer still sends, at most `limit` bytes, until it closes.
    ///
    /// Closing a socket with unread bytes resets it, and the reset may overtake the response that
    /// was just written; so the peer is let finish, within bounds that the caller's deadline and
    /// `limit` set.
    pub async fn discard(&mut self, limit: usize) {
        let mut left = limit;
        while left > 0 {
            let read = poll_fn(|context| {
                poll_read(&mut self.stream, context, left, |_, bytes| bytes.len())
            });
            match read.await {
                Ok(0) | Err(_) => return,
                Ok(n) => left -= n.min(left),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes all of `first` and then all of `second`, from `written` on, which it moves; ready
    /// when both are written and flushed.
    ///
    /// # Errors
    /// What the stream says.
    pub fn poll_write_both(
        &mut self,
        context: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while *written < first.len() + second.len() {
            *written += ready!(poll_write_rest(
                &mut self.stream,
                context,
                first,
                second,
                *written
            ))?;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        poll_fn(|context| self.poll_write_both(context, bytes, &[], &mut written)).await
    }
}

/// Writes once what is left of `first` and then `second` after `written` bytes of both.
pub(crate) fn poll_write_rest<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
    written: usize,
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    let n = if written >= first.len() {
        ready!(stream.poll_write(context, &second[written - first.len()..]))?
    } else if second.is_empty() {
        ready!(stream.poll_write(context, &first[written..]))?
    } else {
        let slices = [IoSlice::new(&first[written..]), IoSlice::new(second)];
        ready!(stream.poll_write_vectored(context, &slices))?
    };
    if n == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    Poll::Ready(Ok(n))
}

/// A copy of bytes that must outlive the poll, in a buffer from the pool.
fn kept(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut buffer = take_buffer();
    buffer.extend_from_slice(bytes);
    buffer
}
