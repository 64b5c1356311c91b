//! What the analysis is told: counters of both arms, which only grow, and what a tick added to them.
//!
//! Counters are `f64`, because a source that sums over instances extrapolates. A counter that falls
//! was started anew; then nobody knows what the tick added, and the tick is skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A way to end badly. A request ends in one of them at most.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Bad {
    /// A status of 500 to 599 that is not a timeout.
    #[serde(rename = "5xx")]
    ServerError,
    /// The upstream took too long, whatever the client was told.
    #[serde(rename = "timeout")]
    Timeout,
    /// The response was cut after its head.
    #[serde(rename = "reset")]
    Reset,
    /// A status of 400 to 499.
    #[serde(rename = "4xx")]
    ClientError,
    /// A gRPC status that is not 0, in a response of status 200.
    #[serde(rename = "grpc")]
    Grpc,
}

/// What became of the requests of one arm, since some start.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counters {
    /// How many requests ended.
    pub requests: f64,
    /// How many of them ended badly, by the way; a way that is missing is 0.
    pub bad: BTreeMap<Bad, f64>,
    /// How many took how long: one for each bound of the reading, not cumulative, and one for those
    /// over the last bound.
    pub latency: Vec<f64>,
}

/// What the comparison of mirrored responses came to, since some start.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Mirrored {
    /// How many pairs of responses were compared.
    pub compared: f64,
    /// How many of them differed.
    pub mismatched: f64,
}

/// The baseline divided by a hash of the user, as if a part of it were a candidate.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Slice {
    /// A part that is about as large as the candidate.
    pub slice: Counters,
    /// All the others.
    pub rest: Counters,
}

/// One reading of all counters at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The candidate, without forced and mirrored requests.
    pub candidate: Counters,
    /// What it is compared with, without forced and mirrored requests.
    pub baseline: Counters,
    /// For the A/A guard.
    pub slice: Option<Slice>,
    /// For checks of mismatches.
    pub mirrored: Option<Mirrored>,
    /// The bounds of the latencies' buckets in seconds, ascending.
    pub bounds: Arc<[f64]>,
}

/// What the source had to say at the end of a tick.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, once in a tick"
)]
pub enum Seen {
    /// Counters.
    Reading(Reading),
    /// Nothing that can be trusted, and why.
    SourceDown(String),
}

/// How many requests, and how many of them bad.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Tally {
    /// All requests.
    pub requests: f64,
    /// The bad ones of them.
    pub bad: f64,
}

/// One tally for each arm.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Arms {
    /// Of the candidate.
    pub candidate: Tally,
    /// Of what it is compared with.
    pub baseline: Tally,
}

impl Counters {
    /// What was added since `before`; `None` when the counters were started anew in between.
    pub(crate) fn since(&self, before: &Self) -> Option<Self> {
        if self.latency.len() != before.latency.len() {
            return None;
        }
        let mut bad = BTreeMap::new();
        for class in before.bad.keys().chain(self.bad.keys()) {
            let added = grown(self.of(*class), before.of(*class))?;
            bad.insert(*class, added);
        }
        let pairs = self.latency.iter().zip(&before.latency);
        Some(Self {
            requests: grown(self.requests, before.requests)?,
            bad,
            latency: pairs
                .map(|(&now, &then)| grown(now, then))
                .collect::<Option<_>>()?,
        })
    }

    /// Adds what a tick added.
    pub(crate) fn add_latency_to(&self, sum: &mut Vec<f64>) {
        sum.resize(self.latency.len(), 0.0);
        for (sum, added) in sum.iter_mut().zip(&self.latency) {
            *sum += added;
        }
    }

    /// How many ended in one of these ways. Counters are not read all at the same instant, so that
    /// there may seem to be more bad requests than requests.
    pub(crate) fn tally(&self, classes: &BTreeSet<Bad>) -> Tally {
        let bad: f64 = classes.iter().map(|class| self.of(*class)).sum();
        Tally {
            requests: self.requests,
            bad: bad.min(self.requests),
        }
    }

    /// How many were slower than the bound of this index.
    pub(crate) fn slower_than(&self, index: usize) -> Tally {
        Tally {
            requests: self.latency.iter().sum(),
            bad: self.latency.iter().skip(index + 1).sum(),
        }
    }

    /// Whether every counter is a number that a counter can be.
    pub(crate) fn is_sound(&self) -> bool {
        let all = self.bad.values().chain(&self.latency);
        all.chain([&self.requests])
            .all(|count| count.is_finite() && *count >= 0.0)
    }

    fn of(&self, class: Bad) -> f64 {
        self.bad.get(&class).copied().unwrap_or(0.0)
    }
}

impl Slice {
    /// What was added since `before`; `None` when the counters were started anew in between.
    pub(crate) fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            slice: self.slice.since(&before.slice)?,
            rest: self.rest.since(&before.rest)?,
        })
    }
}

impl Mirrored {
    /// What was added since `before`; `None` when the counters were started anew in between.
    pub(crate) fn since(&self, before: &Self) -> Option<Tally> {
        let requests = grown(self.compared, before.compared)?;
        let bad = grown(self.mismatched, before.mismatched)?;
        Some(Tally {
            requests,
            bad: bad.min(requests),
        })
    }
}

impl Reading {
    /// Why nobody can judge by this reading.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if !self.candidate.is_sound() {
            return Some("a counter of the candidate is not a number");
        }
        if !self.baseline.is_sound() {
            return Some("a counter of the baseline is not a number");
        }
        let slice = self.slice.as_ref();
        if slice.is_some_and(|slice| !slice.slice.is_sound() || !slice.rest.is_sound()) {
            return Some("a counter of the slice is not a number");
        }
        let mirrored = self.mirrored.unwrap_or_default();
        let sound = [mirrored.compared, mirrored.mismatched];
        if sound.iter().any(|count| !count.is_finite() || *count < 0.0) {
            return Some("a counter of the mirror is not a number");
        }
        None
    }
}

impl Tally {
    /// The share of bad requests; `None` without requests.
    pub fn rate(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.bad / self.requests)
    }

    /// Adds another tally.
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bad += other.bad;
    }
}

impl Arms {
    /// Adds what a tick added.
    pub(crate) fn add(&mut self, other: Self) {
        self.candidate.add(other.candidate);
        self.baseline.add(other.baseline);
    }
}

fn grown(now: f64, then: f64) -> Option<f64> {
    (now >= then).then_some(now - then)
}
