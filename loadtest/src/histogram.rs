//! Latencies in buckets whose width grows with the value: at most 1.6 % off, in 30 KiB.

/// Each power of two is cut into this many buckets, as a power of two itself.
const BITS: u32 = 6;

/// How often each latency was seen, in nanoseconds.
pub struct Histogram {
    buckets: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Histogram {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self {
            buckets: vec![0; bucket(u64::MAX) + 1],
            total: 0,
            largest: 0,
        }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.buckets[bucket(value)] += 1;
        self.total += 1;
        self.largest = self.largest.max(value);
    }

    /// The value that the share `quantile` of all values does not exceed; `None` without values.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let wanted = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if wanted <= seen {
                return Some(upper(index).min(self.largest));
            }
        }
        Some(self.largest)
    }

    /// The largest value of all.
    pub fn largest(&self) -> u64 {
        self.largest
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket that `value` falls into.
fn bucket(value: u64) -> usize {
    let magnitude = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    ((magnitude as usize) << BITS) + (value >> magnitude) as usize
}

/// The largest value of the bucket `index`.
fn upper(index: usize) -> u64 {
    let magnitude = (index >> BITS).saturating_sub(1) as u32;
    let within = (index - ((magnitude as usize) << BITS)) as u64;
    ((within + 1) << magnitude).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use crate::histogram::{Histogram, bucket, upper};

    #[test]
    fn a_value_lies_within_its_bucket() {
        for shift in 0..63 {
            for value in [1_u64 << shift, (1 << shift) + 1, (1 << shift) | 1234] {
                let top = upper(bucket(value));
                assert!(value <= top, "{value} is above {top}");
                assert!(top - value <= value / 64, "{top} is too far from {value}");
            }
        }
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|value| histogram.record(value));
        let median = histogram.quantile(0.5).unwrap();
        assert!((5000..5080).contains(&median), "{median}");
        assert_eq!(histogram.quantile(1.0), Some(10_000));
        assert_eq!(Histogram::new().quantile(0.5), None);
    }
}
