//! A deadline that moves with every step of an exchange and costs a timer almost never.
//!
//! Arming a timer for each wait of each request would be most of what a small request costs. A
//! deadline that moves back leaves the timer armed at the earlier instant; when that comes, it is
//! armed again for what is due then. Only a deadline that moves forward touches the timer. Nor is
//! the clock read for a deadline that is set and moved again before anything had to wait for it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline of one task, over one timer.
#[derive(Debug)]
pub struct Deadline {
    /// Made when somebody waits: most deadlines are set and moved without that, and a timer that is
    /// armed for an instant just to be moved costs a wake of the whole worker.
    timer: Option<Pin<Box<Sleep>>>,
    due: Due,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Never,
    /// So long after it is first waited for.
    In(Duration),
    At(Instant),
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

impl Deadline {
    /// Makes one that is not set. To be polled it needs a tokio runtime with time.
    pub fn new() -> Self {
        Self {
            timer: None,
            due: Due::Never,
        }
    }

    /// Sets it to `timeout` from when it is next polled.
    pub fn set(&mut self, timeout: Duration) {
        self.due = Due::In(timeout);
    }

    /// Sets it to `timeout` from an instant of just now.
    pub fn set_from(&mut self, now: std::time::Instant, timeout: Duration) {
        let due = Instant::from_std(now).checked_add(timeout);
        self.due = due.map_or(Due::Never, Due::At);
    }

    /// Sets it to an instant, which may have passed.
    pub fn set_at(&mut self, due: Instant) {
        self.due = Due::At(due);
    }

    /// Unsets it: it does not pass until it is set again.
    pub fn clear(&mut self) {
        self.due = Due::Never;
    }

    /// True while it is set, whether it has passed or not.
    pub fn is_set(&self) -> bool {
        !matches!(self.due, Due::Never)
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let due = match self.due {
            Due::Never => return Poll::Pending,
            Due::At(due) => due,
            Due::In(timeout) => {
                let Some(due) = Instant::now().checked_add(timeout) else {
                    self.due = Due::Never;
                    return Poll::Pending;
                };
                self.due = Due::At(due);
                due
            }
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        // A task that has done much in one go is told by tokio that nothing is ready, timers
        // included; a flood must not keep a deadline from passing.
        while pin!(unconstrained(timer.as_mut())).poll(context).is_ready() {
            if timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use crate::http1::Deadline;

    #[tokio::test(start_paused = true)]
    async fn it_passes_when_it_is_due_and_not_when_its_timer_was_armed() {
        let start = Instant::now();
        let mut deadline = Deadline::new();
        deadline.set(Duration::from_secs(1));
        poll_fn(|context| {
            let _armed = deadline.poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        deadline.set(Duration::from_secs(5));
        poll_fn(|context| deadline.poll(context)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_moves_forward_passes_at_the_earlier_instant() {
        let start = Instant::now();
        let mut deadline = Deadline::new();
        deadline.set(Duration::from_secs(75));
        poll_fn(|context| {
            let _armed = deadline.poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        advance(Duration::from_secs(1)).await;
        deadline.set(Duration::from_secs(2));
        poll_fn(|context| deadline.poll(context)).await;
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
