//! The journal's end: where records are written.
//!
//! What a write that failed may have left behind the last record is taken away before the next one;
//! whatever of it stays when the program ends is a torn tail, which the next start takes away.

use std::collections::VecDeque;
use std::fs::{File, remove_file};
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::store::disk;
use crate::store::segment::Segment;

/// How many bytes a probe of the disk writes: a block of the usual file systems.
const PROBE: usize = 4096;

/// When a segment is full, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Limits {
    pub(in crate::store) bytes: u64,
    pub(in crate::store) records: u64,
    pub(in crate::store) segments: usize,
}

/// The segments of a journal, the last of which is written to.
#[derive(Debug)]
pub(in crate::store) struct Journal {
    folder: PathBuf,
    limits: Limits,
    segments: VecDeque<Segment>,
    last: Option<Last>,
}

/// The segment that is written to.
#[derive(Debug)]
struct Last {
    file: File,
    /// The bytes and records that are known to be on the disk.
    bytes: u64,
    records: u64,
    /// Whether there may be something behind them.
    is_clean: bool,
}

impl Journal {
    /// Makes the journal in `folder` of which the last segment has `bytes` and `records`.
    pub(in crate::store) fn open(
        folder: PathBuf,
        limits: Limits,
        (bytes, records): (u64, u64),
    ) -> Result<Self> {
        let mut segments: VecDeque<Segment> = Segment::list(&folder)?.into();
        // A last segment without a record was begun by a write that did not end.
        if let Some(empty) = segments.pop_back_if(|_| bytes == 0) {
            let _begun_anew = remove_file(&empty.path);
        }
        let last = match segments.back() {
            Some(segment) if bytes > 0 => Some(Last {
                file: disk::open_private(&segment.path)?,
                bytes,
                records,
                is_clean: false,
            }),
            _ => None,
        };
        Ok(Self {
            folder,
            limits,
            segments,
            last,
        })
    }

    /// Writes whole lines, the first of which is that of the record `first`. When this returns an
    /// error none of them counts.
    pub(in crate::store) fn append(
        &mut self,
        first: u64,
        lines: &str,
        n_records: u64,
    ) -> Result<()> {
        match &mut self.last {
            Some(last) if last.has_room(&self.limits) => last.append(lines, n_records),
            _ => self.begin(first, lines, n_records),
        }
    }

    /// Writes lines as the first of a new segment.
    fn begin(&mut self, first: u64, lines: &str, n_records: u64) -> Result<()> {
        if let Some(last) = &mut self.last {
            last.clean()?;
        }
        let segment = Segment::new(&self.folder, first);
        let mut last = Last {
            file: disk::open_private(&segment.path)?,
            bytes: 0,
            records: 0,
            is_clean: false,
        };
        let written = last
            .append(lines, n_records)
            .and_then(|()| disk::sync_folder(&self.folder));
        if let Err(error) = written {
            let _best_effort = remove_file(&segment.path);
            return Err(error);
        }
        self.segments.push_back(segment);
        self.last = Some(last);
        Ok(())
    }

    /// Finds out whether the disk takes a write at the journal's end.
    pub(in crate::store) fn probe(&mut self) -> Result<()> {
        let Some(last) = &mut self.last else {
            return disk::sync_folder(&self.folder);
        };
        last.clean()?;
        last.is_clean = false;
        last.file.write_all_at(&[0; PROBE], last.bytes)?;
        last.file.sync_data()?;
        last.clean()
    }

    /// Takes away what a torn write has left.
    pub(in crate::store) fn clean(&mut self) -> Result<()> {
        self.last.as_mut().map_or(Ok(()), Last::clean)
    }

    /// Whether there are more segments than are kept.
    pub(in crate::store) fn has_surplus(&self) -> bool {
        self.segments.len() > self.limits.segments.max(1)
    }

    /// Removes the oldest segments, as far as more are there than are kept and their records are not
    /// beyond `covered`.
    pub(in crate::store) fn retire(&mut self, covered: u64) -> Result<usize> {
        let mut n_retired = 0;
        while self.has_surplus() {
            if covered + 1 < self.segments[1].first {
                break;
            }
            remove_file(&self.segments[0].path)?;
            self.segments.pop_front();
            n_retired += 1;
        }
        if n_retired > 0 {
            disk::sync_folder(&self.folder)?;
        }
        Ok(n_retired)
    }
}

impl Last {
    fn has_room(&self, limits: &Limits) -> bool {
        self.bytes < limits.bytes && self.records < limits.records
    }

    fn append(&mut self, lines: &str, n_records: u64) -> Result<()> {
        self.clean()?;
        self.is_clean = false;
        let written = self
            .file
            .write_all_at(lines.as_bytes(), self.bytes)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // After a failed fsync nobody knows what is on the disk (the kernel forgets that pages
            // were dirty): the bytes are taken away, and written anew when it is tried again.
            let _later = self.clean();
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        self.records += n_records;
        self.is_clean = true;
        Ok(())
    }

    fn clean(&mut self) -> Result<()> {
        if !self.is_clean {
            self.file.set_len(self.bytes)?;
            self.file.sync_all()?;
            self.is_clean = true;
        }
        Ok(())
    }
}
