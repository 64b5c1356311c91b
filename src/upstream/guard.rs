//! The guard of an upstream: what all workers share to spare it more than it can take.
//!
//! It counts what is under way where there is a limit to it, knows whether the breaker is open, and
//! what is left of the budget for retries. It outlives settings, which come with each question; an
//! upstream without limits and breaker is never asked for on the way of a request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use crate::telemetry::stats::{BreakerState, Limit, UpstreamStats};
use crate::upstream::breaker::{Breaker, Fared, Phase, Record, Trial, Verdict};
use crate::upstream::budget::{Budget, Purse};
use crate::upstream::{FailureKind, Settings, endpoint};

/// Tells all workers that somebody waits for a connection while connections that nobody uses may
/// be open on another.
static WANTED: Notify = Notify::const_new();

/// How much an upstream is given at once, all workers together; `None` is without bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UpstreamLimits {
    /// Connections that are open.
    pub connections: Option<u32>,
    /// Requests that are under way, tunnels among them.
    pub requests: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
}

impl UpstreamLimits {
    /// All bounds that there are.
    pub fn all(&self) -> impl Iterator<Item = (Limit, u32)> {
        let limits = Limit::ALL.iter();
        limits.filter_map(|&limit| Some((limit, self.of(limit)?)))
    }

    /// The bound of one kind.
    pub fn of(&self, limit: Limit) -> Option<u32> {
        match limit {
            Limit::Connections => self.connections,
            Limit::Requests => self.requests,
            Limit::Pending => self.pending,
        }
    }
}

/// Why a request does not go to an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// There are as many of those as there may be.
    Full(Limit),
    /// The breaker is open, for this time at least.
    Open(Duration),
}

/// What the workers share of one upstream.
#[derive(Debug)]
pub struct Guard {
    stats: Arc<UpstreamStats>,
    connections: AtomicU32,
    requests: AtomicU32,
    pending: AtomicU32,
    /// Requests that wait for another one to be closed, or given back.
    waiting: AtomicU32,
    closed: Notify,
    /// Until when the breaker refuses everything, in milliseconds of the process's clock; 0 while it
    /// is closed.
    open_until: AtomicU64,
    record: Mutex<Record>,
    purse: Mutex<Purse>,
}

impl Guard {
    /// Makes one that nothing is under way of.
    pub fn new(stats: Arc<UpstreamStats>) -> Self {
        Self {
            stats,
            connections: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            closed: Notify::new(),
            open_until: AtomicU64::new(0),
            record: Mutex::default(),
            purse: Mutex::default(),
        }
    }

    /// The numbers of the upstream.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.stats
    }

    /// How many there are of what may be limited; requests are counted only where they are.
    pub fn used(&self, limit: Limit) -> u32 {
        let count = match limit {
            Limit::Connections => &self.connections,
            Limit::Requests => &self.requests,
            Limit::Pending => &self.pending,
        };
        count.load(Ordering::Relaxed)
    }

    /// The state of the breaker, and for how long it refuses everything from now on.
    pub fn breaker(&self) -> (BreakerState, Duration) {
        match self.record().phase() {
            Phase::Closed => (BreakerState::Closed, Duration::ZERO),
            Phase::HalfOpen { .. } => (BreakerState::HalfOpen, Duration::ZERO),
            Phase::Open { until } => {
                let left = until.saturating_sub(endpoint::now());
                (BreakerState::Open, Duration::from_millis(left))
            }
        }
    }

    /// Asks for a request of a worker; what it is given is kept until the request has ended.
    ///
    /// # Errors
    /// When there are as many as there may be, or the breaker is open.
    pub fn admit(
        self: &Arc<Self>,
        settings: &Settings,
        worker: usize,
    ) -> Result<Admission, Refused> {
        let trial = match &settings.breaker {
            Some(rule) => self.ask_breaker(rule)?,
            None => None,
        };
        let mut admission = Admission {
            guard: Arc::clone(self),
            worker,
            is_counted: false,
            rule: settings.breaker,
            trial,
        };
        if let Some(limit) = settings.limits.requests {
            if !begin(&self.requests, limit) {
                self.stats.shard(worker).overflowed(Limit::Requests);
                return Err(Refused::Full(Limit::Requests));
            }
            admission.is_counted = true;
        }
        Ok(admission)
    }

    fn ask_breaker(&self, rule: &Breaker) -> Result<Option<Trial>, Refused> {
        // Nobody writes this while all goes well.
        let open_until = self.open_until.load(Ordering::Relaxed);
        if open_until == 0 {
            return Ok(None);
        }
        let now = endpoint::now();
        if open_until > now {
            return Err(Refused::Open(Duration::from_millis(open_until - now)));
        }
        let mut record = self.record();
        match record.admit(rule, now) {
            Verdict::Through => Ok(None),
            Verdict::OnTrial(trial) => {
                self.stats.breaker_is(BreakerState::HalfOpen);
                Ok(Some(trial))
            }
            Verdict::Refused(left) => Err(Refused::Open(left)),
        }
    }

    /// Takes a retry out of the budget, if there is one left.
    pub(crate) fn may_retry(&self, budget: &Budget) -> bool {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        purse.take(budget, self.stats.n_requests(), endpoint::now())
    }

    /// Takes note of how things go, as a breaker has to compare later with now; and forgets what a
    /// breaker knew that is no more.
    pub(crate) fn mark(&self, rule: Option<&Breaker>) {
        match rule {
            Some(rule) => {
                self.stats.expect_breaker();
                self.record().mark(rule, self.fared(), endpoint::now());
            }
            None if self.open_until.load(Ordering::Relaxed) == 0 => {}
            None => {
                let mut record = self.record();
                record.reset();
                self.stats.breaker_is(BreakerState::Closed);
                self.open_until.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The right to open another connection, if there may be one.
    pub(crate) fn connection(self: &Arc<Self>, limit: Option<u32>) -> Option<Slot> {
        let limit = limit.unwrap_or(u32::MAX);
        begin(&self.connections, limit).then(|| Slot(Arc::clone(self)))
    }

    /// Counts a request as waiting for a connection.
    ///
    /// # Errors
    /// When as many wait as may.
    pub(crate) fn wait(&self, limit: u32, worker: usize) -> Result<Pending<'_>, Limit> {
        if begin(&self.pending, limit) {
            return Ok(Pending(&self.pending));
        }
        self.stats.shard(worker).overflowed(Limit::Pending);
        Err(Limit::Pending)
    }

    /// Counts a request as waiting for another's connection, until what is given is dropped.
    pub(crate) fn queue(&self) -> Pending<'_> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            // From now on whatever is given back finds those who wait; what lies idle is to be
            // looked for.
            WANTED.notify_waiters();
        }
        Pending(&self.waiting)
    }

    /// How many requests wait for another's connection.
    pub(crate) fn n_waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Tells when a connection has been closed.
    pub(crate) fn closed(&self) -> &Notify {
        &self.closed
    }

    fn fared(&self) -> Fared {
        let (well, ill) = self.stats.fared();
        Fared { well, ill }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, lasts: Duration, record: &Record) {
        let Phase::Open { until } = record.phase() else {
            return;
        };
        self.open_until.store(until, Ordering::Relaxed);
        self.stats.breaker_opened();
        let upstream = self.stats.upstream();
        warn!(%upstream, ?lasts, "breaker open: too many requests failed");
    }
}

/// Waits until somebody waits for a connection that may lie idle on any worker.
pub async fn wanted() {
    WANTED.notified().await;
}

/// Counts one more, unless there are as many as there may be.
fn begin(count: &AtomicU32, limit: u32) -> bool {
    let more = |n: u32| (n < limit).then(|| n + 1);
    let order = Ordering::Relaxed;
    count.fetch_update(order, order, more).is_ok()
}

/// A request's leave to go to an upstream, until it is dropped.
#[derive(Debug)]
pub struct Admission {
    guard: Arc<Guard>,
    worker: usize,
    is_counted: bool,
    rule: Option<Breaker>,
    trial: Option<Trial>,
}

impl Admission {
    /// True when it is for the upstream of this guard.
    pub fn is_of(&self, guard: &Arc<Guard>) -> bool {
        Arc::ptr_eq(&self.guard, guard)
    }

    /// Notes how an attempt fared: in a way that may count as a failure, or well.
    pub fn fared(&mut self, failure: Option<FailureKind>) {
        let Some(rule) = &self.rule else {
            return;
        };
        let guard = &self.guard;
        let shard = guard.stats.shard(self.worker);
        let has_failed = failure.is_some_and(|kind| rule.on.has(kind));
        if has_failed {
            shard.fared_ill();
        } else {
            shard.fared_well();
        }
        match (self.trial.take(), has_failed) {
            (None, false) => {}
            (None, true) => {
                let mut record = guard.record();
                let opened = record.failed(rule, guard.fared(), endpoint::now());
                if let Some(lasts) = opened {
                    guard.opened(lasts, &record);
                }
            }
            (Some(trial), true) => {
                let mut record = guard.record();
                if let Some(lasts) = record.trial_failed(trial, rule, endpoint::now()) {
                    guard.opened(lasts, &record);
                }
            }
            (Some(trial), false) => {
                let mut record = guard.record();
                if record.trial_went_well(trial, rule, guard.fared(), endpoint::now()) {
                    guard.open_until.store(0, Ordering::Relaxed);
                    guard.stats.breaker_is(BreakerState::Closed);
                    let upstream = guard.stats.upstream();
                    info!(%upstream, "breaker closed: requests on trial went well");
                }
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.is_counted {
            self.guard.requests.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(trial) = self.trial {
            self.guard.record().trial_abandoned(trial);
        }
    }
}

/// The right to have a connection open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Guard>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.closed.notify_one();
    }
}

/// Something that is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Pending<'g>(&'g AtomicU32);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
