//! The numbers of the mirror of a route: they are no variant's, so that nothing is judged by
//! requests that no client waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::stats::histogram::Histogram;
use crate::telemetry::stats::shards::Shards;
use crate::telemetry::stats::{
    Buckets, Counter, HistogramTotals, MirrorResult, Mismatch, VariantLabels,
};

/// The numbers of the mirror of one route.
#[derive(Debug)]
pub struct MirrorStats {
    labels: VariantLabels,
    buckets: Arc<Buckets>,
    shards: Shards<MirrorShard>,
}

/// The part that one worker records, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct MirrorShard {
    results: [Counter; MirrorResult::N],
    duration: Histogram,
    alike: Counter,
    different: Counter,
    mismatches: [Counter; Mismatch::N],
}

/// The numbers of a mirror since it was first configured.
#[derive(Clone, Debug)]
pub struct MirrorTotals {
    /// Requests that belonged to the sample, by what came of their copies.
    pub results: [u64; MirrorResult::N],
    /// How long those took that were answered.
    pub duration: HistogramTotals,
    /// Answers that were compared and found alike.
    pub alike: u64,
    /// Answers that were compared and found different.
    pub different: u64,
    /// In what they were; one may be so in a header and in its body.
    pub mismatches: [u64; Mismatch::N],
}

impl MirrorStats {
    /// Makes the numbers of a mirror, all 0. Without a variant it has none in its labels.
    pub fn new(labels: VariantLabels, n_workers: usize, buckets: Arc<Buckets>) -> Self {
        Self {
            labels,
            buckets,
            shards: Shards::new(n_workers),
        }
    }

    /// What the numbers are labelled with: the route, and where the copies go.
    pub fn labels(&self) -> &VariantLabels {
        &self.labels
    }

    /// The bounds of the durations.
    pub(crate) fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Counts a request of the sample by what came of its copy. A worker's thread alone may record
    /// under its number.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn ended(&self, worker: usize, result: MirrorResult) {
        self.shard(worker).results[result as usize].add(1);
    }

    /// Counts one that was answered, and how long that took from its sending.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn answered(&self, worker: usize, took: Duration) {
        self.ended(worker, MirrorResult::Sent);
        self.shard(worker).duration.record(&self.buckets, took);
    }

    /// Counts two answers that were compared, by what they differ in, if they do.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn compared(&self, worker: usize, mismatches: &[Mismatch]) {
        let shard = self.shard(worker);
        if mismatches.is_empty() {
            shard.alike.add(1);
        } else {
            shard.different.add(1);
        }
        for &mismatch in mismatches {
            shard.mismatches[mismatch as usize].add(1);
        }
    }

    /// Adds up the shards of all workers.
    pub fn read(&self) -> MirrorTotals {
        let mut totals = MirrorTotals {
            results: [0; MirrorResult::N],
            duration: HistogramTotals::new(&self.buckets),
            alike: 0,
            different: 0,
            mismatches: [0; Mismatch::N],
        };
        for shard in self.shards.iter() {
            let results = totals.results.iter_mut().zip(&shard.results);
            results.for_each(|(total, counter)| *total += counter.total());
            totals.duration.add(&shard.duration);
            totals.alike += shard.alike.total();
            totals.different += shard.different.total();
            let mismatches = totals.mismatches.iter_mut().zip(&shard.mismatches);
            mismatches.for_each(|(total, counter)| *total += counter.total());
        }
        totals
    }

    fn shard(&self, worker: usize) -> &MirrorShard {
        self.shards.of(worker, MirrorShard::default)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::telemetry::stats::{Buckets, MirrorResult, MirrorStats, Mismatch, VariantLabels};

    #[test]
    fn what_came_of_copies_is_summed_over_all_workers() {
        let labels = VariantLabels {
            route: "shop".into(),
            variant: "canary".into(),
            upstream: "shop-v2".into(),
        };
        let stats = MirrorStats::new(labels, 2, Arc::new(Buckets::default()));
        for worker in [0, 1, 1] {
            stats.answered(worker, Duration::from_millis(3));
            stats.ended(worker, MirrorResult::DroppedCap);
        }
        stats.compared(0, &[]);
        stats.compared(0, &[Mismatch::Status]);
        stats.compared(1, &[Mismatch::Header, Mismatch::Body]);
        let totals = stats.read();
        assert_eq!(totals.results, [3, 0, 0, 3, 0, 0, 0]);
        assert_eq!(totals.duration.count(), 3);
        assert_eq!((totals.alike, totals.different), (1, 2));
        assert_eq!(totals.mismatches, [1, 1, 1]);
    }
}
