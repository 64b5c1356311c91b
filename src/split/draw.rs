//! The draw for requests that nothing ties to a variant: a counter instead of dice.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// 2⁶⁴ divided by the golden ratio, to the nearest odd number: its multiples modulo 2⁶⁴ fill the
/// circle more evenly than those of any other step.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of points whose shares are exact at any time, not only in the long run.
///
/// Each worker has a sequence of its own, so that nothing is shared between cores. After any number
/// of its requests a variant has had its share of them to within five (measured at any prefix of
/// 200 000 draws, from 300 starts, for shares from one in a million to a half: never above 4.5, 3 on
/// average). Over all workers it is at most that for each, and less in practice, as their errors are
/// not alike.
///
/// It lives outside the snapshot: a reload does not begin it again.
#[derive(Debug)]
pub struct Draw {
    start: u64,
    /// Made when the worker first draws: most routes of many are drawn from on few workers.
    workers: Box<[OnceLock<Box<Counter>>]>,
}

/// The next point of one worker. It has cache lines of its own (processors fetch two at a time), as
/// workers write at every draw.
#[derive(Debug)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Draw {
    /// Makes the sequences of so many workers; `start` is random, so that instances which start
    /// together do not send their first requests to the same variant.
    pub fn new(n_workers: usize, start: u64) -> Self {
        let workers = (0..n_workers.max(1)).map(|_| OnceLock::new()).collect();
        Self { start, workers }
    }

    /// The next point of a worker, anywhere from 0 to 2⁶⁴ − 1.
    ///
    /// A worker is one thread. Two threads under one number would do no harm but draw the same point
    /// now and then.
    pub fn point(&self, worker: usize) -> u64 {
        let worker = worker % self.workers.len();
        let Counter(next) = &**self.workers[worker].get_or_init(|| {
            let distance = u64::MAX / self.workers.len() as u64;
            let first = (worker as u64).wrapping_mul(distance);
            Box::new(Counter(AtomicU64::new(self.start.wrapping_add(first))))
        });
        let point = next.load(Ordering::Relaxed);
        next.store(point.wrapping_add(GOLDEN), Ordering::Relaxed);
        point
    }
}
