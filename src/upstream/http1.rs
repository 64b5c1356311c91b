//! One worker's HTTP/1 connections with one endpoint: one for each request under way, and those
//! that wait for the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http1::Connection;
use crate::telemetry::stats::{CloseReason, Limit};
use crate::tls::Stream;
use crate::upstream::guard::Slot;
use crate::upstream::reach::{ConnectError, Reach};
use crate::upstream::{Behalf, Pool, pool};

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection<Stream>,
    since: Instant,
    slot: Slot,
    /// The client that it is on behalf of, where that was told.
    behalf: Option<Box<Behalf>>,
}

/// The connections that wait, the last used on top.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    idle: RefCell<Vec<Idle>>,
    /// Requests that wait for one, as no more may be opened; the first has waited longest.
    queue: RefCell<VecDeque<oneshot::Sender<Lease>>>,
    /// What those who wait elsewhere have coming of the connections that are given back here.
    due: Cell<f64>,
}

impl Parked {
    /// A connection that waited and that the endpoint has not closed, if there is one; where clients
    /// are told of, one on behalf of this client.
    pub(crate) fn take(
        &self,
        reach: &Reach,
        now: Instant,
        behalf: Option<&Behalf>,
    ) -> Option<(Connection<Stream>, Slot)> {
        while let Some(mut idle) = self.last(behalf) {
            if now.saturating_duration_since(idle.since) > reach.idle_timeout.get() {
                reach.shard().idle_closed(CloseReason::Idle);
            } else if idle.connection.stream.is_silent() {
                reach.shard().connection_taken();
                return Some((idle.connection, idle.slot));
            } else {
                reach.shard().idle_closed(CloseReason::Upstream);
            }
        }
        None
    }

    fn last(&self, behalf: Option<&Behalf>) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let Some(behalf) = behalf else {
            return idle.pop();
        };
        let at = idle
            .iter()
            .rposition(|idle| idle.behalf.as_deref() == Some(behalf))?;
        Some(idle.remove(at))
    }

    /// Closes connections that waited too long, that the endpoint closed, or whose endpoint is no
    /// more.
    pub(crate) fn sweep(&self, reach: &Reach) {
        let limit = reach.idle_timeout.get();
        let mut n_wanted = reach.guard.n_waiting();
        self.idle.borrow_mut().retain_mut(|idle| {
            let reason = if reach.endpoint.is_retired() {
                CloseReason::Removed
            } else if n_wanted > 0 {
                n_wanted -= 1;
                CloseReason::Full
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

    /// Puts a connection back; why not, when it is to be closed instead, which comes before its slot
    /// is free.
    fn put(
        &self,
        reach: &Reach,
        slot: Slot,
        connection: Connection<Stream>,
        behalf: Option<Box<Behalf>>,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let mut idle = self.idle.borrow_mut();
        if !connection.inbox().is_empty() {
            return Err(CloseReason::Error);
        }
        if reach.endpoint.is_retired() {
            return Err(CloseReason::Removed);
        }
        if reach.guard.n_waiting() > 0 {
            return Err(CloseReason::Full);
        }
        if idle.len() >= reach.max_idle.get() {
            if behalf.is_none() || idle.is_empty() {
                return Err(CloseReason::Full);
            }
            // What waits for others, who may be gone, makes room for one that was just used.
            idle.remove(0);
            reach.shard().idle_closed(CloseReason::Full);
        }
        reach.shard().connection_parked();
        connection.stream.watch();
        idle.push(Idle {
            connection,
            since: now,
            slot,
            behalf,
        });
        Ok(())
    }

    /// Waits until another connection may be opened, or is given back by another request.
    ///
    /// # Errors
    /// When neither comes `within` a time.
    async fn wait(&self, reach: &Reach, within: Duration) -> Result<Found, ConnectError> {
        let _queued = reach.guard.queue();
        let (sender, mut receiver) = oneshot::channel();
        self.queue.borrow_mut().push_back(sender);
        let waiting = async {
            loop {
                let closed = reach.guard.closed().notified();
                // Whoever has come to an end since is seen now, and whoever does later tells.
                if let Some(slot) = reach.guard.connection(reach.limits.get().connections) {
                    return Found::Room(slot);
                }
                tokio::select! {
                    biased;
                    Ok(lease) = &mut receiver => return Found::Lease(lease),
                    () = closed => {}
                }
            }
        };
        timeout(within, waiting).await.map_err(|_| {
            reach.shard().overflowed(Limit::Connections);
            ConnectError::Overflow(Limit::Connections)
        })
    }

    /// Who of those who wait here is to have a connection that is given back, if it is to go on here:
    /// those who wait elsewhere, at other endpoints or on other workers, have their turns, for which
    /// it is to be closed.
    fn next(&self, reach: &Reach) -> Option<oneshot::Sender<Lease>> {
        let n_waiting = reach.guard.n_waiting();
        if n_waiting == 0 || reach.endpoint.is_retired() {
            return None;
        }
        let mut queue = self.queue.borrow_mut();
        queue.retain(|waiting| !waiting.is_closed());
        let elsewhere = f64::from(n_waiting) - queue.len() as f64;
        let due = self.due.get() + elsewhere.max(0.0) / f64::from(n_waiting);
        if due >= 1.0 && !queue.is_empty() {
            self.due.set(due - 1.0);
            return None;
        }
        self.due.set(due.min(1.0));
        queue.pop_front()
    }

    /// Closes all of them.
    pub(crate) fn close(&self, reach: &Reach) {
        for _closed in self.idle.borrow_mut().drain(..) {
            reach.shard().idle_closed(CloseReason::Removed);
        }
    }
}

/// What comes of waiting.
#[derive(Debug)]
enum Found {
    /// Another connection may be opened.
    Room(Slot),
    /// One was given back.
    Lease(Lease),
}

/// A connection in use by one exchange. Dropped, it closes; given back, it waits for another.
#[derive(Debug)]
pub struct Lease {
    /// The connection.
    connection: Option<Connection<Stream>>,
    /// Counts it as open.
    slot: Option<Slot>,
    pool: Rc<Pool>,
    /// How long it took to connect; a connection that waited in the pool has none.
    connected_in: Option<Duration>,
    /// What it is to be counted as when it closes; `None` once it was given back.
    close: Option<CloseReason>,
    /// The client that it is on behalf of, where that was told.
    behalf: Option<Box<Behalf>>,
}

impl Lease {
    pub(crate) fn new(
        pool: &Rc<Pool>,
        (connection, slot): (Connection<Stream>, Slot),
        connected_in: Option<Duration>,
        behalf: Option<&Behalf>,
    ) -> Self {
        pool.begin();
        Self {
            connection: Some(connection),
            slot: Some(slot),
            pool: Rc::clone(pool),
            connected_in,
            close: Some(CloseReason::Abandoned),
            behalf: behalf.map(|behalf| Box::new(*behalf)),
        }
    }

    /// Opens a new connection for an exchange; where there are as many as there may be, it waits for
    /// one that is given back or closed.
    pub(crate) async fn connect(
        pool: &Rc<Pool>,
        parked: &Parked,
        within: Duration,
        behalf: Option<&Behalf>,
    ) -> Result<Self, ConnectError> {
        let reach = pool.reach();
        let slot = match reach.guard.connection(reach.limits.get().connections) {
            Some(slot) => slot,
            None => match parked.wait(reach, within).await? {
                Found::Room(slot) => slot,
                Found::Lease(lease) => return Ok(lease),
            },
        };
        let started = Instant::now();
        let begin = async |stream| Ok(Connection::new(stream));
        let connection = reach.connect(within, behalf, begin).await?;
        let took = Some(started.elapsed());
        Ok(Self::new(pool, (connection, slot), took, behalf))
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
        let (Some(connection), Some(slot)) = (self.connection.take(), self.slot.take()) else {
            return;
        };
        let pool::Wire::Http1(parked) = self.pool.wire() else {
            return;
        };
        let reach = self.pool.reach();
        // One that is on a client's behalf is no other client's.
        let may_go_on = connection.inbox().is_empty() && self.behalf.is_none();
        if let Some(waiting) = may_go_on.then(|| parked.next(reach)).flatten() {
            self.close = None;
            // Whoever has left meanwhile lets go of it.
            let _left = waiting.send(Self::new(&self.pool, (connection, slot), None, None));
            return;
        }
        let behalf = self.behalf.take();
        self.close = parked.put(reach, slot, connection, behalf, now).err();
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
