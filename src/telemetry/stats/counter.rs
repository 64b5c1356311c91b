//! A number that only grows, with one writer and many readers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
///
/// One thread adds to it, any thread reads it. Two threads that add at the same time would lose
/// some of what they add, and nothing else would happen; that there is one is what a shard is for.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`, by a load and a store: cheaper than `fetch_add`, which locks the cache line.
    #[inline]
    pub fn add(&self, n: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// Adds one as the end of something whose beginning this thread has counted before: who sees
    /// the end by [`Counter::ends`] sees the beginning too.
    #[inline]
    pub fn add_end(&self) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(1);
        self.0.store(sum, Ordering::Release);
    }

    /// What has been added so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// How many ends have been added so far. Read it before the beginnings.
    pub fn ends(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
