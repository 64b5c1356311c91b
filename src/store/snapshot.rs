//! Snapshots: the state after some record, so that a start need not fold all of history.
//!
//! A snapshot is no history: it can be made again as far back as the segments go. The last two are
//! kept, and a segment goes away only when both cover it, so that a damaged one loses nothing.

use std::fs::{read_dir, remove_file};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::chain::Head;
use crate::store::disk;
use crate::store::record::VERSION;
use crate::store::segment::number;
use crate::store::state::State;

/// How many are kept.
const KEPT: usize = 2;

/// The state after the record that is its head.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::store) struct Snapshot {
    pub(in crate::store) v: u32,
    pub(in crate::store) cluster: String,
    pub(in crate::store) head: Head,
    pub(in crate::store) entries: State,
}

/// The snapshots of a store, the newest first, and how many files of them are damaged.
#[derive(Debug, Default)]
pub(in crate::store) struct Snapshots {
    pub(in crate::store) whole: Vec<Snapshot>,
    pub(in crate::store) damaged: Vec<String>,
}

/// A version of a snapshot that this program does not know.
#[derive(Debug)]
pub(in crate::store) struct UnknownVersion(pub(in crate::store) u64);

impl Snapshots {
    /// Reads the snapshots in `folder`.
    pub(in crate::store) fn read(
        folder: &Path,
    ) -> Result<std::result::Result<Self, UnknownVersion>> {
        let mut found = Self::default();
        for seq in numbers(folder)?.into_iter().rev() {
            let name = name(seq);
            let value = match disk::read_whole(&folder.join(&name)) {
                Ok(value) => value,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    found.damaged.push(name);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let version = value["v"].as_u64().unwrap_or_default();
            if version != u64::from(VERSION) {
                return Ok(Err(UnknownVersion(version)));
            }
            match serde_json::from_value::<Snapshot>(value) {
                Ok(snapshot) if snapshot.head.seq == seq => found.whole.push(snapshot),
                _ => found.damaged.push(name),
            }
        }
        Ok(Ok(found))
    }
}

/// Writes the state after `head`, and removes what is older than the one before it.
pub(in crate::store) fn write(
    folder: &Path,
    cluster: &str,
    head: &Head,
    entries: &State,
) -> Result<()> {
    let object = serde_json::json!({
        "v": VERSION,
        "cluster": cluster,
        "head": head,
        "entries": serde_json::to_value(entries).map_err(Error::other)?,
    });
    disk::replace(folder, &name(head.seq), &object)?;
    let numbers = numbers(folder)?;
    let n_old = numbers.len().saturating_sub(KEPT);
    for &seq in &numbers[..n_old] {
        remove_file(folder.join(name(seq)))?;
    }
    Ok(())
}

/// Up to which record segments may go away: both snapshots have it.
pub(in crate::store) fn covered(folder: &Path) -> Result<u64> {
    let numbers = numbers(folder)?;
    let both = numbers.len().checked_sub(KEPT);
    Ok(both.map_or(0, |index| numbers[index]))
}

fn name(seq: u64) -> String {
    format!("snapshot-{seq:020}.json")
}

fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in read_dir(folder)? {
        numbers.extend(number(&entry?.path(), "snapshot-", ".json"));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
