//! The configuration as it is meant: checked, complete, with every default filled in.
//!
//! Whoever holds these values need not check them again: ranges were checked, names refer to what
//! exists, paths are resolved. The `Default` of each part is the default of its keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::ServerName;

use crate::config::admin::AdminConfig;
use crate::config::flags::FlagsConfig;
use crate::config::ofrep::OfrepConfig;
use crate::config::overload::OverloadConfig;
use crate::config::releases::ReleasesConfig;
use crate::config::resolver::ResolverConfig;
use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;
use crate::config::upgrade::UpgradeConfig;
use crate::listener::ProxyProtocol;
use crate::message::{AccessList, Address, Limits};
use crate::route::Table;
use crate::split::Key;
use crate::telemetry::access_log::{Field, Mask};
use crate::tls::Terms;
use crate::upstream::{
    Breaker, EndpointSpec, HealthCheck, Outlier, ProxyHeader, Retry, UpstreamLimits,
};

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the process itself does.
    pub runtime: RuntimeConfig,
    /// The bound sockets, at least one.
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// The named sets of endpoints.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// The named groups of requests.
    pub segments: BTreeMap<String, SegmentConfig>,
    /// What applications and upstreams are told, and how that is decided.
    pub flags: FlagsConfig,
    /// The rules that catch requests.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Which of the routes catches a request: its place in the order of `routes`.
    pub table: Arc<Table<usize>>,
    /// How much the process takes on.
    pub overload: OverloadConfig,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
    /// How another process takes over.
    pub upgrade: UpgradeConfig,
    /// What is written about each request.
    pub access_log: AccessLogConfig,
    /// How requests are told apart in logs.
    pub trace: TraceConfig,
    /// Where the control plane listens, and who may ask.
    pub admin: AdminConfig,
    /// Who may evaluate flags from elsewhere.
    pub ofrep: OfrepConfig,
    /// What is measured, and how finely.
    pub metrics: MetricsConfig,
    /// How names of endpoints are looked up.
    pub resolver: ResolverConfig,
    /// What is released, and how.
    pub releases: ReleasesConfig,
}

/// What the process itself does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RuntimeConfig {
    /// How many worker threads; 0 is one for each core.
    pub workers: usize,
    /// By what the workers read and write their plain connections.
    pub io: Io,
}

/// By what plain connections are read and written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Io {
    /// By a system call for many, where the kernel allows it.
    #[default]
    Auto,
    /// By a system call for each.
    Epoll,
    /// As `Auto`; that the kernel does not allow it is a warning.
    IoUring,
}

impl Io {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

/// A bound socket and what is asked of its clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerConfig {
    /// Where it listens; port 0 lets the system choose one.
    pub address: Address,
    /// Who may connect, where it is a UNIX socket: the rights of its file.
    pub mode: u32,
    /// The protocols it speaks, the preferred one first; at least one.
    pub protocols: Vec<Protocol>,
    /// How long it waits for its clients.
    pub timeouts: ListenerTimeouts,
    /// What one message may have.
    pub limits: Limits,
    /// How many connections it keeps open, over all workers; `None` is any number.
    pub max_connections: Option<usize>,
    /// How many requests an HTTP/2 connection may have open at once.
    pub max_streams: u32,
    /// The peers whose word on the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Where the word of a trusted peer stands.
    pub forwarded: Forwarded,
    /// Whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// Whose requests are taken.
    pub access: AccessList,
    /// The certificates; `None` is a plain listener.
    pub tls: Option<TlsConfig>,
}

/// A protocol between client and listener, or between tidegate and an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, and with it HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// The name that ALPN and the configuration know (RFC 7301, section 6).
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// How long a listener waits for its clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerTimeouts {
    /// From the connection (with TLS: the handshake) to the first byte.
    pub first_byte: Duration,
    /// For the whole TLS handshake.
    pub tls: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Between two signs of progress of a body, in either direction.
    pub body: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// Between two signs of life of a tunnel.
    pub tunnel: Duration,
    /// Without progress of an answer whose client has closed its side.
    pub half_closed: Duration,
}

impl Default for ListenerTimeouts {
    /// The idle time is longer than the 60 s of common load balancers, so that they close first. Most
    /// clients that have closed their side are gone, so that they are not waited for long.
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            tls: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            tunnel: Duration::from_secs(3600),
            half_closed: Duration::from_secs(1),
        }
    }
}

/// Which fields a trusted proxy's word is taken from: one kind, never both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Forwarded {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`; only these are written, too.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239); it is written besides the `X-Forwarded-*` fields.
    Rfc7239,
}

impl Forwarded {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwarded => "x-forwarded",
            Self::Rfc7239 => "rfc7239",
        }
    }
}

/// The certificates of a listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsConfig {
    /// At least one; the first is for clients that name no server, or one that no other is for.
    pub certificates: Vec<CertificateFiles>,
    /// Whose clients may come in; `None` is anybody.
    pub clients: Option<ClientsConfig>,
    /// What handshakes may agree on.
    pub terms: Terms,
}

/// The clients that may come in: those with a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientsConfig {
    /// The file of the authorities that their certificates must be from.
    pub ca: PathBuf,
    /// Who may come in besides.
    pub auth: ClientAuth,
}

/// What becomes of clients without a certificate; a wrong one is always refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientAuth {
    /// They are refused.
    #[default]
    Required,
    /// They may come in.
    Optional,
}

impl ClientAuth {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

/// Where a certificate and its key lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The chain in PEM, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// A named set of endpoints, and how they are used.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// Where it serves; at least one, none twice.
    pub endpoints: Vec<EndpointSpec>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// What they speak.
    pub protocol: Protocol,
    /// How long it may take.
    pub timeouts: UpstreamTimeouts,
    /// How many idle connections each worker keeps to each endpoint.
    pub pool_idle: usize,
    /// How its endpoints are spoken to with TLS; `None` is without.
    pub tls: Option<UpstreamTlsConfig>,
    /// What tells them of clients before anything else, if they expect that.
    pub proxy_protocol: Option<ProxyHeader>,
    /// What they are asked to know whether they are fit to serve, if they are asked.
    pub health: Option<HealthCheck>,
    /// When one that fails requests is left alone, if it is.
    pub outlier: Option<Outlier>,
    /// How long one that is new or back takes to come to its whole share, if not at once.
    pub slow_start: Option<Duration>,
    /// How much the upstream is given at once.
    pub limits: UpstreamLimits,
    /// When it is left alone as a whole, if it is.
    pub breaker: Option<Breaker>,
    /// When an attempt that came to nothing is followed by another.
    pub retry: Retry,
}

/// How the endpoints of an upstream are spoken to with TLS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamTlsConfig {
    /// The file of the authorities that are trusted; `None` are those of the system.
    pub ca: Option<PathBuf>,
    /// The name that is asked for and verified; `None` is each endpoint's own.
    pub name: Option<ServerName<'static>>,
    /// What we show when an endpoint asks who we are.
    pub certificate: Option<CertificateFiles>,
    /// Whether the certificates of endpoints are looked at.
    pub verify: Verify,
    /// What handshakes may agree on.
    pub terms: Terms,
}

/// Whether the certificates of endpoints are looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verify {
    /// They are from an authority that is trusted, for the right name, and in their time.
    #[default]
    Full,
    /// They are not.
    Off,
}

impl Verify {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Off => "off",
        }
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// Of two at random, the one with fewer requests in flight.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// By the first of these keys, at least one, that a request has.
    ConsistentHash(Vec<Key>),
}

impl Balance {
    /// The word for it in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
            Self::ConsistentHash(_) => "consistent_hash",
        }
    }
}

/// How long an upstream may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamTimeouts {
    /// For a connection.
    pub connect: Duration,
    /// From the request to the head of the response.
    pub response: Duration,
    /// Between two signs of progress of a body, in either direction.
    pub body: Duration,
    /// How long an idle connection is kept for another request.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    /// The idle time is under the 5 s after which common servers close, so that we close first.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            response: Duration::from_secs(30),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(4),
        }
    }
}

/// How the process ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShutdownConfig {
    /// How long it still accepts while it says that it is not ready.
    pub delay: Duration,
    /// Over how long the closing of connections is spread.
    pub spread: Duration,
    /// When, from the start, whatever is left is cut; not less than the other two together.
    pub timeout: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            spread: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What is written about each request.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLogConfig {
    /// How a line looks.
    pub format: AccessLogFormat,
    /// Where it goes.
    pub output: AccessLogOutput,
    /// The members of a JSON line, in their order; at least one.
    pub fields: Vec<Field>,
    /// The share of successes that is written, from 0 to 1; what failed always is.
    pub sample: f64,
    /// What is masked.
    pub redact: Vec<Mask>,
}

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self {
            format: AccessLogFormat::default(),
            output: AccessLogOutput::default(),
            fields: Field::ALL.to_vec(),
            sample: 1.0,
            redact: vec![Mask::Query],
        }
    }
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLogFormat {
    /// An object of JSON.
    #[default]
    Json,
    /// The common log format.
    Common,
    /// The common log format with referrer and user agent.
    Combined,
}

impl AccessLogFormat {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Common => "common",
            Self::Combined => "combined",
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AccessLogOutput {
    /// The standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// A file that is appended to.
    File(PathBuf),
}

/// How requests are told apart in the logs of all who see them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceConfig {
    /// The name of the field with the request's id, in lower case; `None` leaves requests alone.
    pub request_id: Option<String>,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            request_id: Some("x-request-id".to_owned()),
        }
    }
}

/// What is measured, and how finely.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsConfig {
    /// The upper bounds of the buckets of request durations, in seconds, ascending; at least one.
    pub buckets: Vec<f64>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            buckets: vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
                60.0,
            ],
        }
    }
}
