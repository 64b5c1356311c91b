//! Histograms with fixed bounds.

use std::sync::LazyLock;
use std::time::Duration;

use thiserror::Error;

use crate::telemetry::stats::Counter;

/// The most bounds there may be, so that a histogram is a plain array without a pointer.
const MAX_BOUNDS: usize = 23;

/// From where to where variants are judged by steps of at most √2, in nanoseconds: a test of latencies
/// counts what is slower than a bound, and the next one may be no more than that off.
const FINE_NANOS: [u64; 2] = [500_000, 120_000_000_000];

/// The most bounds then: those that are shown, both ends, and one less than there are steps of √2
/// between the ends.
const MAX_FINE_BOUNDS: usize = MAX_BOUNDS + 2 + 35;

/// Cells in which bounds are looked up: quarters of octaves, from 0.5 µs to 2.4 h.
const N_CELLS: usize = 34 * 4;

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
    shown: Bounds,
    /// Those that are shown and others between them, by which variants are judged.
    fine: Bounds,
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
        Ok(Self {
            fine: Bounds::new(refined(&bounds_nanos)),
            shown: Bounds::new(bounds_nanos),
        })
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
        self.shown.seconds()
    }

    /// The bounds by which variants are judged, in seconds: those of [`Buckets::seconds`], and from
    /// 0.5 ms to 2 min so many more that each is at most √2 times the one before it.
    pub fn fine_seconds(&self) -> impl Iterator<Item = f64> {
        self.fine.seconds()
    }
}

impl Default for Buckets {
    /// 15 bounds from 1 ms to 60 s.
    fn default() -> Self {
        Self::new(&LATENCY_SECONDS).expect("the constant ascends")
    }
}

/// These bounds, those of what is refined, and between them others that leave no step too wide.
fn refined(shown_nanos: &[u64]) -> Vec<u64> {
    let mut anchors = [shown_nanos, &FINE_NANOS].concat();
    anchors.sort_unstable();
    anchors.dedup();
    let mut bounds = vec![anchors[0]];
    for pair in anchors.windows(2) {
        let (low, high) = (pair[0], pair[1]);
        if FINE_NANOS[0] <= low && high <= FINE_NANOS[1] {
            let ratio = high as f64 / low as f64;
            let n_steps = (2.0 * ratio.log2() - 1e-9).ceil();
            let step = |n: u32| low as f64 * ratio.powf(f64::from(n) / n_steps);
            bounds.extend((1..n_steps as u32).map(|n| step(n).round() as u64));
        }
        bounds.push(high);
    }
    bounds.dedup();
    bounds
}

/// Ascending bounds, and where among them to begin looking.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Bounds {
    nanos: Vec<u64>,
    /// The first bound that may be the one, for each cell.
    first: [u8; N_CELLS],
}

impl Bounds {
    fn new(nanos: Vec<u64>) -> Self {
        let mut first = [0; N_CELLS];
        for (cell, first) in first.iter_mut().enumerate() {
            let below = nanos.iter().filter(|&&bound| cell_of(bound) < cell);
            *first = below.count() as u8;
        }
        Self { nanos, first }
    }

    fn seconds(&self) -> impl Iterator<Item = f64> {
        self.nanos.iter().map(|&nanos| nanos as f64 / 1e9)
    }

    /// Which bucket a value belongs to: the first whose bound is not below it.
    #[inline]
    fn index(&self, nanos: u64) -> usize {
        // All bounds before these are of lower cells, so below it: one or two are looked at.
        let mut index = usize::from(self.first[cell_of(nanos)]);
        while self.nanos.get(index).is_some_and(|&bound| bound < nanos) {
            index += 1;
        }
        index
    }
}

/// The cell that a time is in: a quarter of an octave, as the exponent and the first two bits behind
/// it say; the lowest and the highest have all that is beyond them.
#[inline]
fn cell_of(nanos: u64) -> usize {
    const LOWEST: usize = (1023 + 9) << 2;
    // As a signed number, which takes one instruction. What is too large for that is negative: its
    // bits are greater than those of all that is not.
    let float = nanos as i64 as f64;
    let cell = (float.to_bits() >> 50) as usize;
    cell.saturating_sub(LOWEST).min(N_CELLS - 1)
}

/// The counters of one histogram in one shard.
pub(crate) type Histogram = Counters<{ MAX_BOUNDS + 1 }>;

/// The counters of one that is judged by.
pub(crate) type FineHistogram = Counters<{ MAX_FINE_BOUNDS + 1 }>;

/// So many counters, one for each bucket.
#[derive(Debug)]
pub(crate) struct Counters<const N: usize> {
    buckets: [Counter; N],
    sum_nanos: Counter,
}

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Counter::default()),
            sum_nanos: Counter::default(),
        }
    }
}

impl<const N: usize> Counters<N> {
    #[inline]
    fn add(&self, bounds: &Bounds, duration: Duration) {
        let nanos = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(duration.subsec_nanos()));
        self.buckets[bounds.index(nanos)].add(1);
        self.sum_nanos.add(nanos);
    }
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn record(&self, buckets: &Buckets, duration: Duration) {
        self.add(&buckets.shown, duration);
    }
}

impl FineHistogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn record(&self, buckets: &Buckets, duration: Duration) {
        self.add(&buckets.fine, duration);
    }

    /// Adds what it has counted, bucket by bucket; there is a total for each.
    pub(crate) fn add_to(&self, totals: &mut [u64]) {
        for (total, counter) in totals.iter_mut().zip(&self.buckets) {
            *total += counter.total();
        }
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
            buckets: vec![0; buckets.shown.nanos.len() + 1],
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

    /// Adds what one shard has counted by more bounds than are shown, which are among them.
    pub(crate) fn add_fine(&mut self, shard: &FineHistogram, buckets: &Buckets) {
        let last = self.buckets.len() - 1;
        let bounds = buckets.fine.nanos.iter();
        let shown = bounds.map(|&bound| buckets.shown.index(bound));
        for (shown, counter) in shown.chain([last]).zip(&shard.buckets) {
            self.buckets[shown] += counter.total();
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(shard.sum_nanos.total());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{
        ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
    };

    use crate::telemetry::stats::histogram::{
        Bounds, Buckets, BucketsError, FINE_NANOS, FineHistogram, Histogram, HistogramTotals,
        MAX_BOUNDS, MAX_FINE_BOUNDS,
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

    #[test]
    fn variants_are_judged_by_steps_of_the_square_root_of_2() {
        let bounds: Vec<f64> = Buckets::default().fine_seconds().collect();
        assert_eq!(bounds.len(), 39);
        assert_eq!((bounds[0], bounds[38]), (0.0005, 120.0));
        let widest = bounds.windows(2).map(|pair| pair[1] / pair[0]);
        assert!(widest.fold(0.0, f64::max) < 2_f64.sqrt() + 1e-5);
    }

    fn bounds() -> impl Strategy<Value = Buckets> {
        let exponents = prop::collection::btree_set(0_u32..=950_000, 1..=MAX_BOUNDS);
        exponents.prop_map(|exponents| {
            let seconds: Vec<_> = exponents
                .into_iter()
                .map(|exponent| 1e-6 * 10_f64.powf(f64::from(exponent) / 1e5))
                .collect();
            Buckets::new(&seconds).unwrap_or_default()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_bucket_is_found_as_if_all_bounds_were_looked_at(
            buckets in bounds(),
            nanos in prop::collection::vec((any::<u64>(), 0_u32..64), 100),
        ) {
            let check = |bounds: &Bounds, nanos: u64| {
                let expected = bounds.nanos.iter().position(|&bound| nanos <= bound);
                prop_assert_eq!(bounds.index(nanos), expected.unwrap_or(bounds.nanos.len()));
                Ok(())
            };
            for bounds in [&buckets.shown, &buckets.fine] {
                for &(nanos, shift) in &nanos {
                    check(bounds, nanos >> shift)?;
                }
                for &bound in &bounds.nanos {
                    check(bounds, bound - 1)?;
                    check(bounds, bound)?;
                    check(bounds, bound + 1)?;
                }
            }
        }

        #[test]
        fn finer_bounds_are_few_and_near_and_lose_nothing_of_what_is_shown(
            buckets in bounds(),
            micros in prop::collection::vec((any::<u32>(), 0_u32..32), 0..200),
        ) {
            let fine = &buckets.fine.nanos;
            prop_assert!(fine.len() <= MAX_FINE_BOUNDS, "{}", fine.len());
            prop_assert!(buckets.shown.nanos.iter().all(|bound| fine.contains(bound)));
            for pair in fine.windows(2) {
                let is_fine = FINE_NANOS[0] <= pair[0] && pair[1] <= FINE_NANOS[1];
                let ratio = pair[1] as f64 / pair[0] as f64;
                prop_assert!(pair[0] < pair[1] && (!is_fine || ratio < 2_f64.sqrt() + 1e-5), "{pair:?}");
            }
            let finer = FineHistogram::default();
            let durations: Vec<_> = micros
                .iter()
                .map(|&(micros, shift)| Duration::from_micros(u64::from(micros >> shift)))
                .collect();
            durations.iter().for_each(|&duration| finer.record(&buckets, duration));
            let mut totals = HistogramTotals::new(&buckets);
            totals.add_fine(&finer, &buckets);
            prop_assert_eq!(totals, record(&buckets, &durations));
        }

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
