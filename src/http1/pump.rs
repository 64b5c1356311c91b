//! A body on its way from one socket to the other.
//!
//! It is read as its framing says and framed anew for the other side, so nothing that one side
//! might read differently is passed on. Bytes go from the thread's read buffer straight into the
//! other socket; only what that socket does not take is kept, and nothing more is read until it is
//! gone: the slower side sets the pace and one read's worth of memory bounds it. What is large, and
//! needs no other framing, goes from socket to socket and through no memory of ours.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::http1::buffer::{READ_BYTES, poll_read, with_encode};
use crate::http1::codec::{
    ChunkError, ChunkStep, ChunkedReader, write_chunk_head, write_last_chunk,
};
use crate::http1::connection::Connection;
use crate::http1::spill::Spill;
use crate::http1::splice::{FillError, PIPE_BYTES, Piped, Sink, Wire};
use crate::message::{Framing, Limits, Tap};

/// The first reads of a body, and all reads for a slow reader, are at most this large, so that
/// what a slow reader leaves behind is, too.
const SMALL_READ_BYTES: usize = 64 * 1024;

/// A body of so few bytes is copied behind its head: one plain write costs less than a gathering one.
const COPY_BYTES: usize = 4 * 1024;

/// A body of which so much is still to come goes from socket to socket without a copy through our
/// memory, where both are bare sockets. Below that it costs as much as copying, or more: a body of
/// 128 KiB 1.00 of it, one of 256 KiB 0.76.
const SPLICE_BYTES: u64 = 128 * 1024;

/// Bytes that become one frame for a receiver that is no stream: two frames of HTTP/2's default
/// size, so that many streams share a connection fairly.
const DECODE_BYTES: usize = 32 * 1024;

/// How a body comes.
#[derive(Debug)]
pub enum Incoming {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Box<ChunkedReader>),
    /// Until the connection ends.
    UntilClose,
}

impl Incoming {
    /// How a body with this framing is read.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked(Box::new(ChunkedReader::new(limits))),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Leaves trailers of these names out.
    #[must_use]
    pub fn without_trailers(mut self, names: Option<&Arc<[Box<[u8]>]>>) -> Self {
        if let (Self::Chunked(reader), Some(names)) = (&mut self, names) {
            reader.leave_out(Arc::clone(names));
        }
        self
    }
}

/// How a body goes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outgoing {
    /// As it is: its length was told, or it ends with the connection.
    Raw,
    /// In chunks.
    Chunked,
}

/// Why a body did not arrive whole.
#[derive(Debug, Error)]
pub enum PumpError {
    /// The side that sends it failed.
    #[error("the sender failed")]
    Read(#[source] io::Error),
    /// The side that sends it closed before its end.
    #[error("the sender closed before the end of the body")]
    Cut,
    /// The side that sends it sent no chunks.
    #[error("malformed chunk")]
    Chunk(#[from] ChunkError),
    /// It is larger than the limit.
    #[error("larger than the limit")]
    TooLarge,
    /// The side that receives it failed.
    #[error("the receiver failed")]
    Write(#[source] io::Error),
}

/// Carries one body from a connection to a stream.
#[derive(Debug)]
pub struct Pump {
    incoming: Incoming,
    outgoing: Outgoing,
    /// Bytes of body that may still come; past them it is too large.
    allowed: u64,
    /// Bytes that the receiver did not take yet.
    spill: Spill,
    /// How much to read at once.
    window: usize,
    /// Bytes of body read so far, without framing.
    body_bytes: u64,
    ended: bool,
    /// Bytes that go from socket to socket.
    piped: Option<Box<Piped>>,
    /// How much of it at once.
    pipe: usize,
    /// True when the kernel was found not to do that here.
    copies: bool,
    /// Who watches the body, without its framing.
    tap: Tap,
}

impl Pump {
    /// Makes one for a body that is read and written so; at most `limit` bytes of it.
    pub fn new(incoming: Incoming, outgoing: Outgoing, limit: Option<u64>) -> Self {
        let ended = matches!(incoming, Incoming::Length(0));
        Self {
            incoming,
            outgoing,
            allowed: limit.unwrap_or(u64::MAX),
            spill: Spill::default(),
            window: SMALL_READ_BYTES,
            body_bytes: 0,
            ended,
            piped: None,
            pipe: PIPE_BYTES,
            copies: false,
            tap: Tap::default(),
        }
    }

    /// Lets somebody watch the body.
    #[must_use]
    pub fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = tap;
        self
    }

    /// Bytes of body so far, without framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// A number that grows with each step forward.
    pub fn progress(&self) -> u64 {
        self.spill.written() + self.body_bytes
    }

    /// Bytes written so far, framing and head included.
    pub fn written(&self) -> u64 {
        self.spill.written()
    }

    /// True when the whole body was read.
    pub fn is_read(&self) -> bool {
        self.ended
    }

    /// True when the receiver is what it waits for.
    pub fn is_waiting_to_write(&self) -> bool {
        !self.spill.is_through() || self.piped.is_some()
    }

    /// True when the whole body was read and written.
    pub fn is_done(&self) -> bool {
        self.ended && !self.is_waiting_to_write()
    }

    /// Uses bytes that were read behind a head: writes `head` and as much of the body as is there
    /// in one go, and keeps what the receiver does not take. Tells how many of `bytes` it used.
    ///
    /// # Errors
    /// When the bytes are no such body, or when the receiver fails.
    pub fn start<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        head: &[u8],
        bytes: &[u8],
        to: &mut W,
    ) -> Result<usize, PumpError> {
        if self.outgoing == Outgoing::Raw && !matches!(self.incoming, Incoming::Chunked(_)) {
            let n = self.take_raw(bytes)?;
            if head.is_empty() || n == 0 || n > COPY_BYTES {
                self.spill
                    .write(context, head, &bytes[..n], to)
                    .map_err(PumpError::Write)?;
            } else {
                with_encode(|out| {
                    out.extend_from_slice(head);
                    out.extend_from_slice(&bytes[..n]);
                    self.spill.write(context, out, &[], to)
                })
                .map_err(PumpError::Write)?;
            }
            return Ok(n);
        }
        with_encode(|out| {
            out.extend_from_slice(head);
            let used = self.encode(bytes, out)?;
            self.spill
                .write(context, out, &[], to)
                .map_err(PumpError::Write)?;
            Ok(used)
        })
    }

    /// Moves bytes until the body is through or a side has to be waited for.
    ///
    /// # Errors
    /// When either side fails; what was written until then was written.
    pub fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Connection<R>,
        to: &mut W,
    ) -> Poll<Result<(), PumpError>>
    where
        R: AsyncRead + Wire + Unpin,
        W: AsyncWrite + Wire + Unpin,
    {
        loop {
            ready!(self.spill.poll(context, to)).map_err(PumpError::Write)?;
            if (self.piped.is_some() || self.splices(from.inbox()))
                && let (Some(from), Some(to)) = (from.stream.source(), to.sink())
            {
                ready!(self.poll_splice(context, from, to))?;
            }
            if self.piped.is_some() {
                // What it holds has no other way out.
                return Poll::Ready(Err(PumpError::Write(io::ErrorKind::Unsupported.into())));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if !from.inbox().is_empty() {
                let used = self.start(context, &[], from.inbox(), to)?;
                from.consume(used);
                continue;
            }
            let window = match self.incoming {
                Incoming::Length(left) => {
                    usize::try_from(left).map_or(self.window, |left| left.min(self.window))
                }
                _ => self.window,
            };
            let read = ready!(poll_read(
                &mut from.stream,
                context,
                window,
                |context, bytes| {
                    if bytes.is_empty() {
                        return Ok((0, Vec::new()));
                    }
                    let used = self.start(context, &[], bytes, to)?;
                    Ok::<_, PumpError>((bytes.len(), bytes[used..].to_vec()))
                }
            ))
            .map_err(PumpError::Read)?;
            let (n, rest) = read?;
            from.keep(&rest);
            if n == 0 {
                self.end_of_stream()?;
            }
            // A reader that keeps up is read for in larger pieces; a slow one is not.
            self.window = if self.spill.is_holding() {
                SMALL_READ_BYTES
            } else if n == window {
                (self.window * 2).min(READ_BYTES)
            } else {
                self.window
            };
        }
    }

    /// True when the rest of the body is to go from socket to socket.
    fn splices(&self, inbox: &[u8]) -> bool {
        matches!(self.incoming, Incoming::Length(left) if left >= SPLICE_BYTES)
            && self.outgoing == Outgoing::Raw
            && !self.copies
            && !self.tap.is_open()
            && inbox.is_empty()
    }

    /// Moves bytes of a body whose length is known from socket to socket, until it is through or a
    /// side has to be waited for; or until it turns out that the kernel does not do that here.
    fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        from: &TcpStream,
        to: Sink<'_>,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            if let Some(piped) = &mut self.piped {
                let spill = &mut self.spill;
                let drained = piped.poll_drain(context, to, |n| spill.count(n));
                self.pipe = if drained.is_ready() {
                    (self.pipe * 2).min(PIPE_BYTES)
                } else {
                    SMALL_READ_BYTES
                };
                ready!(drained).map_err(PumpError::Write)?;
                if let Some(piped) = self.piped.take() {
                    piped.end();
                }
            }
            let Incoming::Length(left @ 1..) = self.incoming else {
                return Poll::Ready(Ok(()));
            };
            let window = usize::try_from(left).map_or(self.pipe, |left| left.min(self.pipe));
            match ready!(Piped::poll_fill(context, from, window)) {
                Ok(Some(piped)) => {
                    self.incoming = Incoming::Length(left - piped.held() as u64);
                    self.ended = left == piped.held() as u64;
                    self.count(piped.held())?;
                    self.piped = Some(Box::new(piped));
                }
                Ok(None) => return Poll::Ready(Err(PumpError::Cut)),
                Err(FillError::Read(error)) => return Poll::Ready(Err(PumpError::Read(error))),
                Err(FillError::Unable) => {
                    self.copies = true;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Moves bytes of a body into `out`, without framing, until there are some or the body ended;
    /// for a receiver that is no stream. It has to be made for [`Outgoing::Raw`].
    ///
    /// # Errors
    /// When the sender fails.
    pub fn poll_decode<R: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Connection<R>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), PumpError>> {
        while !self.ended && out.is_empty() {
            if !from.inbox().is_empty() {
                let used = self.encode(from.inbox(), out)?;
                from.consume(used);
                continue;
            }
            let read = ready!(poll_read(
                &mut from.stream,
                context,
                DECODE_BYTES,
                |_, bytes| {
                    if bytes.is_empty() {
                        return self.end_of_stream().map(|()| Vec::new());
                    }
                    let used = self.encode(bytes, out)?;
                    Ok(bytes[used..].to_vec())
                }
            ))
            .map_err(PumpError::Read)?;
            from.keep(&read?);
        }
        Poll::Ready(Ok(()))
    }

    /// Decodes bytes that are at hand into `out`; tells how many belong to the body.
    ///
    /// # Errors
    /// When they are no such body.
    pub fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, PumpError> {
        self.encode(bytes, out)
    }

    /// Bytes of body still to come, where its length is known.
    pub fn left(&self) -> Option<u64> {
        match self.incoming {
            Incoming::Length(left) => Some(left),
            Incoming::Chunked(_) | Incoming::UntilClose => None,
        }
    }

    /// The trailers of a body that came in chunks and was read: raw field lines.
    pub fn trailers(&self) -> &[u8] {
        match &self.incoming {
            Incoming::Chunked(reader) if self.ended => reader.trailers(),
            _ => &[],
        }
    }

    /// The sender's stream has ended: that is the body's end, or it was cut.
    fn end_of_stream(&mut self) -> Result<(), PumpError> {
        match self.incoming {
            Incoming::UntilClose => {
                self.ended = true;
                self.tap.end();
                if self.outgoing == Outgoing::Chunked {
                    let mut last = Vec::new();
                    write_last_chunk(&mut last, &[]);
                    self.spill.hold(&last);
                }
                Ok(())
            }
            Incoming::Length(_) | Incoming::Chunked(_) => Err(PumpError::Cut),
        }
    }

    /// Counts bytes of an unchunked body; tells how many of these belong to it.
    fn take_raw(&mut self, bytes: &[u8]) -> Result<usize, PumpError> {
        let n = match &mut self.incoming {
            Incoming::Length(left) => {
                let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= n as u64;
                self.ended = *left == 0;
                n
            }
            Incoming::UntilClose | Incoming::Chunked(_) => bytes.len(),
        };
        self.count(n)?;
        self.tap.see(&bytes[..n]);
        if self.ended {
            self.tap.end();
        }
        Ok(n)
    }

    fn count(&mut self, n: usize) -> Result<(), PumpError> {
        self.body_bytes += n as u64;
        self.allowed = self
            .allowed
            .checked_sub(n as u64)
            .ok_or(PumpError::TooLarge)?;
        Ok(())
    }

    /// Reads a body's bytes from `bytes` and writes them to `out` as they go out. Tells how many
    /// it used: all, unless the body ended within them.
    fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, PumpError> {
        if !matches!(self.incoming, Incoming::Chunked(_)) {
            let n = self.take_raw(bytes)?;
            if n > 0 {
                self.write_data(&bytes[..n], out);
            }
            if self.ended && self.outgoing == Outgoing::Chunked {
                write_last_chunk(out, &[]);
            }
            return Ok(n);
        }
        let mut used = 0;
        while used < bytes.len() && !self.ended {
            let Incoming::Chunked(reader) = &mut self.incoming else {
                break;
            };
            let (n, step) = reader.step(&bytes[used..])?;
            match step {
                ChunkStep::More => {}
                ChunkStep::Data(range) => {
                    self.count(range.len())?;
                    let data = &bytes[used + range.start..used + range.end];
                    self.tap.see(data);
                    self.write_data(data, out);
                }
                ChunkStep::End => {
                    if self.outgoing == Outgoing::Chunked {
                        write_last_chunk(out, reader.trailers());
                    }
                    self.ended = true;
                    self.tap.end();
                }
            }
            used += n;
        }
        Ok(used)
    }

    fn write_data(&self, data: &[u8], out: &mut Vec<u8>) {
        match self.outgoing {
            Outgoing::Raw => out.extend_from_slice(data),
            Outgoing::Chunked => {
                write_chunk_head(out, data.len());
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}
