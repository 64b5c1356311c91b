//! A TCP stream over the ring of its thread.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::BorrowedFd;
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
}

impl Stream {
    /// Takes over a connection, which has to be a non-blocking one.
    ///
    /// # Panics
    /// When the thread has no ring.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            slot: with(|driver| driver.open(socket)),
        }
    }

    /// Shows the socket beneath.
    ///
    /// # Errors
    /// What `look` says.
    pub fn with_socket<T>(&self, look: impl FnOnce(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        with(|driver| look(driver.socket(self.slot)?))
    }

    /// Takes note from now on of what the peer says or whether it closes, for [`Stream::is_silent`].
    pub fn watch(&self) {
        with(|driver| driver.await_bytes(self.slot));
    }

    /// True when all that has come is still in the socket, and whatever comes will be there, too.
    pub fn holds_nothing(&self) -> bool {
        with(|driver| driver.holds_nothing(self.slot))
    }

    /// Ready when [`Stream::try_read`] is worth a try; only while the ring holds nothing.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(context));
        let readable = with(|driver| driver.poll_readable(self.slot, context));
        if readable.is_ready() {
            coop.made_progress();
        }
        readable
    }

    /// Reads by a call of the caller's own, which finds the socket non-blocking.
    ///
    /// # Errors
    /// What the call says; after `WouldBlock` it is waited for.
    pub fn try_read(
        &self,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        with(|driver| driver.try_read(self.slot, read))
    }

    /// Ready when [`Stream::try_write`] is worth a try: what was written before has left.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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
    pub fn try_write(
        &self,
        write: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        with(|driver| driver.try_write(self.slot, write))
    }

    /// True while the peer has neither closed nor said anything since it was watched.
    pub fn is_silent(&self) -> bool {
        with(|driver| driver.is_silent(self.slot))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        try_with(|driver| driver.close(self.slot));
    }
}

impl AsyncRead for Stream {
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
