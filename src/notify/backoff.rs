//! Back-off: how long a sink that failed is left alone, and when an event is too old to tell.

use std::time::Duration;

/// After the first failure: most are a restart on the other side.
const FIRST: Duration = Duration::from_secs(1);
/// At most: a sink that is back gets what it missed within this time.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// The age at which an event that a sink still does not take is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a sink is left alone that failed `failures` times in a row, which is at least once. It
/// doubles from one second to ten minutes; `random`, from 0 to 1, takes up to a half of it away, so
/// that many who failed together do not come back together.
fn delay(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let delay = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    delay.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

/// How long it is left alone when it said itself for how long (RFC 9110, section 10.2.3).
pub(in crate::notify) fn delay_as_told(
    failures: u32,
    random: f64,
    told: Option<Duration>,
) -> Duration {
    delay(failures, random).max(told.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::notify::backoff::{delay, delay_as_told};

    #[test]
    fn the_delay_doubles_up_to_ten_minutes() {
        let seconds: Vec<u64> = (1..=12).map(|n| delay(n, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(delay(u32::MAX, 0.0), Duration::from_secs(600));
    }

    #[test]
    fn chance_takes_up_to_a_half_of_it() {
        assert_eq!(delay(4, 1.0), Duration::from_secs(4));
        assert_eq!(delay(4, 0.5), Duration::from_secs(6));
        assert_eq!(delay(4, f64::MAX), Duration::from_secs(4));
    }

    #[test]
    fn a_sink_that_says_when_is_believed_within_reason() {
        let told = |seconds| delay_as_told(1, 0.0, Some(Duration::from_secs(seconds)));
        assert_eq!(told(0).as_secs(), 1);
        assert_eq!(told(30).as_secs(), 30);
        assert_eq!(told(1_000_000).as_secs(), 600);
    }
}
