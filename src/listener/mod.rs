//! Listeners: from the bytes of clients to requests.
//!
//! Each worker accepts on a socket of its own, makes of a connection its requests, HTTP/1 by our
//! own reader and HTTP/2 by the `h2` crate, and hands them to a [`Service`] with who is asking.
//! This module knows neither routes nor upstreams; what answers is told by the trait.

mod accept;
mod answering;
mod client_body;
mod connect;
mod connection;
mod crew;
mod date;
mod distance;
mod drain;
mod flood;
mod http2;
mod overload;
mod peer;
mod preface;
mod proxy_protocol;
mod serving;
mod socket;
mod streams;
mod tunnels;
mod unix;
mod wire;
mod woken;
mod worker;

use std::future::Future;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::http1::codec::HeadError;
use crate::http1::{Connection, Deadline, Scratch};
use crate::message::{AccessList, Body, Limits};
use crate::telemetry::stats::ListenerStats;
use crate::tls::Acceptor;
use crate::tls::Stream;

pub use accept::{Gate, Permit, Stop, accept};
pub use client_body::ClientBody;
pub use connect::{Connect, ConnectStream};
pub use crew::Crew;
pub use drain::Drain;
pub use overload::{Bounds, Load, Overload};
pub use peer::{Client, ForwardedSource, Peer, TrustedProxies};
pub use preface::Spoken;
pub use proxy_protocol::ProxyProtocol;
// Nobody else has a use for it, but what reads the first bytes of strangers is fuzzed, from outside.
#[doc(hidden)]
pub use proxy_protocol::{
    HeaderError as ProxyHeaderError, Origin as ProxiedOrigin, read as read_proxy_header,
};
pub(crate) use socket::keep_alive;
pub use socket::{BindError, Bound, adopt, bind, bind_unix, local_address};
pub use unix::SocketFile;
pub use worker::{Backlog, Command, Worker};

/// How long what a client still sends after its answer is read and dropped, and how much of it, so
/// that the answer is not overtaken by a reset; and how long it may take to say goodbye.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// Timeouts towards clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// From the connection to the end of its TLS handshake.
    pub tls: Duration,
    /// From the connection, or its handshake, to the first byte of a request.
    pub first_byte: Duration,
    /// From the first byte of a head to its end.
    pub header: Duration,
    /// Without progress of a body, either way.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without a byte through a tunnel.
    pub tunnel: Duration,
    /// Without progress of an answer whose client has closed its side; then it counts as gone.
    pub half_closed: Duration,
}

/// What is set for a listener, as its connections see it. A reload makes new ones; a connection
/// looks at them anew for each request.
#[derive(Debug)]
pub struct Settings {
    /// The listener's name.
    pub name: Arc<str>,
    /// Limits on requests.
    pub limits: Limits,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// The most connections at once, over all workers.
    pub connections: usize,
    /// The most streams at once on an HTTP/2 connection.
    pub streams: u32,
    /// Whose word is taken for where a request comes from.
    pub trusted: TrustedProxies,
    /// Which header that word is in.
    pub forwarded: ForwardedSource,
    /// Whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// Whose requests are taken.
    pub access: AccessList,
    /// Whether the process takes on anything new.
    pub overload: Arc<Overload>,
    /// The listener's numbers.
    pub stats: Arc<ListenerStats>,
    /// Which versions of HTTP its clients may speak.
    pub spoken: Spoken,
    /// TLS, if the listener speaks it.
    pub tls: Option<Arc<Acceptor>>,
}

/// The settings of a listener as one worker's requests hold them, by a count of the worker's own:
/// the count of the settings themselves belongs to all workers, and no request writes there.
#[derive(Debug)]
pub struct HeldSettings(Arc<Settings>);

impl Deref for HeldSettings {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

/// Why a request was not even read, or not wholly.
#[derive(Debug)]
pub enum Refusal {
    /// The head cannot be taken.
    Head(HeadError),
    /// The head did not come in time.
    Timeout,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    /// It serves the next request.
    KeepAlive,
    /// It is closed: everything that was sent has been read, or nobody is there to read an answer.
    Close,
    /// It is closed once what the client still sends has been let through.
    Linger,
    /// It is reset: its end would look like the end of a body that was cut.
    Reset,
}

/// What answers the requests of connections, on one worker.
pub trait Service: Clone + 'static {
    /// The settings of a listener now; `None` when it exists no more.
    fn settings(&self, listener: &str) -> Option<Arc<Settings>>;

    /// A number that changes whenever `settings` may answer differently.
    fn generation(&self) -> u64;

    /// Carries out one HTTP/1 exchange whose head has been read: answers on the connection, with
    /// the body behind it still to be read. `last` asks for the connection to be closed after it.
    fn http1(
        &self,
        connection: &mut Connection<Stream>,
        deadline: &mut Deadline,
        scratch: Box<Scratch>,
        from: &Rc<Peer>,
        settings: &Arc<Settings>,
        last: &dyn Fn() -> bool,
    ) -> impl Future<Output = After>;

    /// Begins to answer one HTTP/2 request. A CONNECT has its stream, a [`Connect`], among its
    /// extensions; it is answered by [`Body::Tunnel`] to become one.
    fn http2(
        &self,
        request: Request<ClientBody>,
        from: &Rc<Peer>,
        settings: Rc<HeldSettings>,
    ) -> impl Future<Output = Response<Body>> + use<Self>;

    /// The bytes that answer what is no request, after which the connection is closed.
    fn refuse(&self, refusal: &Refusal, from: &Peer) -> Bytes;
}
