//! The task of one sink: reads what is new, tells it, and keeps the sink's place.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::notify::counts::Counts;
use crate::notify::edge::Edge;
use crate::notify::event::{Entry, Event};
use crate::notify::outbox::{Outbox, Written};
use crate::notify::queue::{Outcome, Place, Queue};
use crate::notify::render;
use crate::notify::render::Outgoing;
use crate::notify::sink::{Kind, Sink};

/// The entries that are read at a time.
const CHUNK: usize = 256;
/// A sink that is told nothing looks up this often all the same.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// What the tasks of all sinks share.
#[derive(Debug)]
pub(in crate::notify) struct World {
    pub(in crate::notify) outbox: Outbox,
    pub(in crate::notify) edge: Edge,
}

/// One sink at work.
#[derive(Debug)]
pub(in crate::notify) struct Worker {
    pub(in crate::notify) world: Arc<World>,
    pub(in crate::notify) sink: Arc<Sink>,
    pub(in crate::notify) counts: Arc<Counts>,
    /// No attempt begins after this.
    pub(in crate::notify) stop: CancellationToken,
    /// An attempt that goes on is dropped then.
    pub(in crate::notify) cut: CancellationToken,
    queue: Queue,
    /// True while the place is not written as it is.
    is_unwritten: bool,
    /// A sink that failed is left alone until then.
    not_before: Instant,
}

/// The key that a sink's place is noted under.
pub(in crate::notify) fn key(sink: &str) -> String {
    format!("notify/{sink}")
}

impl Worker {
    /// Makes the worker of a sink, at the place that it has come to.
    pub(in crate::notify) fn new(
        world: Arc<World>,
        sink: Arc<Sink>,
        counts: Arc<Counts>,
        stop: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        let now = (world.edge.now)();
        let mut place = place(&world.outbox, &sink.name);
        place.alerts.end_unwanted(&sink, now);
        let queue = Queue::new(place);
        counts.note(&queue, now);
        Self {
            world,
            sink,
            counts,
            stop,
            cut,
            queue,
            is_unwritten: false,
            not_before: Instant::now(),
        }
    }

    /// Works until it is stopped.
    pub(in crate::notify) async fn run(mut self) {
        let mut last = self.world.outbox.last.clone();
        loop {
            let seen = *last.borrow_and_update();
            self.read(seen);
            let now = (self.world.edge.now)();
            self.counts.note(&self.queue, now);
            if self.stop.is_cancelled() {
                break;
            }
            if self.not_before <= Instant::now() && self.is_anything_due(now) {
                tokio::select! {
                    biased;
                    () = self.cut.clone().cancelled_owned() => break,
                    () = self.attempt(now) => {}
                }
                self.write_place().await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                changed = last.changed() => {
                    if changed.is_err() {
                        break; // the store is no more
                    }
                }
                () = sleep_until(self.wakes_at(now)) => {}
            }
        }
        self.write_place().await;
    }

    /// Reads what is new, up to a place.
    fn read(&mut self, seen: u64) {
        loop {
            let read = (self.world.outbox.after)(self.queue.read(), CHUNK);
            let n_read = read.len();
            for written in read {
                self.take_in(written);
            }
            if n_read < CHUNK {
                break;
            }
        }
        self.queue.skip_to(seen);
    }

    fn take_in(&mut self, written: Written) {
        let Written { seq, id, event } = written;
        if seq <= self.queue.read() {
            return;
        }
        let event = match serde_json::from_value::<Event>(event) {
            Ok(event) => event,
            Err(error) => {
                self.drop_events(1, &format!("event {id} cannot be read: {error}"));
                self.queue.skip_to(seq);
                return;
            }
        };
        if !self.sink.wants(&event) {
            self.queue.skip_to(seq);
            return;
        }
        if self.queue.push(Arc::new(Entry { seq, id, event })) {
            self.drop_events(1, "too many wait");
            self.is_unwritten = true;
        }
    }

    fn is_alertmanager(&self) -> bool {
        self.sink.kind == Kind::Alertmanager
    }

    fn is_anything_due(&self, now: SystemTime) -> bool {
        let again = self.is_alertmanager() && self.queue.place.alerts.are_due(now);
        again || self.queue.first().is_some()
    }

    /// When there is something to do, if nothing happens until then.
    fn wakes_at(&self, now: SystemTime) -> Instant {
        let due_in = match self.queue.first() {
            Some(_) => Some(Duration::ZERO),
            None if self.is_alertmanager() => self.queue.place.alerts.due_in(now),
            None => None,
        };
        let due = Instant::now() + due_in.unwrap_or(IDLE);
        due.max(self.not_before)
    }

    /// Sends one request, and notes what came of it.
    async fn attempt(&mut self, now: SystemTime) {
        let first = self.queue.first().cloned();
        let n_parts = self.queue.n_parts();
        let (outgoing, is_last) = if self.is_alertmanager() {
            if let Some(entry) = &first {
                self.queue.place.alerts.note(&self.sink, entry);
            }
            let alerts = &self.queue.place.alerts;
            let outgoing = alerts
                .are_due(now)
                .then(|| render::alerts(&alerts.render(now)));
            (outgoing, true)
        } else {
            let entry = first.as_deref();
            let requests = entry.map(|entry| render::requests(&self.sink, entry, now));
            let requests = requests.unwrap_or_default();
            let is_last = requests.len() <= n_parts + 1;
            (requests.into_iter().nth(n_parts), is_last)
        };
        let Some(outgoing) = outgoing else {
            // It ends an alert that was never raised.
            self.queue.pop();
            self.is_unwritten = true;
            return;
        };
        let outcome = self.ask(outgoing).await;
        self.conclude(outcome, now, first.is_some(), is_last);
    }

    async fn ask(&self, outgoing: Outgoing) -> Outcome {
        let edge = &self.world.edge;
        let result = (edge.ask)(Arc::clone(&self.sink), outgoing).await;
        Outcome::of(result, (edge.now)())
    }

    fn conclude(&mut self, outcome: Outcome, then: SystemTime, is_event: bool, is_last: bool) {
        let sink = &self.sink.name;
        match outcome {
            Outcome::Taken => {
                if 0 < self.queue.failures() {
                    info!(sink, "sink takes notifications again");
                }
                self.counts.trouble(None);
                self.queue.works();
                self.queue.place.alerts.sent(then);
                self.is_unwritten |= self.is_alertmanager();
                if !is_event {
                    return;
                }
                if is_last {
                    Counts::add(&self.counts.sent, 1);
                    self.queue.pop();
                    self.is_unwritten = true;
                } else {
                    self.queue.part_taken();
                }
            }
            Outcome::Refused { why } => {
                Counts::add(&self.counts.failed, 1);
                self.counts.trouble(Some(why.clone()));
                self.queue.works();
                // They are sent again in a minute, as all that are active.
                self.queue.place.alerts.sent(then);
                if is_event {
                    self.drop_events(1, &why);
                    self.queue.pop();
                } else {
                    warn!(sink, why, "alerts refused");
                }
                self.is_unwritten = true;
            }
            Outcome::Failed { why, again_in } => {
                if self.queue.failures() == 0 {
                    warn!(sink, why, "notification failed");
                } else {
                    debug!(sink, why, "notification failed again");
                }
                Counts::add(&self.counts.failed, 1);
                let edge = &self.world.edge;
                let (now, random) = ((edge.now)(), (edge.random)());
                let (n_given_up, delay) = self.queue.failed(now, random, again_in);
                if 0 < n_given_up {
                    self.drop_events(n_given_up, &format!("given up after a day: {why}"));
                    self.is_unwritten = true;
                }
                self.counts.trouble(Some(why));
                self.not_before = Instant::now() + delay;
            }
        }
    }

    fn drop_events(&self, n: u64, why: &str) {
        Counts::add(&self.counts.dropped, n);
        warn!(sink = self.sink.name, n, why, "notifications dropped");
    }

    async fn write_place(&mut self) {
        if !self.is_unwritten {
            return;
        }
        let place = serde_json::to_value(&self.queue.place);
        let place = place.expect("a place has names for keys");
        let key = key(&self.sink.name);
        match (self.world.outbox.note)(key, Some(place)).await {
            Ok(()) => self.is_unwritten = false,
            // To tell some things again after a restart is better than to tell nothing now.
            Err(error) => warn!(sink = self.sink.name, error, "sink's place not written"),
        }
    }
}

/// Writes where a sink begins that was never there: at what happens from now on.
pub(in crate::notify) async fn settle_in(outbox: &Outbox, sink: &str) {
    let key = key(sink);
    if (outbox.noted)(&key).is_some() {
        return;
    }
    let place = beginning(outbox);
    let place = serde_json::to_value(&place).expect("a place has names for keys");
    if let Err(error) = (outbox.note)(key, Some(place)).await {
        warn!(sink, error, "sink's place not written");
    }
}

fn beginning(outbox: &Outbox) -> Place {
    Place {
        after: *outbox.last.borrow(),
        ..Place::default()
    }
}

/// The place that a sink has come to, as it was written.
fn place(outbox: &Outbox, sink: &str) -> Place {
    let Some(noted) = (outbox.noted)(&key(sink)) else {
        return beginning(outbox);
    };
    let mut place: Place = serde_json::from_value(noted).unwrap_or_else(|error| {
        warn!(sink, %error, "sink's place cannot be read: all there is will be told");
        Place::default()
    });
    // A store that lost its history begins anew.
    place.after = place.after.min(*outbox.last.borrow());
    place
}
