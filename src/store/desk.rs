//! The desk: what only who writes has.

use std::io::Error;
use std::path::Path;

use crate::store::batch::Written;
use crate::store::journal::Journal;
use crate::store::lock::Lock;
use crate::store::snapshot;
use crate::store::ulid::Ulids;

/// What only who writes has.
#[derive(Debug)]
pub(in crate::store) struct Desk {
    pub(in crate::store) journal: Journal,
    pub(in crate::store) ulids: Ulids,
    /// The lock, until the store is closed.
    pub(in crate::store) lock: Option<Lock>,
    /// The record after which a snapshot was made, or could not be.
    pub(in crate::store) snapshot: u64,
    pub(in crate::store) is_retrying: bool,
}

impl Desk {
    /// Writes records at the journal's end, as one.
    pub(in crate::store) fn append<'a>(
        &mut self,
        written: impl ExactSizeIterator<Item = &'a Written> + Clone,
    ) -> Result<(), Error> {
        let Some(first) = written.clone().next() else {
            return Ok(());
        };
        let n_records = written.len() as u64;
        let mut lines = String::new();
        for written in written {
            lines.push_str(&written.line);
            lines.push('\n');
        }
        self.journal.append(first.record.seq, &lines, n_records)
    }

    /// Removes segments that are old enough.
    pub(in crate::store) fn retire(&mut self, folder: &Path) {
        if !self.journal.has_surplus() {
            return;
        }
        let retired = snapshot::covered(folder).and_then(|covered| self.journal.retire(covered));
        if let Err(error) = retired {
            tracing::warn!(folder = %folder.display(), %error, "old segments not removed");
        }
    }
}
