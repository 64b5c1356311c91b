//! Histograms with fixed bounds.

use std::sync::LazyLock;
use std::time::Duration;

use thiserror::Error;

use crate::telemetry::stats::Counter;

/// The most bounds there may be, so that a histogram is a plain array without a pointer.
const MAX_BOUNDS: usize = 23;

/// The bounds of latencies unless told otherwise: from a fast answer in the same rack to one that
/// nobody waits for any more.
const LATENCY_SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The bounds of the time that is spent in tidegate itself.
const OVERHEAD_SECONDS: [f64; 9] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05,
];

/// Why bounds are none.
#[derive(Debug, Error, PartialEq)]
pub enum BucketsError {
    /// There is none, or there are too many.
    #[error("{n} bounds where 1 to {MAX_BOUNDS} are possible")]
    Number {
        /// How many there are.
        n: usize,
    },
    /// One is not a time.
    #[error("{bound} is not a number of seconds from 1 µs to 1 h")]
    NotSeconds {
        /// The bound.
        bound: f64,
    },
    /// One is not greater than the one before it.
    #[error("{bound} is not greater than the bound before it")]
    NotAscending {
        /// The bound.
        bound: f64,
    },
}

/// The bounds of a histogram's buckets.
///
/// Invariant: 1 to 23 of them, ascending.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Buckets {
    bounds_nanos: Vec<u64>,
}

impl Buckets {
    /// Makes bounds from seconds; the last bucket, without a bound, is added by itself.
    ///
    /// # Errors
    /// When there is none or more than 23, when one is not from 1 µs to 1 h, or when they do not
    /// ascend.
    pub fn new(seconds: &[f64]) -> Result<Self, BucketsError> {
        if seconds.is_empty() || seconds.len() > MAX_BOUNDS {
            return Err(BucketsError::Number { n: seconds.len() });
        }
        let mut bounds_nanos = Vec::with_capacity(seconds.len());
        for &bound in seconds {
            if !(1e-6..=3600.0).contains(&bound) {
                return Err(BucketsError::NotSeconds { bound });
            }
            let nanos = (bound * 1e9).round() as u64;
            if bounds_nanos.last().is_some_and(|&last| nanos <= last) {
                return Err(BucketsError::NotAscending { bound });
            }
            bounds_nanos.push(nanos);
        }
        Ok(Self { bounds_nanos })
    }

    /// The bounds of the time that is spent in tidegate itself.
    #[inline]
    pub fn overhead() -> &'static Self {
        static OVERHEAD: LazyLock<Buckets> =
            LazyLock::new(|| Buckets::new(&OVERHEAD_SECONDS).expect("the constant ascends"));
        &OVERHEAD
    }

    /// The bounds in seconds.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        self.bounds_nanos.iter().map(|&nanos| nanos as f64 / 1e9)
    }

    /// Which bucket a value belongs to: the first whose bound is not below it.
    #[inline]
    fn index(&self, nanos: u64) -> usize {
        // A scan and not a binary search: most values are found among the first few bounds.
        self.bounds_nanos
            .iter()
            .position(|&bound| nanos <= bound)
            .unwrap_or(self.bounds_nanos.len())
    }
}

impl Default for Buckets {
    /// 15 bounds from 1 ms to 60 s.
    fn default() -> Self {
        Self::new(&LATENCY_SECONDS).expect("the constant ascends")
    }
}

/// The counters of one histogram in one shard.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; MAX_BOUNDS + 1],
    sum_nanos: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn record(&self, buckets: &Buckets, duration: Duration) {
        let nanos = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(duration.subsec_nanos()));
        self.buckets[buckets.index(nanos)].add(1);
        self.sum_nanos.add(nanos);
    }
}

/// A histogram summed over all shards.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistogramTotals {
    /// How many values fell into each bucket, the one without a bound last; not cumulative.
    pub buckets: Vec<u64>,
    /// The sum of all values, in nanoseconds.
    pub sum_nanos: u64,
}

impl HistogramTotals {
    /// Makes an empty one.
    pub(crate) fn new(buckets: &Buckets) -> Self {
        Self {
            buckets: vec![0; buckets.bounds_nanos.len() + 1],
            sum_nanos: 0,
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds what one shard has counted.
    pub(crate) fn add(&mut self, shard: &Histogram) {
        for (total, counter) in self.buckets.iter_mut().zip(&shard.buckets) {
            *total += counter.total();
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(shard.sum_nanos.total());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

    use crate::telemetry::stats::histogram::{
        Buckets, BucketsError, Histogram, HistogramTotals, MAX_BOUNDS,
    };

    fn record(buckets: &Buckets, durations: &[Duration]) -> HistogramTotals {
        let histogram = Histogram::default();
        for &duration in durations {
            histogram.record(buckets, duration);
        }
        let mut totals = HistogramTotals::new(buckets);
        totals.add(&histogram);
        totals
    }

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let buckets = Buckets::new(&[0.001, 0.01]).unwrap();
        let totals = record(
            &buckets,
            &[
                Duration::ZERO,
                Duration::from_millis(1),
                Duration::from_nanos(1_000_001),
                Duration::from_millis(10),
                Duration::from_secs(1),
            ],
        );
        assert_eq!(totals.buckets, [2, 2, 1]);
        assert_eq!(totals.sum_nanos, 1_012_000_001);
    }

    #[test]
    fn a_duration_beyond_all_reason_is_counted_too() {
        let totals = record(&Buckets::default(), &[Duration::MAX]);
        assert_eq!(totals.buckets.last(), Some(&1));
    }

    #[test]
    fn bounds_read_back_as_they_were_given() {
        let seconds: Vec<f64> = Buckets::overhead().seconds().collect();
        assert_eq!(seconds[0].to_string(), "0.00005");
        assert_eq!(seconds[5].to_string(), "0.0025");
        let seconds: Vec<f64> = Buckets::default().seconds().collect();
        assert_eq!(seconds[9].to_string(), "1");
    }

    #[test]
    fn bounds_that_make_no_histogram_are_refused() {
        assert_eq!(Buckets::new(&[]), Err(BucketsError::Number { n: 0 }));
        assert!(Buckets::new(&[1.0; MAX_BOUNDS + 1]).is_err());
        assert_eq!(
            Buckets::new(&[0.1, 0.1]),
            Err(BucketsError::NotAscending { bound: 0.1 })
        );
        for bound in [0.0, -1.0, 3601.0, f64::NAN, f64::INFINITY] {
            assert!(Buckets::new(&[bound]).is_err(), "{bound}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_value_is_in_exactly_one_bucket(nanos in prop::collection::vec(any::<u32>(), 0..200)) {
            let durations: Vec<Duration> = nanos
                .iter()
                .map(|&nanos| Duration::from_nanos(u64::from(nanos) * 20))
                .collect();
            let totals = record(&Buckets::default(), &durations);
            prop_assert_eq!(totals.count(), nanos.len() as u64);
            let sum: u64 = nanos.iter().map(|&nanos| u64::from(nanos) * 20).sum();
            prop_assert_eq!(totals.sum_nanos, sum);
        }
    }
}
