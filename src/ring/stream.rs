//! A TCP stream that is the ring's while its messages are small, and the reactor's while they are not.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::mem::replace;
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::ring::handle::Handle;

/// Reads that bring so much are of a large message.
const LARGE_BYTES: usize = 4 * 1024;

/// So many small reads in a row, and the ring is better again.
const N_SMALL: u8 = 32;

/// A connection over the ring of its thread, as far as that is of use.
#[derive(Debug)]
pub struct Stream(State);

#[derive(Debug)]
enum State {
    Ring(Handle),
    Reactor {
        tcp: TcpStream,
        /// How many small reads there were since the last large one.
        n_small: u8,
        /// Somebody waits to write, and only the reactor knows.
        is_full: Cell<bool>,
    },
    /// Neither could take it from the other.
    Lost,
}

impl Stream {
    /// Takes over a connection, which has to be a non-blocking one.
    ///
    /// # Panics
    /// When the thread has no ring.
    pub fn new(socket: net::TcpStream) -> Self {
        Self(State::Ring(Handle::new(socket)))
    }

    /// The bare socket, if all that is to be read from it is still in there, and comes in large
    /// pieces. The ring gives it up then.
    pub fn source(&mut self) -> Option<&TcpStream> {
        if let State::Ring(handle) = &mut self.0
            && handle.is_bulk()
            && let Some(socket) = handle.leave()
        {
            self.0 = match TcpStream::from_std(socket) {
                Ok(tcp) => State::Reactor {
                    tcp,
                    n_small: 0,
                    is_full: Cell::new(false),
                },
                Err(_) => State::Lost,
            };
        }
        match &mut self.0 {
            State::Reactor { tcp, n_small, .. } => {
                *n_small = 0;
                Some(tcp)
            }
            State::Ring(_) | State::Lost => None,
        }
    }

    /// Ready when [`Stream::try_write`] is worth a try: what was written before has left.
    ///
    /// # Errors
    /// When that could not be sent.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            State::Ring(handle) => handle.poll_writable(context),
            State::Reactor { tcp, is_full, .. } => noting(is_full, tcp.poll_write_ready(context)),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    /// Writes by a call of the caller's own, which finds the socket non-blocking.
    ///
    /// # Errors
    /// What the call says; after `WouldBlock` it is waited for.
    pub fn try_write(
        &self,
        write: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match &self.0 {
            State::Ring(handle) => handle.try_write(write),
            State::Reactor { tcp, .. } => tcp.try_io(Interest::WRITABLE, || write(tcp.as_fd())),
            State::Lost => Err(lost()),
        }
    }

    /// Takes note from now on of what the peer says or whether it closes, for [`Stream::is_silent`].
    pub fn watch(&self) {
        match &self.0 {
            State::Ring(handle) => handle.watch(),
            // The reactor does so anyway.
            State::Reactor { .. } | State::Lost => {}
        }
    }

    /// True while the peer has neither closed nor said anything since it was watched.
    pub fn is_silent(&self) -> bool {
        match &self.0 {
            State::Ring(handle) => handle.is_silent(),
            State::Reactor { tcp, .. } => {
                let answer = tcp.try_read(&mut [0]);
                matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            State::Lost => false,
        }
    }

    /// Has the connection reset when it is dropped.
    ///
    /// # Errors
    /// When there is none any more.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        let now = Some(Duration::ZERO);
        match &self.0 {
            State::Ring(handle) => {
                handle.with_socket(|socket| SockRef::from(socket).set_linger(now))
            }
            State::Reactor { tcp, .. } => SockRef::from(tcp).set_linger(now),
            State::Lost => Err(lost()),
        }
    }

    /// Gives the socket to the ring again.
    fn come_back(&mut self) {
        if let State::Reactor { tcp, .. } = replace(&mut self.0, State::Lost)
            && let Ok(socket) = tcp.into_std()
        {
            self.0 = State::Ring(Handle::new(socket));
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Reactor {
            tcp,
            n_small,
            is_full,
        } = &mut self.0
        {
            let before = buffer.filled().len();
            if let Poll::Ready(read) = Pin::new(tcp).poll_read(context, buffer) {
                let is_small = buffer.filled().len() - before < LARGE_BYTES;
                *n_small = if is_small {
                    n_small.saturating_add(1)
                } else {
                    0
                };
                return Poll::Ready(read);
            }
            if *n_small < N_SMALL || is_full.get() {
                return Poll::Pending;
            }
            self.come_back();
        }
        match &mut self.0 {
            State::Ring(handle) => Pin::new(handle).poll_read(context, buffer),
            State::Reactor { .. } | State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            State::Ring(handle) => Pin::new(handle).poll_write(context, bytes),
            State::Reactor { tcp, is_full, .. } => {
                noting(is_full, Pin::new(tcp).poll_write(context, bytes))
            }
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            State::Ring(handle) => Pin::new(handle).poll_write_vectored(context, slices),
            State::Reactor { tcp, is_full, .. } => {
                noting(is_full, Pin::new(tcp).poll_write_vectored(context, slices))
            }
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Ring(handle) => Pin::new(handle).poll_shutdown(context),
            State::Reactor { tcp, .. } => Pin::new(tcp).poll_shutdown(context),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

/// Notes whether who writes has to wait. The reactor forgets who does when the socket leaves it.
fn noting<T>(is_full: &Cell<bool>, written: Poll<T>) -> Poll<T> {
    is_full.set(written.is_pending());
    written
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
