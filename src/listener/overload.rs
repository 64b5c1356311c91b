//! Overload: with more than the process can carry, new work is refused at once, so that what is under
//! way comes to its end.
//!
//! The control plane measures the memory, decides and tells; a request reads one number that nobody
//! writes meanwhile. How many connections there are is known where they are accepted.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The part of the bound that has to be free again before new work is taken: with less it would be
/// taken and refused in turns.
const EASE: u64 = 10;

/// What the process may come to; `None` is anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bounds {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Connections of clients.
    pub connections: Option<usize>,
}

/// What it has come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Bytes of memory.
    pub memory: u64,
    /// Connections of clients.
    pub connections: usize,
}

/// Decides whether new work is refused for want of memory. It begins with the bound, and ends when a
/// tenth of it is free; or when there is no connection left, for then nobody uses what there is, and
/// refusing gives nothing back.
fn refuses(bounds: &Bounds, load: &Load, refused: bool) -> bool {
    let Some(bound) = bounds.memory else {
        return false;
    };
    if !refused {
        return load.memory >= bound;
    }
    load.memory > bound - bound / EASE && load.connections > 0
}

/// Whether new work is refused, as those see it who would take it.
#[derive(Debug)]
pub struct Overload {
    refuses: AtomicBool,
    /// Bounds; the greatest number is none.
    memory_bound: AtomicU64,
    connections_bound: AtomicUsize,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            refuses: AtomicBool::new(false),
            memory_bound: AtomicU64::new(u64::MAX),
            connections_bound: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Overload {
    /// Changes the bounds.
    pub fn set_bounds(&self, bounds: &Bounds) {
        let (memory, connections) = (bounds.memory, bounds.connections);
        self.memory_bound
            .store(memory.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.connections_bound
            .store(connections.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Decides anew by what was measured; tells whether that changes anything.
    pub fn measured(&self, load: &Load) -> bool {
        let before = self.refuses();
        let now = refuses(&self.bounds(), load, before);
        self.refuses.store(now, Ordering::Relaxed);
        now != before
    }

    /// What the process may come to.
    pub fn bounds(&self) -> Bounds {
        let memory = self.memory_bound.load(Ordering::Relaxed);
        let connections = self.connections_bound.load(Ordering::Relaxed);
        Bounds {
            memory: (memory != u64::MAX).then_some(memory),
            connections: (connections != usize::MAX).then_some(connections),
        }
    }

    /// True while new work is refused.
    #[inline]
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// True when there is no place for one connection more; `n_open` counts those that there are.
    pub(crate) fn is_full(&self, n_open: impl FnOnce() -> usize) -> bool {
        let bound = self.connections_bound.load(Ordering::Relaxed);
        bound != usize::MAX && n_open() >= bound
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use crate::listener::overload::{Bounds, Load, Overload, refuses};

    const BOUNDS: Bounds = Bounds {
        memory: Some(1000),
        connections: None,
    };

    #[track_caller]
    fn check(memory: u64, connections: usize, refused: bool, expected: bool) {
        let load = Load {
            memory,
            connections,
        };
        assert_eq!(refuses(&BOUNDS, &load, refused), expected);
    }

    #[test]
    fn new_work_is_refused_from_the_bound_on() {
        check(999, 5, false, false);
        check(1000, 5, false, true);
        check(1000, 0, false, true);
    }

    #[test]
    fn it_is_taken_again_when_a_tenth_is_free() {
        check(999, 5, true, true);
        check(901, 5, true, true);
        check(900, 5, true, false);
    }

    #[test]
    fn it_is_taken_again_when_nobody_is_left() {
        check(2000, 1, true, true);
        check(2000, 0, true, false);
    }

    #[test]
    fn without_a_bound_nothing_is_refused() {
        let load = Load {
            memory: u64::MAX,
            connections: usize::MAX,
        };
        assert!(!refuses(&Bounds::default(), &load, false));
        assert!(!refuses(&Bounds::default(), &load, true));
    }

    #[test]
    fn a_bound_that_is_taken_away_ends_it() {
        let overload = Overload::default();
        overload.set_bounds(&BOUNDS);
        let load = Load {
            memory: 5000,
            connections: 5,
        };
        assert!(overload.measured(&load));
        assert!(!overload.measured(&load));
        assert!(overload.refuses());
        overload.set_bounds(&Bounds::default());
        assert!(overload.measured(&load));
        assert!(!overload.refuses());
    }

    #[test]
    fn connections_are_counted_only_where_they_have_a_bound() {
        let overload = Overload::default();
        assert!(!overload.is_full(|| unreachable!("nobody asks")));
        overload.set_bounds(&Bounds {
            memory: None,
            connections: Some(7),
        });
        assert!(!overload.is_full(|| 6));
        assert!(overload.is_full(|| 7));
    }

    proptest! {
        #[test]
        fn between_ease_and_bound_nothing_changes(
            bound in 1_u64..=1 << 60, memory: u64, connections in 1_usize..9, refused: bool,
        ) {
            let bounds = Bounds { memory: Some(bound), connections: None };
            let load = Load { memory, connections };
            let now = refuses(&bounds, &load, refused);
            if memory >= bound {
                prop_assert!(now);
            } else if memory > bound - bound / 10 {
                prop_assert_eq!(now, refused);
            } else {
                prop_assert!(!now);
            }
        }
    }
}
