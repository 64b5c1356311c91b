//! Commits: what somebody wants to become of the state, and on which condition.

use std::time::SystemTime;

use serde_json::Value;
use thiserror::Error as ThisError;

use crate::store::record::{Change, Draft};

/// The largest record, in bytes of its line: a release with its evidence takes a few kilobytes, and
/// a reader must be able to hold a line.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// The longest key, in bytes: a path of a few names.
pub const MAX_KEY_BYTES: usize = 512;

/// A condition of a commit: the key has this revision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expect {
    /// The key.
    pub key: String,
    /// Its revision; 0 where the key must not be there.
    pub revision: u64,
}

/// What becomes of a commit when the disk fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// It is refused: what is not on the disk has not happened.
    Durable,
    /// It is applied in memory all the same, and journalled when writing works again: a move
    /// towards the stable variant is never blocked.
    TowardStable,
}

/// A transition: all of its changes, its record and its event, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// When it is made.
    pub at: SystemTime,
    /// The conditions; all must hold.
    pub expect: Vec<Expect>,
    /// The changes of the state, in this order.
    pub changes: Vec<Change>,
    /// What the record says.
    pub draft: Draft,
    /// What the outbox gets.
    pub event: Option<Value>,
    /// What becomes of it when the disk fails.
    pub urgency: Urgency,
}

impl Commit {
    /// Makes a durable commit without conditions and changes.
    pub fn new(at: SystemTime, draft: Draft) -> Self {
        Self {
            at,
            expect: Vec::new(),
            changes: Vec::new(),
            draft,
            event: None,
            urgency: Urgency::Durable,
        }
    }

    /// Adds the condition that `key` has `revision`, which is 0 where it must not be there.
    #[must_use]
    pub fn expect(mut self, key: impl Into<String>, revision: u64) -> Self {
        let key = key.into();
        self.expect.push(Expect { key, revision });
        self
    }

    /// Adds the change that `key` becomes `value`.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: Value) -> Self {
        let (key, value) = (key.into(), Some(value));
        self.changes.push(Change { key, value });
        self
    }

    /// Adds the change that `key` goes away.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        let (key, value) = (key.into(), None);
        self.changes.push(Change { key, value });
        self
    }

    /// Makes `event` what the outbox gets.
    #[must_use]
    pub fn event(mut self, event: Value) -> Self {
        self.event = Some(event);
        self
    }

    /// Makes it one that is applied even when the disk fails.
    #[must_use]
    pub fn toward_stable(mut self) -> Self {
        self.urgency = Urgency::TowardStable;
        self
    }
}

/// A commit that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The number of its record.
    pub seq: u64,
    /// The identity of its record and of its event.
    pub id: String,
    /// The revision of what it wrote, which is `seq`.
    pub revision: u64,
}

/// Why a commit was not made.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
pub enum CommitError {
    /// A condition did not hold: somebody else was first.
    #[error("{key} has revision {found}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision that it should have had.
        expected: u64,
        /// The revision that it has; 0 where it is not there.
        found: u64,
    },
    /// The disk does not take it. After a crash it may turn out to have been made all the same,
    /// when the disk failed between writing and confirming.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// It is too large to be written.
    #[error("{what} has {bytes} bytes, and {max} is the most")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// A key is no path.
    #[error("`{0}` is no key: a key has from 1 to 512 bytes and no control characters")]
    BadKey(String),
    /// A value cannot be read again once it is written: it is nested too deep.
    #[error("the record could not be read again: {0}")]
    Unreadable(String),
}

/// Checks that a text can be a key.
pub(in crate::store) fn check_key(key: &str) -> Result<(), CommitError> {
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len()) && !key.contains(char::is_control);
    if fits {
        return Ok(());
    }
    let shown: String = key.chars().take(64).collect();
    Err(CommitError::BadKey(shown.escape_default().to_string()))
}
