//! The deliverer: a task for each sink, so that one that is dead delays nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::notify::counts::{Counts, SinkStats};
use crate::notify::edge::Edge;
use crate::notify::outbox::Outbox;
use crate::notify::sink::Sink;
use crate::notify::worker::{Worker, World, key, settle_in};

/// Tells sinks of what is in the outbox, at least once each, in order. All of it ends when it is
/// dropped; see [`Deliverer::end`] for an end without a request cut off.
#[derive(Debug)]
pub struct Deliverer {
    world: Arc<World>,
    running: Mutex<BTreeMap<String, Running>>,
    /// Held by who changes what is running.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    /// No attempt begins after this.
    stop: CancellationToken,
    /// Attempts that go on are dropped then.
    cut: CancellationToken,
}

/// A sink that is told.
#[derive(Debug)]
struct Running {
    sink: Arc<Sink>,
    counts: Arc<Counts>,
    stop: CancellationToken,
    cut: CancellationToken,
    task: JoinHandle<()>,
}

impl Deliverer {
    /// Starts with no sinks; must be called on a runtime, like all that follows.
    pub fn start(outbox: Outbox, edge: Edge) -> Self {
        Self {
            world: Arc::new(World { outbox, edge }),
            running: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Tells these sinks from now on, and no others. One that is as it was goes on undisturbed, one
    /// that is changed goes on at its place, one that is new is told what happens from this call on,
    /// and the place of one that is gone is forgotten. Names are unique.
    ///
    /// When it returns, the places of those that are new are written: who commits events after that
    /// loses none of them to a crash.
    pub async fn apply(&self, sinks: Vec<Sink>) {
        let _turn = self.turn.lock().await;
        for sink in &sinks {
            settle_in(&self.world.outbox, &sink.name).await;
        }
        for (name, gone) in self.exchange(sinks) {
            gone.stop.cancel();
            gone.cut.cancel();
            finished(gone.task, &name).await;
            if let Err(error) = (self.world.outbox.note)(key(&name), None).await {
                warn!(sink = name, error, "sink's place not forgotten");
            }
        }
    }

    /// Starts and keeps what is to run, and gives what is not.
    fn exchange(&self, sinks: Vec<Sink>) -> BTreeMap<String, Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running);
        for sink in sinks {
            let name = sink.name.clone();
            let running_now = match before.remove(&name) {
                Some(same) if *same.sink == sink => same,
                Some(changed) => self.replace(changed, sink),
                None => self.spawn(sink, Arc::default(), None),
            };
            running.insert(name, running_now);
        }
        before
    }

    /// How each sink is doing, in the order of their names.
    pub fn stats(&self) -> Vec<SinkStats> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = running.iter();
        stats
            .map(|(name, running)| running.counts.read(name))
            .collect()
    }

    /// The place up to which no sink is to be told anything any more: what lies there in the outbox
    /// can be deleted.
    pub fn settled(&self) -> u64 {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = running.values().map(|running| running.counts.settled());
        let last = *self.world.outbox.last.borrow();
        settled.min().unwrap_or(last)
    }

    /// Ends: no attempt begins any more, those that go on have some time, and what was not told is
    /// told after the next start.
    pub async fn end(&self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }

    fn replace(&self, before: Running, sink: Sink) -> Running {
        before.stop.cancel();
        self.spawn(sink, before.counts, Some(before.task))
    }

    /// Starts the task of a sink, when the one before it has ended and written its place.
    fn spawn(&self, sink: Sink, counts: Arc<Counts>, before: Option<JoinHandle<()>>) -> Running {
        let sink = Arc::new(sink);
        let (stop, cut) = (self.stop.child_token(), self.cut.child_token());
        let make = {
            let (world, sink, counts) = (
                Arc::clone(&self.world),
                Arc::clone(&sink),
                Arc::clone(&counts),
            );
            let (stop, cut) = (stop.clone(), cut.clone());
            move || Worker::new(world, sink, counts, stop, cut)
        };
        let task = match before {
            None => self.tasks.spawn(make().run()),
            Some(before) => {
                let name = sink.name.clone();
                self.tasks.spawn(async move {
                    finished(before, &name).await;
                    make().run().await;
                })
            }
        };
        Running {
            sink,
            counts,
            stop,
            cut,
            task,
        }
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}

async fn finished(task: JoinHandle<()>, sink: &str) {
    if let Err(error) = task.await {
        warn!(sink, %error, "the task of a sink did not end well");
    }
}
