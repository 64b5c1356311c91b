//! One worker's HTTP/1 connections with one endpoint: one for each request under way, and those
//! that wait for the next.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::http1::Connection;
use crate::telemetry::stats::CloseReason;
use crate::tls::Stream;
use crate::upstream::reach::{ConnectError, Reach};
use crate::upstream::{Pool, pool};

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection<Stream>,
    since: Instant,
}

/// The connections that wait, the last used on top.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    idle: RefCell<Vec<Idle>>,
}

impl Parked {
    /// A connection that waited and that the endpoint has not closed, if there is one.
    pub(crate) fn take(&self, reach: &Reach, now: Instant) -> Option<Connection<Stream>> {
        while let Some(mut idle) = self.idle.borrow_mut().pop() {
            if now.saturating_duration_since(idle.since) > reach.idle_timeout.get() {
                reach.shard().idle_closed(CloseReason::Idle);
            } else if idle.connection.stream.is_silent() {
                reach.shard().connection_taken();
                return Some(idle.connection);
            } else {
                reach.shard().idle_closed(CloseReason::Upstream);
            }
        }
        None
    }

    /// Closes connections that waited too long, that the endpoint closed, or whose endpoint is no
    /// more.
    pub(crate) fn sweep(&self, reach: &Reach) {
        let limit = reach.idle_timeout.get();
        self.idle.borrow_mut().retain_mut(|idle| {
            let reason = if reach.endpoint.is_retired() {
                CloseReason::Removed
            } else if idle.since.elapsed() > limit {
                CloseReason::Idle
            } else if !idle.connection.stream.is_silent() {
                CloseReason::Upstream
            } else {
                return true;
            };
            reach.shard().idle_closed(reason);
            false
        });
    }

    /// Puts a connection back; why not, when it is to be closed instead.
    fn put(
        &self,
        reach: &Reach,
        connection: Connection<Stream>,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let mut idle = self.idle.borrow_mut();
        if !connection.inbox().is_empty() {
            return Err(CloseReason::Error);
        }
        if reach.endpoint.is_retired() {
            return Err(CloseReason::Removed);
        }
        if idle.len() >= reach.max_idle.get() {
            return Err(CloseReason::Full);
        }
        reach.shard().connection_parked();
        connection.stream.watch();
        idle.push(Idle {
            connection,
            since: now,
        });
        Ok(())
    }

    /// Closes all of them.
    pub(crate) fn close(&self, reach: &Reach) {
        for _closed in self.idle.borrow_mut().drain(..) {
            reach.shard().idle_closed(CloseReason::Removed);
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
    pub(crate) fn new(
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

    /// Opens a new connection for an exchange.
    pub(crate) async fn connect(pool: &Rc<Pool>, within: Duration) -> Result<Self, ConnectError> {
        let started = Instant::now();
        let begin = async |stream| Ok(Connection::new(stream));
        let connection = pool.reach().connect(within, begin).await?;
        Ok(Self::new(pool, connection, Some(started.elapsed())))
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

    /// Gives the connection back, `now`; nothing of the last exchange may be left on it.
    pub fn give_back(mut self, now: Instant) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        self.close = match self.pool.wire() {
            pool::Wire::Http1(parked) => parked.put(self.pool.reach(), connection, now).err(),
            pool::Wire::Http2(_) => Some(CloseReason::Removed),
        };
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
        self.pool.end();
        if let Some(reason) = self.close {
            self.pool.reach().shard().active_closed(reason);
        }
    }
}
