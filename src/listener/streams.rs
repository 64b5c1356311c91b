//! The streams of one HTTP/2 connection that are answered. They are parts of the connection's task;
//! what they have room in is used again for later ones, and given back when there are none.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::Response;
use tokio::task::unconstrained;

use crate::listener::answering::Answering;
use crate::listener::connect::Connect;
use crate::listener::tunnels::Tunnels;
use crate::listener::woken::Woken;
use crate::message::Body;

/// The part of the task that is the connection itself; the others are streams.
pub(crate) const CONNECTION: usize = 0;

/// The streams of one connection. Dropped, it cuts them.
pub(crate) struct Streams<F> {
    /// Each is part number one and so on of the task.
    slots: Vec<Slot<F>>,
    /// Those where no stream is.
    free: Vec<usize>,
    /// How long a client may take nothing of an answer.
    patience: Duration,
}

struct Slot<F> {
    stream: Pin<Box<Answering<F>>>,
    waker: Waker,
}

impl<F: Future<Output = Response<Body>>> Streams<F> {
    /// Makes them, none as yet.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            patience,
        }
    }

    /// True while there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Adds one, and moves it on as far as it goes at once.
    pub(crate) fn begin(
        &mut self,
        answer: F,
        respond: SendResponse<Bytes>,
        connect: Option<Connect>,
        woken: &Woken,
        tunnels: &Tunnels,
    ) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                stream: Box::pin(Answering::Ended),
                waker: woken.add(),
            });
            self.slots.len() - 1
        });
        let stream = &mut self.slots[slot].stream;
        stream.as_mut().set(Answering::Waiting {
            answer,
            respond,
            connect,
        });
        self.poll(slot + 1, tunnels);
    }

    /// Moves on the stream that is this part of the task; one that is no more is let be.
    pub(crate) fn poll(&mut self, part: usize, tunnels: &Tunnels) {
        let slot = part - 1;
        let Some(Slot { stream, waker }) = self.slots.get_mut(slot) else {
            return;
        };
        if matches!(**stream, Answering::Ended) {
            return;
        }
        let mut context = Context::from_waker(waker);
        let patience = self.patience;
        let step = poll_fn(|context| stream.as_mut().poll(context, tunnels, patience));
        // How much is done in one go is bounded by the connection. A stream that is told by tokio
        // that nothing is ready would only be polled again.
        let mut step = pin!(unconstrained(step));
        let poll = || step.as_mut().poll(&mut context);
        // What one stream breaks is not to break the others: it is reset as it is dropped.
        let outcome = catch_unwind(AssertUnwindSafe(poll));
        if !matches!(outcome, Ok(Poll::Pending)) {
            stream.as_mut().set(Answering::Ended);
            self.free.push(slot);
        }
    }

    /// Gives back what streams had room in, if there are none.
    pub(crate) fn shrink(&mut self, woken: &Woken) {
        if self.is_empty() {
            self.slots = Vec::new();
            self.free = Vec::new();
            woken.truncate(CONNECTION + 1);
        }
    }
}
