//! How many requests each group answered: in all, and in slices of time.
//!
//! The slices let the harness hold the share of each group against the weights that were in force
//! at that moment, whoever sent the requests.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The width of a slice: a tenth of the shortest time between two changes of weights.
const SLICE_MS: u64 = 10;

/// The number of slices kept: ten minutes. What comes later is counted in the last.
const MAX_SLICES: usize = 60_000;

/// The counts of all groups.
pub struct Counts {
    names: Vec<String>,
    totals: Vec<u64>,
    started_ms: u64,
    slices: Vec<Vec<u32>>,
}

impl Counts {
    /// Makes counts that begin now, all zero.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            totals: vec![0; names.len()],
            names,
            started_ms: now_ms(),
            slices: Vec::new(),
        }
    }

    /// The slice that the present falls into; asked once for all events of one wait.
    pub fn slice(&self) -> usize {
        let since = now_ms().saturating_sub(self.started_ms);
        ((since / SLICE_MS) as usize).min(MAX_SLICES - 1)
    }

    /// Counts one answer of `group`.
    pub fn add(&mut self, group: usize, slice: usize) {
        self.totals[group] += 1;
        if self.slices.len() <= slice {
            self.slices.resize(slice + 1, vec![0; self.names.len()]);
        }
        self.slices[slice][group] += 1;
    }

    /// The totals as a JSON object, by group.
    pub fn totals_json(&self) -> String {
        let fields: Vec<String> = self
            .names
            .iter()
            .zip(&self.totals)
            .map(|(name, total)| format!("\"{name}\":{total}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    /// Every slice that is not empty as a JSON array `[unix milliseconds, count of each group…]`.
    pub fn timeline_json(&self) -> String {
        let mut rows = String::new();
        for (index, slice) in self.slices.iter().enumerate() {
            if slice.iter().all(|&count| count == 0) {
                continue;
            }
            let at = self.started_ms + index as u64 * SLICE_MS;
            let counts: Vec<String> = slice.iter().map(u32::to_string).collect();
            let comma = if rows.is_empty() { "" } else { "," };
            let _ = write!(rows, "{comma}[{at},{}]", counts.join(","));
        }
        let names: Vec<String> = self
            .names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        format!(
            "{{\"slice_ms\":{SLICE_MS},\"groups\":[{}],\"slices\":[{rows}]}}",
            names.join(",")
        )
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use crate::counts::Counts;

    #[test]
    fn every_answer_is_in_the_totals_and_in_its_slice() {
        let mut counts = Counts::new(vec!["blue".into(), "green".into()]);
        counts.add(0, 0);
        counts.add(0, 2);
        counts.add(1, 2);
        assert_eq!(counts.totals_json(), r#"{"blue":2,"green":1}"#);
        let start = counts.started_ms;
        assert_eq!(
            counts.timeline_json(),
            format!(
                r#"{{"slice_ms":10,"groups":["blue","green"],"slices":[[{start},1,0],[{},1,1]]}}"#,
                start + 20
            )
        );
    }
}
