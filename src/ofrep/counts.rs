//! What happened, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::flag::Evaluation;
use crate::ofrep::fault::Code;

/// How a flag was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// By its name: somebody uses it.
    One,
    /// With all others that who asks may see, which says nothing of whether anybody uses it.
    All,
}

/// Whoever counts evaluations of one set of flags: positions are those of that set.
pub trait Counts: Send + Sync {
    /// A flag was evaluated.
    fn evaluated(&self, evaluation: &Evaluation<'_>, asked: Asked);

    /// A flag that nobody asked for had a variant on which the answer of another one depended.
    fn needed(&self, flag: usize, variant: usize);
}

/// What happened since the service began.
#[derive(Debug, Default)]
pub struct Totals {
    errors: [AtomicU64; Code::ALL.len()],
    refused: AtomicU64,
    limited: AtomicU64,
    bulk: AtomicU64,
    not_modified: AtomicU64,
    streams: AtomicU64,
    streams_refused: AtomicU64,
}

/// [`Totals`], as they are at one time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counted {
    /// Answers with an error, in the order of [`Code::ALL`].
    pub errors: [u64; Code::ALL.len()],
    /// Of these, requests whose sender may not ask.
    pub refused: u64,
    /// Of these, requests that came too often.
    pub limited: u64,
    /// Answers with all flags, those that were not modified included.
    pub bulk: u64,
    /// Of these, those that were known already.
    pub not_modified: u64,
    /// Streams that are open.
    pub streams: u64,
    /// Streams that were refused because as many were open as may be.
    pub streams_refused: u64,
}

impl Totals {
    /// What they are.
    pub fn read(&self) -> Counted {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted {
            errors: self.errors.each_ref().map(load),
            refused: load(&self.refused),
            limited: load(&self.limited),
            bulk: load(&self.bulk),
            not_modified: load(&self.not_modified),
            streams: load(&self.streams),
            streams_refused: load(&self.streams_refused),
        }
    }

    /// An answer with an error.
    pub(in crate::ofrep) fn failed(&self, code: Code) {
        for (count, known) in self.errors.iter().zip(Code::ALL) {
            if known == code {
                add(count);
            }
        }
    }

    /// Who asks may not.
    pub(in crate::ofrep) fn refused(&self) {
        add(&self.refused);
    }

    /// Who asks does so too often.
    pub(in crate::ofrep) fn limited(&self) {
        add(&self.limited);
    }

    /// An answer with all flags.
    pub(in crate::ofrep) fn bulk(&self) {
        add(&self.bulk);
    }

    /// An answer that was known already.
    pub(in crate::ofrep) fn not_modified(&self) {
        add(&self.not_modified);
    }

    /// Counts a stream as open, if fewer than so many are; [`Totals::closed`] is its end.
    pub(in crate::ofrep) fn open(&self, most: usize) -> bool {
        let more = |open: u64| (open < most as u64).then(|| open + 1);
        let order = Ordering::Relaxed;
        self.streams.fetch_update(order, order, more).is_ok()
    }

    /// There was no place for a stream.
    pub(in crate::ofrep) fn stream_refused(&self) {
        add(&self.streams_refused);
    }

    /// A stream has ended.
    pub(in crate::ofrep) fn closed(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
