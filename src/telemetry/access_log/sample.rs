//! Which of the successes are written, when not all are.

use std::cell::Cell;

/// 2^64 over the golden ratio: steps of it around the circle of 2^64 leave no gap much larger than
/// another, however many there are (the Weyl sequence of the lowest discrepancy). So of any 1 000
/// requests in a row a share is written that is right within a few lines, without dice.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

thread_local! {
    /// Where this thread is on the circle.
    static AT: Cell<u64> = const { Cell::new(0) };
}

/// The share of successes that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// The part of the circle that is written; `None` is all of it.
    written: Option<u64>,
}

impl Sample {
    /// Makes it of a share from 0 to 1.
    pub(crate) fn new(share: f64) -> Self {
        // 2^64, exactly. The cast saturates, and 1 is all of it.
        let circle = (1_u128 << 64) as f64;
        Self {
            written: (share < 1.0).then_some((share * circle) as u64),
        }
    }

    /// True when the next success of this thread is written.
    pub(crate) fn takes_next(self) -> bool {
        let Some(written) = self.written else {
            return true;
        };
        let at = AT.get().wrapping_add(STEP);
        AT.set(at);
        at < written
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::access_log::sample::Sample;

    #[track_caller]
    fn check(share: f64, n: usize, at_least: usize, at_most: usize) {
        let sample = Sample::new(share);
        let n_written = (0..n).filter(|_| sample.takes_next()).count();
        assert!((at_least..=at_most).contains(&n_written), "{n_written}");
    }

    #[test]
    fn all_or_none_are_exact() {
        check(1.0, 1000, 1000, 1000);
        check(0.0, 1000, 0, 0);
    }

    #[test]
    fn a_share_is_kept_within_a_few_lines() {
        check(0.5, 1000, 498, 502);
        check(0.01, 10_000, 97, 103);
        check(0.001, 10_000, 8, 12);
    }

    #[test]
    fn every_stretch_has_its_share() {
        for _ in 0..100 {
            check(0.1, 100, 8, 12);
        }
    }
}
