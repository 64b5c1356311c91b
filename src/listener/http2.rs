//! One client's HTTP/2 connection. The `h2` crate speaks the protocol; here are its limits, its
//! timeouts and its end.
//!
//! The connection and its streams are one task. What came is read first, streams are moved on
//! where they lie, and what they all have to say is written at the end of a round together.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Error, Ping, PingPong, Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use tracing::debug;

use crate::http1::Deadline;
use crate::listener::client_body::ClientBody;
use crate::listener::connect::Connect;
use crate::listener::distance::{Distance, Windows};
use crate::listener::drain::Handle;
use crate::listener::flood::{Verdict, warn_of_flood};
use crate::listener::streams::{CONNECTION, Streams};
use crate::listener::tunnels::Tunnels;
use crate::listener::wire::Wire;
use crate::listener::woken::Woken;
use crate::listener::{HeldSettings, LINGER, Overload, Peer, Service, Settings};
use crate::message::Body;
use crate::telemetry::stats::{AbortReason, ListenerShard, RejectReason};

/// Bytes of response that a stream buffers for a client that reads slowly.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client may reset before they were accepted, all of them in what is read at once,
/// before the connection is closed (CVE-2023-44487); what it takes back later, `flood` counts.
const RESETS: usize = 32;

/// Resets that a client's errors may make us send before the connection is closed (CVE-2025-8671).
/// They are counted over its whole life, and some of a balancer's clients may be broken ones.
const ERRORS: usize = 256;

/// How often a client that says nothing is asked whether it is there, and how long it may take.
const PING: Duration = Duration::from_secs(20);

/// How often a connection is looked at before other tasks have their turn: once for what came, and
/// once for what its streams had to say at once; a client that floods it gets no more.
const ROUNDS: usize = 4;

/// Streams that are begun in one round, and those that are moved on.
const STREAMS: usize = 256;

/// Serves a connection until it ends.
pub(crate) async fn serve<V: Service>(
    wire: Wire,
    from: &Rc<Peer>,
    service: &V,
    settings: Arc<Settings>,
    handle: &Rc<Handle>,
    shard: &ListenerShard,
) {
    let tunnels = Tunnels::default();
    let ended = serve_streams(wire, from, service, settings, handle, &tunnels).await;
    match ended {
        End::Usual => {}
        End::Silence => shard.connection_rejected(RejectReason::Timeout),
        End::Aborted(reason) => shard.connection_aborted(reason),
    }
    if ended == End::Aborted(AbortReason::Flood) {
        warn_of_flood(from);
    }
    // Without their connection tunnels end at once, and know by whose doing.
    tunnels.end().await;
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// By its client's will, or by ours.
    Usual,
    /// Its client never asked for anything.
    Silence,
    /// By what its client did.
    Aborted(AbortReason),
}

impl End {
    /// The end that an error makes: what the library complains of is the client's doing.
    fn by(error: &Error) -> Self {
        if !(error.is_go_away() && error.is_library()) {
            return Self::Usual;
        }
        Self::Aborted(match error.reason() {
            Some(Reason::ENHANCE_YOUR_CALM) => AbortReason::Flood,
            _ => AbortReason::ProtocolError,
        })
    }
}

async fn serve_streams<V: Service>(
    wire: Wire,
    from: &Rc<Peer>,
    service: &V,
    settings: Arc<Settings>,
    handle: &Rc<Handle>,
    tunnels: &Tunnels,
) -> End {
    let patience = settings.timeouts.body;
    let idle = settings.timeouts.idle;
    let mut deadline = Deadline::new();
    // Until the first request; from then on it is idling that ends it.
    deadline.set(settings.timeouts.first_byte);
    let shaking = shake(wire.clone(), &settings, handle, &mut deadline);
    let mut connection = match shaking.await {
        Ok(connection) => connection,
        Err(end) => return end,
    };
    // A listener that is being given up has no settings any more: the last ones hold.
    let mut held = Rc::new(HeldSettings(Arc::clone(&settings)));
    let mut generation = None;
    let answer = |request: Request<ClientBody>| {
        if generation != Some(service.generation()) {
            generation = Some(service.generation());
            if let Some(changed) = service.settings(&settings.name) {
                held = Rc::new(HeldSettings(changed));
            }
        }
        service.http2(request, from, Rc::clone(&held))
    };
    let woken = Woken::default();
    let mut driver = Driver {
        alive: Alive::new(connection.ping_pong(), wire.n_read()),
        connection,
        wire,
        streams: Streams::new(patience),
        waker: woken.add(),
        woken,
        tunnels,
        answer,
        deadline,
        idle,
        overload: &settings.overload,
        has_asked: false,
        is_flooded: false,
        is_ending: false,
    };
    driver.woken.wake(CONNECTION);
    let end = poll_fn(|context| driver.poll(context, handle)).await;
    match driver.is_flooded {
        true => End::Aborted(AbortReason::Flood),
        false => end,
    }
}

/// Begins to speak HTTP/2; how it ended when the client does not.
async fn shake(
    wire: Wire,
    settings: &Settings,
    handle: &Handle,
    deadline: &mut Deadline,
) -> Result<Connection<Wire, Bytes>, End> {
    let shaking = Builder::new()
        .initial_window_size(Windows::NEAR.stream)
        .initial_connection_window_size(Windows::NEAR.connection)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(settings.streams)
        .max_header_list_size(u32::try_from(settings.limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(ERRORS))
        .enable_connect_protocol()
        .handshake(wire.clone());
    let mut shaking = pin!(shaking);
    let mut is_ending = false;
    poll_fn(|context| {
        if let Poll::Ready(shaken) = shaking.as_mut().poll(context) {
            return Poll::Ready(shaken.map_err(|error| End::by(&error)));
        }
        // Our settings leave before the client's have come.
        if let Poll::Ready(Err(_)) = wire.poll_send(context) {
            return Poll::Ready(Err(End::Usual));
        }
        if handle.is_closing() && !is_ending {
            is_ending = true;
            deadline.set(LINGER);
        }
        deadline.poll(context).map(|()| {
            Err(match is_ending {
                true => End::Usual,
                false => End::Silence,
            })
        })
    })
    .await
}

/// What moves a connection and its streams.
struct Driver<'a, A, F> {
    connection: Connection<Wire, Bytes>,
    wire: Wire,
    /// Wakes the part that is the connection.
    waker: Waker,
    streams: Streams<F>,
    woken: Woken,
    tunnels: &'a Tunnels,
    /// Begins to answer a request.
    answer: A,
    alive: Alive,
    deadline: Deadline,
    /// How long there may be no stream.
    idle: Duration,
    overload: &'a Overload,
    /// True once there was a request.
    has_asked: bool,
    /// True once it had to leave for what it sent.
    is_flooded: bool,
    is_ending: bool,
}

impl<A, F> Driver<'_, A, F>
where
    A: FnMut(Request<ClientBody>) -> F,
    F: Future<Output = Response<Body>>,
{
    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>, handle: &Handle) -> Poll<End> {
        self.woken.run(context.waker());
        let mut n_rounds = 0;
        let waker = self.waker.clone();
        let mut part = Context::from_waker(&waker);
        while n_rounds < ROUNDS && self.poll_streams() {
            n_rounds += 1;
            if let Poll::Ready(end) = self.poll_connection(&mut part) {
                // What it is told of that, if it takes it.
                let _told = self.wire.poll_send(&mut part);
                return Poll::Ready(end);
            }
        }
        let verdict = self.wire.verdict();
        if verdict == Verdict::Cut {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            let _ended = self.poll_connection(&mut part);
            let _told = self.wire.poll_send(&mut part);
            return Poll::Ready(End::Aborted(AbortReason::Flood));
        }
        // Together, and only now.
        if let Poll::Ready(Err(error)) = self.wire.poll_send(&mut part) {
            debug!(%error, "HTTP/2 connection broke");
            return Poll::Ready(End::Usual);
        }
        // Only streams keep it from being idle: the deadline's own waking must not move it on.
        if !self.streams.is_empty() || !self.tunnels.is_empty() {
            self.deadline
                .set(if self.is_ending { LINGER } else { self.idle });
        }
        let is_idle = self.deadline.poll(context).is_ready();
        // One that does not even begin, or does not say goodbye, is not waited for.
        if self.is_ending && is_idle {
            return Poll::Ready(match self.has_asked || handle.is_closing() {
                true => End::Usual,
                false => End::Silence,
            });
        }
        let is_unwanted = verdict == Verdict::Leave || self.overload.refuses();
        if !self.is_ending && (is_idle || handle.is_closing() || is_unwanted) {
            self.is_ending = true;
            self.is_flooded = verdict == Verdict::Leave;
            self.deadline.set(LINGER);
            self.connection.graceful_shutdown();
            // GOAWAY still has to be written.
            self.woken.wake(CONNECTION);
        }
        let n_read = self.wire.n_read();
        if let Some(windows) = self.alive.measure(context, n_read) {
            self.connection.set_target_window_size(windows.connection);
            // It is refused while the client has not heard the settings of the beginning.
            let _refused = self.connection.set_initial_window_size(windows.stream);
            self.woken.wake(CONNECTION);
        }
        match self.alive.poll(context, n_read) {
            Some(true) => {
                self.streams.shrink(&self.woken);
                self.wire.forgive();
            }
            Some(false) => {
                debug!("no answer to a ping of HTTP/2");
                return Poll::Ready(End::Aborted(AbortReason::Unresponsive));
            }
            None => {}
        }
        if self.woken.pause() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Moves on the streams that were woken; true when the connection has something to do, too.
    fn poll_streams(&mut self) -> bool {
        let mut has_work = false;
        for _ in 0..STREAMS {
            match self.woken.next() {
                Some(CONNECTION) => has_work = true,
                Some(part) => self.streams.poll(part, self.tunnels),
                None => break,
            }
        }
        has_work
    }

    /// Reads what came, begins what was asked for, and writes what is there to be written.
    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<End> {
        for _ in 0..STREAMS {
            let accepted = pin!(self.connection.accept()).poll(context);
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    debug!(%error, "HTTP/2 connection broke");
                    return Poll::Ready(End::by(&error));
                }
                Poll::Ready(None) => return Poll::Ready(End::Usual),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.woken.wake(CONNECTION);
        Poll::Pending
    }

    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.has_asked = true;
        let (mut head, body) = request.into_parts();
        let is_connect = head.method == Method::CONNECT;
        let length = head.headers.get(CONTENT_LENGTH).filter(|_| is_connect);
        if length.is_some_and(|length| length != "0") {
            // RFC 9110, section 9.3.6: it has no content.
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return;
        }
        let (body, connect) = if is_connect {
            let connect = Connect::new(body);
            head.extensions.insert(connect.clone());
            (None, Some(connect))
        } else {
            (Some(body), None)
        };
        let request = Request::from_parts(head, ClientBody::new(body));
        let answer = (self.answer)(request);
        let Self {
            streams,
            woken,
            tunnels,
            ..
        } = self;
        streams.begin(answer, respond, connect, woken, tunnels);
    }
}

/// Looks after whether the client is there.
struct Alive {
    pings: Option<PingPong>,
    /// Bytes that had come at the last look.
    seen: u64,
    /// True while it is asked.
    is_asked: bool,
    distance: Distance,
    deadline: Deadline,
}

impl Alive {
    fn new(pings: Option<PingPong>, n_read: u64) -> Self {
        let mut deadline = Deadline::new();
        deadline.set(PING);
        Self {
            pings,
            seen: n_read,
            is_asked: false,
            distance: Distance::default(),
            deadline,
        }
    }

    /// Tells once, when the client sends much and is far away, what windows it gets.
    fn measure(&mut self, context: &mut Context<'_>, n_read: u64) -> Option<Windows> {
        let (pings, is_asked) = (self.pings.as_mut()?, &mut self.is_asked);
        self.distance.poll(context, pings, is_asked, n_read)
    }

    /// Looks when it is time to; tells then whether the client is there, as far as anybody knows.
    fn poll(&mut self, context: &mut Context<'_>, n_read: u64) -> Option<bool> {
        if self.deadline.poll(context).is_pending() {
            return None;
        }
        self.deadline.set(PING);
        let armed = self.deadline.poll(context);
        debug_assert!(armed.is_pending(), "it was set this moment");
        let Some(pings) = &mut self.pings else {
            return Some(true);
        };
        if n_read != self.seen {
            self.seen = n_read;
            // What it answered is taken, so that it can be asked again.
            let mut context = Context::from_waker(Waker::noop());
            if self.is_asked && pings.poll_pong(&mut context).is_ready() {
                self.is_asked = false;
            }
        } else if self.is_asked {
            return Some(false);
        } else {
            // It fails only where the connection has ended, which is seen elsewhere.
            self.is_asked = pings.send_ping(Ping::opaque()).is_ok();
        }
        Some(true)
    }
}
