//! One worker's connections with one endpoint.
//!
//! With HTTP/1 a connection carries one request at a time, and those that are not needed wait; with
//! HTTP/2 a few connections carry all requests. Either way a request gets a lease, which counts it
//! as under way until it is dropped.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::Version;
use crate::tls::Secured;
use crate::upstream::http1::{Lease, Parked};
use crate::upstream::http2::{Connections, StreamLease};
use crate::upstream::reach::{ConnectError, Reach};
use crate::upstream::{Behalf, Endpoint, FailureKind, Guard, Protocol, Settings, UpstreamLimits};

/// One worker's connections with one endpoint.
#[derive(Debug)]
pub struct Pool {
    reach: Rc<Reach>,
    wire: Wire,
    in_flight: Cell<usize>,
}

/// Its connections, by what is spoken on them.
#[derive(Debug)]
pub(crate) enum Wire {
    Http1(Parked),
    Http2(Connections),
}

/// What a request goes out on.
#[derive(Debug)]
pub enum Leased {
    /// A connection of its own.
    Http1(Lease),
    /// A stream of a connection that it shares.
    Http2(StreamLease),
}

impl Leased {
    /// What is spoken on it.
    pub fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::Http11,
            Self::Http2(_) => Version::Http2,
        }
    }

    /// How long it took to connect, if it was connected for this exchange.
    pub fn connected_in(&self) -> Option<Duration> {
        match self {
            Self::Http1(lease) => lease.connected_in(),
            Self::Http2(lease) => lease.connected_in(),
        }
    }
}

impl Pool {
    /// Makes an empty pool.
    pub fn new(
        endpoint: Arc<Endpoint>,
        protocol: Protocol,
        guard: Arc<Guard>,
        worker: usize,
        tls: Option<Secured>,
    ) -> Self {
        let reach = Rc::new(Reach::new(endpoint, protocol, guard, worker, tls));
        let wire = match protocol {
            Protocol::Http1 => Wire::Http1(Parked::default()),
            Protocol::Http2 => Wire::Http2(Connections::new(&reach)),
        };
        Self {
            reach,
            wire,
            in_flight: Cell::new(0),
        }
    }

    /// The endpoint that its connections are with.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.reach.endpoint
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// How many requests of this worker are under way to it.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Counts a request as under way.
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        if !self.reach.is_quiet.get() {
            self.reach.shard().requested();
        }
    }

    /// Counts a request's end.
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// Obeys settings from now on: how long and how many connections may wait, and what of failures
    /// counts.
    pub fn obey(&self, settings: &Settings) {
        self.reach.idle_timeout.set(settings.idle);
        self.reach.max_idle.set(settings.pool);
        self.reach.limits.set(settings.limits);
        self.reach.budget.set(Some(settings.retry.budget));
        self.reach.outlier.set(settings.outlier);
        self.reach.slow_start.set(settings.slow_start);
        self.reach.proxy_protocol.set(settings.proxy_protocol);
    }

    /// Lets nothing that happens on its connections be noted with the endpoint, nor have a part in what
    /// the upstream may be given.
    pub(crate) fn be_quiet(&self) {
        self.reach.is_quiet.set(true);
        self.reach.limits.set(UpstreamLimits::default());
    }

    /// True when its endpoint takes part in a choice: always, unless it begins slowly; then by a
    /// number from 0 to 1.
    pub(crate) fn takes_part(&self, random: f64) -> bool {
        let warmth = self.endpoint().warmth(self.reach.slow_start.get());
        warmth.is_none_or(|warmth| random < warmth)
    }

    /// True when it counts how requests fare.
    pub(crate) fn counts_failures(&self) -> bool {
        self.reach.outlier.get().is_some()
    }

    /// Takes a retry out of the budget of the upstream, if there is one left.
    pub(crate) fn may_retry(&self) -> bool {
        let budget = self.reach.budget.get();
        budget.is_some_and(|budget| self.reach.guard.may_retry(&budget))
    }

    /// Notes how a request fared: in a way that may count as a failure, or well.
    pub(crate) fn fared(&self, failure: Option<FailureKind>) {
        match failure {
            Some(kind) => self.reach.failed(kind),
            None => self.reach.endpoint.fared_well(),
        }
    }

    /// True when a status of 500 and above is a failure.
    pub(crate) fn minds_5xx(&self) -> bool {
        let rule = self.reach.outlier.get();
        rule.is_some_and(|rule| rule.on.has(FailureKind::Status5xx))
    }

    /// A connection, or a stream of one, that can be had at once; of those connections that were
    /// made after the one with the number `beyond`, and on behalf of this client where that is told.
    pub fn checkout(
        self: &Rc<Self>,
        now: Instant,
        beyond: u64,
        behalf: Option<&Behalf>,
    ) -> Option<Leased> {
        match &self.wire {
            Wire::Http1(parked) => {
                let taken = parked.take(&self.reach, now, behalf)?;
                Some(Leased::Http1(Lease::new(self, taken, None, behalf)))
            }
            Wire::Http2(connections) => {
                let link = connections.take(beyond)?;
                Some(Leased::Http2(StreamLease::new(self, link, None)))
            }
        }
    }

    /// Opens a new connection, on behalf of this client where that is told; or, where requests share them, waits for one that is being opened or
    /// has room again.
    ///
    /// # Errors
    /// When the endpoint does not take it `within` a time; that is noted with the endpoint. When as
    /// many wait as may.
    pub async fn connect(
        self: &Rc<Self>,
        within: Duration,
        beyond: u64,
        behalf: Option<&Behalf>,
    ) -> Result<Leased, ConnectError> {
        let _pending = self.reach.pending()?;
        match &self.wire {
            Wire::Http1(parked) => Lease::connect(self, parked, within, behalf)
                .await
                .map(Leased::Http1),
            Wire::Http2(connections) => {
                let started = Instant::now();
                let (link, is_new) = connections.connect(within, beyond).await?;
                let took = is_new.then(|| started.elapsed());
                Ok(Leased::Http2(StreamLease::new(self, link, took)))
            }
        }
    }

    /// Closes connections that waited too long or that the endpoint closed.
    pub(crate) fn sweep(&self) {
        match &self.wire {
            Wire::Http1(parked) => parked.sweep(&self.reach),
            Wire::Http2(connections) => connections.sweep(),
        }
    }

    /// True while a request is under way, or a connection about to be closed.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight() > 0
            || match &self.wire {
                Wire::Http1(_) => false,
                Wire::Http2(connections) => connections.is_closing(),
            }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Wire::Http1(parked) = &self.wire {
            parked.close(&self.reach);
        }
    }
}
