//! How one worker reaches one endpoint: the connection itself, before any request is on it.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::warn;

use crate::listener::keep_alive;
use crate::telemetry::stats::{Limit, UpstreamShard, UpstreamStats};
use crate::tls::{Fault, Secured, Stream};
use crate::upstream::guard::Pending;
use crate::upstream::{
    Behalf, Budget, Endpoint, FailureKind, Guard, Outlier, Protocol, ProxyHeader, UpstreamLimits,
    shortage,
};

/// How often the log is told of a shortage, at most: each request may meet it.
const SHORTAGE_TOLD_EVERY: Duration = Duration::from_secs(10);

/// Why no connection could be had.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The endpoint did not answer in time.
    #[error("no connection in time")]
    Timeout,
    /// The endpoint refused, or could not be reached.
    #[error("connect failed")]
    Failed(#[source] io::Error),
    /// There is not enough here of what a connection takes: descriptors, ports, memory.
    #[error("short of what a connection takes")]
    Short(#[source] io::Error),
    /// No TLS with the endpoint: it is not who it should be, or does not speak it as we do.
    #[error("tls handshake with the endpoint failed")]
    Tls {
        /// What it was.
        fault: Fault,
        /// What the library says.
        source: io::Error,
    },
    /// The endpoint does not speak the protocol that it should.
    #[error("the endpoint does not speak http/2")]
    Protocol(#[source] io::Error),
    /// All connections that there may be with the endpoint carry all the requests that they can.
    #[error("no room for another request")]
    Full,
    /// There are as many connections with the upstream as there may be, or as many wait for one.
    #[error("the upstream has as many {} as it may", .0.label())]
    Overflow(Limit),
}

impl ConnectError {
    /// Tells whose fault it is that a connection could not be opened.
    fn of(error: io::Error) -> Self {
        if shortage::is_ours(&error) {
            Self::Short(error)
        } else {
            Self::Failed(error)
        }
    }

    /// The same once more, for another one who waited for the same connection.
    pub(crate) fn again(&self) -> Self {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        match self {
            Self::Timeout => Self::Timeout,
            Self::Failed(source) => Self::Failed(again(source)),
            Self::Short(source) => Self::Short(again(source)),
            Self::Tls { fault, source } => Self::Tls {
                fault: *fault,
                source: again(source),
            },
            Self::Protocol(source) => Self::Protocol(again(source)),
            Self::Full => Self::Full,
            Self::Overflow(limit) => Self::Overflow(*limit),
        }
    }
}

/// How one worker reaches one endpoint, and what its connections there have in common.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) protocol: Protocol,
    stats: Arc<UpstreamStats>,
    worker: usize,
    /// How its connections are secured, if they are.
    tls: Option<Secured>,
    /// How long a connection may wait for a request.
    pub(crate) idle_timeout: Cell<Duration>,
    /// How many may wait.
    pub(crate) max_idle: Cell<usize>,
    /// What all workers share of the upstream.
    pub(crate) guard: Arc<Guard>,
    /// How much the upstream is given at once.
    pub(crate) limits: Cell<UpstreamLimits>,
    /// How many retries the upstream may have.
    pub(crate) budget: Cell<Option<Budget>>,
    /// When the endpoint is left alone for failures, if it is.
    pub(crate) outlier: Cell<Option<Outlier>>,
    /// How long the endpoint takes to come to its whole share, if not at once.
    pub(crate) slow_start: Cell<Option<Duration>>,
    /// True when nothing that happens is noted with the endpoint.
    pub(crate) is_quiet: Cell<bool>,
    /// What tells the endpoint of clients, if it expects that.
    pub(crate) proxy_protocol: Cell<Option<ProxyHeader>>,
    /// When the log was last told of a shortage.
    told_shortage_at: Cell<Option<Instant>>,
}

impl Reach {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        protocol: Protocol,
        guard: Arc<Guard>,
        worker: usize,
        tls: Option<Secured>,
    ) -> Self {
        Self {
            endpoint,
            protocol,
            stats: Arc::clone(guard.stats()),
            worker,
            tls,
            idle_timeout: Cell::new(Duration::from_secs(4)),
            max_idle: Cell::new(256),
            guard,
            limits: Cell::default(),
            budget: Cell::new(None),
            outlier: Cell::new(None),
            slow_start: Cell::new(None),
            is_quiet: Cell::new(false),
            proxy_protocol: Cell::new(None),
            told_shortage_at: Cell::new(None),
        }
    }

    /// The worker's numbers of the upstream's connections.
    pub(crate) fn shard(&self) -> &UpstreamShard {
        self.stats.shard(self.worker)
    }

    /// Counts a request as waiting for a connection, where so many may.
    ///
    /// # Errors
    /// When as many wait as may.
    pub(crate) fn pending(&self) -> Result<Option<Pending<'_>>, ConnectError> {
        let limit = self.limits.get().pending;
        let wait = |limit| self.guard.wait(limit, self.worker);
        limit.map(wait).transpose().map_err(ConnectError::Overflow)
    }

    /// Connects, on behalf of a client where that is told, and lets `begin` do what the protocol
    /// wants before the first request; all of it `within` a time.
    ///
    /// # Errors
    /// When the endpoint does not take the connection; that is noted with the endpoint.
    pub(crate) async fn connect<T>(
        &self,
        within: Duration,
        behalf: Option<&Behalf>,
        begin: impl AsyncFnOnce(Stream) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let connecting = async { begin(self.open(behalf).await?).await };
        let connected = timeout(within, connecting)
            .await
            .unwrap_or(Err(ConnectError::Timeout));
        match &connected {
            Ok(_) => {
                self.endpoint.connected();
                self.shard().connection_opened();
            }
            Err(ConnectError::Short(error)) => self.tell_shortage(error),
            Err(_) if self.is_quiet.get() => {}
            Err(_) => {
                self.endpoint.refused();
                self.failed(FailureKind::Connect);
            }
        }
        connected
    }

    /// Tells that there is not enough here for another connection.
    #[cold]
    fn tell_shortage(&self, error: &io::Error) {
        let now = Instant::now();
        let told_at = self.told_shortage_at.get();
        if told_at.is_none_or(|at| SHORTAGE_TOLD_EVERY <= now - at) {
            self.told_shortage_at.set(Some(now));
            let endpoint = self.endpoint.address();
            warn!(%endpoint, %error, "not enough here for another connection");
        }
    }

    /// Notes a failure, if it counts.
    pub(crate) fn failed(&self, kind: FailureKind) {
        let Some(rule) = self.outlier.get().filter(|rule| rule.on.has(kind)) else {
            return;
        };
        if let Some(ejected_for) = self.endpoint.failed(&rule) {
            self.shard().ejected();
            let endpoint = self.endpoint.address();
            let last = kind.name();
            warn!(%endpoint, last, ?ejected_for, "endpoint ejected: too many failures in a row");
        }
    }

    /// Connects, and does the handshake of TLS where there is one.
    async fn open(&self, behalf: Option<&Behalf>) -> Result<Stream, ConnectError> {
        let tcp = self.endpoint.connect().await;
        let mut tcp = tcp.map_err(ConnectError::of)?;
        if self.endpoint.address().tcp().is_some() {
            keep_alive(&SockRef::from(&tcp)).map_err(ConnectError::Failed)?;
        }
        if let Some(header) = self.proxy_protocol.get() {
            let header = header.bytes(behalf);
            tcp.write_all(&header).await.map_err(ConnectError::Failed)?;
        }
        let Some(tls) = &self.tls else {
            return match self.protocol {
                Protocol::Http1 => Stream::plain(tcp).map_err(ConnectError::Failed),
                Protocol::Http2 => Ok(Stream::Plain(tcp)),
            };
        };
        let stream = tls.handshake(tcp).await.map_err(|source| {
            // The endpoint is left alone for a while now, so that this is no flood.
            if !self.is_quiet.get() {
                let endpoint = self.endpoint.address();
                warn!(%endpoint, error = %source, "no TLS with the endpoint");
            }
            ConnectError::Tls {
                fault: Fault::of(&source).unwrap_or(Fault::Protocol),
                source,
            }
        })?;
        // RFC 9113, section 3.2: over TLS it is agreed on, and never just assumed.
        if self.protocol == Protocol::Http2 && stream.alpn() != Some(b"h2") {
            let source = io::Error::other("h2 was not agreed on by ALPN");
            if !self.is_quiet.get() {
                let endpoint = self.endpoint.address();
                warn!(%endpoint, error = %source, "the endpoint does not speak HTTP/2");
            }
            return Err(ConnectError::Tls {
                fault: Fault::Protocol,
                source,
            });
        }
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::io::Errno;

    use crate::telemetry::stats::UpstreamStats;
    use crate::upstream::reach::{ConnectError, Reach};
    use crate::upstream::{Endpoint, FailureKind, Failures, Guard, Outlier, Place, Protocol};

    /// Connects in vain, for a reason, and tells whether the endpoint is left alone for it.
    async fn is_left_alone(error: ConnectError) -> bool {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!("it is bound to one of IPv4");
        };
        let place = Place::from((address.ip().octets(), address.port()));
        let endpoint = Arc::new(Endpoint::new(&place));
        let stats = Arc::new(UpstreamStats::new("u".into(), 1));
        let guard = Arc::new(Guard::new(stats));
        let reach = Reach::new(Arc::clone(&endpoint), Protocol::Http1, guard, 0, None);
        let hour = Duration::from_secs(3600);
        reach.outlier.set(Some(Outlier {
            failures: 1,
            on: Failures::from_iter([FailureKind::Connect]),
            ejection: hour,
            max_ejection: hour,
        }));
        let in_vain = async |_stream| Err::<(), _>(error);
        let connected = reach.connect(hour, None, in_vain).await;
        assert!(connected.is_err());
        let is_ejected = endpoint.ejected_for().is_some();
        assert_eq!(endpoint.was_refused(), is_ejected);
        is_ejected
    }

    #[tokio::test]
    async fn an_endpoint_is_not_blamed_for_what_there_is_not_enough_of_here() {
        let of = |errno| ConnectError::of(io::Error::from(errno));
        assert!(!is_left_alone(of(Errno::MFILE)).await);
        assert!(!is_left_alone(of(Errno::ADDRNOTAVAIL)).await);
        assert!(is_left_alone(of(Errno::CONNREFUSED)).await);
        assert!(is_left_alone(ConnectError::Timeout).await);
    }
}
