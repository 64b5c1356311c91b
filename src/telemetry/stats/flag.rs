//! The numbers of flags: their evaluations, and how requests fared that had one of their variants.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::telemetry::stats::judged::Judging;
use crate::telemetry::stats::labels::label_values;
use crate::telemetry::stats::shards::Shards;
use crate::telemetry::stats::{Buckets, Counter, Finished, Judged};

label_values! {
    /// Why an evaluation of a flag came out as it did.
    FlagReason {
        /// There is nothing to decide: one variant for everybody.
        Static = "static",
        /// No rule caught it.
        Default = "default",
        /// A rule with a segment caught it.
        TargetingMatch = "targeting_match",
        /// Its key has that variant by the weights.
        Split = "split",
        /// The flag is killed, disabled, or a flag that it needs has another variant.
        Disabled = "disabled",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

/// What the numbers of a flag's variant are labelled with.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlagLabels {
    /// The flag.
    pub flag: Arc<str>,
    /// Its variant.
    pub variant: Arc<str>,
}

/// The numbers of a flag's variant.
#[derive(Debug)]
pub struct FlagStats {
    labels: FlagLabels,
    buckets: Arc<Buckets>,
    /// One for each worker, and the last for evaluations that no worker makes.
    shards: Shards<FlagShard>,
    n_workers: usize,
    /// Held by whoever records in the last shard.
    outside: Mutex<()>,
}

/// The part that one worker records, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct FlagShard {
    reasons: [Counter; FlagReason::N],
    missing: Counter,
    needed: Counter,
    listed: Counter,
    exposed: Counter,
    told: Counter,
    judging: OnceLock<Box<Judging>>,
}

/// The numbers of a flag's variant since it was first configured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlagTotals {
    /// Evaluations that had this variant, by why, in the order of [`FlagReason::ALL`].
    pub reasons: [u64; FlagReason::N],
    /// Rules that were passed over in those as the key by which they divide was not there.
    pub missing: u64,
    /// Evaluations of other flags that depended on it having this variant.
    pub needed: u64,
    /// Evaluations that tell nothing of whether anybody uses it.
    pub listed: u64,
    /// Requests at the edge that had this variant.
    pub exposed: u64,
    /// Those of them whose upstream was told of it by a header.
    pub told: u64,
}

impl FlagTotals {
    /// All evaluations.
    pub fn evaluations(&self) -> u64 {
        self.reasons.iter().sum()
    }

    /// How often somebody made use of it: its own evaluations, but for those that tell nothing of
    /// that, and those of flags that depend on it.
    pub fn uses(&self) -> u64 {
        self.evaluations() - self.listed.min(self.evaluations()) + self.needed
    }
}

/// One evaluation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlagEvaluated {
    /// Why it came out so.
    pub reason: FlagReason,
    /// How many rules were passed over as the key by which they divide was not there.
    pub missing: u32,
}

impl FlagStats {
    /// Makes the numbers of a variant of a flag, all 0.
    pub fn new(labels: FlagLabels, n_workers: usize, buckets: Arc<Buckets>) -> Self {
        Self {
            labels,
            buckets,
            shards: Shards::new(n_workers + 1),
            n_workers,
            outside: Mutex::new(()),
        }
    }

    /// What the numbers are labelled with.
    pub fn labels(&self) -> &FlagLabels {
        &self.labels
    }

    /// The bounds of the latencies that it is judged by.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Counts an evaluation for a request at the edge, whose upstream may be `told`. A worker's
    /// thread alone may record under its number.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn exposed(&self, worker: usize, evaluated: FlagEvaluated, told: bool) {
        let shard = self.shards.of(worker, FlagShard::default);
        shard.evaluated(evaluated);
        shard.exposed.add(1);
        if told {
            shard.told.add(1);
        }
    }

    /// Counts an evaluation of a flag that depends on this one, for a request at the edge. A worker's
    /// thread alone may record under its number.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn needed_at_edge(&self, worker: usize) {
        self.shards.of(worker, FlagShard::default).needed.add(1);
    }

    /// Counts how a request ended that had this variant at the edge. A worker's thread alone may
    /// record under its number.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub(crate) fn finished(&self, worker: usize, finished: &Finished) {
        let shard = self.shards.of(worker, FlagShard::default);
        let judging = shard.judging.get_or_init(Box::default);
        judging.add(finished, &self.buckets);
    }

    /// Counts an evaluation that no worker makes, from any thread.
    pub fn evaluated(&self, evaluated: FlagEvaluated) {
        self.outside(|shard| shard.evaluated(evaluated));
    }

    /// Counts an evaluation for somebody who got all flags, whether they want this one or not.
    pub fn listed(&self, evaluated: FlagEvaluated) {
        self.outside(|shard| {
            shard.evaluated(evaluated);
            shard.listed.add(1);
        });
    }

    /// Counts an evaluation of a flag that depends on this one, that no worker makes, from any thread.
    pub fn needed(&self) {
        self.outside(|shard| shard.needed.add(1));
    }

    fn outside(&self, record: impl FnOnce(&FlagShard)) {
        // What it guards are numbers that are whole at any time.
        let _alone = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        record(self.shards.of(self.n_workers, FlagShard::default));
    }

    /// True while nothing was recorded.
    pub fn is_quiet(&self) -> bool {
        self.shards.is_empty()
    }

    /// Adds up all shards.
    pub fn read(&self) -> FlagTotals {
        let mut totals = FlagTotals::default();
        for shard in self.shards.iter() {
            for (total, counter) in totals.reasons.iter_mut().zip(&shard.reasons) {
                *total += counter.total();
            }
            totals.missing += shard.missing.total();
            totals.needed += shard.needed.total();
            totals.listed += shard.listed.total();
            totals.exposed += shard.exposed.total();
            totals.told += shard.told.total();
        }
        totals
    }

    /// How the requests fared that had this variant at the edge.
    pub fn judged(&self) -> Judged {
        let mut judged = Judged::new(&self.buckets);
        let shards = self.shards.iter();
        for judging in shards.filter_map(|shard| shard.judging.get()) {
            judged.add(judging);
        }
        judged
    }
}

impl FlagShard {
    fn evaluated(&self, evaluated: FlagEvaluated) {
        self.reasons[evaluated.reason as usize].add(1);
        if 0 < evaluated.missing {
            self.missing.add(u64::from(evaluated.missing));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use crate::telemetry::stats::{
        Buckets, Class, Finished, FlagEvaluated, FlagLabels, FlagReason, FlagStats, Outcome,
        Selection, Source,
    };

    fn stats(n_workers: usize) -> FlagStats {
        let labels = FlagLabels {
            flag: "new-checkout".into(),
            variant: "on".into(),
        };
        FlagStats::new(labels, n_workers, Arc::new(Buckets::default()))
    }

    fn evaluated(reason: FlagReason) -> FlagEvaluated {
        FlagEvaluated { reason, missing: 0 }
    }

    #[test]
    fn evaluations_are_summed_over_workers_and_all_others() {
        let stats = stats(2);
        assert!(stats.is_quiet());
        stats.exposed(0, evaluated(FlagReason::Split), true);
        stats.exposed(1, evaluated(FlagReason::Split), false);
        stats.evaluated(FlagEvaluated {
            reason: FlagReason::Default,
            missing: 2,
        });
        stats.needed();
        stats.needed_at_edge(0);
        let totals = stats.read();
        assert_eq!((totals.evaluations(), totals.uses()), (3, 5));
        stats.listed(evaluated(FlagReason::Default));
        assert_eq!((stats.read().evaluations(), stats.read().uses()), (4, 5));
        let totals = stats.read();
        assert_eq!(totals.reasons[FlagReason::Split as usize], 2);
        assert_eq!(totals.reasons[FlagReason::Default as usize], 2);
        assert_eq!((totals.missing, totals.exposed, totals.told), (2, 2, 1));
        assert!(!stats.is_quiet());
    }

    #[test]
    fn nothing_is_lost_of_what_several_threads_evaluate_outside_of_workers() {
        let stats = stats(1);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        stats.evaluated(evaluated(FlagReason::Static));
                    }
                });
            }
        });
        assert_eq!(stats.read().evaluations(), 40_000);
    }

    #[test]
    fn a_variant_is_judged_by_the_requests_that_had_it() {
        let stats = stats(1);
        for class in [Class::Ok, Class::ServerError] {
            stats.finished(
                0,
                &Finished {
                    code: 200,
                    source: Source::Upstream,
                    selection: Selection::Draw,
                    outcome: Outcome::Success,
                    class,
                    slice: 3,
                    duration: Duration::from_millis(2),
                    response_headers: Some(Duration::from_millis(1)),
                    request_bytes: 0,
                    response_bytes: 0,
                    error: None,
                },
            );
        }
        let judged = stats.judged();
        assert_eq!(judged.requests(), 2);
        assert_eq!(judged.slices[3][Class::ServerError as usize], 1);
        assert_eq!(judged.latency.iter().sum::<u64>(), 1);
    }
}
