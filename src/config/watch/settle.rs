//! When a change is ripe: at once, or after some quiet.
//!
//! Pure: the time comes in. A change that is complete by nature never gets here.

use std::time::Duration;

use tokio::time::Instant;

/// How long it must be quiet: longer than a program takes between two writes of one file.
pub(crate) const QUIET: Duration = Duration::from_millis(100);
/// How long a change waits at most: a file that never comes to rest is looked at all the same.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(1);

/// The change that waits for quiet, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Settle {
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    first: Instant,
    last: Instant,
}

impl Settle {
    /// Notes a sign of change: the quiet begins anew.
    pub(crate) fn disturb(&mut self, now: Instant) {
        let waiting = self.waiting.get_or_insert(Waiting {
            first: now,
            last: now,
        });
        waiting.last = now;
    }

    /// Forgets the change: it was reported.
    pub(crate) fn clear(&mut self) {
        self.waiting = None;
    }

    /// When the change will be ripe, if there is one.
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.waiting.as_ref()?;
        Some((waiting.last + QUIET).min(waiting.first + MAX_WAIT))
    }

    /// True when the change is ripe.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// True when the change has waited as long as it may.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| waiting.first + MAX_WAIT <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::config::watch::settle::Settle;

    /// Signs of change at these milliseconds; the change is ripe at `due`.
    #[track_caller]
    fn check(signs: &[u64], due: Option<u64>) {
        let start = Instant::now();
        let mut settle = Settle::default();
        for &sign in signs {
            settle.disturb(start + Duration::from_millis(sign));
        }
        let due = due.map(|due| start + Duration::from_millis(due));
        assert_eq!(settle.due(), due);
        if let Some(due) = due {
            assert!(settle.is_due(due));
            assert!(!settle.is_due(due.checked_sub(Duration::from_millis(1)).unwrap()));
        }
        settle.clear();
        assert_eq!(settle.due(), None);
    }

    #[test]
    fn a_change_is_ripe_after_100_ms_of_quiet() {
        check(&[], None);
        check(&[0], Some(100));
        check(&[0, 50, 99], Some(199));
    }

    #[test]
    fn a_change_waits_for_a_second_at_most() {
        let signs: Vec<u64> = (0..20).map(|n| n * 90).collect();
        check(&signs, Some(1000));
        check(&[0, 950], Some(1000));
    }
}
