//! Outlier ejection: an endpoint that fails one request after another is left alone for a while.
//!
//! Passive: nothing is asked, what requests meet is counted. [`Outlier`] decides, purely; a [`Record`]
//! is what all workers know of one endpoint. They write to it only when something fails, and when
//! something goes well after that.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// When an endpoint is left alone, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outlier {
    /// How many failures in a row it takes.
    pub failures: u32,
    /// What is a failure.
    pub on: Failures,
    /// How long the first ejection lasts; each further one in a row twice as long.
    pub ejection: Duration,
    /// How long one lasts at most. One that begins later than that after the last one is a first.
    pub max_ejection: Duration,
}

/// What may be a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// No connection, or no TLS on it.
    Connect,
    /// A status of 500 and above.
    Status5xx,
    /// A connection or stream that ended before an answer, or an answer that is none.
    Reset,
    /// No answer in time.
    Timeout,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Status5xx, Self::Reset, Self::Timeout];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Status5xx => "5xx",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
        }
    }
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Failures(u8);

impl Failures {
    /// No kind at all.
    pub const fn none() -> Self {
        Self(0)
    }

    /// True when a kind is among them.
    pub fn has(self, kind: FailureKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

impl FromIterator<FailureKind> for Failures {
    fn from_iter<I: IntoIterator<Item = FailureKind>>(kinds: I) -> Self {
        let bits = kinds.into_iter().map(|kind| 1 << kind as u8);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl Outlier {
    /// How long an ejection lasts that is one of so many in a row, itself included.
    fn lasts(&self, n_in_a_row: u32) -> Duration {
        let doubled = 2_u32.checked_pow(n_in_a_row.saturating_sub(1));
        let lasts = doubled.and_then(|times| self.ejection.checked_mul(times));
        lasts.map_or(self.max_ejection, |lasts| lasts.min(self.max_ejection))
    }
}

/// What is known of how one endpoint fares. Times are milliseconds of the process's clock.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Failures in a row.
    n_failures: AtomicU32,
    /// When the ejection ends; 0 when there is none, and once a request went well after it.
    until: AtomicU64,
    /// When the last ejection ended or will.
    last_end: AtomicU64,
    /// How many there were in a row.
    n_in_a_row: AtomicU32,
}

impl Record {
    /// Notes a failure of a kind that counts; tells for how long the endpoint is ejected, if it is
    /// by this one.
    pub(crate) fn failed(&self, rule: &Outlier, now: u64) -> Option<Duration> {
        let until = self.until.load(Ordering::Relaxed);
        // What was under way when it was ejected says nothing new.
        if until > now || self.n_failures.fetch_add(1, Ordering::Relaxed) + 1 < rule.failures {
            return None;
        }
        let last_end = self.last_end.load(Ordering::Relaxed);
        let max = millis(rule.max_ejection);
        let is_first = last_end == 0 || now.saturating_sub(last_end) > max;
        let n_before = self.n_in_a_row.load(Ordering::Relaxed);
        let n_in_a_row = if is_first {
            1
        } else {
            n_before.saturating_add(1)
        };
        let lasts = rule.lasts(n_in_a_row);
        let end = now + millis(lasts);
        // Of workers that come to this at once, one ejects it.
        self.until
            .compare_exchange(until, end, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        self.n_failures.store(0, Ordering::Relaxed);
        self.n_in_a_row.store(n_in_a_row, Ordering::Relaxed);
        self.last_end.store(end, Ordering::Relaxed);
        Some(lasts)
    }

    /// Notes that a request went well; `now` is asked for only when that changes something.
    #[inline]
    pub(crate) fn fared_well(&self, now: impl FnOnce() -> u64) {
        if self.n_failures.load(Ordering::Relaxed) != 0 {
            self.n_failures.store(0, Ordering::Relaxed);
        }
        let until = self.until.load(Ordering::Relaxed);
        if until != 0 && until <= now() {
            // Another ejection may have begun meanwhile, and stays.
            let _other =
                self.until
                    .compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Forgets everything but how long the last ejections were: nothing counts any more.
    pub(crate) fn forgive(&self) {
        if self.is_marked() || self.n_failures.load(Ordering::Relaxed) != 0 {
            self.n_failures.store(0, Ordering::Relaxed);
            self.until.store(0, Ordering::Relaxed);
        }
    }

    /// True when it was ejected, and nothing went well since.
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// When the ejection ends that there is now, if there is one.
    pub(crate) fn ejected_until(&self, now: u64) -> Option<u64> {
        let until = self.until.load(Ordering::Relaxed);
        (until > now).then_some(until)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX / 4)
        .min(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};

    use crate::upstream::outlier::Record;
    use crate::upstream::{FailureKind, Failures, Outlier};

    fn rule(failures: u32) -> Outlier {
        Outlier {
            failures,
            on: Failures::from_iter([FailureKind::Connect]),
            ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(60),
        }
    }

    #[test]
    fn only_failures_in_a_row_eject() {
        let (record, rule) = (Record::default(), rule(3));
        for _ in 0..5 {
            assert_eq!(record.failed(&rule, 1), None);
            assert_eq!(record.failed(&rule, 1), None);
            record.fared_well(|| 1);
        }
        assert!(!record.is_marked());
        record.failed(&rule, 1);
        record.failed(&rule, 1);
        assert_eq!(record.failed(&rule, 1), Some(Duration::from_secs(10)));
        assert_eq!(record.ejected_until(10_000), Some(10_001));
        assert_eq!(record.ejected_until(10_001), None);
        // What was under way neither adds to it nor ends it.
        for _ in 0..10 {
            assert_eq!(record.failed(&rule, 2), None);
        }
        record.fared_well(|| 2);
        assert_eq!(record.ejected_until(10_000), Some(10_001));
        record.fared_well(|| 10_001);
        assert!(!record.is_marked());
    }

    #[test]
    fn ejections_in_a_row_last_twice_as_long_each_time_up_to_a_bound() {
        let (record, rule) = (Record::default(), rule(1));
        let mut now = 1;
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(
                record.failed(&rule, now),
                Some(Duration::from_secs(seconds))
            );
            now += 1000 * seconds;
            // Going well for a while is not enough to forget it.
            record.fared_well(|| now);
            now += 59_000;
        }
        now += 1_001;
        assert_eq!(record.failed(&rule, now), Some(Duration::from_secs(10)));
    }

    #[test]
    fn kinds_are_told_apart() {
        for one in FailureKind::ALL {
            let only = Failures::from_iter([one]);
            assert!(
                FailureKind::ALL
                    .iter()
                    .all(|&kind| only.has(kind) == (kind == one))
            );
        }
    }

    proptest! {
        #[test]
        fn no_endpoint_is_ejected_longer_than_the_bound(
            steps in vec((any::<bool>(), 0_u64..100_000), 1..200),
            failures in 1_u32..5,
        ) {
            let (record, rule) = (Record::default(), rule(failures));
            let mut now = 1;
            for (goes_well, passes) in steps {
                now += passes;
                if goes_well {
                    record.fared_well(|| now);
                } else {
                    record.failed(&rule, now);
                }
                prop_assert!(record.ejected_until(now).is_none_or(|until| until <= now + 60_000));
            }
        }
    }
}
