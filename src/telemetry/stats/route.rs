//! The numbers of a route that belong to none of its variants.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::telemetry::stats::histogram::Histogram;
use crate::telemetry::stats::shards::Shards;
use crate::telemetry::stats::{Buckets, Counter, ForcedRejection, HistogramTotals, StickyKind};

/// The numbers of one route.
#[derive(Debug)]
pub struct RouteStats {
    route: Arc<str>,
    shards: Shards<RouteShard>,
}

impl RouteStats {
    /// Makes the numbers of a route, all 0.
    pub fn new(route: Arc<str>, n_workers: usize) -> Self {
        Self {
            route,
            shards: Shards::new(n_workers),
        }
    }

    /// The part that belongs to a worker: its thread alone may record there.
    ///
    /// # Panics
    /// When there are not so many workers.
    #[inline]
    pub fn shard(&self, worker: usize) -> &RouteShard {
        self.shards.of(worker, RouteShard::default)
    }

    /// The name of the route.
    pub fn route(&self) -> &Arc<str> {
        &self.route
    }

    /// True while nothing has been recorded.
    pub fn is_quiet(&self) -> bool {
        self.shards.is_empty()
    }

    /// Adds up the shards of all workers.
    pub fn read(&self) -> RouteTotals {
        let mut totals = RouteTotals {
            overhead: HistogramTotals::new(Buckets::overhead()),
            cookies_set: [0; StickyKind::N],
            forced_rejected: [0; ForcedRejection::N],
            failovers: BTreeMap::new(),
        };
        for shard in self.shards.iter() {
            totals.overhead.add(&shard.overhead);
            let cookies = totals.cookies_set.iter_mut().zip(&shard.cookies_set);
            cookies.for_each(|(total, counter)| *total += counter.total());
            for (total, counter) in totals
                .forced_rejected
                .iter_mut()
                .zip(&shard.forced_rejected)
            {
                *total += counter.total();
            }
            let mut next = &shard.failovers;
            while let Some(failover) = next.get() {
                let pair = (Arc::clone(&failover.from), Arc::clone(&failover.to));
                *totals.failovers.entry(pair).or_default() += failover.count.total();
                next = &failover.next;
            }
        }
        totals
    }
}

/// The part of a route's numbers that one worker records.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RouteShard {
    overhead: Histogram,
    cookies_set: [Counter; StickyKind::N],
    forced_rejected: [Counter; ForcedRejection::N],
    failovers: OnceLock<Box<Failover>>,
}

/// Requests of one variant that another one answered, and the next such pair.
#[derive(Debug)]
struct Failover {
    from: Arc<str>,
    to: Arc<str>,
    count: Counter,
    next: OnceLock<Box<Failover>>,
}

impl RouteShard {
    /// Counts the time of one exchange that was spent in tidegate itself.
    #[inline]
    pub fn overhead(&self, spent: Duration) {
        self.overhead.record(Buckets::overhead(), spent);
    }

    /// Counts a cookie that was set.
    pub fn cookie_set(&self, kind: StickyKind) {
        self.cookies_set[kind as usize].add(1);
    }

    /// Counts a request that asked for a variant and did not get it.
    pub fn forced_rejected(&self, reason: ForcedRejection) {
        self.forced_rejected[reason as usize].add(1);
    }

    /// Counts a request for which `from` was chosen and which `to` answered.
    pub fn failover(&self, from: &Arc<str>, to: &Arc<str>) {
        // Pairs are few: no more than a route has of variants that are gone and variants that
        // stand in for them.
        let mut next = &self.failovers;
        loop {
            let failover = next.get_or_init(|| {
                Box::new(Failover {
                    from: Arc::clone(from),
                    to: Arc::clone(to),
                    count: Counter::default(),
                    next: OnceLock::new(),
                })
            });
            if failover.from == *from && failover.to == *to {
                failover.count.add(1);
                return;
            }
            next = &failover.next;
        }
    }
}

/// The numbers of a route since it was first configured.
#[derive(Clone, Debug)]
pub struct RouteTotals {
    /// The time spent in tidegate itself.
    pub overhead: HistogramTotals,
    /// Cookies that were set, in the order of their kinds.
    pub cookies_set: [u64; StickyKind::N],
    /// Requests that asked for a variant and did not get it, in the order of the reasons.
    pub forced_rejected: [u64; ForcedRejection::N],
    /// Requests by the variant that was chosen and the one that answered.
    pub failovers: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::telemetry::stats::{ForcedRejection, RouteStats, StickyKind};

    #[test]
    fn failovers_are_counted_by_pair_over_all_workers() {
        let stats = RouteStats::new("shop".into(), 2);
        let [a, b, c]: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        stats.shard(0).failover(&a, &b);
        stats.shard(0).failover(&a, &c);
        stats.shard(1).failover(&a, &c);
        stats.shard(1).failover(&b, &a);
        let totals = stats.read();
        let seen: Vec<_> = totals
            .failovers
            .iter()
            .map(|((from, to), &count)| (&**from, &**to, count))
            .collect();
        assert_eq!(seen, [("a", "b", 1), ("a", "c", 2), ("b", "a", 1)]);
    }

    #[test]
    fn what_belongs_to_no_variant_is_summed_over_all_workers() {
        let stats = RouteStats::new("shop".into(), 2);
        for worker in 0..2 {
            stats.shard(worker).cookie_set(StickyKind::Identity);
            stats.shard(worker).forced_rejected(ForcedRejection::Off);
            stats.shard(worker).overhead(Duration::from_micros(60));
        }
        let totals = stats.read();
        assert_eq!(totals.cookies_set, [2, 0]);
        assert_eq!(totals.forced_rejected, [0, 2, 0, 0]);
        assert_eq!(totals.overhead.count(), 2);
        assert_eq!(totals.overhead.buckets[1], 2);
    }
}
