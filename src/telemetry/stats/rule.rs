//! The numbers of a rule of a route.

use std::sync::Arc;

use crate::telemetry::stats::Counter;
use crate::telemetry::stats::shards::Shards;

/// What the numbers of a rule are labelled with.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleLabels {
    /// The route.
    pub route: Arc<str>,
    /// The segment that the rule is for.
    pub segment: Arc<str>,
}

/// How often a rule decided the weights of a request.
#[derive(Debug)]
pub struct RuleStats {
    labels: RuleLabels,
    shards: Shards<RuleShard>,
}

/// The part that one worker records, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct RuleShard {
    matches: Counter,
}

impl RuleStats {
    /// Makes the numbers of a rule, all 0.
    pub fn new(labels: RuleLabels, n_workers: usize) -> Self {
        Self {
            labels,
            shards: Shards::new(n_workers),
        }
    }

    /// Counts a request whose weights the rule decided. A worker's thread alone may record under
    /// its number.
    ///
    /// # Panics
    /// When there are not so many workers.
    pub fn matched(&self, worker: usize) {
        self.shards.of(worker, RuleShard::default).matches.add(1);
    }

    /// What the numbers are labelled with.
    pub fn labels(&self) -> &RuleLabels {
        &self.labels
    }

    /// The requests so far, over all workers.
    pub fn matches(&self) -> u64 {
        self.shards.iter().map(|shard| shard.matches.total()).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::stats::{RuleLabels, RuleStats};

    #[test]
    fn what_a_rule_decided_is_summed_over_all_workers() {
        let labels = RuleLabels {
            route: "shop".into(),
            segment: "beta".into(),
        };
        let stats = RuleStats::new(labels, 2);
        assert_eq!(stats.matches(), 0);
        for worker in [0, 1, 1] {
            stats.matched(worker);
        }
        assert_eq!(stats.matches(), 3);
    }
}
