//! One worker's connections with one endpoint.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use crate::http1::Connection;
use crate::telemetry::stats::{CloseReason, UpstreamShard, UpstreamStats};
use crate::tls::{Fault, Secured, Stream};
use crate::upstream::Endpoint;

/// Why no connection could be had.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The endpoint did not answer in time.
    #[error("no connection in time")]
    Timeout,
    /// The endpoint refused, or could not be reached.
    #[error("connect failed")]
    Failed(#[source] io::Error),
    /// No TLS with the endpoint: it is not who it should be, or does not speak it as we do.
    #[error("tls handshake with the endpoint failed")]
    Tls {
        /// What it was.
        fault: Fault,
        /// What the library says.
        source: io::Error,
    },
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection<Stream>,
    since: Instant,
}

/// One worker's connections with one endpoint: those that wait, the last used on top.
#[derive(Debug)]
pub struct Pool {
    endpoint: Arc<Endpoint>,
    stats: Arc<UpstreamStats>,
    worker: usize,
    /// How its connections are secured, if they are.
    tls: Option<Secured>,
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<usize>,
    idle_timeout: Cell<Duration>,
    max_idle: Cell<usize>,
}

impl Pool {
    /// Makes an empty pool.
    pub fn new(
        endpoint: Arc<Endpoint>,
        stats: Arc<UpstreamStats>,
        worker: usize,
        tls: Option<Secured>,
    ) -> Self {
        Self {
            endpoint,
            stats,
            worker,
            tls,
            idle: RefCell::default(),
            in_flight: Cell::new(0),
            idle_timeout: Cell::new(Duration::from_secs(4)),
            max_idle: Cell::new(256),
        }
    }

    /// The endpoint that its connections are with.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// How many requests of this worker are under way to it.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Counts a request as under way.
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Sets how long and how many connections may wait.
    pub fn set_limits(&self, idle: Duration, max_idle: usize) {
        self.idle_timeout.set(idle);
        self.max_idle.set(max_idle);
    }

    /// A connection that waited and that the endpoint has not closed, if there is one.
    pub fn checkout(self: &Rc<Self>, now: Instant) -> Option<Lease> {
        while let Some(mut idle) = self.idle.borrow_mut().pop() {
            if now.saturating_duration_since(idle.since) > self.idle_timeout.get() {
                self.shard().idle_closed(CloseReason::Idle);
            } else if idle.connection.stream.is_silent() {
                self.shard().connection_taken();
                return Some(Lease::new(self, idle.connection, None));
            } else {
                self.shard().idle_closed(CloseReason::Upstream);
            }
        }
        None
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// When the endpoint does not take it within `connect`; that is noted with the endpoint.
    pub async fn connect(self: &Rc<Self>, connect: Duration) -> Result<Lease, ConnectError> {
        let started = Instant::now();
        let stream = match timeout(connect, self.open()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.endpoint.refused();
                return Err(error);
            }
            Err(_) => {
                self.endpoint.refused();
                return Err(ConnectError::Timeout);
            }
        };
        self.endpoint.connected();
        self.shard().connection_opened();
        Ok(Lease::new(
            self,
            Connection::new(stream),
            Some(started.elapsed()),
        ))
    }

    /// Connects, and does the handshake where there is one.
    async fn open(&self) -> Result<Stream, ConnectError> {
        let tcp = TcpStream::connect(self.endpoint.address());
        let tcp = tcp.await.map_err(ConnectError::Failed)?;
        // Heads and bodies leave in as few pieces as can be; waiting for more helps nobody.
        tcp.set_nodelay(true).map_err(ConnectError::Failed)?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(tcp));
        };
        tls.handshake(tcp).await.map_err(|source| {
            // The endpoint is left alone for a while now, so that this is no flood.
            let endpoint = self.endpoint.address();
            warn!(%endpoint, error = %source, "no TLS with the endpoint");
            ConnectError::Tls {
                fault: Fault::of(&source).unwrap_or(Fault::Protocol),
                source,
            }
        })
    }

    /// Closes connections that waited too long or that the endpoint closed.
    pub(crate) fn sweep(&self) {
        let limit = self.idle_timeout.get();
        self.idle.borrow_mut().retain_mut(|idle| {
            let reason = if self.endpoint.is_retired() {
                CloseReason::Removed
            } else if idle.since.elapsed() > limit {
                CloseReason::Idle
            } else if !idle.connection.stream.is_silent() {
                CloseReason::Upstream
            } else {
                return true;
            };
            self.shard().idle_closed(reason);
            false
        });
    }

    fn shard(&self) -> &UpstreamShard {
        self.stats.shard(self.worker)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for _ in 0..self.idle.borrow().len() {
            self.shard().idle_closed(CloseReason::Removed);
        }
    }
}

/// A connection in use by one exchange. Dropped, it closes; given back, it waits for another.
#[derive(Debug)]
pub struct Lease {
    /// The connection.
    connection: Option<Connection<Stream>>,
    pool: Rc<Pool>,
    /// How long it took to connect; a connection that waited in the pool has none.
    connected_in: Option<Duration>,
    /// What it is to be counted as when it closes; `None` once it was given back.
    close: Option<CloseReason>,
}

impl Lease {
    fn new(
        pool: &Rc<Pool>,
        connection: Connection<Stream>,
        connected_in: Option<Duration>,
    ) -> Self {
        pool.begin();
        Self {
            connection: Some(connection),
            pool: Rc::clone(pool),
            connected_in,
            close: Some(CloseReason::Abandoned),
        }
    }

    /// The connection.
    pub fn connection(&mut self) -> &mut Connection<Stream> {
        self.connection
            .as_mut()
            .expect("a lease has its connection until it ends")
    }

    /// True when it had waited in the pool, so that the endpoint may have closed it meanwhile.
    pub fn was_reused(&self) -> bool {
        self.connected_in.is_none()
    }

    /// How long it took to connect, if it was connected for this exchange.
    pub fn connected_in(&self) -> Option<Duration> {
        self.connected_in
    }

    /// The pool that it is from.
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Gives the connection back; nothing of the last exchange may be left on it.
    pub fn give_back(mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let mut idle = self.pool.idle.borrow_mut();
        if !connection.inbox().is_empty() {
            self.close = Some(CloseReason::Error);
        } else if self.pool.endpoint.is_retired() {
            self.close = Some(CloseReason::Removed);
        } else if idle.len() >= self.pool.max_idle.get() {
            self.close = Some(CloseReason::Full);
        } else {
            self.close = None;
            self.pool.shard().connection_parked();
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes the connection for this reason.
    pub fn close(mut self, reason: CloseReason) {
        self.close = Some(reason);
    }

    /// Takes the connection out for good, as a tunnel does; the lease goes on counting it as open
    /// and the request as under way until it is dropped.
    ///
    /// # Panics
    /// When it was taken out before.
    pub fn lend(&mut self) -> Connection<Stream> {
        self.connection
            .take()
            .expect("a lease lends its connection once")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool
            .in_flight
            .set(self.pool.in_flight.get().saturating_sub(1));
        if let Some(reason) = self.close {
            self.pool.shard().active_closed(reason);
        }
    }
}
