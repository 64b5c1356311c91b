//! One shard per worker, made when the worker first needs it.

use std::sync::OnceLock;

/// A shard for each worker.
///
/// A shard is made by its own worker and allocated by itself, so that no two workers write to the
/// same cache line; variants that a worker never serves cost it nothing but an empty slot.
#[derive(Debug)]
pub(crate) struct Shards<S> {
    slots: Box<[OnceLock<Box<S>>]>,
}

impl<S> Shards<S> {
    /// Makes empty slots for so many workers, at least one.
    pub(crate) fn new(n_workers: usize) -> Self {
        Self {
            slots: (0..n_workers.max(1)).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The shard of a worker; the first time, `make` makes it.
    ///
    /// # Panics
    /// When there are not so many workers: their number is fixed when the process starts.
    #[inline]
    pub(crate) fn of(&self, worker: usize, make: impl FnOnce() -> S) -> &S {
        self.slots[worker].get_or_init(|| Box::new(make()))
    }

    /// True while no worker has recorded anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The shards that have been made so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots
            .iter()
            .filter_map(|slot| slot.get().map(Box::as_ref))
    }
}
