//! Which parts of a task were woken.
//!
//! A connection of HTTP/2 and its streams are one task: no stream has a task of its own, with its
//! memory, its place in queues and its handles. Each part has a waker that notes its number, so that
//! of many streams only those are polled that have something to do, and so that what a stream has
//! for its connection is not a wake of the task that is just running.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The parts of one task that were woken, in their order.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    shared: Arc<Shared>,
}

/// All of it is on one worker; the lock is for wakers, which must be fit for any thread.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<usize>,
    /// Whether each part is in the queue.
    queued: Vec<bool>,
    /// Wakes the task.
    task: Option<Waker>,
    /// True while the task runs: it looks into the queue by itself.
    is_running: bool,
}

impl Woken {
    /// Makes a waker for another part; parts have the numbers 0, 1, 2 and so on.
    pub(crate) fn add(&self) -> Waker {
        let index = self.shared.with(|state| {
            state.queued.push(false);
            state.queued.len() - 1
        });
        Waker::from(Arc::new(Part {
            index,
            shared: Arc::clone(&self.shared),
        }))
    }

    /// Forgets all parts but the first `n`.
    pub(crate) fn truncate(&self, n: usize) {
        self.shared.with(|state| {
            state.queued.truncate(n);
            state.queue.retain(|&index| index < n);
        });
    }

    /// Notes that the task runs, and how it is woken when it does not.
    pub(crate) fn run(&self, task: &Waker) {
        self.shared.with(|state| {
            state.is_running = true;
            match &mut state.task {
                Some(known) => known.clone_from(task),
                None => state.task = Some(task.clone()),
            }
        });
    }

    /// Notes that the task waits; true when it must not, because parts were woken meanwhile.
    pub(crate) fn pause(&self) -> bool {
        self.shared.with(|state| {
            state.is_running = false;
            !state.queue.is_empty()
        })
    }

    /// The part that was woken first, once for each time.
    pub(crate) fn next(&self) -> Option<usize> {
        self.shared.with(|state| {
            let index = state.queue.pop_front()?;
            state.queued[index] = false;
            Some(index)
        })
    }

    /// Wakes a part.
    pub(crate) fn wake(&self, index: usize) {
        self.shared.wake(index);
    }
}

impl Drop for Woken {
    fn drop(&mut self) {
        // Who keeps a waker for longer is not to keep the task's memory.
        self.shared.with(|state| *state = State::default());
    }
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self, index: usize) {
        let task = self.with(|state| {
            // One that was forgotten wakes nobody.
            let queued = state.queued.get_mut(index)?;
            if std::mem::replace(queued, true) {
                return None;
            }
            state.queue.push_back(index);
            let is_first = state.queue.len() == 1 && !state.is_running;
            state.task.as_ref().filter(|_| is_first).cloned()
        });
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[derive(Debug)]
struct Part {
    index: usize,
    shared: Arc<Shared>,
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.shared.wake(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.wake(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use crate::listener::woken::Woken;

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn n(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn each_part_comes_once_however_often_it_was_woken() {
        let woken = Woken::default();
        let (first, second) = (woken.add(), woken.add());
        second.wake_by_ref();
        first.wake_by_ref();
        second.wake_by_ref();
        assert_eq!(woken.next(), Some(1));
        second.wake();
        assert_eq!(woken.next(), Some(0));
        assert_eq!(woken.next(), Some(1));
        assert_eq!(woken.next(), None);
    }

    #[test]
    fn a_task_is_woken_once_and_not_while_it_runs() {
        let task = Arc::new(Count::default());
        let woken = Woken::default();
        let (first, second) = (woken.add(), woken.add());
        woken.run(&Waker::from(Arc::clone(&task)));
        first.wake_by_ref();
        assert_eq!(task.n(), 0);
        assert!(woken.pause(), "it has something to do");
        assert_eq!(woken.next(), Some(0));
        assert!(!woken.pause());
        first.wake();
        second.wake();
        assert_eq!(task.n(), 1);
    }

    #[test]
    fn a_waker_that_is_kept_does_not_keep_the_task() {
        let task = Arc::new(Count::default());
        let woken = Woken::default();
        let kept = woken.add();
        woken.run(&Waker::from(Arc::clone(&task)));
        woken.pause();
        drop(woken);
        kept.wake();
        assert_eq!((Arc::strong_count(&task), task.n()), (1, 0));
    }

    #[test]
    fn a_part_that_was_forgotten_wakes_nobody() {
        let task = Arc::new(Count::default());
        let woken = Woken::default();
        let (first, second) = (woken.add(), woken.add());
        woken.run(&Waker::from(Arc::clone(&task)));
        second.wake_by_ref();
        woken.truncate(1);
        assert!(!woken.pause());
        second.wake();
        assert_eq!((woken.next(), task.n()), (None, 0));
        first.wake();
        assert_eq!((woken.next(), task.n()), (Some(0), 1));
    }
}
