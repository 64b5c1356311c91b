//! What a variant is judged by: its requests that nobody forced to it, by what they say of it.
//!
//! Each request is of one class, and of one of 16 slices by the hash of its key, so that a part of a
//! variant's users can be compared with the rest of them: where those two differ, what the numbers
//! say of two variants is not to be trusted. Copies of requests are counted elsewhere.

use std::array;
use std::sync::OnceLock;

use crate::telemetry::stats::histogram::FineHistogram;
use crate::telemetry::stats::labels::label_values;
use crate::telemetry::stats::{Buckets, Counter, Finished};

/// How many slices there are.
pub const N_SLICES: usize = 16;

label_values! {
    /// What an exchange says of the variant that was chosen for it.
    ///
    /// The first one that holds, of: `client_closed`, `excused`, what went wrong with the variant
    /// itself, `unavailable`, and then what the answer says.
    Class {
        /// The upstream answered well: below 400, or with a status of gRPC that is no failure.
        Ok = "ok",
        /// The upstream answered with 400 to 499.
        ClientError = "client_error",
        /// The upstream answered with 500 or above, or it could not be asked or gave no valid answer,
        /// so that the client got 502 or 503; without timeouts. Or the client would have got that, had
        /// a further attempt not gone to another variant.
        ServerError = "server_error",
        /// No connection or no answer came in time (504), or the upstream says that of its own.
        Timeout = "timeout",
        /// The answer was cut after its head had been passed on with a status below 500.
        Reset = "reset",
        /// A call of gRPC failed by the service's fault; the status of HTTP is below 500.
        Grpc = "grpc",
        /// The variant could not be used and another one stood in for it, whatever came of that.
        Unavailable = "unavailable",
        /// The client went away before the end: neither good nor bad.
        ClientClosed = "client_closed",
        /// It says nothing of the variant: refused for what the client did or sent, or ended by
        /// tidegate for its own reasons.
        Excused = "excused",
    }
}

impl Class {
    /// True for an answer of the upstream's own whose time to its head tells how fast it is.
    pub fn is_answer(self) -> bool {
        match self {
            Self::Ok | Self::ClientError => true,
            Self::ServerError
            | Self::Timeout
            | Self::Reset
            | Self::Grpc
            | Self::Unavailable
            | Self::ClientClosed
            | Self::Excused => false,
        }
    }
}

/// The part of one worker.
#[derive(Debug, Default)]
pub(crate) struct Judging {
    /// Of the class `ok`, by slice: beside each other, as most requests end here.
    ok: [Counter; N_SLICES],
    /// From sending the request to the head of its answer.
    answers: FineHistogram,
    /// Of the other classes; a variant may well do without.
    others: OnceLock<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    /// By class, without the first, and by slice.
    classes: [[Counter; N_SLICES]; Class::N - 1],
    /// How long timeouts took as a whole: those have no answer whose time could be told.
    waits: FineHistogram,
}

impl Judging {
    /// Counts the end of an exchange.
    #[inline]
    pub(crate) fn add(&self, finished: &Finished, buckets: &Buckets) {
        let slice = usize::from(finished.slice) % N_SLICES;
        if finished.class == Class::Ok {
            self.ok[slice].add(1);
        } else {
            self.add_other(finished, slice, buckets);
        }
        if let Some(duration) = finished.response_headers
            && finished.class.is_answer()
        {
            self.answers.record(buckets, duration);
        }
    }

    #[cold]
    fn add_other(&self, finished: &Finished, slice: usize, buckets: &Buckets) {
        let others = self.others.get_or_init(Box::default);
        others.classes[finished.class as usize - 1][slice].add(1);
        if finished.class == Class::Timeout {
            others.waits.record(buckets, finished.duration);
        }
    }

    /// From sending a request to the head of its answer.
    pub(crate) fn answers(&self) -> &FineHistogram {
        &self.answers
    }
}

/// What a variant is judged by, since it was first configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judged {
    /// Requests that have ended, by slice and, in the order of [`Class::ALL`], by class.
    pub slices: [[u64; Class::N]; N_SLICES],
    /// How long answers took, by bucket of [`Buckets::fine_seconds`], the one without a bound last:
    /// of the classes `ok` and `client_error` from sending the request to the answer's head, and of
    /// timeouts all of their time, so that who never answers is not fast. What failed otherwise is
    /// not in it.
    pub latency: Vec<u64>,
}

impl Judged {
    pub(crate) fn new(buckets: &Buckets) -> Self {
        Self {
            slices: [[0; Class::N]; N_SLICES],
            latency: vec![0; buckets.fine_seconds().count() + 1],
        }
    }

    /// Adds what one worker has counted.
    pub(crate) fn add(&mut self, shard: &Judging) {
        let others = shard.others.get();
        for (slice, classes) in self.slices.iter_mut().enumerate() {
            classes[0] += shard.ok[slice].total();
            for (class, counters) in others.iter().flat_map(|others| &others.classes).enumerate() {
                classes[class + 1] += counters[slice].total();
            }
        }
        shard.answers.add_to(&mut self.latency);
        if let Some(others) = others {
            others.waits.add_to(&mut self.latency);
        }
    }

    /// Requests of all slices, by class in the order of [`Class::ALL`].
    pub fn classes(&self) -> [u64; Class::N] {
        let (all, _) = self.parted(N_SLICES);
        all
    }

    /// All requests, of whatever class.
    pub fn requests(&self) -> u64 {
        self.classes().iter().sum()
    }

    /// Requests by class of the first `n_slices` slices, and of the rest. Each slice has a sixteenth of
    /// the variant's users.
    pub fn parted(&self, n_slices: usize) -> ([u64; Class::N], [u64; Class::N]) {
        let (first, rest) = self.slices.split_at(n_slices.min(N_SLICES));
        let sum = |slices: &[[u64; Class::N]]| {
            array::from_fn(|class| slices.iter().map(|classes| classes[class]).sum())
        };
        (sum(first), sum(rest))
    }
}

#[cfg(test)]
mod tests;
