//! The bodies of an exchange with an HTTP/2 client: the `h2` crate on one side, a socket on the other.

use std::error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::AsyncWrite;

use crate::http1::codec::{write_chunk_head, write_last_chunk};
use crate::http1::{Deadline, Pump, PumpError, give_buffer, take_buffer};
use crate::listener::ClientBody;
use crate::message::{BodyError, Framing, Tap};
use crate::proxy::Error;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc;
use crate::proxy::trailers::{read_trailers, write_trailers};
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::CloseReason;
use crate::upstream::{Lease, Timeouts};

/// Bytes that are gathered before they are written.
const GATHER_BYTES: usize = 32 * 1024;

/// A request's body on its way from an HTTP/2 stream to an HTTP/1 upstream.
pub(crate) struct Upload<B = ClientBody> {
    incoming: Option<B>,
    framing: Framing,
    allowed: u64,
    /// True once the body ended before its end: then it is never done, and its connection is no
    /// other request's.
    is_cut: bool,
    /// What was gathered: kept from the first byte on while it is little, so that it can be sent
    /// again.
    out: Vec<u8>,
    /// Bytes of the head, which comes first in it.
    n_head: usize,
    /// Bytes besides it that it may hold after they were sent.
    kept_bytes: usize,
    sent: usize,
    whole: bool,
    body_bytes: u64,
    written: u64,
    /// Names of trailers that are left out.
    unwanted: Option<Arc<[Box<[u8]>]>>,
    /// Who watches the body.
    tap: Tap,
}

impl<B: http_body::Body<Data = Bytes, Error: error::Error + Send + Sync + 'static> + Unpin>
    Upload<B>
{
    /// Makes one that sends `head` and then the body.
    pub(crate) fn new(
        head: &[u8],
        incoming: Option<B>,
        framing: Framing,
        limit: Option<u64>,
    ) -> Self {
        let mut out = take_buffer();
        out.extend_from_slice(head);
        let incoming = incoming.filter(|incoming| !incoming.is_end_stream());
        Self {
            is_cut: incoming.is_none() && matches!(framing, Framing::Length(1..)),
            incoming,
            framing,
            allowed: limit.unwrap_or(u64::MAX),
            n_head: head.len(),
            kept_bytes: GATHER_BYTES,
            out,
            sent: 0,
            whole: true,
            body_bytes: 0,
            written: 0,
            unwanted: None,
            tap: Tap::default(),
        }
    }

    /// Lets somebody watch the body.
    pub(crate) fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = tap;
        self
    }

    /// Keeps bodies of so many bytes whole, as they may have to be sent again.
    pub(crate) fn keeping(mut self, bytes: usize) -> Self {
        self.kept_bytes = self.kept_bytes.max(bytes);
        self
    }

    /// Leaves trailers of these names out.
    pub(crate) fn without_trailers(mut self, names: Option<&Arc<[Box<[u8]>]>>) -> Self {
        self.unwanted = names.cloned();
        self
    }

    /// True when everything was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.incoming.is_none() && !self.is_cut && self.sent == self.out.len()
    }

    /// Bytes of body so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// True when the upstream is what it waits for.
    pub(crate) fn is_waiting_to_write(&self) -> bool {
        self.sent < self.out.len()
    }

    /// True while all that was sent can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        self.whole
    }

    /// Begins anew, on another connection, with this head.
    pub(crate) fn again(&mut self, head: &[u8]) {
        self.out.splice(..self.n_head, head.iter().copied());
        self.n_head = head.len();
        self.sent = 0;
        self.written = 0;
    }

    /// Moves bytes until all are sent or a side has to be waited for.
    pub(crate) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<Result<(), Trouble>> {
        loop {
            let more = self.poll_gather(context)?;
            while self.sent < self.out.len() {
                let n = ready!(Pin::new(&mut *to).poll_write(context, &self.out[self.sent..]))
                    .map_err(|error| Trouble::Upload(PumpError::Write(error)))?;
                if n == 0 {
                    let error = std::io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(Trouble::Upload(PumpError::Write(error))));
                }
                self.sent += n;
                self.written += n as u64;
            }
            if self.out.len() - self.n_head > self.kept_bytes {
                self.out.clear();
                self.sent = 0;
                self.n_head = 0;
                self.whole = false;
                self.kept_bytes = GATHER_BYTES;
            }
            if self.incoming.is_none() {
                return Poll::Ready(Ok(()));
            }
            if more.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Gathers what has come of the body; ready while more may be had at once.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Trouble> {
        if self.is_cut {
            return Err(Trouble::Upload(PumpError::Cut));
        }
        while self.out.len() - self.sent < GATHER_BYTES {
            let Some(incoming) = &mut self.incoming else {
                return Ok(Poll::Ready(()));
            };
            let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) else {
                return Ok(Poll::Pending);
            };
            match frame {
                None => self.end(&[])?,
                Some(Err(error)) => {
                    self.incoming = None;
                    self.is_cut = true;
                    let error = std::io::Error::other(error);
                    return Err(Trouble::Upload(PumpError::Read(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.data(&data)?,
                    Err(frame) => {
                        let unwanted = self.unwanted.as_deref().unwrap_or_default();
                        let trailers = frame.into_trailers();
                        let trailers = trailers.map(|map| write_trailers(&map, unwanted));
                        self.end(&trailers.unwrap_or_default())?;
                    }
                },
            }
        }
        Ok(Poll::Ready(()))
    }

    fn data(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let n = data.len() as u64;
        self.body_bytes += n;
        if matches!(self.framing, Framing::Length(length) if length < self.body_bytes) {
            return Err(self.cut());
        }
        self.allowed = self
            .allowed
            .checked_sub(n)
            .ok_or(Trouble::Upload(PumpError::TooLarge))?;
        self.tap.see(data);
        if self.framing == Framing::Chunked && n > 0 {
            write_chunk_head(&mut self.out, data.len());
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.out.extend_from_slice(data);
        }
        Ok(())
    }

    fn end(&mut self, trailers: &[u8]) -> Result<(), Trouble> {
        self.incoming = None;
        match self.framing {
            Framing::Chunked => write_last_chunk(&mut self.out, trailers),
            // The library has compared the two; what the next request of the connection would be taken
            // for is worth comparing twice.
            Framing::Length(length) if length != self.body_bytes => return Err(self.cut()),
            Framing::Length(_) | Framing::None | Framing::UntilClose => {}
        }
        self.tap.end();
        Ok(())
    }

    fn cut(&mut self) -> Trouble {
        self.incoming = None;
        self.is_cut = true;
        Trouble::Upload(PumpError::Cut)
    }
}

impl<B> Drop for Upload<B> {
    fn drop(&mut self) {
        give_buffer(std::mem::take(&mut self.out));
    }
}

/// A response's body on its way from an HTTP/1 upstream to an HTTP/2 stream. It drives what is
/// left of the request's body, too, and ends the exchange.
pub(crate) struct Download {
    exchange: Box<Exchange>,
    lease: Option<Lease>,
    upload: Upload,
    pump: Pump,
    length: Option<u64>,
    timeouts: Timeouts,
    deadline: Deadline,
    seen: u64,
    trailers_sent: bool,
}

impl Download {
    pub(crate) fn new(
        exchange: Box<Exchange>,
        lease: Lease,
        upload: Upload,
        pump: Pump,
        length: Option<u64>,
        timeouts: Timeouts,
        mut deadline: Deadline,
    ) -> Self {
        deadline.set(timeouts.body);
        Self {
            exchange,
            lease: Some(lease),
            upload,
            pump,
            length,
            timeouts,
            deadline,
            seen: 0,
            trailers_sent: false,
        }
    }

    /// Ends the exchange as it should end.
    fn finish(&mut self) {
        self.exchange.request_bytes = self.upload.body_bytes();
        self.exchange.response_bytes = self.pump.body_bytes();
        self.exchange.completed();
        if let Some(lease) = self.lease.take() {
            release(lease, &mut self.exchange, &self.upload);
        }
    }

    fn fail(&mut self, error: Error) -> BodyError {
        self.exchange.request_bytes = self.upload.body_bytes();
        self.exchange.response_bytes = self.pump.body_bytes();
        if let Some(lease) = self.lease.take() {
            lease.close(CloseReason::Error);
        }
        let shown = BodyError(error.detail().into());
        self.exchange.failed(error);
        shown
    }
}

/// Gives a connection back after a whole response, if it can be used again.
pub(crate) fn release(lease: Lease, exchange: &mut Exchange, upload: &Upload) {
    let response = exchange.response();
    if !upload.is_done() {
        lease.close(CloseReason::Abandoned);
    } else if response.keep_alive && response.framing != Framing::UntilClose {
        lease.give_back(Instant::now());
    } else {
        lease.close(CloseReason::Upstream);
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(lease) = &mut this.lease else {
            return Poll::Ready(None);
        };
        let connection = lease.connection();
        if !this.upload.is_done()
            && let Poll::Ready(Err(trouble)) = this.upload.poll(context, &mut connection.stream)
            && trouble.is_the_clients()
        {
            let error = this.fail(trouble.into_error());
            return Poll::Ready(Some(Err(error)));
        }
        let mut out = Vec::new();
        match this.pump.poll_decode(context, connection, &mut out) {
            Poll::Ready(Err(error)) => {
                let error = this.fail(Trouble::Download(error).into_error());
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Ok(())) if !out.is_empty() => {
                if this.pump.is_read() && this.pump.trailers().is_empty() {
                    // The last piece says that it is: no empty frame follows it.
                    this.finish();
                } else {
                    this.deadline.set(this.timeouts.body);
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))))
            }
            Poll::Ready(Ok(())) => {
                let trailers = read_trailers(this.pump.trailers());
                if !trailers.is_empty() && !this.trailers_sent {
                    this.trailers_sent = true;
                    this.exchange.heard_grpc(|_| grpc::in_trailers(&trailers));
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let progress = this.upload.written() + this.upload.body_bytes();
                if progress != this.seen {
                    this.seen = progress;
                    this.deadline.set(this.timeouts.body);
                }
                if this.deadline.poll(context).is_ready() {
                    let error = this.fail(Error::Truncated(None));
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.pump.body_bytes())),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use http_body::Frame;

    use crate::http1::PumpError;
    use crate::message::Framing;
    use crate::proxy::body::Upload;
    use crate::proxy::trouble::Trouble;

    /// A body whose frames are all there; `None` among them is the stream's reset.
    struct Script(VecDeque<Option<&'static [u8]>>);

    impl http_body::Body for Script {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(self.0.pop_front().map(|frame| match frame {
                Some(bytes) => Ok(Frame::data(Bytes::from_static(bytes))),
                None => Err(io::ErrorKind::ConnectionReset.into()),
            }))
        }
    }

    fn sent(framing: Framing, frames: &[Option<&'static [u8]>]) -> (Vec<u8>, bool) {
        let body = Script(frames.iter().copied().collect());
        let mut upload = Upload::new(b"head\r\n\r\n", Some(body), framing, None);
        let mut out = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        match upload.poll(&mut context, &mut out) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Trouble::Upload(_))) => {
                // However often it is asked: what was cut is not done.
                let again = upload.poll(&mut context, &mut out);
                let cut = matches!(again, Poll::Ready(Err(Trouble::Upload(PumpError::Cut))));
                assert!(cut, "{again:?}");
                assert!(!upload.is_done());
            }
            other => panic!("{other:?}"),
        }
        (out, upload.is_done())
    }

    #[test]
    fn a_whole_body_is_sent_and_done() {
        let (out, done) = sent(Framing::Length(5), &[Some(b"he"), Some(b"llo")]);
        assert_eq!((&out[..], done), (&b"head\r\n\r\nhello"[..], true));
        let (out, done) = sent(Framing::Chunked, &[Some(b"hello")]);
        let whole = b"head\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert_eq!((&out[..], done), (&whole[..], true));
    }

    #[test]
    fn a_body_that_ends_before_its_end_is_never_done() {
        for framing in [Framing::Length(5), Framing::Chunked] {
            assert!(!sent(framing, &[Some(b"hell"), None]).1, "{framing:?}");
        }
    }

    #[test]
    fn a_body_of_another_length_than_it_says_is_never_done() {
        assert!(!sent(Framing::Length(5), &[Some(b"hell")]).1);
        let (out, done) = sent(Framing::Length(5), &[Some(b"hello"), Some(b"!")]);
        assert!(!done);
        assert!(!out.ends_with(b"!"), "nothing beyond the length goes out");
        assert!(!sent(Framing::Length(5), &[]).1);
    }
}
