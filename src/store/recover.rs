//! Recovery: what a store is found as when it is opened.
//!
//! All of the history is checked, and the state is that of the newest snapshot and of the records
//! after it. Where the history is broken, every record whose own hash holds counts still: it is the
//! last that can be had, and better than none, because traffic is split by it.

use std::fs::remove_file;
use std::io::Error;
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::OpenError;
use crate::store::chain::{self, Flaw, Head};
use crate::store::record::Record;
use crate::store::snapshot::{Snapshot, Snapshots, UnknownVersion};
use crate::store::state::State;
use crate::store::walk::{self, Seen, Walked};

/// The action of the record that says that a broken history was found. What is before it has been
/// told of.
pub const BROKEN_ACTION: &str = "store.broken";

/// A break in the history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::store) struct Break {
    pub(in crate::store) seq: u64,
    pub(in crate::store) why: String,
}

/// What was found.
#[derive(Debug)]
pub(in crate::store) struct Recovered {
    pub(in crate::store) state: State,
    /// What the next record follows.
    pub(in crate::store) head: Head,
    pub(in crate::store) torn: u64,
    /// A break that no record tells of yet.
    pub(in crate::store) fresh_break: Option<Break>,
    /// The bytes and records of the last segment.
    pub(in crate::store) last: (u64, u64),
    /// The record that the newest snapshot is of.
    pub(in crate::store) snapshot: u64,
}

/// Reads the store of a cluster.
pub(in crate::store) fn recover(folder: &Path, cluster: &str) -> Result<Recovered, OpenError> {
    let unreadable = |source: Error| OpenError::Io {
        path: folder.to_owned(),
        source,
    };
    let snapshots = Snapshots::read(folder).map_err(unreadable)?;
    let snapshots = snapshots.map_err(|UnknownVersion(found)| OpenError::Version { found })?;
    let damaged = snapshots.damaged;
    let base = snapshots.whole.into_iter().next();
    let segments = walk::open(folder).map_err(unreadable)?;
    let mut fold = Fold::from(base.as_ref(), cluster);
    let walked = walk::walk(segments, |seen| fold.see(&seen)).map_err(unreadable)?;
    if let Some(refusal) = fold.refusal {
        return Err(refusal);
    }
    if let Some(base) = base.as_ref().filter(|base| base.cluster != cluster) {
        return Err(other_cluster(&base.cluster, cluster));
    }
    let fresh_break = fold.found.or_else(|| gap(&walked, base.as_ref(), &damaged));
    for name in &damaged {
        tracing::warn!(folder = %folder.display(), name, "snapshot damaged, state folded from the records");
        // What the records make up for is of no use; where they do not, somebody may want to see it.
        if fresh_break.is_none() {
            let _next_time = remove_file(folder.join(name));
        }
    }
    let head = match &base {
        Some(base) if walked.head.seq <= base.head.seq => base.head.clone(),
        _ if walked.n_records == 0 => chain::genesis(cluster),
        _ => walked.head.clone(),
    };
    Ok(Recovered {
        state: fold.state,
        head,
        torn: walked.torn,
        fresh_break,
        last: (walked.last_bytes, walked.last_records),
        snapshot: base.map_or(0, |base| base.head.seq),
    })
}

/// What is missing between a snapshot and the records, if anything is.
fn gap(walked: &Walked, base: Option<&Snapshot>, damaged: &[String]) -> Option<Break> {
    let reached = base.map_or(0, |base| base.head.seq);
    let has_records = walked.n_records > 0;
    if walked.first > reached + 1 && has_records {
        let (from, to) = (reached + 1, walked.first - 1);
        let why = format!("the records from {from} to {to} are in no segment and in no snapshot");
        return Some(Break { seq: from, why });
    }
    if walked.head.seq < reached {
        let last = if has_records { walked.head.seq } else { 0 };
        let why = format!("the snapshot is of record {reached}, and the last record is {last}");
        return Some(Break { seq: last + 1, why });
    }
    if !has_records && !damaged.is_empty() {
        let why = "the snapshot is damaged, and there is no record".to_owned();
        return Some(Break { seq: 1, why });
    }
    None
}

fn other_cluster(found: &str, expected: &str) -> OpenError {
    OpenError::Cluster {
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

/// The fold of the records after a snapshot.
struct Fold<'a> {
    state: State,
    base: Option<&'a Head>,
    cluster: &'a str,
    found: Option<Break>,
    refusal: Option<OpenError>,
}

impl<'a> Fold<'a> {
    fn from(base: Option<&'a Snapshot>, cluster: &'a str) -> Self {
        Self {
            state: base.map(|base| base.entries.clone()).unwrap_or_default(),
            base: base.map(|base| &base.head),
            cluster,
            found: None,
            refusal: None,
        }
    }

    fn see(&mut self, seen: &Seen<'_>) -> ControlFlow<()> {
        let Some(link) = seen.link else {
            if let Some(Flaw::Version(found)) = seen.flaw {
                self.refusal = Some(OpenError::Version { found });
                return ControlFlow::Break(());
            }
            self.note(seen, None);
            return ControlFlow::Continue(());
        };
        if link.cluster != self.cluster {
            self.refusal = Some(other_cluster(&link.cluster, self.cluster));
            return ControlFlow::Break(());
        }
        self.note(seen, None);
        let is_other = self.base.is_some_and(|base| {
            (base.seq == link.seq && base.hash != link.hash)
                || (base.seq + 1 == link.seq && base.hash != link.prev)
        });
        if is_other {
            self.note(seen, Some("it does not go with the snapshot"));
        }
        if link.action == BROKEN_ACTION {
            self.found = None;
        }
        if self.base.is_none_or(|base| base.seq < link.seq) {
            match serde_json::from_slice::<Record>(seen.line) {
                Ok(record) => self.state.apply(&record),
                Err(_) => self.note(seen, Some("it lacks what a record has")),
            }
        }
        ControlFlow::Continue(())
    }

    /// Keeps the first thing that is wrong.
    fn note(&mut self, seen: &Seen<'_>, why: Option<&str>) {
        let why = why.map(str::to_owned);
        let why = why.or_else(|| seen.flaw.as_ref().map(ToString::to_string));
        let Some(why) = why.filter(|_| self.found.is_none()) else {
            return;
        };
        let file = seen.segment.path.file_name().unwrap_or_default();
        let why = format!("{}:{}: {why}", file.display(), seen.number);
        let seq = seen.expected;
        self.found = Some(Break { seq, why });
    }
}
