//! The walk along a journal, from its first line to its last, that finds what is wrong with it.
//!
//! What the last write left unfinished is no flaw: a line without an end, or one with bytes that were
//! never written (zeros, which JSON has none of), with nothing whole behind it. A commit is confirmed
//! when all of its line is on the disk, so nobody was told of such a record.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::ops::ControlFlow;
use std::path::Path;

use crate::store::chain::{self, Flaw, Head, Link};
use crate::store::segment::{Lines, Piece, Segment};

/// How often the list of segments is made again when one went away meanwhile (retention removes one
/// at a time, and rarely).
const LISTINGS: usize = 8;

/// One line, as it is seen on the walk.
#[derive(Debug)]
pub(in crate::store) struct Seen<'a> {
    pub(in crate::store) segment: &'a Segment,
    /// The number of the line in its segment, from 1.
    pub(in crate::store) number: u64,
    /// The record that should be here.
    pub(in crate::store) expected: u64,
    /// What it says of its place, where its own hash holds.
    pub(in crate::store) link: Option<&'a Link>,
    /// What is wrong with it.
    pub(in crate::store) flaw: Option<Flaw>,
    pub(in crate::store) line: &'a [u8],
}

/// What is known of a journal at the end of the walk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::store) struct Walked {
    /// The record that the first segment begins with; 0 where there is no segment.
    pub(in crate::store) first: u64,
    pub(in crate::store) head: Head,
    pub(in crate::store) n_records: u64,
    pub(in crate::store) cluster: Option<String>,
    /// The bytes behind the last whole line that the last write left.
    pub(in crate::store) torn: u64,
    /// The bytes and records of the last segment, without these.
    pub(in crate::store) last_bytes: u64,
    pub(in crate::store) last_records: u64,
}

/// Opens the segments of a store, so that none goes away during the walk.
pub(in crate::store) fn open(folder: &Path) -> Result<Vec<(Segment, File)>> {
    let mut listing = 1;
    loop {
        let opened = Segment::list(folder)?
            .into_iter()
            .map(|segment| File::open(&segment.path).map(|file| (segment, file)))
            .collect::<Result<Vec<_>>>();
        match opened {
            Err(error) if error.kind() == ErrorKind::NotFound && listing < LISTINGS => listing += 1,
            opened => return opened,
        }
    }
}

/// Walks along the segments and shows every line; `see` may end the walk.
pub(in crate::store) fn walk(
    segments: Vec<(Segment, File)>,
    mut see: impl FnMut(Seen<'_>) -> ControlFlow<()>,
) -> Result<Walked> {
    let n_segments = segments.len();
    let mut walked = Walked {
        first: segments.first().map_or(0, |(segment, _)| segment.first),
        ..Walked::default()
    };
    walked.head.seq = walked.first.saturating_sub(1);
    for (index, (segment, file)) in segments.into_iter().enumerate() {
        let mut steps = Steps {
            walked: &mut walked,
            segment: &segment,
            is_last: index + 1 == n_segments,
            number: 0,
            unwritten: None,
        };
        if steps.along(Lines::new(file), &mut see)?.is_break() {
            break;
        }
    }
    Ok(walked)
}

/// The steps along one segment.
struct Steps<'a> {
    walked: &'a mut Walked,
    segment: &'a Segment,
    is_last: bool,
    number: u64,
    /// Where a line with bytes that were never written begins, and its number.
    unwritten: Option<(u64, u64)>,
}

impl Steps<'_> {
    fn along(
        &mut self,
        mut lines: Lines,
        see: &mut impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.walked.last_bytes = 0;
        self.walked.last_records = 0;
        while let Some(piece) = lines.next()? {
            self.number += 1;
            let read = match piece {
                Piece::Line => chain::read(lines.line()),
                Piece::TooLong => Err(Flaw::TooLong),
                Piece::Rest if self.is_last => {
                    let whole = self.unwritten.map_or(lines.offset(), |(offset, _)| offset);
                    self.walked.torn = lines.next_offset() - whole;
                    return Ok(ControlFlow::Continue(()));
                }
                Piece::Rest => Err(Flaw::Cut),
            };
            let is_unwritten = read.is_err() && lines.line().contains(&0);
            if self.is_last && is_unwritten {
                self.unwritten.get_or_insert((lines.offset(), self.number));
                continue;
            }
            // Something whole is behind it: it is a flaw after all.
            if let Some((_, number)) = self.unwritten.take() {
                let seen = self.step(number, Err(Flaw::NoRecord), &[], see);
                if seen.is_break() {
                    return Ok(seen);
                }
            }
            let seen = self.step(self.number, read, lines.line(), see);
            self.walked.last_bytes = lines.next_offset();
            self.walked.last_records += 1;
            if seen.is_break() {
                return Ok(seen);
            }
        }
        if let Some((offset, _)) = self.unwritten {
            self.walked.torn = lines.next_offset() - offset;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn step(
        &mut self,
        number: u64,
        read: std::result::Result<Link, Flaw>,
        line: &[u8],
        see: &mut impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let expected = self.walked.head.seq + 1;
        let (link, flaw) = match read {
            Ok(link) => {
                let flaw = self.place(&link, number).err();
                (Some(link), flaw)
            }
            Err(flaw) => (None, Some(flaw)),
        };
        self.walked.n_records += 1;
        self.walked.head = match &link {
            Some(link) => Head {
                seq: link.seq.max(self.walked.head.seq),
                hash: link.hash.clone(),
            },
            // What comes next can still be chained to what cannot be read.
            None => Head {
                seq: expected,
                hash: chain::sha256(line),
            },
        };
        see(Seen {
            segment: self.segment,
            number,
            expected,
            link: link.as_ref(),
            flaw,
            line,
        })
    }

    /// Holds a link against what was seen before it.
    fn place(&mut self, link: &Link, number: u64) -> std::result::Result<(), Flaw> {
        let cluster = self.walked.cluster.get_or_insert(link.cluster.clone());
        if *cluster != link.cluster {
            return Err(Flaw::Cluster(link.cluster.clone()));
        }
        if number == 1 && link.seq != self.segment.first {
            return Err(Flaw::OutOfPlace {
                expected: self.segment.first,
                found: link.seq,
            });
        }
        let is_beginning = self.walked.n_records == 0;
        if is_beginning && link.seq > 1 {
            return Ok(()); // what was before it has been retired
        }
        if is_beginning {
            return chain::follows(link, &chain::genesis(&link.cluster));
        }
        chain::follows(link, &self.walked.head)
    }
}
