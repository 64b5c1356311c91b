//! Calls of others on the socket of a stream, for what they do better than the ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use crate::ring::driver::{Driver, Reading};

impl Driver {
    /// True when all that has come is still in the socket, and what comes next will be, too.
    pub(crate) fn holds_nothing(&self, slot: u32) -> bool {
        let it = &self.slots[slot as usize];
        it.is_bulk && it.chunk.is_none() && it.reading != Reading::Receive
    }

    /// Ready when a read is worth a try.
    pub(crate) fn poll_readable(
        &mut self,
        slot: u32,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let it = &mut self.slots[slot as usize];
        if let Some(error) = it.read_error {
            return Poll::Ready(Err(error.into()));
        }
        if it.has_ended || it.reading == Reading::Nothing && !it.is_drained {
            return Poll::Ready(Ok(()));
        }
        it.awaits_read(context);
        self.await_bytes(slot);
        Poll::Pending
    }

    /// Reads by a call that finds the socket non-blocking.
    pub(crate) fn try_read(
        &mut self,
        slot: u32,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let it = &mut self.slots[slot as usize];
        it.set_nonblocking(true)?;
        let outcome = read(it.open()?.as_fd());
        match &outcome {
            Ok(n) => it.has_ended = *n == 0,
            Err(error) => it.is_drained = error.kind() == io::ErrorKind::WouldBlock,
        }
        outcome
    }

    /// Ready when a write is worth a try: all that was written before has left.
    pub(crate) fn poll_writable(
        &mut self,
        slot: u32,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(slot, context))?;
        if self.slots[slot as usize].is_full {
            self.await_room(slot, context);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes by a call that finds the socket non-blocking.
    pub(crate) fn try_write(
        &mut self,
        slot: u32,
        write: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let it = &mut self.slots[slot as usize];
        it.set_nonblocking(true)?;
        let outcome = write(it.open()?.as_fd());
        if let Err(error) = &outcome {
            it.is_full = error.kind() == io::ErrorKind::WouldBlock;
        }
        outcome
    }
}
