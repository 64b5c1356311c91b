//! Draining: how the connections of a worker are told that the end is near.
//!
//! Each connection has a [`Handle`] that it looks at whenever it is polled. A drain sets the
//! handles one after the other and wakes their tasks, so a connection at work pays nothing for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How a drain goes: the end of connections is spread over `spread`, and what is still there after
/// `timeout` is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drain {
    /// Over how long connections are told to end.
    pub spread: Duration,
    /// After how long they are cut, from the start.
    pub timeout: Duration,
}

/// How far a connection's end has come. The order matters: it only ever goes on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    /// It serves.
    Open,
    /// Its next answer is its last.
    Closing,
    /// It closes as soon as it has nothing under way.
    Idle,
    /// It ends now.
    Cut,
}

/// One connection, as a drain sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Which listening it came by; a listener that moves listens anew under the same name.
    listening: u64,
    stage: Cell<Stage>,
    waker: RefCell<Option<Waker>>,
}

impl Handle {
    /// True when the next answer is to be the last.
    pub(crate) fn is_closing(&self) -> bool {
        self.stage.get() >= Stage::Closing
    }

    /// True when an idle connection is to close.
    pub(crate) fn closes_idle(&self) -> bool {
        self.stage.get() >= Stage::Idle
    }

    fn advance(&self, stage: Stage) {
        if stage > self.stage.get() {
            self.stage.set(stage);
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    /// Runs a connection until it ends or is cut; `None` when it was cut.
    pub(crate) async fn until_cut<F: Future>(
        &self,
        mut connection: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll_fn(|context| {
            if self.stage.get() == Stage::Cut {
                return Poll::Ready(None);
            }
            // The task's waker does not change while it lives, so this happens once.
            if self.waker.borrow().is_none() {
                *self.waker.borrow_mut() = Some(context.waker().clone());
            }
            connection.as_mut().poll(context).map(Some)
        })
        .await
    }
}

/// All connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    handles: RefCell<HashMap<u64, Rc<Handle>>>,
    next: Cell<u64>,
    /// From when all of them are drained.
    closing: Cell<bool>,
    ended: Notify,
}

impl Connections {
    /// Adds a connection that came by a listening; it counts until the guard is dropped. Without
    /// one its listener is given up already, and it ends as soon as it may; so does one that comes
    /// while all are drained.
    pub(crate) fn add(self: &Rc<Self>, listening: Option<u64>) -> Guard {
        let id = self.next.get();
        self.next.set(id + 1);
        let handle = Rc::new(Handle {
            listening: listening.unwrap_or_default(),
            stage: Cell::new(match listening {
                Some(_) if !self.closing.get() => Stage::Open,
                _ => Stage::Closing,
            }),
            waker: RefCell::new(None),
        });
        self.handles.borrow_mut().insert(id, Rc::clone(&handle));
        Guard {
            connections: Rc::clone(self),
            id,
            handle,
        }
    }

    /// Drains the connections of one listening, or all; returns when none is left. Gives how many
    /// had to be cut.
    pub(crate) async fn drain(&self, listening: Option<u64>, drain: Drain) -> usize {
        let start = Instant::now();
        let deadline = start + drain.timeout;
        let spread = drain.spread.min(drain.timeout);
        self.closing.set(self.closing.get() || listening.is_none());
        let all = self.of(listening);
        let n = u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
        for (nth, handle) in (0..n).zip(&all) {
            let due = start + spread.mul_f64(f64::from(nth) / f64::from(n));
            // Together what falls into the same moment: a timer each would be a long queue.
            if due > Instant::now() + Duration::from_millis(1) {
                sleep_until(due).await;
            }
            handle.advance(Stage::Closing);
        }
        drop(all);
        // Idle connections last: a request that was on its way to one has been answered by now.
        sleep_until(start + spread).await;
        self.advance(listening, Stage::Idle);
        if timeout_at(deadline, self.empty(listening)).await.is_ok() {
            return 0;
        }
        let cut = self.of(listening).len();
        self.advance(listening, Stage::Cut);
        self.empty(listening).await;
        cut
    }

    /// Cuts all connections now.
    pub(crate) fn cut(&self) {
        self.advance(None, Stage::Cut);
    }

    fn of(&self, listening: Option<u64>) -> Vec<Rc<Handle>> {
        self.handles
            .borrow()
            .values()
            .filter(|handle| listening.is_none_or(|listening| handle.listening == listening))
            .cloned()
            .collect()
    }

    fn advance(&self, listening: Option<u64>, stage: Stage) {
        for handle in self.of(listening) {
            handle.advance(stage);
        }
    }

    async fn empty(&self, listening: Option<u64>) {
        loop {
            let ended = self.ended.notified();
            if self.of(listening).is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// Counts a connection while it lives.
pub(crate) struct Guard {
    connections: Rc<Connections>,
    id: u64,
    handle: Rc<Handle>,
}

impl Guard {
    /// The connection's handle.
    pub(crate) fn handle(&self) -> &Rc<Handle> {
        &self.handle
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.connections.handles.borrow_mut().remove(&self.id);
        self.connections.ended.notify_waiters();
    }
}
