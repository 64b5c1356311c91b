//! What one run of the generator came to, and how it is told: one JSON object.

use crate::histogram::Histogram;
use crate::reply::{Fault, Noted};
use crate::requests::Requests;
use std::time::Duration;

/// Requests that did not end in a whole response, by what went wrong.
#[derive(Default)]
pub struct Errors {
    /// No connection could be made.
    pub connect: u64,
    /// The other side ended the connection in the middle, or while it was idle, unannounced.
    pub closed: u64,
    /// The connection broke: a reset, for one.
    pub broken: u64,
    /// The response was no HTTP/1.1 response with a length, or more came than was asked for.
    pub framing: u64,
    /// A 200 had another length than was asked for.
    pub length: u64,
    /// No answer came until the end of the run and its grace.
    pub timeout: u64,
}

/// Everything that is counted in a run.
#[derive(Default)]
pub struct Tally {
    /// Connections that were begun.
    pub opened: u64,
    /// Responses after which the server said that it closes.
    pub announced_closes: u64,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// What the heads told.
    pub noted: Noted,
    /// What failed.
    pub errors: Errors,
    requests: u64,
    in_time: u64,
    statuses: Vec<(u16, u64)>,
    latency: Histogram,
    /// How much later than they could requests of the open loop were sent.
    late: Histogram,
    n_queued: u64,
}

impl Errors {
    /// Counts a response that cannot be believed.
    pub fn add_fault(&mut self, fault: &Fault) {
        match fault {
            Fault::Framing => self.framing += 1,
            Fault::Length => self.length += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.closed + self.broken + self.framing + self.length + self.timeout
    }
}

impl Tally {
    /// Counts a whole response; `in_time` when it came before the end of the run.
    pub fn answered(&mut self, status: u16, took: Duration, in_time: bool) {
        self.requests += 1;
        self.in_time += u64::from(in_time);
        self.latency
            .record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        match self.statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => self.statuses.push((status, 1)),
        }
    }

    /// Counts a request of the open loop that was sent `late` after it was due and a connection was
    /// free, which is the generator's own doing; `queued` when none was free when it was due, which
    /// is the proxy's.
    pub fn sent(&mut self, late: Duration, queued: bool) {
        self.late
            .record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
        self.n_queued += u64::from(queued);
    }

    /// All of it as JSON; `seconds` is how long the run was meant to be, `requests` what
    /// was asked for in it.
    pub fn json(&self, seconds: f64, requests: &Requests) -> String {
        let (lines, wavering) = (requests.len(), requests.n_wavering());
        let errors = &self.errors;
        let non_2xx: u64 = self
            .statuses
            .iter()
            .filter(|(status, _)| !(200..300).contains(status))
            .map(|(_, count)| count)
            .sum();
        let statuses = object(self.statuses.iter().map(|(name, n)| (name.to_string(), *n)));
        let groups = object(
            self.noted
                .groups
                .counts
                .iter()
                .map(|(name, n)| (String::from_utf8_lossy(name).into_owned(), *n)),
        );
        let fields = object(self.noted.fields.counts());
        let named = [
            ("connect", errors.connect),
            ("closed", errors.closed),
            ("broken", errors.broken),
            ("framing", errors.framing),
            ("length", errors.length),
            ("timeout", errors.timeout),
        ];
        let by_cause = object(named.into_iter().map(|(name, n)| (name.to_owned(), n)));
        format!(
            "{{\"seconds\":{seconds},\"requests\":{},\"rps\":{:.1},\"opened\":{},\"bytes\":{},\
             \"errors\":{},\"errors_by_cause\":{by_cause},\"announced_closes\":{},\
             \"non_2xx\":{non_2xx},\"statuses\":{statuses},\"groups\":{groups},\
             \"fields\":{fields},\"lines\":{lines},\"wavering\":{wavering},\"queued\":{},\
             \"late_us\":{},\"p50_us\":{},\"p99_us\":{},\"p999_us\":{},\"p9999_us\":{},\
             \"max_us\":{:.1}}}",
            self.requests,
            self.in_time as f64 / seconds,
            self.opened,
            self.bytes,
            errors.total(),
            self.announced_closes,
            self.n_queued,
            self.lateness(),
            microseconds(&self.latency, 0.5),
            microseconds(&self.latency, 0.99),
            microseconds(&self.latency, 0.999),
            microseconds(&self.latency, 0.9999),
            self.latency.largest() as f64 / 1000.0,
        )
    }

    fn lateness(&self) -> String {
        format!(
            "{{\"p50\":{},\"p99\":{},\"p999\":{},\"max\":{}}}",
            microseconds(&self.late, 0.5),
            microseconds(&self.late, 0.99),
            microseconds(&self.late, 0.999),
            microseconds(&self.late, 1.0),
        )
    }
}

/// A quantile in microseconds; `null` without values.
fn microseconds(histogram: &Histogram, quantile: f64) -> String {
    histogram.quantile(quantile).map_or_else(
        || "null".to_owned(),
        |ns| format!("{:.1}", ns as f64 / 1000.0),
    )
}

/// A JSON object of counts.
pub fn object(fields: impl Iterator<Item = (String, u64)>) -> String {
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("\"{}\":{value}", name.replace(['"', '\\'], "_")))
        .collect();
    format!("{{{}}}", fields.join(","))
}
