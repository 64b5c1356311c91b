//! Verification of a store that may be in use: offline, without its lock.
//!
//! The chain tells of what was edited, dropped or moved. It cannot tell that the last records are
//! gone, or that somebody wrote all of it anew: for that it is held against an anchor, the number
//! and hash of a record that were kept elsewhere.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::io::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error as ThisError;

use crate::store::chain::{Flaw, Head};
use crate::store::record::Record;
use crate::store::recover::BROKEN_ACTION;
use crate::store::snapshot::{Snapshot, Snapshots, UnknownVersion};
use crate::store::state::State;
use crate::store::walk::{self, Seen, Walked};

/// What was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The cluster; none where there is no record.
    pub cluster: Option<String>,
    /// The first record that is there; those before it were retired. 0 where there is none.
    pub first: u64,
    /// The last record.
    pub head: Head,
    /// How many records there are.
    pub n_records: u64,
    /// How many snapshots were held against the records.
    pub n_snapshots: usize,
    /// The bytes of a last write that was not finished; one may be going on just now.
    pub torn: u64,
    /// Whether an anchor was found in its place.
    pub anchored: bool,
}

/// What is wrong with a store.
#[derive(Debug, ThisError)]
pub enum Broken {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A line is not what should be there.
    #[error("record {seq} is broken, at {}:{line}: {flaw}", segment.display())]
    Record {
        /// The record that should be there.
        seq: u64,
        /// The segment.
        segment: PathBuf,
        /// The number of the line in it.
        line: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A record says that the history before it was found broken when the store was opened.
    #[error("record {seq} tells of a break of the history before it")]
    Told {
        /// The record.
        seq: u64,
    },
    /// A snapshot does not go with the records.
    #[error("the snapshot of record {seq} does not go with the records: {why}")]
    Snapshot {
        /// The record that the snapshot is of.
        seq: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A snapshot was edited.
    #[error("{name} is damaged")]
    DamagedSnapshot {
        /// Its file.
        name: String,
    },
    /// It has a version that this program does not know.
    #[error("it has version {0}, and this program knows version 1")]
    Version(u64),
    /// The record of the anchor has another hash: the history was written anew.
    #[error("record {} has the hash {found}, not that of the anchor", anchor.seq)]
    OtherHistory {
        /// The anchor.
        anchor: Head,
        /// The hash of the record that is in its place.
        found: String,
    },
    /// The record of the anchor is not there: the end is gone.
    #[error("record {}, which the anchor is of, is gone: the last is {last}", anchor.seq)]
    Truncated {
        /// The anchor.
        anchor: Head,
        /// The last record that is there.
        last: u64,
    },
    /// The record of the anchor was retired, so that it says nothing.
    #[error("record {}, which the anchor is of, was retired: the first is {first}", anchor.seq)]
    Retired {
        /// The anchor.
        anchor: Head,
        /// The first record that is there.
        first: u64,
    },
}

/// Verifies the store in `folder`, and that it has the record of `anchor` where one is given.
///
/// # Errors
/// When anything is not what it should be; the first thing that was found.
pub fn verify(folder: &Path, anchor: Option<&Head>) -> Result<Verified, Broken> {
    let unreadable = |source: Error| Broken::Unreadable {
        path: folder.to_owned(),
        source,
    };
    // In this order: what a snapshot is of is in the journal by the time that it is read.
    let snapshots = Snapshots::read(folder).map_err(unreadable)?;
    let snapshots = snapshots.map_err(|UnknownVersion(found)| Broken::Version(found))?;
    let segments = walk::open(folder).map_err(unreadable)?;
    let first = segments.first().map_or(0, |(segment, _)| segment.first);
    let mut check = Check::new(snapshots.whole, first, anchor);
    let walked = walk::walk(segments, |seen| check.see(&seen)).map_err(unreadable)?;
    check.end(&walked)?;
    if let Some(name) = snapshots.damaged.into_iter().next() {
        return Err(Broken::DamagedSnapshot { name });
    }
    Ok(Verified {
        cluster: walked.cluster,
        first,
        head: walked.head,
        n_records: walked.n_records,
        n_snapshots: check.n_compared,
        torn: walked.torn,
        anchored: anchor.is_some_and(|anchor| anchor.seq > 0),
    })
}

/// What is held against the records on the walk.
struct Check<'a> {
    anchor: Option<&'a Head>,
    /// The snapshots that are still ahead, the oldest last.
    snapshots: Vec<Snapshot>,
    n_compared: usize,
    /// The state, once it is known.
    state: Option<State>,
    /// What the first record follows, by the snapshot before it.
    before: Option<String>,
    anchored: Option<String>,
    broken: Option<Broken>,
}

impl<'a> Check<'a> {
    fn new(mut snapshots: Vec<Snapshot>, first: u64, anchor: Option<&'a Head>) -> Self {
        let begins_at = first.saturating_sub(1);
        // What ends before the first record can be held against nothing.
        snapshots.retain(|snapshot| first == 0 || begins_at <= snapshot.head.seq);
        let mut state = (begins_at == 0).then(State::default);
        let mut before = None;
        if let Some(base) = snapshots.pop_if(|base| first > 1 && base.head.seq == begins_at) {
            state = Some(base.entries);
            before = Some(base.head.hash);
        }
        Self {
            anchor,
            snapshots,
            n_compared: 0,
            state,
            before,
            anchored: None,
            broken: None,
        }
    }

    fn see(&mut self, seen: &Seen<'_>) -> ControlFlow<()> {
        match self.look(seen) {
            Ok(()) => ControlFlow::Continue(()),
            Err(broken) => {
                self.broken = Some(broken);
                ControlFlow::Break(())
            }
        }
    }

    fn look(&mut self, seen: &Seen<'_>) -> Result<(), Broken> {
        let broken = |flaw: Flaw| Broken::Record {
            seq: seen.expected,
            segment: seen.segment.path.clone(),
            line: seen.number,
            flaw,
        };
        if let Some(flaw) = &seen.flaw {
            return Err(broken(flaw.clone()));
        }
        let record: Record =
            serde_json::from_slice(seen.line).map_err(|_| broken(Flaw::NoRecord))?;
        if record.action == BROKEN_ACTION {
            return Err(Broken::Told { seq: record.seq });
        }
        if self.before.take().is_some_and(|hash| hash != record.prev) {
            return Err(broken(Flaw::Unchained));
        }
        if let Some(state) = &mut self.state {
            state.apply(&record);
        }
        let is_of_it = |snapshot: &mut Snapshot| snapshot.head.seq == record.seq;
        if let Some(snapshot) = self.snapshots.pop_if(is_of_it) {
            self.compare(snapshot, &record)?;
        }
        if self.anchor.is_some_and(|anchor| anchor.seq == record.seq) {
            self.anchored = Some(record.hash);
        }
        Ok(())
    }

    fn compare(&mut self, snapshot: Snapshot, record: &Record) -> Result<(), Broken> {
        let seq = record.seq;
        if snapshot.head.hash != record.hash || snapshot.cluster != record.cluster {
            let why = "it follows another record";
            return Err(Broken::Snapshot { seq, why });
        }
        match &self.state {
            Some(state) if *state != snapshot.entries => {
                let why = "its state is not what the records fold to";
                Err(Broken::Snapshot { seq, why })
            }
            Some(_) => {
                self.n_compared += 1;
                Ok(())
            }
            None => {
                self.state = Some(snapshot.entries);
                Ok(())
            }
        }
    }

    fn end(&mut self, walked: &Walked) -> Result<(), Broken> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        if let Some(snapshot) = self.snapshots.last() {
            let seq = snapshot.head.seq;
            let why = "the records end before it";
            return Err(Broken::Snapshot { seq, why });
        }
        let Some(anchor) = self.anchor.filter(|anchor| anchor.seq > 0) else {
            return Ok(());
        };
        let (anchor, last) = (anchor.clone(), walked.head.seq);
        match self.anchored.take() {
            Some(found) if found == anchor.hash => Ok(()),
            Some(found) => Err(Broken::OtherHistory { anchor, found }),
            None if anchor.seq < walked.first => {
                let first = walked.first;
                Err(Broken::Retired { anchor, first })
            }
            None => Err(Broken::Truncated { anchor, last }),
        }
    }
}

/// A text is no anchor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
#[error("an anchor is SEQ:HASH, the number of a record and its SHA-256 in 64 hex digits")]
pub struct NoAnchor;

impl FromStr for Head {
    type Err = NoAnchor;

    fn from_str(text: &str) -> Result<Self, NoAnchor> {
        let (seq, hash) = text.split_once(':').ok_or(NoAnchor)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        match seq.parse() {
            Ok(seq) if is_hash && is_number => Ok(Self {
                seq,
                hash: hash.to_ascii_lowercase(),
            }),
            _ => Err(NoAnchor),
        }
    }
}

impl Display for Head {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}
