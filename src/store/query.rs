//! Queries: what somebody wants to read of the history.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use thiserror::Error as ThisError;

use crate::store::instant;
use crate::store::record::Record;
use crate::store::segment::{Lines, Piece, Segment};

/// The most records of one answer.
pub const MAX_LIMIT: usize = 10_000;

/// The most bytes of one answer, as lines of the journal: some thousand records of releases.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// In which order records are wanted, and which of them where there are too many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// The first ones first.
    #[default]
    Oldest,
    /// The last ones first.
    Newest,
}

/// Which records somebody wants: those that all of the fields let through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// From this record on.
    pub since: Option<u64>,
    /// Up to this record.
    pub until: Option<u64>,
    /// Made at this time or later.
    pub not_before: Option<SystemTime>,
    /// Made at this time or earlier.
    pub not_after: Option<SystemTime>,
    /// Done to objects of this kind.
    pub object_kind: Option<String>,
    /// Done to an object of this name.
    pub object_id: Option<String>,
    /// With an action that begins like this.
    pub action: Option<String>,
    /// Done by the actor of this name.
    pub actor: Option<String>,
    /// At most so many, and never more than [`MAX_LIMIT`].
    pub limit: usize,
    /// In this order.
    pub order: Order,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            since: None,
            until: None,
            not_before: None,
            not_after: None,
            object_kind: None,
            object_id: None,
            action: None,
            actor: None,
            limit: 100,
            order: Order::Oldest,
        }
    }
}

/// Why the history cannot be read.
#[derive(Debug, ThisError)]
#[error("{} cannot be read", path.display())]
pub struct ReadError {
    /// What cannot be read.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: Error,
}

/// What of a record a query looks at.
#[derive(Deserialize)]
struct Sketch {
    seq: u64,
    #[serde(rename = "ts", with = "crate::store::instant::milliseconds")]
    at: SystemTime,
    action: String,
    object: Named,
    actor: Named,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    kind: String,
    id: String,
}

impl Query {
    fn takes_seq(&self, seq: u64) -> bool {
        self.since.is_none_or(|since| since <= seq) && self.until.is_none_or(|until| seq <= until)
    }

    fn takes(&self, sketch: &Sketch) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let begins = |wanted: &String| sketch.action.starts_with(wanted.as_str());
        // Records have whole milliseconds, so a bound has them, too.
        let not_before = self.not_before.map(instant::in_milliseconds);
        self.takes_seq(sketch.seq)
            && not_before.is_none_or(|bound| bound <= sketch.at)
            && self.not_after.is_none_or(|bound| sketch.at <= bound)
            && is(&self.object_kind, &sketch.object.kind)
            && is(&self.object_id, &sketch.object.id)
            && is(&self.actor, &sketch.actor.id)
            && self.action.as_ref().is_none_or(begins)
    }
}

/// Reads records from the segments in `folder` up to `last`, and from `unwritten`, the lines that
/// follow it and are not on the disk.
pub(in crate::store) fn read(
    folder: &Path,
    query: &Query,
    last: u64,
    unwritten: &[String],
) -> Result<Vec<Record>, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError { path, source }
    };
    let segments = Segment::list(folder).map_err(failed(folder))?;
    let mut answer = Answer::new(query);
    let nexts = segments.iter().skip(1).map(|segment| segment.first);
    let ends: Vec<u64> = nexts.map(|first| first - 1).chain([last]).collect();
    let since = query.since.unwrap_or_default();
    let until = query.until.unwrap_or(u64::MAX).min(last);
    let wanted = segments.iter().zip(ends);
    let wanted = wanted.filter(|(segment, end)| segment.first <= until && since <= *end);
    let mut wanted: Vec<&Segment> = wanted.map(|(segment, _)| segment).collect();
    if query.order == Order::Newest {
        wanted.reverse();
        answer.add_all(unwritten);
    }
    for segment in wanted {
        if answer.is_full() {
            break;
        }
        match File::open(&segment.path) {
            Ok(file) => answer
                .add_segment(file, last)
                .map_err(failed(&segment.path))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {} // retired meanwhile
            Err(error) => return Err(failed(&segment.path)(error)),
        }
    }
    if query.order == Order::Oldest && !answer.is_full() {
        answer.add_all(unwritten);
    }
    Ok(answer.records)
}

/// The answer to a query, as far as it is read.
struct Answer<'a> {
    query: &'a Query,
    limit: usize,
    records: Vec<Record>,
    n_bytes: usize,
}

impl<'a> Answer<'a> {
    fn new(query: &'a Query) -> Self {
        Self {
            query,
            limit: query.limit.min(MAX_LIMIT),
            records: Vec::new(),
            n_bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.limit || self.n_bytes >= MAX_ANSWER_BYTES
    }

    fn add_all(&mut self, lines: &[String]) {
        let mut found = Found::default();
        for line in lines {
            self.consider(line.as_bytes(), u64::MAX, &mut found);
        }
        self.take(found);
    }

    fn add_segment(&mut self, file: File, last: u64) -> Result<(), Error> {
        let mut lines = Lines::new(file);
        let mut found = Found::default();
        while let Some(piece) = lines.next()? {
            let is_full = self.query.order == Order::Oldest && self.is_filled_by(&found);
            if is_full || piece == Piece::Rest {
                break;
            }
            if piece == Piece::Line {
                self.consider(lines.line(), last, &mut found);
            }
        }
        self.take(found);
        Ok(())
    }

    fn is_filled_by(&self, found: &Found) -> bool {
        self.limit <= self.records.len() + found.records.len()
            || MAX_ANSWER_BYTES <= self.n_bytes + found.n_bytes
    }

    /// Adds a line to what was found, if it is wanted; of too many, the oldest goes when the newest
    /// are wanted. A line that cannot be read is passed over: `verify` tells of it.
    fn consider(&self, line: &[u8], last: u64, found: &mut Found) {
        let sketch = serde_json::from_slice::<Sketch>(line).ok();
        if !sketch.is_some_and(|sketch| sketch.seq <= last && self.query.takes(&sketch)) {
            return;
        }
        let Ok(record) = serde_json::from_slice(line) else {
            return;
        };
        if self.is_filled_by(found) {
            if self.query.order == Order::Oldest {
                return;
            }
            let oldest = found.records.pop_front();
            found.n_bytes -= oldest.map_or(0, |(_, n_bytes)| n_bytes);
        }
        found.n_bytes += line.len();
        found.records.push_back((record, line.len()));
    }

    fn take(&mut self, found: Found) {
        self.n_bytes += found.n_bytes;
        let records = found.records.into_iter().map(|(record, _)| record);
        match self.query.order {
            Order::Oldest => self.records.extend(records),
            Order::Newest => self.records.extend(records.rev()),
        }
    }
}

/// What was found in one segment.
#[derive(Default)]
struct Found {
    records: VecDeque<(Record, usize)>,
    n_bytes: usize,
}
