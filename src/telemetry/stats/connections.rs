//! The numbers of connections: downstream by listener, upstream by upstream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::telemetry::stats::codes::{Code, Codes};
use crate::telemetry::stats::handshakes::Handshakes;
use crate::telemetry::stats::shards::Shards;
use crate::telemetry::stats::{
    AbortReason, BreakerState, CheckResult, CloseReason, Counter, Handshake, Limit, PauseReason,
    Protocol, RejectReason, Resolution, Selection, Source,
};

/// The numbers of one listener.
#[derive(Debug)]
pub struct ListenerStats {
    listener: Arc<str>,
    shards: Shards<ListenerShard>,
    /// Set as soon as it speaks TLS, so that the numbers of handshakes are shown from 0.
    has_tls: OnceLock<()>,
    /// Counted by whichever worker it was, once in a while.
    pauses: [AtomicU64; PauseReason::N],
}

impl ListenerStats {
    /// Makes the numbers of a listener, all 0.
    pub fn new(listener: Arc<str>, n_workers: usize) -> Self {
        Self {
            listener,
            shards: Shards::new(n_workers),
            has_tls: OnceLock::new(),
            pauses: Default::default(),
        }
    }

    /// The part that belongs to a worker: its thread alone may record there.
    ///
    /// # Panics
    /// When there are not so many workers.
    #[inline]
    pub fn shard(&self, worker: usize) -> &ListenerShard {
        self.shards.of(worker, ListenerShard::default)
    }

    /// Notes that it speaks TLS.
    pub fn expect_handshakes(&self) {
        self.has_tls.get_or_init(|| ());
    }

    /// Counts that accepting pauses.
    pub fn paused(&self, reason: PauseReason) {
        self.pauses[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often accepting has paused, by reason.
    pub fn pauses(&self) -> [u64; PauseReason::N] {
        self.pauses.each_ref().map(|n| n.load(Ordering::Relaxed))
    }

    /// The name of the listener.
    pub fn listener(&self) -> &Arc<str> {
        &self.listener
    }

    /// Adds up the shards of all workers.
    pub fn read(&self) -> ListenerTotals {
        let mut totals = ListenerTotals {
            handshakes: self.has_tls.get().map(|()| [0; Handshake::N]),
            pauses: self.pauses(),
            ..ListenerTotals::default()
        };
        for shard in self.shards.iter() {
            for (total, counter) in totals.closed.iter_mut().zip(&shard.closed) {
                *total += counter.ends();
            }
            for (total, counter) in totals.opened.iter_mut().zip(&shard.opened) {
                *total += counter.total();
            }
            for (total, counter) in totals.rejected.iter_mut().zip(&shard.rejected) {
                *total += counter.total();
            }
            for (total, counter) in totals.aborted.iter_mut().zip(&shard.aborted) {
                *total += counter.total();
            }
            totals.overloaded += shard.overloaded.total();
            if let Some(handshakes) = &mut totals.handshakes {
                shard.handshakes.add_to(handshakes);
            }
            shard.unrouted.for_each(|key, count| {
                *totals.unrouted.entry(key.code).or_default() += count;
            });
        }
        totals
    }
}

/// The part of a listener's numbers that one worker records.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerShard {
    opened: [Counter; Protocol::N],
    closed: [Counter; Protocol::N],
    rejected: [Counter; RejectReason::N],
    aborted: [Counter; AbortReason::N],
    overloaded: Counter,
    handshakes: Handshakes,
    unrouted: Codes,
}

impl ListenerShard {
    /// Counts a connection whose protocol is known by now.
    pub fn connection_opened(&self, protocol: Protocol) {
        self.opened[protocol as usize].add(1);
    }

    /// Counts the end of a connection that was counted as opened.
    pub fn connection_closed(&self, protocol: Protocol) {
        self.closed[protocol as usize].add_end();
    }

    /// Counts a connection that was refused, or given up before its protocol was known.
    pub fn connection_rejected(&self, reason: RejectReason) {
        self.rejected[reason as usize].add(1);
    }

    /// Counts a connection that was ended before its time, by what its client did.
    pub fn connection_aborted(&self, reason: AbortReason) {
        self.aborted[reason as usize].add(1);
    }

    /// Counts a request that was refused because tidegate has more to carry than it can.
    pub fn overloaded(&self) {
        self.overloaded.add(1);
    }

    /// Counts a TLS handshake that went well.
    pub fn handshake(&self, handshake: Handshake) {
        self.handshakes.add(handshake);
    }

    /// Counts a request that tidegate answered with this status before it had a route.
    pub fn unrouted(&self, code: u16) {
        self.unrouted.add_end(code, Source::Proxy, Selection::Draw);
    }
}

/// The numbers of a listener since it was first configured; arrays in the order of their labels.
#[derive(Clone, Debug, Default)]
pub struct ListenerTotals {
    /// Connections that were opened.
    pub opened: [u64; Protocol::N],
    /// Connections that have ended.
    pub closed: [u64; Protocol::N],
    /// Connections that were refused.
    pub rejected: [u64; RejectReason::N],
    /// Connections that were ended by what their clients did.
    pub aborted: [u64; AbortReason::N],
    /// Requests that were refused by overload.
    pub overloaded: u64,
    /// How often accepting has paused.
    pub pauses: [u64; PauseReason::N],
    /// TLS handshakes, in the order of their kinds; none while it speaks no TLS.
    pub handshakes: Option<[u64; Handshake::N]>,
    /// Requests that were answered without a route.
    pub unrouted: BTreeMap<Code, u64>,
}

impl ListenerTotals {
    /// Connections that are open, by protocol.
    pub fn open(&self, protocol: Protocol) -> u64 {
        self.opened[protocol as usize].saturating_sub(self.closed[protocol as usize])
    }
}

/// The numbers of the connections of one upstream.
#[derive(Debug)]
pub struct UpstreamStats {
    upstream: Arc<str>,
    shards: Shards<UpstreamShard>,
    /// Look-ups of its names, which only the control plane counts; none while it has no names.
    resolutions: OnceLock<[Counter; Resolution::N]>,
    /// Checks of its endpoints, likewise.
    checks: OnceLock<[Counter; CheckResult::N]>,
    /// The state of its breaker, and how often that has opened; none while it has no breaker.
    breaker: OnceLock<(AtomicU8, Counter)>,
}

impl UpstreamStats {
    /// Makes the numbers of an upstream, all 0.
    pub fn new(upstream: Arc<str>, n_workers: usize) -> Self {
        Self {
            upstream,
            shards: Shards::new(n_workers),
            resolutions: OnceLock::new(),
            checks: OnceLock::new(),
            breaker: OnceLock::new(),
        }
    }

    /// The part that belongs to a worker: its thread alone may record there.
    ///
    /// # Panics
    /// When there are not so many workers.
    #[inline]
    pub fn shard(&self, worker: usize) -> &UpstreamShard {
        self.shards.of(worker, UpstreamShard::default)
    }

    /// Notes that it has names, so that the numbers of their look-ups are shown from 0.
    pub fn expect_resolutions(&self) {
        self.resolutions.get_or_init(Default::default);
    }

    /// Counts a look-up of one of its names.
    pub fn resolved(&self, result: Resolution) {
        self.resolutions.get_or_init(Default::default)[result as usize].add(1);
    }

    /// Notes that its endpoints are checked, so that the numbers of that are shown from 0.
    pub fn expect_checks(&self) {
        self.checks.get_or_init(Default::default);
    }

    /// Counts a check of one of its endpoints.
    pub fn checked(&self, result: CheckResult) {
        self.checks.get_or_init(Default::default)[result as usize].add(1);
    }

    /// Notes that it has a breaker, so that the numbers of that are shown from 0.
    pub fn expect_breaker(&self) {
        self.breaker.get_or_init(Default::default);
    }

    /// Notes the state that its breaker is in.
    pub fn breaker_is(&self, state: BreakerState) {
        let (now, _) = self.breaker.get_or_init(Default::default);
        now.store(state as u8, Ordering::Relaxed);
    }

    /// Counts that its breaker has opened; of several threads one at a time may.
    pub fn breaker_opened(&self) {
        self.breaker_is(BreakerState::Open);
        let (_, opened) = self.breaker.get_or_init(Default::default);
        opened.add(1);
    }

    /// The name of the upstream.
    pub fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// How many requests went to its endpoints.
    pub fn n_requests(&self) -> u64 {
        self.shards.iter().map(|shard| shard.requests.total()).sum()
    }

    /// How many attempts went well, and how many failed, while there was a breaker.
    pub fn fared(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(well, ill), shard| {
            let (more_well, more_ill) = (shard.fared_well.total(), shard.fared_ill.total());
            (well + more_well, ill + more_ill)
        })
    }

    /// Adds up the shards of all workers.
    pub fn read(&self) -> UpstreamTotals {
        let (resolutions, checks) = (self.resolutions.get(), self.checks.get());
        let mut totals = UpstreamTotals {
            resolutions: resolutions.map(|counters| counters.each_ref().map(Counter::total)),
            checks: checks.map(|counters| counters.each_ref().map(Counter::total)),
            ..UpstreamTotals::default()
        };
        if let Some((state, opened)) = self.breaker.get() {
            let state = usize::from(state.load(Ordering::Relaxed));
            totals.breaker = BreakerState::ALL.get(state).copied();
            totals.breaker_opened = opened.total();
        }
        for shard in self.shards.iter() {
            for (total, counter) in totals.closed.iter_mut().zip(&shard.closed) {
                *total += counter.ends();
            }
            totals.unparked += shard.unparked.ends();
            totals.parked += shard.parked.total();
            totals.opened += shard.opened.total();
            totals.ejections += shard.ejections.total();
            for (total, counter) in totals.overflows.iter_mut().zip(&shard.overflows) {
                *total += counter.total();
            }
        }
        totals
    }
}

/// The part of an upstream's numbers that one worker records.
///
/// A connection is opened for an exchange and so begins as active. It may be parked and taken again
/// any number of times, and is closed from either state.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UpstreamShard {
    opened: Counter,
    parked: Counter,
    unparked: Counter,
    closed: [Counter; CloseReason::N],
    ejections: Counter,
    requests: Counter,
    fared_well: Counter,
    fared_ill: Counter,
    overflows: [Counter; Limit::N],
}

impl UpstreamShard {
    /// Counts a request that goes to an endpoint, again or for the first time.
    #[inline]
    pub fn requested(&self) {
        self.requests.add(1);
    }

    /// Counts an attempt that went well, for a breaker.
    pub fn fared_well(&self) {
        self.fared_well.add(1);
    }

    /// Counts an attempt that failed, for a breaker.
    pub fn fared_ill(&self) {
        self.fared_ill.add(1);
    }

    /// Counts a request that was refused as there were as many of something as there may be.
    pub fn overflowed(&self, limit: Limit) {
        self.overflows[limit as usize].add(1);
    }

    /// Counts an endpoint that is left alone for a while because requests to it failed.
    pub fn ejected(&self) {
        self.ejections.add(1);
    }

    /// Counts a new connection, which is active.
    #[inline]
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// Counts an active connection that was put into the pool.
    #[inline]
    pub fn connection_parked(&self) {
        self.parked.add(1);
    }

    /// Counts a connection that was taken from the pool to be used again.
    #[inline]
    pub fn connection_taken(&self) {
        self.unparked.add_end();
    }

    /// Counts the end of an active connection.
    pub fn active_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].add_end();
    }

    /// Counts the end of a connection that was in the pool.
    pub fn idle_closed(&self, reason: CloseReason) {
        self.unparked.add_end();
        self.closed[reason as usize].add_end();
    }
}

/// The numbers of an upstream's connections since it was first configured.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTotals {
    /// Connections that were opened.
    pub opened: u64,
    /// Ejections of its endpoints.
    pub ejections: u64,
    /// The state of its breaker; none while it has none.
    pub breaker: Option<BreakerState>,
    /// How often its breaker has opened.
    pub breaker_opened: u64,
    /// Requests that were refused by a limit, in the order of the limits.
    pub overflows: [u64; Limit::N],
    /// Connections that have ended, in the order of the reasons.
    pub closed: [u64; CloseReason::N],
    /// Look-ups of its names, in the order of the results; none while it has no names.
    pub resolutions: Option<[u64; Resolution::N]>,
    /// Checks of its endpoints, in the order of the results; none while it has no checks.
    pub checks: Option<[u64; CheckResult::N]>,
    /// How often one was put into a pool.
    parked: u64,
    /// How often one left a pool, to be used or to be closed.
    unparked: u64,
}

impl UpstreamTotals {
    /// Connections in the pools.
    pub fn idle(&self) -> u64 {
        self.parked.saturating_sub(self.unparked)
    }

    /// Connections with an exchange or a tunnel on them.
    pub fn active(&self) -> u64 {
        let closed: u64 = self.closed.iter().sum();
        self.opened
            .saturating_sub(closed)
            .saturating_sub(self.idle())
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::stats::{
        CloseReason, Code, ListenerStats, Protocol, RejectReason, UpstreamStats,
    };

    #[test]
    fn an_upstream_connection_is_active_or_idle_until_it_is_closed() {
        let stats = UpstreamStats::new("shop-v1".into(), 1);
        let shard = stats.shard(0);
        #[track_caller]
        fn check(stats: &UpstreamStats, active: u64, idle: u64) {
            let totals = stats.read();
            assert_eq!((totals.active(), totals.idle()), (active, idle));
        }
        shard.connection_opened();
        shard.connection_opened();
        check(&stats, 2, 0);
        shard.connection_parked();
        check(&stats, 1, 1);
        shard.connection_taken();
        check(&stats, 2, 0);
        shard.connection_parked();
        shard.active_closed(CloseReason::Error);
        check(&stats, 0, 1);
        shard.idle_closed(CloseReason::Idle);
        check(&stats, 0, 0);
        let totals = stats.read();
        assert_eq!(totals.opened, 2);
        assert_eq!(totals.closed[CloseReason::Idle as usize], 1);
    }

    #[test]
    fn a_listener_counts_by_protocol_and_by_status() {
        let stats = ListenerStats::new("http".into(), 2);
        stats.shard(0).connection_opened(Protocol::H1);
        stats.shard(1).connection_opened(Protocol::H2);
        stats.shard(1).connection_opened(Protocol::H2);
        stats.shard(1).connection_closed(Protocol::H2);
        stats.shard(0).connection_rejected(RejectReason::Timeout);
        stats.shard(0).unrouted(404);
        stats.shard(1).unrouted(404);
        stats.shard(1).unrouted(400);
        let totals = stats.read();
        assert_eq!(totals.open(Protocol::H1), 1);
        assert_eq!(totals.open(Protocol::H2), 1);
        assert_eq!(totals.rejected, [0, 1, 0, 0, 0]);
        assert_eq!(totals.unrouted[&Code::Exact(404)], 2);
        assert_eq!(totals.unrouted[&Code::Exact(400)], 1);
    }
}
