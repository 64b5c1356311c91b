//! The state of one stream: what was asked of the kernel for it, and what has come.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Waker};

use rustix::io::Errno;

use crate::ring::kernel::Lent;

/// What a read waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Reading {
    #[default]
    Nothing,
    Receive,
    Readable,
}

/// One stream.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// There while the stream exists.
    pub(crate) socket: Option<TcpStream>,
    /// Calls on the socket do not wait; the ring's would not, either, so that it takes none then.
    pub(crate) is_nonblocking: bool,
    pub(crate) reading: Reading,
    /// What has come, from a place on.
    pub(crate) chunk: Option<(Lent, usize)>,
    pub(crate) has_ended: bool,
    pub(crate) read_error: Option<Errno>,
    /// Much comes at once: it is read by calls.
    pub(crate) is_bulk: bool,
    /// The last call took all there was.
    pub(crate) is_drained: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) is_sending: bool,
    pub(crate) waits_for_room: bool,
    /// The last call did not take all.
    pub(crate) is_full: bool,
    /// What is to be sent after what is being sent.
    pub(crate) next: Vec<u8>,
    pub(crate) write_error: Option<Errno>,
    pub(crate) writer: Option<Waker>,
}

impl Slot {
    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Has the ring wait for the socket, or calls not wait for it.
    pub(crate) fn set_nonblocking(&mut self, is_nonblocking: bool) -> io::Result<()> {
        if self.is_nonblocking != is_nonblocking
            && let Some(socket) = &self.socket
        {
            socket.set_nonblocking(is_nonblocking)?;
            self.is_nonblocking = is_nonblocking;
        }
        Ok(())
    }
}

/// Keeps the waker of who is polled.
pub(crate) fn note(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}
