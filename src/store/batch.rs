//! Batches: several commits that become one write, each seeing what the ones before it would change.

use std::collections::HashMap;

use serde_json::Value;

use crate::store::OUTBOX;
use crate::store::chain::{self, Head};
use crate::store::commit::{Commit, CommitError, Committed, MAX_RECORD_BYTES, check_key};
use crate::store::instant;
use crate::store::record::{Draft, Record, VERSION};
use crate::store::state::State;

/// How deep a value may be nested: a reader of JSON gives up at some depth (serde_json at 128).
const MAX_DEPTH: usize = 64;

/// A record and its line, without the line's end.
#[derive(Clone, Debug)]
pub(in crate::store) struct Written {
    pub(in crate::store) record: Record,
    pub(in crate::store) line: String,
}

impl Written {
    /// The end of the chain after it.
    pub(in crate::store) fn head(&self) -> Head {
        Head {
            seq: self.record.seq,
            hash: self.record.hash.clone(),
        }
    }
}

/// Who writes.
#[derive(Clone, Debug)]
pub(in crate::store) struct Author {
    pub(in crate::store) cluster: String,
    pub(in crate::store) replica: String,
}

/// Commits on top of a state, which does not change by them yet.
pub(in crate::store) struct Batch<'a> {
    author: &'a Author,
    state: &'a State,
    /// The revisions that the keys get by the batch; 0 where they go away.
    revisions: HashMap<String, u64>,
    head: Head,
    pub(in crate::store) written: Vec<Written>,
}

impl<'a> Batch<'a> {
    /// Makes a batch of nothing yet.
    pub(in crate::store) fn new(author: &'a Author, state: &'a State, head: Head) -> Self {
        Self {
            author,
            state,
            revisions: HashMap::new(),
            head,
            written: Vec::new(),
        }
    }

    /// Adds a commit under the identity `id`.
    pub(in crate::store) fn add(
        &mut self,
        commit: &Commit,
        id: String,
    ) -> Result<Committed, CommitError> {
        for expect in &commit.expect {
            let found = self.revision(&expect.key);
            if found != expect.revision {
                return Err(CommitError::Conflict {
                    key: expect.key.clone(),
                    expected: expect.revision,
                    found,
                });
            }
        }
        let written = self.write(commit, id)?;
        let Record { seq, hash, id, .. } = &written.record;
        let (seq, id) = (*seq, id.clone());
        self.head = Head {
            seq,
            hash: hash.clone(),
        };
        for change in &written.record.changes {
            let revision = if change.value.is_some() { seq } else { 0 };
            self.revisions.insert(change.key.clone(), revision);
        }
        if written.record.event.is_some() {
            self.revisions.insert(format!("{OUTBOX}{id}"), seq);
        }
        self.written.push(written);
        Ok(Committed {
            seq,
            id,
            revision: seq,
        })
    }

    fn revision(&self, key: &str) -> u64 {
        let staged = self.revisions.get(key).copied();
        staged.unwrap_or_else(|| self.state.get(key).map_or(0, |entry| entry.revision))
    }

    fn write(&self, commit: &Commit, id: String) -> Result<Written, CommitError> {
        for change in &commit.changes {
            check_key(&change.key)?;
        }
        let Draft {
            before,
            after,
            evidence,
            ..
        } = &commit.draft;
        let changed = commit.changes.iter().map(|change| &change.value);
        let values = changed.chain([before, after, evidence, &commit.event]);
        for value in values.flatten() {
            check_depth(value)?;
        }
        let mut record = self.record(commit.clone(), id);
        let unreadable = |error: serde_json::Error| CommitError::Unreadable(error.to_string());
        let line = chain::line(&mut record).map_err(unreadable)?;
        check_size("the record", line.len())?;
        // What counts is what a start will read: 1.0 is written as 1.
        let record = serde_json::from_str(&line).map_err(unreadable)?;
        Ok(Written { record, line })
    }

    fn record(&self, commit: Commit, id: String) -> Record {
        let draft = commit.draft;
        Record {
            v: VERSION,
            seq: self.head.seq + 1,
            id,
            at: instant::in_milliseconds(commit.at),
            cluster: self.author.cluster.clone(),
            replica: self.author.replica.clone(),
            fence: None,
            actor: draft.actor,
            action: draft.action,
            object: draft.object,
            reason: draft.reason,
            ticket: draft.ticket,
            request_id: draft.request_id,
            config: draft.config,
            before: draft.before,
            after: draft.after,
            evidence: draft.evidence,
            changes: commit.changes,
            event: commit.event,
            prev: self.head.hash.clone(),
            hash: String::new(),
        }
    }
}

/// Checks that something can be a line.
pub(in crate::store) fn check_size(what: &'static str, bytes: usize) -> Result<(), CommitError> {
    let max = MAX_RECORD_BYTES;
    if bytes <= max {
        return Ok(());
    }
    Err(CommitError::TooLarge { what, bytes, max })
}

/// Checks that a value can be read again once it is written.
pub(in crate::store) fn check_depth(value: &Value) -> Result<(), CommitError> {
    if is_within(value, MAX_DEPTH) {
        return Ok(());
    }
    let why = format!("a value is nested deeper than {MAX_DEPTH}");
    Err(CommitError::Unreadable(why))
}

fn is_within(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(values) => values.iter().all(|value| is_within(value, below)),
        Value::Object(members) => members.values().all(|value| is_within(value, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
