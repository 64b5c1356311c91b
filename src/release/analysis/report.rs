//! What the analysis has to say: a verdict, and every number that led to it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::analysis::{Arms, Kind, OnFail};

/// What a release is told at the end of a tick.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Of all checks together.
    pub verdict: Verdict,
    /// When it was given.
    pub at: SystemTime,
    /// When the step began; `None` before the first.
    pub since: Option<SystemTime>,
    /// How many ticks of this step count.
    pub n_ticks: u64,
    /// Each check, by name.
    pub checks: Vec<CheckReport>,
}

/// A verdict on a candidate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is worse, by the evidence of this check.
    Fail {
        /// The name of the check.
        check: String,
        /// What follows.
        on_fail: OnFail,
    },
    /// It was shown to be good, by every required check.
    Proven,
    /// There were enough requests for all required checks, the step's time is over, and nothing
    /// speaks against it.
    NoRegression,
    /// Nothing speaks against it, and not enough for it.
    Insufficient {
        /// How many requests to the candidate are missing; 0 when only time is missing, or evidence.
        missing: f64,
    },
    /// An arm gets no requests.
    NoData {
        /// Which.
        arm: Arm,
    },
    /// The source of the counters cannot be asked.
    SourceDown {
        /// Why.
        why: String,
    },
    /// Stable differs from itself by as much as would fail a candidate.
    Untrusted {
        /// The name of the check.
        check: String,
    },
}

/// What can be silent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The candidate.
    Candidate,
    /// What it is compared with.
    Baseline,
    /// The comparison of mirrored responses.
    Mirror,
}

/// What one check has to say, from the worst to the best.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// Worse.
    Fail,
    /// The A/A guard rejects.
    Untrusted,
    /// It does not look in a step like this: at mirrored requests in a step without them, at users
    /// in a step without any.
    Idle,
    /// Too few requests, or too little time.
    Insufficient,
    /// Enough requests, and nothing that speaks against it.
    NoRegression,
    /// Shown to be good.
    Proven,
}

/// Why a check's evidence had to begin anew in the midst of a release.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// The check was changed.
    Settings,
    /// The baseline is another.
    Baseline,
    /// The bounds of the latencies' buckets are others.
    Bounds,
}

/// One check, with the numbers that led to its verdict.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// What it looks at, with its margins.
    #[serde(flatten)]
    pub kind: Kind,
    /// What it has to say.
    pub verdict: CheckVerdict,
    /// What follows when it fails.
    pub on_fail: OnFail,
    /// Whether it decides nothing.
    pub dry_run: bool,
    /// Whether it has to pass.
    pub required: bool,
    /// When its evidence began.
    pub since: SystemTime,
    /// Why that was not at the release's start.
    pub restarted: Option<Restart>,
    /// Requests and bad ones since then. A hard stop and mismatches have no baseline.
    pub release: Arms,
    /// The same in this step. In a step where everyone is on the candidate, the baseline's side is
    /// what it was in the window before.
    pub step: Arms,
    /// The share of bad requests of the candidate in this step.
    pub candidate_rate: Option<f64>,
    /// The share of bad requests of the baseline in this step.
    pub baseline_rate: Option<f64>,
    /// The natural logarithm of the evidence that the candidate is worse than the margin allows.
    pub ln_e: f64,
    /// From where on it fails.
    pub ln_e_needed: f64,
    /// Whether the candidate looks worse by `fail_abs`, without which evidence does not fail it.
    pub over_floor: bool,
    /// The natural logarithm of the evidence that the candidate is good, the better of both ways.
    pub pass_ln_e: f64,
    /// From where on it is proven.
    pub pass_ln_e_needed: f64,
    /// The natural logarithm of the evidence that stable differs from itself.
    pub guard_ln_e: Option<f64>,
    /// How many requests to the candidate a step takes at least, unless it is proven before.
    pub needed_requests: f64,
    /// The dispersion that evidence is divided by: 1 where bad requests come one by one.
    pub phi: f64,
    /// Of checks of latency, once there was a window to take the threshold from.
    pub latency: Option<LatencyReport>,
    /// All that in one sentence, for a person.
    pub text: String,
}

/// The latencies behind a check of latency, in seconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct LatencyReport {
    /// What is slower than this is slow: a bucket's bound, fixed for the step.
    pub threshold: f64,
    /// Of the candidate in this step.
    pub candidate: Option<Percentiles>,
    /// Of the baseline in this step.
    pub baseline: Option<Percentiles>,
}

/// Percentiles in seconds, interpolated within buckets: for people, no verdict depends on them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Of twenty requests one is slower.
    pub p95: f64,
    /// Of a hundred requests one is slower.
    pub p99: f64,
}
