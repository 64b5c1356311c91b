//! The queue of a sink: what it is still to be told, in order, and what became of it.
//!
//! Pure. One event after the other, so that a reader sees things in the order in which they were,
//! and an alert's end after its beginning. What waits behind an event that a sink cannot take now
//! waits no longer than that event: who does not answer gets nothing, and who refuses an event for
//! what it says gets the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::notify::alerts::Alerts;
use crate::notify::backoff::{GIVEN_UP_AFTER, delay_as_told};
use crate::notify::event::Entry;
use crate::outbound::{Answer, OutboundError};

/// The events that wait for a sink at most: a busy day of releases. More than that means that the
/// sink is long dead, and the oldest go.
pub(in crate::notify) const MOST: usize = 4096;
/// An answer that is shown is cut to so many characters.
const SHOWN: usize = 200;

/// How far a sink has come: what must survive a restart.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::notify) struct Place {
    /// Everything up to here was sent, was not wanted, or was given up.
    pub(in crate::notify) after: u64,
    /// The alerts that are to be sent again.
    #[serde(default)]
    pub(in crate::notify) alerts: Alerts,
}

/// What came of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::notify) enum Outcome {
    /// The sink has it.
    Taken,
    /// The sink will never take it, because of what it says.
    Refused { why: String },
    /// The sink could not take it now.
    Failed {
        why: String,
        /// For how long it wants to be left alone.
        again_in: Option<Duration>,
    },
}

/// What waits for a sink.
#[derive(Debug)]
pub(in crate::notify) struct Queue {
    pub(in crate::notify) place: Place,
    /// What was read from the outbox.
    read: u64,
    waiting: VecDeque<Arc<Entry>>,
    /// How many requests of the first one were taken.
    n_parts: usize,
    /// How often it failed in a row.
    failures: u32,
}

impl Queue {
    /// Makes the queue of a sink that has come to a place.
    pub(in crate::notify) fn new(place: Place) -> Self {
        Self {
            read: place.after,
            place,
            waiting: VecDeque::new(),
            n_parts: 0,
            failures: 0,
        }
    }

    /// From where on the outbox is to be read.
    pub(in crate::notify) fn read(&self) -> u64 {
        self.read
    }

    /// Takes in an entry that is wanted. True when there were too many and the oldest went.
    #[must_use]
    pub(in crate::notify) fn push(&mut self, entry: Arc<Entry>) -> bool {
        let seq = entry.seq;
        self.waiting.push_back(entry);
        self.skip_to(seq);
        let is_full = MOST < self.waiting.len();
        if is_full {
            self.pop();
        }
        is_full
    }

    /// Notes that there is nothing to tell up to a place.
    pub(in crate::notify) fn skip_to(&mut self, seq: u64) {
        self.read = self.read.max(seq);
        self.settle();
    }

    /// The one that is told next.
    pub(in crate::notify) fn first(&self) -> Option<&Arc<Entry>> {
        self.waiting.front()
    }

    /// How many of its requests were taken before.
    pub(in crate::notify) fn n_parts(&self) -> usize {
        self.n_parts
    }

    /// Notes that one request of several was taken.
    pub(in crate::notify) fn part_taken(&mut self) {
        self.n_parts += 1;
    }

    /// Notes that the sink works.
    pub(in crate::notify) fn works(&mut self) {
        self.failures = 0;
    }

    /// Notes that the first one is done with: it was told, or refused.
    pub(in crate::notify) fn pop(&mut self) {
        self.waiting.pop_front();
        self.n_parts = 0;
        self.settle();
    }

    /// Notes that the sink failed. Tells how many are given up, being too old, and how long it is
    /// left alone.
    #[must_use]
    pub(in crate::notify) fn failed(
        &mut self,
        now: SystemTime,
        random: f64,
        again_in: Option<Duration>,
    ) -> (u64, Duration) {
        self.failures = self.failures.saturating_add(1);
        let mut n_given_up = 0;
        let is_too_old = |entry: &Arc<Entry>| {
            let age = now.duration_since(entry.event.at);
            age.is_ok_and(|age| GIVEN_UP_AFTER <= age)
        };
        while self.waiting.front().is_some_and(is_too_old) {
            self.pop();
            n_given_up += 1;
        }
        (n_given_up, delay_as_told(self.failures, random, again_in))
    }

    /// How often it failed in a row.
    pub(in crate::notify) fn failures(&self) -> u32 {
        self.failures
    }

    /// How many wait.
    pub(in crate::notify) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the oldest waits.
    pub(in crate::notify) fn oldest(&self) -> Option<SystemTime> {
        self.waiting.iter().map(|entry| entry.event.at).min()
    }

    fn settle(&mut self) {
        let open = self.waiting.front().map(|entry| entry.seq - 1);
        self.place.after = self.place.after.max(open.unwrap_or(self.read));
    }
}

impl Outcome {
    /// What an answer, or that there is none, means.
    pub(in crate::notify) fn of(result: Result<Answer, OutboundError>, now: SystemTime) -> Self {
        let answer = match result {
            Ok(answer) => answer,
            // The rest of an answer is not worth telling the same again.
            Err(error) if error.status().is_some_and(|status| status.is_success()) => {
                return Self::Taken;
            }
            Err(error) => {
                return Self::Failed {
                    why: error.in_a_line(),
                    again_in: None,
                };
            }
        };
        if answer.status.is_success() {
            return Self::Taken;
        }
        let why = said(&answer);
        if is_about_content(answer.status) {
            return Self::Refused { why };
        }
        Self::Failed {
            why,
            again_in: again_in(&answer, now),
        }
    }
}

/// Whether a status means that the same content will be refused again. Who must sign in first, or
/// is not found, may be there when somebody has mended the configuration.
fn is_about_content(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

/// The answer in a line.
fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect();
    match words.as_str() {
        "" => format!("answered {}", answer.status),
        words => format!("answered {}: {words}", answer.status),
    }
}

/// What `Retry-After` says (RFC 9110, section 10.2.3): seconds or a date.
fn again_in(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let value = answer
        .fields
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?;
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
