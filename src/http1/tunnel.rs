//! A tunnel: what an upgraded connection becomes. Bytes both ways, half-close kept.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::http1::buffer::{give_buffer, poll_read, take_buffer};
use crate::http1::connection::{Connection, poll_write_rest};
use crate::http1::deadline::Deadline;

/// Bytes read at once in each direction: WebSocket messages are small, and a slow side keeps at
/// most this much.
const READ_BYTES: usize = 64 * 1024;

/// How long both sides of a tunnel that is ended may take to end it, too, and how many bytes either
/// may still say meanwhile: what was on its way, and not what it goes on saying.
const PARTING: Duration = Duration::from_secs(2);
const LAST_BYTES: usize = 256 * 1024;

/// How long a tunnel may make no progress.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a byte either way.
    pub idle: Duration,
    /// While the upstream takes nothing of what waits for it; `None` is as long as it likes.
    pub stalled: Option<Duration>,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TunnelEnd {
    /// The client closed first, or failed.
    Client,
    /// The upstream closed first, or failed.
    Upstream,
    /// Nothing moved for the idle timeout.
    Idle,
    /// It was ended from outside.
    Cut,
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Way {
    spill: Vec<u8>,
    spilled: usize,
    moved: u64,
    /// Bytes that were written, of those that moved.
    written: u64,
    /// Bytes that came once it was ended.
    dropped: usize,
    ended: bool,
    shut: bool,
}

/// Two connections joined.
#[derive(Debug)]
pub struct Tunnel<'a, A, B> {
    client: &'a mut Connection<A>,
    upstream: Connection<B>,
    up: Way,
    down: Way,
}

impl<'a, A, B> Tunnel<'a, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Joins two connections; what either has read already goes first.
    pub fn new(client: &'a mut Connection<A>, upstream: Connection<B>) -> Self {
        Self {
            client,
            upstream,
            up: Way::default(),
            down: Way::default(),
        }
    }

    /// Moves bytes until both sides have ended, one failed, nothing moved for too long, or `cut` is
    /// ready. Gives why, and how many bytes went up and down.
    pub async fn run(
        mut self,
        patience: Patience,
        cut: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> (TunnelEnd, u64, u64) {
        let end = self.join(patience, cut).await;
        if matches!(end, TunnelEnd::Idle | TunnelEnd::Cut) {
            self.part().await;
        }
        (end, self.up.moved, self.down.moved)
    }

    async fn join(
        &mut self,
        patience: Patience,
        mut cut: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> TunnelEnd {
        let mut deadline = Deadline::new();
        deadline.set(patience.idle);
        let mut stall = patience.stalled.map(Stall::new);
        let mut seen = 0;
        let mut first = None;
        poll_fn(|context| {
            let up = self
                .up
                .poll(context, self.client, &mut self.upstream.stream);
            let down = self
                .down
                .poll(context, &mut self.upstream, &mut self.client.stream);
            match (up, down) {
                (Poll::Ready(Err(WayError::Read)), _) | (_, Poll::Ready(Err(WayError::Write))) => {
                    return Poll::Ready(TunnelEnd::Client);
                }
                (Poll::Ready(Err(WayError::Write)), _) | (_, Poll::Ready(Err(WayError::Read))) => {
                    return Poll::Ready(TunnelEnd::Upstream);
                }
                (Poll::Ready(Ok(())), _) => {
                    first.get_or_insert(TunnelEnd::Client);
                }
                (Poll::Pending, Poll::Ready(Ok(()))) => {
                    first.get_or_insert(TunnelEnd::Upstream);
                }
                (Poll::Pending, Poll::Pending) => {}
            }
            if self.up.shut && self.down.shut {
                return Poll::Ready(first.unwrap_or(TunnelEnd::Client));
            }
            let moved = self.up.moved + self.down.moved;
            if moved != seen {
                seen = moved;
                deadline.set(patience.idle);
            }
            if cut(context).is_ready() {
                return Poll::Ready(TunnelEnd::Cut);
            }
            if let Some(stall) = &mut stall
                && stall.poll(context, &self.up).is_ready()
            {
                return Poll::Ready(TunnelEnd::Upstream);
            }
            deadline.poll(context).map(|()| TunnelEnd::Idle)
        })
        .await
    }

    /// Ends both sides in order: each is told that nothing more comes, and is waited for until it
    /// has said so, too. What it says before that is for nobody.
    async fn part(&mut self) {
        let both = poll_fn(|context| {
            let ends = [
                self.up
                    .poll_end(context, &mut self.upstream.stream)
                    .is_ready(),
                self.down
                    .poll_end(context, &mut self.client.stream)
                    .is_ready(),
                self.up
                    .poll_silence(context, &mut self.client.stream)
                    .is_ready(),
                self.down
                    .poll_silence(context, &mut self.upstream.stream)
                    .is_ready(),
            ];
            if ends.iter().all(|&has_ended| has_ended) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        // Whoever does not listen is left all the same.
        let _in_time = timeout(PARTING, both).await;
    }
}

/// Watches over an upstream that takes nothing.
struct Stall {
    patience: Duration,
    deadline: Deadline,
    written: u64,
}

impl Stall {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            deadline: Deadline::new(),
            written: 0,
        }
    }

    /// Ready when nothing was taken of what waits for too long.
    fn poll(&mut self, context: &mut Context<'_>, up: &Way) -> Poll<()> {
        if up.spill.is_empty() {
            self.deadline.clear();
        } else if self.written != up.written || !self.deadline.is_set() {
            self.deadline.set(self.patience);
        }
        self.written = up.written;
        self.deadline.poll(context)
    }
}

/// Which side of one direction failed.
#[derive(Clone, Copy)]
enum WayError {
    Read,
    Write,
}

impl Way {
    fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Connection<R>,
        to: &mut W,
    ) -> Poll<Result<(), WayError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.ended {
                ready!(self.poll_end(context, to)).map_err(|_| WayError::Write)?;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_spill(context, to)).map_err(|_| WayError::Write)?;
            if !from.inbox().is_empty() {
                let n = from.inbox().len();
                self.pass(context, from.inbox(), to)
                    .map_err(|_| WayError::Write)?;
                from.consume(n);
                continue;
            }
            let passed = ready!(poll_read(
                &mut from.stream,
                context,
                READ_BYTES,
                |context, bytes| {
                    self.ended = bytes.is_empty();
                    self.pass(context, bytes, to)
                }
            ))
            .map_err(|_| WayError::Read)?;
            passed.map_err(|_| WayError::Write)?;
        }
    }

    /// Writes what is left, and ends the writing side.
    fn poll_end<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(self.poll_spill(context, to))?;
            ready!(Pin::new(to).poll_shutdown(context))?;
            self.shut = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Drops what still comes, until it ends or there is too much of it.
    fn poll_silence<R: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<()> {
        while !self.ended {
            let read = poll_read(from, context, READ_BYTES, |_, bytes| bytes.len());
            // One that fails says nothing more either.
            let n = ready!(read).unwrap_or(0);
            self.dropped += n;
            self.ended = n == 0 || self.dropped > LAST_BYTES;
        }
        Poll::Ready(())
    }

    fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        to: &mut W,
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.moved += bytes.len() as u64;
        let written = match poll_write_rest(to, context, bytes, &[], 0) {
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        self.written += written as u64;
        // What is kept also reminds of the flush.
        self.spill = take_buffer();
        self.spill.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn poll_spill<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.spilled < self.spill.len() {
            let n = ready!(poll_write_rest(to, context, &self.spill, &[], self.spilled))?;
            self.spilled += n;
            self.written += n as u64;
        }
        give_buffer(std::mem::take(&mut self.spill));
        self.spilled = 0;
        Pin::new(to).poll_flush(context)
    }
}
