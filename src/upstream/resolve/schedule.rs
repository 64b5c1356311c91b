//! When a name is asked for again.

use std::time::Duration;

/// How far from its time a question may be asked, so that names that were first asked for together
/// do not stay together: a tenth of the time, either way.
const JITTER: f64 = 0.1;

/// The bounds of when a name is asked for again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Schedule {
    /// The least time between two questions.
    pub min: Duration,
    /// The greatest.
    pub max: Duration,
}

impl Schedule {
    /// The time after an answer that holds for `ttl`; `random` is from 0 to 1.
    pub fn after_answer(&self, ttl: Duration, random: f64) -> Duration {
        self.around(ttl, random)
    }

    /// The time after the `n`th failure in a row: twice as long each time, from the least time to
    /// the greatest. `random` is from 0 to 1.
    pub fn after_failure(&self, n: u32, random: f64) -> Duration {
        let doubled = 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX);
        self.around(self.min.saturating_mul(doubled), random)
    }

    /// About `time`, within the bounds.
    fn around(&self, time: Duration, random: f64) -> Duration {
        let time = time.clamp(self.min, self.max);
        let factor = 1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0);
        time.mul_f64(factor).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};

    use crate::upstream::Schedule;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lifetime_is_honoured_within_its_bounds() {
        let schedule = Schedule {
            min: SECOND,
            max: SECOND * 30,
        };
        for (ttl, expected) in [(0, 1), (1, 1), (10, 10), (30, 30), (86_400, 30)] {
            let after = schedule.after_answer(SECOND * ttl, 0.5);
            assert_eq!(after, SECOND * expected, "{ttl}");
        }
        assert_eq!(schedule.after_answer(SECOND * 10, 0.0), SECOND * 9);
        assert_eq!(schedule.after_answer(SECOND * 10, 1.0), SECOND * 11);
    }

    #[test]
    fn failures_are_followed_by_ever_longer_pauses_up_to_the_greatest() {
        let schedule = Schedule {
            min: SECOND,
            max: SECOND * 30,
        };
        for (n, expected) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (99, 30)] {
            let after = schedule.after_failure(n, 0.5);
            assert_eq!(after, SECOND * expected, "{n}");
        }
    }

    proptest! {
        #[test]
        fn no_pause_is_out_of_bounds(
            min in 1_u64..100_000,
            more in 0_u64..1_000_000,
            ttl in any::<u32>(),
            n in any::<u32>(),
            random in 0.0_f64..1.0,
        ) {
            let min = Duration::from_millis(min);
            let schedule = Schedule { min, max: min + Duration::from_millis(more) };
            for pause in [
                schedule.after_answer(Duration::from_secs(u64::from(ttl)), random),
                schedule.after_failure(n, random),
            ] {
                prop_assert!(schedule.min <= pause && pause <= schedule.max, "{pause:?}");
            }
        }
    }
}
