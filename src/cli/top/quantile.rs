//! A quantile of a histogram, as Prometheus has it: linear within a bucket.

use serde::{Serialize, Serializer};

/// A time in milliseconds below which a part of all times lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli::top) enum Quantile {
    /// About so many.
    Within(f64),
    /// More than that: it lies beyond the greatest bound.
    Beyond(f64),
}

impl Serialize for Quantile {
    /// The number alone; beyond the greatest bound it is that.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Within(ms) | Self::Beyond(ms) => {
                serializer.serialize_f64((ms * 1000.0).round() / 1000.0)
            }
        }
    }
}

/// The quantile of counts by bucket, of which the last one has no bound; nothing when there are
/// none, or when they are not of these bounds.
pub(in crate::cli::top) fn quantile(q: f64, bounds: &[f64], counts: &[u64]) -> Option<Quantile> {
    let all: u64 = counts.iter().sum();
    if all == 0 || counts.len() != bounds.len() + 1 {
        return None;
    }
    let rank = q * all as f64;
    let mut below = 0;
    let mut lower = 0.0;
    for (&bound, &count) in bounds.iter().zip(counts) {
        let through = below + count;
        if count != 0 && rank <= through as f64 {
            let within = (rank - below as f64) / count as f64;
            return Some(Quantile::Within(
                (lower + (bound - lower) * within) * 1000.0,
            ));
        }
        below = through;
        lower = bound;
    }
    Some(Quantile::Beyond(lower * 1000.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use crate::cli::top::quantile::{Quantile, quantile};

    const BOUNDS: [f64; 3] = [0.001, 0.01, 0.1];

    #[track_caller]
    fn check(q: f64, counts: [u64; 4], expected: f64) {
        let Some(Quantile::Within(ms)) = quantile(q, &BOUNDS, &counts) else {
            panic!("none of {counts:?}");
        };
        assert!((ms - expected).abs() < 1e-9, "{ms}");
    }

    #[test]
    fn it_is_linear_within_a_bucket() {
        check(0.5, [0, 10, 0, 0], 5.5);
        check(0.5, [4, 0, 0, 0], 0.5);
    }

    #[test]
    fn one_slow_request_in_a_hundred_is_not_the_p99() {
        check(0.99, [99, 0, 1, 0], 1.0);
        check(0.99, [98, 0, 2, 0], 55.0);
    }

    #[test]
    fn beyond_the_greatest_bound_is_said_to_be_so() {
        let p99 = quantile(0.99, &BOUNDS, &[1, 0, 0, 9]);
        assert_eq!(p99, Some(Quantile::Beyond(100.0)));
        assert_eq!(serde_json::to_string(&p99).unwrap(), "100.0");
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(quantile(0.5, &BOUNDS, &[0, 0, 0, 0]), None);
        assert_eq!(quantile(0.5, &BOUNDS, &[]), None);
        assert_eq!(quantile(0.5, &[], &[1, 2]), None);
    }

    proptest! {
        #[test]
        fn a_greater_part_is_never_faster(counts in prop::collection::vec(0u64..1000, 4)) {
            let ms = |q| match quantile(q, &BOUNDS, &counts) {
                None => 0.0,
                Some(Quantile::Within(ms) | Quantile::Beyond(ms)) => ms,
            };
            let all: Vec<f64> = [0.0, 0.25, 0.5, 0.9, 0.99, 1.0].map(ms).to_vec();
            prop_assert!(all.is_sorted(), "{all:?}");
            prop_assert!(all[5] <= 100.0);
        }
    }
}
