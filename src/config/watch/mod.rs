//! Watching: says that it is time to look at the configuration again, and nothing more.
//!
//! The folder of each file is watched, and that of each link on the way to it. A rename, a new link
//! or a close after writing is complete by nature and is told at once; anything else waits for
//! quiet, so that a file is not read while it is being written. Every few seconds the files are
//! looked at all the same, for file systems that tell nothing. Whether the content has changed is
//! for the reader to see. Of a pattern, every name that matches counts, also one that is not there
//! yet.

mod armed;
mod chain;
#[cfg(test)]
mod pattern_tests;
mod settle;
mod signal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinHandle};
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::config::sources::Sources;
use crate::config::watch::armed::{Armed, Looks};
use crate::config::watch::settle::Settle;
use crate::config::watch::signal::{Seen, Signal};

/// How often the files are looked at, whatever the system tells.
const POLL: Duration = Duration::from_secs(5);

/// A reason to look at the configuration again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// How it was noticed.
    pub kind: ChangeKind,
}

/// How a change was noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// By an event that is complete by nature; it is told at once.
    Complete,
    /// By other events, and then it was quiet.
    Settled,
    /// By looking: the system told nothing.
    Polled,
}

/// Watches the sources of a configuration for as long as it lives.
#[derive(Debug)]
pub struct Watcher {
    sources: watch::Sender<Sources>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Begins to watch, on this runtime. What happens from now on is told through the receiver,
    /// which holds one change: several before it is read are one. So start it before the files are
    /// read, and nothing is missed in between.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(sources: Sources) -> (Self, mpsc::Receiver<Change>) {
        let signal = Arc::<Signal>::default();
        Self::start_with(sources, Armed::new(Arc::clone(&signal)), signal, POLL)
    }

    fn start_with(
        sources: Sources,
        mut armed: Armed,
        signal: Arc<Signal>,
        poll: Duration,
    ) -> (Self, mpsc::Receiver<Change>) {
        let (changes, receiver) = mpsc::channel(1);
        armed.arm(&sources);
        let looks = Looks::of(&sources);
        let (sender, sources) = watch::channel(sources);
        let watching = Watching {
            sources,
            armed: Some(armed),
            signal,
            looks,
            settle: Settle::default(),
            is_told: false,
            changes,
        };
        let watcher = Self {
            sources: sender,
            task: tokio::spawn(watching.run(poll)),
        };
        (watcher, receiver)
    }

    /// Watches these sources from now on. When they are others than before, a change is told soon:
    /// they may have changed since they were read.
    pub fn set_sources(&self, sources: Sources) {
        self.sources.send_if_modified(|current| {
            let is_new = *current != sources;
            *current = sources;
            is_new
        });
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What woke the task.
enum Wake {
    Event,
    Tick,
    Sources,
    Due,
    End,
}

/// The state of the watching task.
struct Watching {
    sources: watch::Receiver<Sources>,
    /// Away only while it is being used on a thread that may block.
    armed: Option<Armed>,
    signal: Arc<Signal>,
    /// How the files looked last.
    looks: Looks,
    settle: Settle,
    /// True when the change that waits was told by the system.
    is_told: bool,
    changes: mpsc::Sender<Change>,
}

impl Watching {
    async fn run(mut self, poll: Duration) {
        let mut tick = time::interval_at(Instant::now() + poll, poll);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.settle.due();
            let wait = async {
                match due {
                    Some(due) => time::sleep_until(due).await,
                    None => future::pending().await,
                }
            };
            let wake = tokio::select! {
                () = self.signal.wait() => Wake::Event,
                changed = self.sources.changed() => if changed.is_ok() { Wake::Sources } else { Wake::End },
                () = self.changes.closed() => Wake::End,
                () = wait => Wake::Due,
                _ = tick.tick() => Wake::Tick,
            };
            let is_new = match wake {
                Wake::End => return,
                Wake::Sources => true,
                Wake::Event | Wake::Tick | Wake::Due => false,
            };
            let mut seen = self.signal.seen();
            let lost = std::mem::take(&mut seen.lost);
            // They may have been replaced besides.
            let is_new = is_new || self.sources.has_changed().unwrap_or(false);
            let Some((has_armed, looks)) = self.look(lost).await else {
                return;
            };
            self.weigh(&seen, is_new || has_armed, looks);
        }
    }

    /// Sets the watches anew and looks at the files; on a thread that may block, because a network
    /// file system may. `None` when the runtime is going down.
    async fn look(&mut self, lost: BTreeSet<PathBuf>) -> Option<(bool, Looks)> {
        let mut armed = self.armed.take()?;
        let sources = self.sources.borrow_and_update().clone();
        let look = move || {
            armed.forget(&lost);
            let has_armed = armed.arm(&sources);
            (armed, has_armed, Looks::of(&sources))
        };
        let (armed, has_armed, looks) = task::spawn_blocking(look).await.ok()?;
        self.armed = Some(armed);
        Some((has_armed, looks))
    }

    /// Decides whether there is something to tell. The watches are set already, so whatever
    /// happens after the telling is told again.
    fn weigh(&mut self, seen: &Seen, is_unsure: bool, looks: Looks) {
        let now = Instant::now();
        let is_different = self.looks != looks;
        self.looks = looks;
        // Where another file is being written meanwhile, both wait.
        if seen.complete && !self.signal.has_unfinished() {
            self.tell(ChangeKind::Complete);
            return;
        }
        if seen.complete || seen.partial || is_unsure {
            self.is_told = true;
            self.settle.disturb(now);
        } else if is_different && !self.settle.is_late(now) {
            self.settle.disturb(now);
        }
        if self.settle.is_due(now) {
            self.tell(if self.is_told {
                ChangeKind::Settled
            } else {
                ChangeKind::Polled
            });
        }
    }

    fn tell(&mut self, kind: ChangeKind) {
        self.settle.clear();
        self.signal.finish();
        self.is_told = false;
        // A change that nobody has read yet stands for this one too.
        let _ = self.changes.try_send(Change { kind });
    }
}
