//! Bytes from one socket to another without a copy through our own memory.
//!
//! The kernel hands pages from the one to the other through a pipe. That costs two system calls and
//! two locks more than a read and a write of the same bytes, so it pays for large bodies only. A
//! pipe is held while bytes are in it and no longer: who waits for a sender holds none.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::ring;

/// Bytes that a pipe holds at most, and that are moved at once: all that a socket usually has. With
/// pipes of half the size it cost as much as copying.
pub(crate) const PIPE_BYTES: usize = 1024 * 1024;

/// Pipes that a thread keeps for the next body.
const KEPT: usize = 16;

thread_local! {
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A stream that may be a bare socket, or may become one.
pub trait Wire {
    /// The socket, if what is read from it is what would be read here.
    fn source(&mut self) -> Option<&TcpStream>;

    /// The socket, if what is written to it is what was written here.
    fn sink(&self) -> Option<Sink<'_>>;
}

/// A socket to write to, and what tells when it takes something.
#[derive(Clone, Copy, Debug)]
pub enum Sink<'a> {
    /// The runtime tells.
    Reactor(&'a TcpStream),
    /// The worker's ring tells.
    Ring(&'a ring::Stream),
}

impl Sink<'_> {
    fn poll_writable(self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Reactor(tcp) => tcp.poll_write_ready(context),
            Self::Ring(stream) => stream.poll_writable(context),
        }
    }

    /// Takes up to `limit` bytes from a pipe.
    fn take(self, pipe: &OwnedFd, limit: usize) -> io::Result<usize> {
        let take = |to: BorrowedFd<'_>| Ok(splice(pipe, None, to, None, limit, FLAGS)?);
        match self {
            Self::Reactor(tcp) => tcp.try_io(Interest::WRITABLE, || take(tcp.as_fd())),
            Self::Ring(stream) => stream.try_write(take),
        }
    }
}

/// A pipe that nothing is in.
#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn take() -> io::Result<Self> {
        if let Some(pipe) = PIPES.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user's pipes have a limit together; one of the usual size does, too.
        let _as_it_is = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }

    fn give(self) {
        PIPES.with_borrow_mut(|pipes| {
            if pipes.len() < KEPT {
                pipes.push(self);
            }
        });
    }
}

/// Bytes on their way between two sockets. Dropped, they are lost, and their pipe with them.
#[derive(Debug)]
pub(crate) struct Piped {
    pipe: Pipe,
    held: usize,
}

/// Why nothing was moved.
#[derive(Debug)]
pub(crate) enum FillError {
    /// The kernel does not do it between these two, or has no pipe for it; nothing was lost.
    Unable,
    /// The sender failed.
    Read(io::Error),
}

impl Piped {
    /// Takes up to `limit` bytes from a socket; `None` is the end of its stream.
    pub(crate) fn poll_fill(
        context: &mut Context<'_>,
        from: &TcpStream,
        limit: usize,
    ) -> Poll<Result<Option<Self>, FillError>> {
        // Before there is something to move no pipe is taken.
        ready!(from.poll_read_ready(context)).map_err(FillError::Read)?;
        let Ok(pipe) = Pipe::take() else {
            return Poll::Ready(Err(FillError::Unable));
        };
        loop {
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &pipe.write, None, limit, FLAGS)?)
            });
            match moved {
                Ok(0) => {
                    pipe.give();
                    return Poll::Ready(Ok(None));
                }
                Ok(held) => return Poll::Ready(Ok(Some(Self { pipe, held }))),
                // The pipe is empty, so it is the socket that would block.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match from.poll_read_ready(context) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => {
                            return Poll::Ready(Err(FillError::Read(error)));
                        }
                        Poll::Pending => {
                            pipe.give();
                            return Poll::Pending;
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_unable(&error) => return Poll::Ready(Err(FillError::Unable)),
                Err(error) => return Poll::Ready(Err(FillError::Read(error))),
            }
        }
    }

    /// Hands what it holds to a socket; ready when nothing is left. `written` is told of each step.
    pub(crate) fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        to: Sink<'_>,
        mut written: impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        while self.held > 0 {
            ready!(to.poll_writable(context))?;
            match to.take(&self.pipe.read, self.held) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.held -= n.min(self.held);
                    written(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// How many bytes it holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Gives the pipe back once nothing is in it.
    pub(crate) fn end(self) {
        if self.held == 0 {
            self.pipe.give();
        }
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// True for what a kernel says that cannot splice these two, or may not, as in some sandboxes.
fn is_unable(error: &io::Error) -> bool {
    [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::PERM,
        Errno::ACCESS,
    ]
    .iter()
    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
