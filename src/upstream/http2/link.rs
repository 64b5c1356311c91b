//! One HTTP/2 connection with an endpoint: its handshake, its streams, its end.
//!
//! The `h2` crate speaks the protocol, as it does within hyper. It is used directly, because it
//! tells what hyper's client keeps to itself (whether a stream was refused before it was processed,
//! 1xx, windows), and because no channel then lies between an exchange and its stream: an exchange
//! polls its stream's handles, and the connection's task moves the frames.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Error, Ping, PingPong, SendStream};
use http::Request;
use tracing::{debug, warn};

use crate::http1::Deadline;
use crate::telemetry::stats::CloseReason;
use crate::tls::{Fault, Stream};
use crate::upstream::http2::meter::{Meter, Metered};
use crate::upstream::reach::{ConnectError, Reach};

/// Bytes of response that a stream may hold for a client that reads slowly: what an exchange with
/// HTTP/1 holds, too, and enough for 250 MB/s over a millisecond.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of the largest frame that an endpoint may send: with those of 64 KiB a body of 1 MiB took
/// 0.83 of the processor time that it took with those of 16 KiB, and larger ones gained nothing.
const FRAME_BYTES: u32 = 64 * 1024;

/// Streams on a connection at most, whatever the endpoint allows: past this another connection is
/// better than a longer queue on this one.
const MAX_STREAMS: usize = 128;

/// Bytes that all streams of a connection may hold together: all of them their whole window, so
/// that slow clients never take from others what a connection shares. It bounds what one holds.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// Bytes of request that a stream keeps until the endpoint takes them.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of a response's head, and of its trailers: those of an HTTP/1 upstream, too.
const HEAD_BYTES: u32 = 256 * 1024;

/// Streams that were given up within the last second and whose frames are still let pass: fewer,
/// and each frame on its way for another one would be answered by another reset, of which the
/// library allows a connection a thousand.
const GIVEN_UP_STREAMS: usize = 1024;

/// How long nothing may come while streams are open before the endpoint is asked whether it is
/// there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// How long an endpoint that has said so and goes on saying nothing is left alone. gRPC's servers
/// close connections that ask more often ("too_many_pings"; gRPC's doc/keepalive.md).
const PING_AGAIN: Duration = Duration::from_secs(310);

/// How long a connection that nobody needs any more may take to say so and close.
const LINGER: Duration = Duration::from_secs(5);

/// One connection, for those who open streams on it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its number among those of its pool; a later one has a greater number.
    pub(crate) number: u64,
    sender: RefCell<SendRequest<Bytes>>,
    state: Rc<State>,
}

/// What both sides of it know: those who open streams, and its task.
#[derive(Debug)]
struct State {
    reach: Rc<Reach>,
    meter: Meter,
    streams: Cell<usize>,
    /// Since when there has been no stream.
    idle_since: Cell<Instant>,
    /// Why it is closed, once it is.
    close: Cell<CloseReason>,
    /// True once nobody can open a stream on it.
    is_released: Cell<bool>,
    /// True once it has ended.
    has_ended: Cell<bool>,
    /// True once it is not trusted with further streams.
    is_suspect: Cell<bool>,
}

impl Link {
    /// Begins to speak HTTP/2 on a stream; ready when the endpoint has done so, too, and with it
    /// has said how many streams it takes.
    ///
    /// # Errors
    /// When what the endpoint says is not HTTP/2.
    pub(crate) async fn begin(
        number: u64,
        stream: Stream,
        reach: &Rc<Reach>,
    ) -> Result<(Rc<Self>, Driver), ConnectError> {
        let meter = Meter::default();
        let shaking = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD_BYTES)
            .max_concurrent_reset_streams(GIVEN_UP_STREAMS)
            // None until the endpoint's settings say how many.
            .initial_max_send_streams(0)
            .enable_push(false)
            .handshake(Metered::new(stream, &meter));
        let failed = |error| not_http2(reach, error);
        let (sender, mut connection) = shaking.await.map_err(failed)?;
        poll_fn(|context| match pin!(&mut connection).poll(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error))),
            Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::Failed(
                io::ErrorKind::UnexpectedEof.into(),
            ))),
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let state = Rc::new(State {
            reach: Rc::clone(reach),
            meter,
            streams: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            close: Cell::new(CloseReason::Upstream),
            is_released: Cell::new(false),
            has_ended: Cell::new(false),
            is_suspect: Cell::new(false),
        });
        let driver = Driver {
            pings: connection.ping_pong(),
            connection,
            state: Rc::clone(&state),
            deadline: Deadline::new(),
            seen: 0,
            asked: false,
            answered_at: None,
        };
        let link = Self {
            number,
            sender: RefCell::new(sender),
            state,
        };
        Ok((Rc::new(link), driver))
    }

    /// True when further streams may be opened on it, now or once others have ended.
    pub(crate) fn is_usable(&self) -> bool {
        if self.state.has_ended.get() || self.state.is_suspect.get() {
            return false;
        }
        // Ready is all it says of a connection as such; not so after GOAWAY, or an error.
        let mut context = Context::from_waker(Waker::noop());
        let ready = self.sender.borrow_mut().poll_ready(&mut context);
        !matches!(ready, Poll::Ready(Err(_)))
    }

    /// True when another stream may be opened on it now.
    pub(crate) fn has_room(&self) -> bool {
        let allowed = self.sender.borrow().current_max_send_streams();
        self.state.streams.get() < allowed.min(MAX_STREAMS)
    }

    /// How long there has been no stream, if there is none.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let is_idle = self.state.streams.get() == 0;
        is_idle.then(|| self.state.idle_since.get().elapsed())
    }

    /// Notes why it is closed, for whoever is about to let go of it.
    pub(crate) fn closes(&self, reason: CloseReason) {
        self.state.close.set(reason);
    }

    /// Keeps further streams off it: its endpoint has not been heard of for too long.
    pub(crate) fn distrust(&self) {
        self.state.is_suspect.set(true);
    }

    /// Counts a stream.
    pub(crate) fn begin_stream(&self) {
        let n = self.state.streams.get();
        if n == 0 && !self.state.has_ended.get() {
            self.state.reach.shard().connection_taken();
        }
        self.state.streams.set(n + 1);
    }

    /// Counts a stream's end; true when it was the last.
    pub(crate) fn end_stream(&self) -> bool {
        let n = self.state.streams.get().saturating_sub(1);
        self.state.streams.set(n);
        if n == 0 {
            self.state.idle_since.set(Instant::now());
            if !self.state.has_ended.get() {
                self.state.reach.shard().connection_parked();
            }
        }
        n == 0
    }

    /// Opens a stream with a request's head; `is_whole` when that is all of it.
    pub(crate) fn open(
        &self,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Error> {
        // A handle of its own: a shared one would wait for the stream that it opened before.
        let mut sender = self.sender.borrow().clone();
        sender.send_request(request, is_whole)
    }

    /// True when the endpoint takes CONNECT with a protocol (RFC 8441).
    pub(crate) fn takes_extended_connect(&self) -> bool {
        let sender = self.sender.borrow();
        sender.is_extended_connect_protocol_enabled()
    }

    /// Its bytes so far.
    pub(crate) fn meter(&self) -> &Meter {
        &self.state.meter
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The sender goes after this, which wakes the task.
        self.state.is_released.set(true);
    }
}

/// What moves the frames of a connection; it runs in a task of its own.
#[derive(Debug)]
pub(crate) struct Driver {
    connection: Connection<Metered, Bytes>,
    pings: Option<PingPong>,
    state: Rc<State>,
    deadline: Deadline,
    /// How many bytes had come at the last look.
    seen: u64,
    /// True while the endpoint is asked whether it is there.
    asked: bool,
    /// When it said that it is.
    answered_at: Option<Instant>,
}

impl Driver {
    /// Runs the connection until it ends: by itself, or once nobody needs it.
    pub(crate) async fn run(mut self) {
        self.state.reach.shard().connection_parked();
        self.deadline.set(PING);
        let reason = poll_fn(|context| self.poll(context)).await;
        self.end(reason);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<CloseReason> {
        if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(context) {
            return Poll::Ready(self.why(ended));
        }
        if self.asked
            && let Some(pings) = &mut self.pings
            && pings.poll_pong(context).is_ready()
        {
            self.asked = false;
            self.seen = self.state.meter.read();
            self.answered_at = Some(Instant::now());
        }
        if self.state.is_released.get() && !self.state.has_ended.get() {
            self.state.has_ended.set(true);
            self.deadline.set(LINGER);
        }
        while self.deadline.poll(context).is_ready() {
            if self.state.is_released.get() {
                return Poll::Ready(self.state.close.get());
            }
            if !self.look_after() {
                let endpoint = self.state.reach.endpoint.address();
                warn!(%endpoint, "no answer to a ping of HTTP/2");
                return Poll::Ready(CloseReason::Error);
            }
            self.deadline.set(PING);
        }
        Poll::Pending
    }

    /// Asks the endpoint whether it is there, when it has said nothing for long although streams
    /// are open. False when it was asked and did not answer.
    fn look_after(&mut self) -> bool {
        let read = self.state.meter.read();
        if read != self.seen || self.state.streams.get() == 0 {
            self.seen = read;
            self.answered_at = None;
            return true;
        }
        if self.asked {
            return false;
        }
        let is_too_soon = self.answered_at.is_some_and(|at| at.elapsed() < PING_AGAIN);
        if !is_too_soon && let Some(pings) = &mut self.pings {
            // It fails only where the connection has ended, which is seen elsewhere.
            self.asked = pings.send_ping(Ping::opaque()).is_ok();
        }
        true
    }

    /// Why the connection ended.
    fn why(&self, ended: Result<(), Error>) -> CloseReason {
        let endpoint = self.state.reach.endpoint.address();
        match ended {
            Ok(()) => self.state.close.get(),
            Err(error) if error.is_go_away() && error.is_remote() => {
                debug!(%endpoint, %error, "HTTP/2 connection ended by the endpoint");
                CloseReason::Upstream
            }
            Err(error) => {
                debug!(%endpoint, %error, "HTTP/2 connection broke");
                CloseReason::Error
            }
        }
    }

    /// Counts its end, once.
    fn end(&mut self, reason: CloseReason) {
        if self.pings.take().is_none() {
            return;
        }
        self.state.has_ended.set(true);
        let shard = self.state.reach.shard();
        if self.state.streams.get() > 0 {
            shard.active_closed(reason);
        } else {
            shard.idle_closed(reason);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Whoever drops it before its end ends the pool.
        self.end(CloseReason::Removed);
    }
}

/// What it means that the handshake came to nothing.
fn not_http2(reach: &Reach, error: Error) -> ConnectError {
    let text = error.to_string();
    match error.into_io() {
        Some(source) => match Fault::of(&source) {
            Some(fault) => ConnectError::Tls { fault, source },
            None => ConnectError::Failed(source),
        },
        None => {
            // The endpoint is left alone for a while now, so that this is no flood.
            if !reach.is_quiet.get() {
                let endpoint = reach.endpoint.address();
                warn!(%endpoint, error = %text, "the endpoint does not speak HTTP/2");
            }
            ConnectError::Protocol(io::Error::other(text))
        }
    }
}
