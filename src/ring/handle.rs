//! A TCP stream of which each read and write is the ring's.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

use crate::ring::{try_with, with};

/// A connection over the ring of its thread, and nothing else.
///
/// What is written is taken before the kernel has it, a bounded number of bytes; whether it could
/// be sent is told by the next call. Dropped, it closes, and what has not left by then is lost.
#[derive(Debug)]
pub(crate) struct Handle {
    slot: u32,
}

impl Handle {
    /// Takes over a connection, which has to be a non-blocking one.
    ///
    /// # Panics
    /// When the thread has no ring.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            slot: with(|driver| driver.open(socket)),
        }
    }

    /// Ready when [`Handle::try_write`] is worth a try: what was written before has left.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(context));
        let writable = with(|driver| driver.poll_writable(self.slot, context));
        if writable.is_ready() {
            coop.made_progress();
        }
        writable
    }

    /// Writes by a call of the caller's own, which finds the socket non-blocking.
    ///
    /// # Errors
    /// What the call says; after `WouldBlock` it is waited for.
    pub(crate) fn try_write(
        &self,
        write: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        with(|driver| driver.try_write(self.slot, write))
    }

    /// Gives the socket back, non-blocking, for what moves large pieces, which the ring is no better
    /// for; the stream only fails then. None while the ring has something to do for it.
    pub(crate) fn leave(&mut self) -> Option<TcpStream> {
        with(|driver| driver.leave(self.slot))
    }

    /// True when what was read last came in large pieces.
    pub(crate) fn is_bulk(&self) -> bool {
        with(|driver| driver.is_bulk(self.slot))
    }

    /// Shows the socket beneath.
    ///
    /// # Errors
    /// What `look` says.
    pub(crate) fn with_socket<T>(
        &self,
        look: impl FnOnce(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        with(|driver| look(driver.socket(self.slot)?))
    }

    /// Takes note from now on of what the peer says or whether it closes, for [`Handle::is_silent`].
    pub(crate) fn watch(&self) {
        with(|driver| driver.await_bytes(self.slot));
    }

    /// True while the peer has neither closed nor said anything since it was watched.
    pub(crate) fn is_silent(&self) -> bool {
        with(|driver| driver.is_silent(self.slot))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        try_with(|driver| driver.close(self.slot));
    }
}

impl AsyncRead for Handle {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(context));
        let read = with(|driver| driver.poll_read(self.slot, context, buffer));
        if read.is_ready() {
            coop.made_progress();
        }
        read
    }
}

impl AsyncWrite for Handle {
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
        let written = with(|driver| driver.poll_write(self.slot, context, slices));
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
        Poll::Ready(self.with_socket(|socket| socket.shutdown(Shutdown::Write)))
    }
}
