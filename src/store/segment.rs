//! Segments: the files of a journal, named by the first record in each.

use std::fs::{File, read_dir};
use std::io::{BufRead, BufReader, Read, Result};
use std::path::{Path, PathBuf};

use crate::store::commit::MAX_RECORD_BYTES;

/// One file of a journal.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::store) struct Segment {
    /// The number of its first record, by its name.
    pub(in crate::store) first: u64,
    /// Where it is.
    pub(in crate::store) path: PathBuf,
}

impl Segment {
    /// The segment in `folder` that begins with the record `first`.
    pub(in crate::store) fn new(folder: &Path, first: u64) -> Self {
        let path = folder.join(format!("audit-{first:020}.jsonl"));
        Self { first, path }
    }

    /// The segments in `folder`, in their order.
    pub(in crate::store) fn list(folder: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in read_dir(folder)? {
            let path = entry?.path();
            if let Some(first) = number(&path, "audit-", ".jsonl") {
                found.push(Self { first, path });
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The number between the two ends of a file's name.
pub(in crate::store) fn number(path: &Path, before: &str, after: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// What is read from a segment.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::store) enum Piece {
    /// A line, without its end, in [`Lines::line`].
    Line,
    /// More bytes than a record may have, without an end among them; reading goes on at its end.
    TooLong,
    /// What is behind the last line, in [`Lines::line`] as far as a record may go.
    Rest,
}

/// Reads a segment line by line, never more than a record in memory.
#[derive(Debug)]
pub(in crate::store) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the line begins that was read last.
    offset: u64,
    next_offset: u64,
}

impl Lines {
    /// Reads from the beginning of a file.
    pub(in crate::store) fn new(file: File) -> Self {
        Self {
            reader: BufReader::with_capacity(64 * 1024, file),
            line: Vec::new(),
            offset: 0,
            next_offset: 0,
        }
    }

    /// Reads the next piece, or nothing at the end.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Piece>> {
        self.line.clear();
        self.offset = self.next_offset;
        let limit = MAX_RECORD_BYTES as u64 + 1;
        let n_read = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        self.next_offset += n_read as u64;
        if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(Some(Piece::Line));
        }
        if n_read == 0 {
            return Ok(None);
        }
        if (n_read as u64) < limit {
            return Ok(Some(Piece::Rest));
        }
        let (skipped, has_end) = skip_line(&mut self.reader)?;
        self.next_offset += skipped;
        Ok(Some(if has_end { Piece::TooLong } else { Piece::Rest }))
    }

    /// The line that was read last.
    pub(in crate::store) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Where the line begins that was read last.
    pub(in crate::store) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the next line begins.
    pub(in crate::store) fn next_offset(&self) -> u64 {
        self.next_offset
    }
}

/// Passes over the rest of a line, however long it is; tells how long, and whether it has an end.
fn skip_line(reader: &mut BufReader<File>) -> Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let buffered = reader.fill_buf()?;
        let end = buffered.iter().position(|&byte| byte == b'\n');
        let n = end.map_or(buffered.len(), |end| end + 1);
        reader.consume(n);
        skipped += n as u64;
        if end.is_some() || n == 0 {
            return Ok((skipped, end.is_some()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, write};
    use std::path::Path;

    use crate::store::commit::MAX_RECORD_BYTES;
    use crate::store::segment::{Lines, Piece, Segment};

    #[test]
    fn only_names_of_segments_are_segments() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["audit-1.jsonl", "audit-0000000000000000000x.jsonl", "other"] {
            write(folder.path().join(name), "").unwrap();
        }
        for first in [11, 1, 2] {
            write(Segment::new(folder.path(), first).path, "").unwrap();
        }
        let found = Segment::list(folder.path()).unwrap();
        let firsts: Vec<u64> = found.iter().map(|segment| segment.first).collect();
        assert_eq!(firsts, [1, 2, 11]);
        let name = Path::new("audit-00000000000000000011.jsonl");
        assert!(found[2].path.ends_with(name));
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let long = "x".repeat(MAX_RECORD_BYTES * 2);
        let exact = "y".repeat(MAX_RECORD_BYTES);
        write(&path, format!("a\n{long}\n{exact}\n\nb")).unwrap();
        let mut lines = Lines::new(File::open(&path).unwrap());
        assert_eq!(lines.next().unwrap(), Some(Piece::Line));
        assert_eq!(lines.next().unwrap(), Some(Piece::TooLong));
        assert_eq!(lines.next().unwrap(), Some(Piece::Line));
        assert_eq!(lines.line(), exact.as_bytes());
        assert_eq!(lines.next().unwrap(), Some(Piece::Line));
        assert_eq!(lines.line(), b"");
        assert_eq!(lines.next().unwrap(), Some(Piece::Rest));
        assert_eq!(lines.line(), b"b");
        assert_eq!(lines.offset() + 1, lines.next_offset());
        assert_eq!(lines.next().unwrap(), None);
    }
}
