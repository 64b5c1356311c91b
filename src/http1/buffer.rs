//! Memory that belongs to the thread and not to a connection.
//!
//! A worker is one thread, so one read buffer serves all its connections: a poll reads into it and
//! uses the bytes before it returns. What must outlive a poll goes into buffers from a small pool,
//! which an exchange takes and gives back; an idle connection holds none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::message::{RequestHead, ResponseHead};

/// Bytes of the thread's read buffer: fewer, larger reads and writes; past this the socket
/// buffers seldom hold more.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Buffers kept for reuse per thread, and the largest that is worth keeping.
const POOL_BUFFERS: usize = 512;
const POOL_BUFFER_BYTES: usize = 32 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ENCODE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    #[expect(clippy::vec_box, reason = "it is taken and given back without being moved")]
    static SCRATCH: RefCell<Vec<Box<Scratch>>> = const { RefCell::new(Vec::new()) };
}

/// What an exchange needs while it runs: both heads, and both heads as they are written.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The request's head as it came.
    pub request: RequestHead,
    /// The response's head as it came.
    pub response: ResponseHead,
    /// What a route made of the target: the path as it goes to the upstream, or where a redirect
    /// leads; empty where it made nothing of it.
    pub rewritten: Vec<u8>,
    /// The request's head as it goes to the upstream.
    pub upstream: Vec<u8>,
    /// The response's head as it goes to the client.
    pub downstream: Vec<u8>,
}

impl Scratch {
    /// Takes one from the thread's pool, empty but with its memory.
    pub fn take() -> Box<Self> {
        SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Gives it back to the thread's pool.
    pub fn give(mut self: Box<Self>) {
        let large = [
            self.request.text.capacity(),
            self.response.text.capacity(),
            self.rewritten.capacity(),
            self.upstream.capacity(),
            self.downstream.capacity(),
        ]
        .into_iter()
        .any(|capacity| capacity > POOL_BUFFER_BYTES);
        if large {
            return;
        }
        self.request.clear();
        self.response.clear();
        self.rewritten.clear();
        self.upstream.clear();
        self.downstream.clear();
        SCRATCH.with_borrow_mut(|pool| {
            if pool.len() < POOL_BUFFERS {
                pool.push(self);
            }
        });
    }
}

/// Takes an empty buffer from the thread's pool.
pub fn take_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer back; one without memory, or with very much, is dropped.
pub fn give_buffer(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > POOL_BUFFER_BYTES {
        return;
    }
    buffer.clear();
    BUFFERS.with_borrow_mut(|pool| {
        if pool.len() < POOL_BUFFERS {
            pool.push(buffer);
        }
    });
}

/// Reads once, at most `limit` bytes, into the thread's buffer and lets `seen` use them at once.
///
/// `seen` gets an empty slice at the end of the stream. It must not read again by this function.
///
/// # Errors
/// What the stream says.
pub(crate) fn poll_read<S, T>(
    stream: &mut S,
    context: &mut Context<'_>,
    limit: usize,
    seen: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>>
where
    S: AsyncRead + Unpin,
{
    READ.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(READ_BYTES, 0);
        }
        let limit = limit.min(buffer.len());
        let mut read = ReadBuf::new(&mut buffer[..limit]);
        ready!(Pin::new(stream).poll_read(context, &mut read))?;
        Poll::Ready(Ok(seen(context, read.filled())))
    })
}

/// Lends the thread's encoding buffer, emptied; for bytes that are written before the poll ends.
pub(crate) fn with_encode<T>(encode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    ENCODE.with_borrow_mut(|buffer| {
        buffer.clear();
        encode(buffer)
    })
}

#[cfg(test)]
mod tests {
    use crate::http1::{Scratch, give_buffer, take_buffer};

    #[test]
    fn a_buffer_comes_back_empty_with_its_memory() {
        let mut buffer = Vec::with_capacity(100);
        buffer.extend_from_slice(b"left over");
        give_buffer(buffer);
        let buffer = take_buffer();
        assert!(buffer.is_empty());
        assert!(buffer.capacity() >= 100);
    }

    #[test]
    fn a_scratch_comes_back_without_the_last_request() {
        let mut scratch = Scratch::take();
        scratch.request.append_field(b"authorization", b"secret");
        scratch.upstream.extend_from_slice(b"secret");
        scratch.give();
        let scratch = Scratch::take();
        assert!(scratch.request.text.is_empty() && scratch.request.fields.is_empty());
        assert!(scratch.upstream.is_empty());
    }
}
