//! A TCP stream over the ring of its thread.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

use crate::ring::{try_with, with};

/// A connection over the ring of its thread.
///
/// What is written is taken before the kernel has it, a bounded number of bytes; whether it could
/// be sent is told by the next call. Dropped, it closes, and what has not left by then is lost.
#[derive(Debug)]
pub struct Stream {
    slot: u32,
    /// There until it is dropped.
    socket: Option<TcpStream>,
}

impl Stream {
    /// Takes a connection over, which may be a non-blocking one.
    ///
    /// # Errors
    /// When the kernel does not let it block.
    ///
    /// # Panics
    /// When the thread has no ring.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        // For a non-blocking socket the kernel would not wait, either.
        socket.set_nonblocking(false)?;
        Ok(Self {
            slot: with(|driver| driver.open(&socket)),
            socket: Some(socket),
        })
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        self.socket
            .as_ref()
            .expect("it is there until it is dropped")
    }

    /// Takes note from now on of what the peer says or whether it closes, for [`Stream::is_silent`].
    pub fn watch(&self) {
        with(|driver| driver.await_bytes(self.slot));
    }

    /// True while the peer has neither closed nor said anything since it was watched.
    pub fn is_silent(&self) -> bool {
        with(|driver| driver.is_silent(self.slot))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            try_with(|driver| driver.close(self.slot, socket));
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(context));
        let read = with(|driver| driver.poll_read(self.slot, self.socket(), context, buffer));
        if read.is_ready() {
            coop.made_progress();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(poll_proceed(context));
        let written = with(|driver| driver.poll_write(self.slot, self.socket(), context, slices));
        if written.is_ready() {
            coop.made_progress();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(with(|driver| driver.poll_sent(self.slot, context)))?;
        Poll::Ready(self.socket().shutdown(Shutdown::Write))
    }
}
