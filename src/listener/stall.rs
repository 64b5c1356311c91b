//! HTTP/2 streams whose client does not take its answer.
//!
//! hyper asks a body for more only when the client's window has room, so a body cannot know that
//! nobody wants it. But a stream's task that goes to sleep without its body or its exchange having
//! said "not yet" sleeps because of the client; if that lasts too long, the stream is dropped, and
//! with it what it holds of the upstream.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::http1::Deadline;
use crate::message::{Body, BodyError};

/// What happened while a stream's task was polled.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The exchange or its body was asked, so the client has taken what came before.
    asked: bool,
    /// It said "not yet", so it is not the client who is waited for.
    not_yet: bool,
}

/// Notes for the streams of one connection; one stream is polled at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    seen: Rc<Cell<Seen>>,
}

impl Notes {
    /// Runs an exchange, and notes when it is not ready.
    pub(crate) async fn exchange<F: Future>(&self, exchange: F) -> F::Output {
        let mut exchange = pin!(exchange);
        poll_fn(|context| self.note(exchange.as_mut().poll(context))).await
    }

    /// A body that notes when it is asked and when it is not ready.
    pub(crate) fn body(&self, body: Body) -> Noted {
        Noted {
            notes: self.clone(),
            body,
        }
    }

    fn note<T>(&self, outcome: Poll<T>) -> Poll<T> {
        self.seen.set(Seen {
            asked: true,
            not_yet: outcome.is_pending(),
        });
        outcome
    }

    /// A stream's task, until it ends or its client has taken nothing for `timeout`.
    pub(crate) fn until_stalled<F: Future<Output = ()>>(
        &self,
        task: F,
        timeout: Duration,
    ) -> UntilStalled<F> {
        UntilStalled {
            task,
            seen: Rc::clone(&self.seen),
            timeout,
            deadline: None,
            waiting: false,
        }
    }
}

pin_project! {
    /// A stream's task, until it ends or its client takes nothing any more. No async block: that
    /// would have room for the task twice, and it is moved with every stream.
    pub(crate) struct UntilStalled<F> {
        #[pin]
        task: F,
        seen: Rc<Cell<Seen>>,
        timeout: Duration,
        // Most streams never wait for their client: no timer is made for them.
        deadline: Option<Deadline>,
        waiting: bool,
    }
}

impl<F: Future<Output = ()>> Future for UntilStalled<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.seen.set(Seen::default());
        if this.task.poll(context).is_ready() {
            return Poll::Ready(());
        }
        let seen = this.seen.get();
        if seen.not_yet {
            *this.waiting = false;
            if let Some(deadline) = this.deadline {
                deadline.clear();
            }
        } else if seen.asked || !*this.waiting {
            *this.waiting = true;
            this.deadline.get_or_insert_default().set(*this.timeout);
        }
        match this.deadline {
            Some(deadline) => deadline.poll(context),
            None => Poll::Pending,
        }
    }
}

/// A body whose readiness is noted.
pub(crate) struct Noted {
    notes: Notes,
    body: Body,
}

impl http_body::Body for Noted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let outcome = Pin::new(&mut self.body).poll_frame(context);
        self.notes.note(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use crate::listener::stall::Notes;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_client_is_dropped_in_time() {
        let start = Instant::now();
        Notes::default().until_stalled(pending(), TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_exchange_is_not() {
        let start = Instant::now();
        let notes = Notes::default();
        let slow = notes.exchange(sleep(10 * TIMEOUT));
        notes.until_stalled(slow, TIMEOUT).await;
        assert_eq!(start.elapsed(), 10 * TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_waited_for() {
        let start = Instant::now();
        let notes = Notes::default();
        let stream = async {
            for _ in 0..5 {
                // The body is asked and has something; then the client takes its time.
                notes.exchange(async {}).await;
                sleep(TIMEOUT / 2).await;
            }
        };
        notes.until_stalled(stream, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT * 5 / 2);
    }

    #[tokio::test]
    async fn what_ends_at_once_needs_no_timer() {
        let notes = Notes::default();
        let ready = poll_fn(|_| Poll::Ready(()));
        notes.until_stalled(ready, Duration::ZERO).await;
    }
}
