//! The store: durable state by compare-and-set, with its history.
//!
//! Keys (paths of text) have JSON values. A commit changes some of them if they have the revisions
//! that it expects, says who did that and why, and may leave an event in the outbox: all of it is one
//! record, one line of an append-only journal, which is on the disk before the commit is confirmed.
//! The journal is the audit log, chained by hashes; the state is what its records fold to.
//!
//! The store knows nothing of releases, of configuration or of HTTP. One process writes it at a time.

mod batch;
mod beside;
mod canonical;
mod chain;
mod commit;
mod desk;
mod disk;
pub mod instant;
mod journal;
mod lock;
mod memory;
mod notes;
mod query;
mod queue;
mod record;
mod recover;
mod retry;
mod segment;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod ulid;
mod verify;
mod walk;
mod writer;

use std::io::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use thiserror::Error as ThisError;
use tokio::sync::watch;

pub use crate::store::beside::read_beside;
pub use crate::store::chain::{Flaw, Head};
pub use crate::store::commit::{
    Commit, CommitError, Committed, Expect, MAX_KEY_BYTES, MAX_RECORD_BYTES, Urgency,
};
pub use crate::store::query::{MAX_LIMIT, Order, Query, ReadError};
pub use crate::store::record::{
    Actor, ActorKind, Change, ConfigOrigin, Draft, Object, Record, VERSION, Via,
};
pub use crate::store::recover::BROKEN_ACTION;
pub use crate::store::state::Entry;
pub use crate::store::verify::{Broken, NoAnchor, Verified, verify};

use crate::store::lock::Refused;
use crate::store::recover::{Break, Recovered};
use crate::store::writer::Shared;

/// What the keys of undelivered events begin with; the rest is the identity of their record.
pub const OUTBOX: &str = "outbox/";

/// The key that is there while a break of the history is not settled. Whoever settles it deletes the
/// key, in a commit that says who that was and why; until then every start finds
/// [`Condition::Broken`].
pub const BROKEN: &str = "store/broken";

/// Where a store is, whose it is, and how much of its history it keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The folder; it is made where it is not there.
    pub path: PathBuf,
    /// The cluster, which the first record is chained to.
    pub cluster: String,
    /// This replica.
    pub replica: String,
    /// A segment that has so many bytes is full.
    pub segment_bytes: u64,
    /// A segment that has so many records is full.
    pub segment_records: u64,
    /// How many segments are kept, with the one that is written to.
    pub segments_kept: usize,
    /// A snapshot is made whenever so many records were written.
    pub snapshot_every: u64,
}

impl Settings {
    /// Makes settings that keep some hundred thousand records, 32 segments of 8 MiB, all of which a
    /// start checks.
    pub fn new(
        path: impl Into<PathBuf>,
        cluster: impl Into<String>,
        replica: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            cluster: cluster.into(),
            replica: replica.into(),
            segment_bytes: 8 << 20,
            segment_records: 10_000,
            segments_kept: 32,
            snapshot_every: 1000,
        }
    }
}

/// A store, and what it was found as.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What it was found as.
    pub condition: Condition,
}

/// What a store is found as when it is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// There was none.
    New,
    /// All of it is there.
    Whole,
    /// The last write was not finished. Nobody was told of what it would have written, and it was
    /// taken away.
    Torn {
        /// How many bytes there were of it.
        bytes: u64,
    },
    /// The history is not to be trusted; the entries are the last that can be had. It is found so at
    /// every start until the key [`BROKEN`] is deleted.
    Broken {
        /// The record that is not what it should be.
        seq: u64,
        /// Why.
        why: String,
    },
}

/// Why a store cannot be opened.
#[derive(Debug, ThisError)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store in {} is in use{}", path.display(), holder(*pid))]
    Held {
        /// The store.
        path: PathBuf,
        /// The process that has it, where that is known.
        pid: Option<u32>,
    },
    /// It has a version that this program does not know.
    #[error(
        "the store has version {found}, and this program knows version 1: it was written by a newer one"
    )]
    Version {
        /// The version that it has.
        found: u64,
    },
    /// It is the store of another cluster.
    #[error(
        "the store is that of the cluster `{found}`, and this one is `{expected}`: name another path, or the cluster as before"
    )]
    Cluster {
        /// The cluster of the store.
        found: String,
        /// The cluster of the settings.
        expected: String,
    },
    /// It cannot be read.
    #[error("the store in {} cannot be opened", path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" by the process {pid}"))
}

/// The store. Clones are the same store; with the last of them it is closed.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens a store: takes its lock, checks its history, folds its state. Blocks for as long as that
    /// takes.
    ///
    /// A disk that can be read and not written does not keep a store from opening, once it has its
    /// lock file: [`Store::writable`] tells.
    ///
    /// # Errors
    /// When another process has it, when it is of another version or another cluster, and when it
    /// cannot be read.
    pub fn open(settings: Settings) -> Result<Opened, OpenError> {
        let path = settings.path.clone();
        let failed = |source: Error| OpenError::Io {
            path: path.clone(),
            source,
        };
        disk::create_folder(&path).map_err(failed)?;
        let lock = lock::Lock::take(&path).map_err(|refused| match refused {
            Refused::Held { pid } => OpenError::Held {
                path: path.clone(),
                pid,
            },
            Refused::Io(source) => failed(source),
        })?;
        let recovered = recover::recover(&path, &settings.cluster)?;
        let condition = condition(&recovered);
        let fresh_break = recovered.fresh_break.clone();
        let shared = Shared::new(settings, lock, recovered).map_err(failed)?;
        if let Some(fresh_break) = fresh_break {
            shared.tell(broken(&fresh_break));
        }
        let store = Self { shared };
        Ok(Opened { store, condition })
    }

    /// What a key has.
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.shared.memory().state.get(key).cloned()
    }

    /// The keys that begin with `prefix`, in their order, with what they have.
    pub fn list(&self, prefix: &str) -> Vec<(String, Entry)> {
        self.shared.memory().state.list(prefix)
    }

    /// Makes a commit. It is on the disk when this returns, or (towards stable, with a disk that
    /// fails) in memory. It is made or refused even if nobody waits for the answer.
    ///
    /// A disk that neither takes a write nor refuses it lets this wait: whoever cannot wait sets a
    /// deadline.
    ///
    /// # Errors
    /// When a condition does not hold, when the disk does not take it, when it is too large, and
    /// when the store is closed.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.shared.commit(commit).await
    }

    /// The revision of the state: the number of the last record that was applied.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.watch()
    }

    /// The end of the journal: the last record that is on the disk.
    pub fn head(&self) -> Head {
        self.shared.memory().journalled.clone()
    }

    /// How many records are applied and not on the disk, because it fails.
    pub fn n_unwritten(&self) -> usize {
        self.shared.memory().unwritten.len()
    }

    /// Whether the last write went through.
    ///
    /// # Errors
    /// Why it did not. The disk is tried again every second, so this does not stay so for want of a
    /// write.
    pub fn writable(&self) -> Result<(), String> {
        self.shared.writable()
    }

    /// Reads the history, within bounds: at most the records that the query asks for, and 16 MiB of
    /// them (but one in any case). Blocks while it reads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn records(&self, query: &Query) -> Result<Vec<Record>, ReadError> {
        self.shared.records(query)
    }

    /// Keeps something that has no history: the progress of an analysis, written often and of no
    /// worth once it is over. It is on the disk when this returns; several at a time are one write.
    ///
    /// # Errors
    /// When the disk does not take it (it is kept in memory, and written with the next one), when it
    /// is too large, and when the store is closed.
    pub async fn note(&self, key: &str, value: Option<Value>) -> Result<(), CommitError> {
        self.shared.note(key, value).await
    }

    /// What was noted.
    pub fn noted(&self, key: &str) -> Option<Value> {
        self.shared.memory().notes.get(key).cloned()
    }

    /// Everything that was noted under keys that begin with `prefix`, by key.
    pub fn all_noted(&self, prefix: &str) -> Vec<(String, Value)> {
        self.shared.memory().notes.list(prefix)
    }

    /// Finishes the commits that wait, and gives the lock back. What was read can be read still, and
    /// nothing can be written. Blocks while it writes.
    pub fn close(&self) {
        self.shared.close();
    }
}

fn condition(recovered: &Recovered) -> Condition {
    let told = recovered.state.get(BROKEN);
    let told = told.map(|entry| Break {
        seq: entry.value["seq"].as_u64().unwrap_or_default(),
        why: entry.value["why"].as_str().unwrap_or_default().to_owned(),
    });
    // A new break comes before one that was told of.
    if let Some(Break { seq, why }) = recovered.fresh_break.clone().or(told) {
        return Condition::Broken { seq, why };
    }
    if recovered.torn > 0 {
        let bytes = recovered.torn;
        return Condition::Torn { bytes };
    }
    if recovered.head.seq == 0 {
        return Condition::New;
    }
    Condition::Whole
}

/// The record of a break of the history.
fn broken(fresh: &Break) -> Commit {
    let actor = Actor::new(ActorKind::System, "store", Via::Start);
    let mut draft = Draft::new(actor, BROKEN_ACTION, Object::new("store", "history"));
    draft.evidence = Some(json!(fresh));
    Commit::new(SystemTime::now(), draft)
        .put(BROKEN, json!(fresh))
        .toward_stable()
}
