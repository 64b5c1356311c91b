//! What a sink has come to, in numbers that anybody may read at any time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::notify::queue::Queue;

/// Counters of a sink. They begin at nought with the process.
#[derive(Debug, Default)]
pub(in crate::notify) struct Counts {
    pub(in crate::notify) sent: AtomicU64,
    pub(in crate::notify) failed: AtomicU64,
    pub(in crate::notify) dropped: AtomicU64,
    waiting: AtomicU64,
    /// In milliseconds since 1970; 0 when nothing waits.
    oldest: AtomicU64,
    alerts: AtomicU64,
    /// The place up to which nothing is open.
    settled: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// How a sink is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SinkStats {
    /// Its name.
    pub sink: String,
    /// The events that it has taken.
    pub sent: u64,
    /// The attempts that came to nothing; a later one may have succeeded.
    pub failed: u64,
    /// The events that it will never be told of: given up after a day, refused for what they say,
    /// not to be read, or too many.
    pub dropped: u64,
    /// The events that wait for it.
    pub waiting: u64,
    /// When the oldest of those happened.
    pub oldest: Option<SystemTime>,
    /// The alerts that it is told again and again.
    pub alerts: u64,
    /// Why the last attempt came to nothing; `None` when it did not.
    pub trouble: Option<String>,
}

impl Counts {
    pub(in crate::notify) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Notes how its queue is.
    pub(in crate::notify) fn note(&self, queue: &Queue, now: SystemTime) {
        let oldest = queue.oldest().map_or(0, |at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        let set = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        set(&self.waiting, queue.len() as u64);
        set(&self.oldest, oldest);
        set(&self.alerts, queue.place.alerts.n_active(now) as u64);
        set(&self.settled, queue.place.after);
    }

    pub(in crate::notify) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(in crate::notify) fn trouble(&self, why: Option<String>) {
        let mut trouble = self.trouble.lock().expect("nobody panics while writing it");
        *trouble = why;
    }

    pub(in crate::notify) fn read(&self, sink: &str) -> SinkStats {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = value(&self.oldest);
        let trouble = self.trouble.lock().expect("nobody panics while writing it");
        SinkStats {
            sink: sink.to_owned(),
            sent: value(&self.sent),
            failed: value(&self.failed),
            dropped: value(&self.dropped),
            waiting: value(&self.waiting),
            oldest: (oldest != 0).then(|| UNIX_EPOCH + Duration::from_millis(oldest)),
            alerts: value(&self.alerts),
            trouble: trouble.clone(),
        }
    }
}
