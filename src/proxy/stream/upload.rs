//! A request's body on its way into an HTTP/2 stream.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

use crate::http1::PumpError;
use crate::message::{Framing, Tap};
use crate::proxy::stream::trailers::Dropped;
use crate::proxy::trouble::Trouble;

/// Bytes of a body that are kept so that they can be sent again: what is kept for retries at most.
const KEPT_BYTES: usize = 64 * 1024;

/// A piece of a body, as its client sends it.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes, and whether they are known to be the last.
    Data(Bytes, bool),
    /// The end, with the trailers, if there are any.
    End(Option<HeaderMap>),
}

/// A request's body.
///
/// A piece is asked for when the endpoint has taken the one before, so that its flow control is
/// the client's, too. The stream is ended only by a body that has come to its own end.
#[derive(Debug)]
pub(crate) struct Upload {
    /// How many bytes there will be, if that was told.
    length: Option<u64>,
    allowed: u64,
    body_bytes: u64,
    /// Bytes that the endpoint has taken.
    sent_bytes: u64,
    /// What was sent so far, while that is little.
    kept: Vec<Bytes>,
    n_kept_bytes: usize,
    /// True while all that was sent is kept.
    is_whole: bool,
    /// How many of those kept were sent on this stream.
    n_sent: usize,
    /// What the endpoint has not taken.
    pending: Option<Bytes>,
    /// The end, once the client has come to it.
    end: Option<Option<HeaderMap>>,
    is_done: bool,
    dropped: Dropped,
    /// Who watches the body.
    tap: Tap,
}

impl Upload {
    /// Makes one for a body with this framing, of `limit` bytes at most.
    pub(crate) fn new(framing: Framing, limit: Option<u64>) -> Self {
        let length = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let is_done = length == Some(0);
        Self {
            length,
            allowed: limit.unwrap_or(u64::MAX),
            body_bytes: 0,
            sent_bytes: 0,
            kept: Vec::new(),
            n_kept_bytes: 0,
            is_whole: true,
            n_sent: 0,
            pending: None,
            end: is_done.then_some(None),
            is_done,
            dropped: Dropped::default(),
            tap: Tap::default(),
        }
    }

    /// Lets somebody watch the body.
    pub(crate) fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = tap;
        self
    }

    /// Leaves trailers of these names out.
    pub(crate) fn without_trailers(mut self, dropped: Dropped) -> Self {
        self.dropped = dropped;
        self
    }

    /// True when nothing follows the request's head.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == Some(0)
    }

    /// True when everything was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Bytes of body so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// A number that grows with each step forward.
    pub(crate) fn progress(&self) -> u64 {
        self.body_bytes + self.sent_bytes
    }

    /// True when the endpoint is what it waits for.
    pub(crate) fn is_waiting_to_write(&self) -> bool {
        self.pending.is_some()
    }

    /// True while all that was sent can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        self.is_whole
    }

    /// Begins anew, on another stream.
    pub(crate) fn again(&mut self) {
        self.n_sent = 0;
        self.pending = None;
        self.is_done = self.is_empty();
    }

    /// Sends what there is until all is sent or a side has to be waited for; `next` asks the client.
    ///
    /// # Errors
    /// When the client's body is cut or too large, or when the stream takes nothing any more.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        to: &mut SendStream<Bytes>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Result<Part, Trouble>>,
    ) -> Poll<Result<(), Trouble>> {
        while !self.is_done {
            if self.pending.is_some() {
                ready!(self.poll_send(context, to))?;
            } else if let Some(data) = self.kept.get(self.n_sent).filter(|_| self.is_whole) {
                self.pending = Some(data.clone());
                self.n_sent += 1;
            } else if let Some(end) = &self.end {
                let ended = match end {
                    Some(trailers) => to.send_trailers(trailers.clone()),
                    None => to.send_data(Bytes::new(), true),
                };
                ended.map_err(refused)?;
                self.is_done = true;
            } else {
                match ready!(next(context))? {
                    Part::Data(data, is_last) => self.take(data, is_last)?,
                    Part::End(trailers) => self.end(trailers)?,
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hands on what is pending, once the endpoint's windows have room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        to: &mut SendStream<Bytes>,
    ) -> Poll<Result<(), Trouble>> {
        // One byte, and not the whole piece: what a stream claims of the connection's window while
        // it waits is missing to the others. The library raises the claim as it sends.
        to.reserve_capacity(1);
        while to.capacity() == 0 {
            match ready!(to.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(refused(error))),
                None => {
                    let gone = io::Error::from(io::ErrorKind::BrokenPipe);
                    return Poll::Ready(Err(Trouble::Upload(PumpError::Write(gone))));
                }
            }
        }
        let data = self.pending.take().unwrap_or_default();
        self.sent_bytes += data.len() as u64;
        let is_last = self.n_sent == self.kept.len() || !self.is_whole;
        let ends = is_last && matches!(self.end, Some(None));
        to.send_data(data, ends).map_err(refused)?;
        self.is_done = ends;
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, data: Bytes, is_last: bool) -> Result<(), Trouble> {
        let n = data.len() as u64;
        self.body_bytes += n;
        if self.length.is_some_and(|length| length < self.body_bytes) {
            return Err(Trouble::Upload(PumpError::Cut));
        }
        self.allowed = self
            .allowed
            .checked_sub(n)
            .ok_or(Trouble::Upload(PumpError::TooLarge))?;
        self.tap.see(&data);
        if is_last {
            self.end(None)?;
        }
        if n == 0 {
            return Ok(());
        }
        self.n_kept_bytes += data.len();
        if self.is_whole && self.n_kept_bytes <= KEPT_BYTES {
            self.kept.push(data.clone());
            self.n_sent = self.kept.len();
        } else {
            self.is_whole = false;
            self.kept.clear();
        }
        self.pending = Some(data);
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Trouble> {
        // A stream that ends early must never look like one that has ended.
        if self.length.is_some_and(|length| length != self.body_bytes) {
            return Err(Trouble::Upload(PumpError::Cut));
        }
        self.tap.end();
        self.end = Some(trailers.and_then(|trailers| self.dropped.clean(trailers)));
        Ok(())
    }
}

/// The stream takes nothing any more; why, its response tells.
fn refused(error: h2::Error) -> Trouble {
    Trouble::Upload(PumpError::Write(io::Error::other(error)))
}
