//! How many copies may be under way at a time, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of copies, and how many of them are under way.
#[derive(Debug)]
pub struct Cap {
    most: usize,
    n: AtomicUsize,
}

/// The right to be under way, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy::mirror) struct Permit(Arc<Cap>);

impl Cap {
    /// Makes one of so many copies.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            n: AtomicUsize::new(0),
        }
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many are under way.
    pub fn n_under_way(&self) -> usize {
        self.n.load(Ordering::Relaxed)
    }

    /// Lets one more go, if there may be one more.
    pub(in crate::proxy::mirror) fn enter(self: &Arc<Self>) -> Option<Permit> {
        // One too many for a moment turns another one away at worst, and lets none too many go.
        let permit = Permit(Arc::clone(self));
        let before = self.n.fetch_add(1, Ordering::Relaxed);
        (before < self.most).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.n.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::proxy::mirror::cap::Cap;

    #[test]
    fn no_more_are_under_way_than_there_may_be() {
        let cap = Arc::new(Cap::new(2));
        let (first, second) = (cap.enter(), cap.enter());
        assert!(first.is_some() && second.is_some());
        assert!(cap.enter().is_none());
        assert_eq!(cap.n_under_way(), 2, "who was turned away is not counted");
        drop(first);
        assert!(cap.enter().is_some());
        assert_eq!(cap.n_under_way(), 1);
    }
}
