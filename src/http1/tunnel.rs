//! A tunnel: what an upgraded connection becomes. Bytes both ways, half-close kept.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::buffer::{give_buffer, poll_read, take_buffer};
use crate::http1::connection::{Connection, poll_write_rest};
use crate::http1::deadline::Deadline;

/// Bytes read at once in each direction: WebSocket messages are small, and a slow side keeps at
/// most this much.
const READ_BYTES: usize = 64 * 1024;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TunnelEnd {
    /// The client closed first, or failed.
    Client,
    /// The upstream closed first, or failed.
    Upstream,
    /// Nothing moved for the idle timeout.
    Idle,
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Way {
    spill: Vec<u8>,
    spilled: usize,
    moved: u64,
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

    /// Moves bytes until both sides have ended, one failed, or nothing moved for `idle`. Gives why,
    /// and how many bytes went up and down.
    pub async fn run(mut self, idle: Duration) -> (TunnelEnd, u64, u64) {
        let mut deadline = Deadline::new();
        deadline.set(idle);
        let mut seen = 0;
        let mut first = None;
        let end = poll_fn(|context| {
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
                deadline.set(idle);
            }
            deadline.poll(context).map(|()| TunnelEnd::Idle)
        })
        .await;
        (end, self.up.moved, self.down.moved)
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
            ready!(self.poll_spill(context, to)).map_err(|_| WayError::Write)?;
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))
                        .map_err(|_| WayError::Write)?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
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
            self.spilled += ready!(poll_write_rest(to, context, &self.spill, &[], self.spilled))?;
        }
        give_buffer(std::mem::take(&mut self.spill));
        self.spilled = 0;
        Pin::new(to).poll_flush(context)
    }
}
