//! What the analysis of a release says, with every number that led to it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The answer of `GET /api/v1/releases/{id}/analysis`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct AnalysisStatus {
    /// The release.
    pub id: String,
    /// Which attempt.
    pub attempt: u32,
    /// Its phase.
    pub phase: String,
    /// The step, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// What the step asks for: `not-failed`, `no-regression` or `proven`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<String>,
    /// How long a tick is.
    pub interval_seconds: f64,
    /// How long after a step's start nothing counts, hard stops aside.
    pub warmup_seconds: f64,
    /// The chance of a false failure over the whole release, of all comparing checks together.
    pub alpha: f64,
    /// What the candidate is compared with: `stable`, `slice`, or the name of a variant.
    pub baseline: String,
    /// What was said last; none before there is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportStatus>,
}

/// What was said at the end of a tick.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ReportStatus {
    /// `fail`, `proven`, `no-regression`, `insufficient`, `no-data`, `source-down` or `untrusted`.
    pub verdict: String,
    /// The same in a sentence.
    pub text: String,
    /// The check that decided it, of `fail` and `untrusted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Requests to the candidate that are missing, of `insufficient`; 0 when only time is missing, or
    /// evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_requests: Option<f64>,
    /// When it was said.
    pub at: String,
    /// When the step began to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How many ticks of this step count.
    pub n_ticks: u64,
    /// Each check.
    pub checks: Vec<CheckStatus>,
}

/// One check with its numbers. Evidence is the natural logarithm of an e-value; one that is not
/// finite is absent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// `error_rate`, `latency`, `absolute` or `mismatch`.
    pub kind: String,
    /// Its margins, as the configuration names them: `bad`, `fail_ratio`, `fail_abs`, `pass_ratio`,
    /// `pass_abs`, `quantile`, `max`, `alpha`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// `fail`, `untrusted`, `idle`, `insufficient`, `no-regression` or `proven`.
    pub verdict: String,
    /// `rollback` or `hold`: what follows when it fails.
    pub on_fail: String,
    /// True when it decides nothing.
    pub dry_run: bool,
    /// True when it has to pass.
    pub required: bool,
    /// When its evidence began.
    pub since: String,
    /// Why that was not at the release's start: `settings`, `baseline` or `bounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<String>,
    /// Requests since then.
    pub release: ArmsStatus,
    /// Requests in this step.
    pub step: ArmsStatus,
    /// The share of bad requests of the candidate in this step, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_rate: Option<f64>,
    /// The same of the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_rate: Option<f64>,
    /// The evidence that the candidate is worse than the margin allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ln_e: Option<f64>,
    /// From where on it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ln_e_needed: Option<f64>,
    /// True when the candidate looks worse by `fail_abs`, without which evidence does not fail it.
    pub over_floor: bool,
    /// The evidence that the candidate is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_ln_e: Option<f64>,
    /// From where on it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_ln_e_needed: Option<f64>,
    /// The evidence that stable differs from itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_ln_e: Option<f64>,
    /// How many requests to the candidate a step takes at least, unless it is proven before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_requests: Option<f64>,
    /// The dispersion that evidence is divided by: 1 where bad requests come one by one.
    pub phi: f64,
    /// Of checks of latency, once there was a window to take the threshold from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyStatus>,
    /// All that in one sentence.
    pub text: String,
}

/// Requests of the two sides.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ArmsStatus {
    /// Of the candidate.
    pub candidate: TallyStatus,
    /// Of what it is compared with; nothing of hard stops and mismatches.
    pub baseline: TallyStatus,
}

/// How many requests, and how many of them bad.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct TallyStatus {
    /// All requests.
    pub requests: f64,
    /// The bad ones of them.
    pub bad: f64,
}

/// The latencies behind a check.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct LatencyStatus {
    /// What is slower than this is slow, fixed for the step.
    pub threshold_seconds: f64,
    /// Of the candidate in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<PercentilesStatus>,
    /// Of the baseline in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<PercentilesStatus>,
}

/// Percentiles, interpolated within buckets: for people, no verdict depends on them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct PercentilesStatus {
    /// The median.
    pub p50_seconds: f64,
    /// Of twenty requests one is slower.
    pub p95_seconds: f64,
    /// Of a hundred requests one is slower.
    pub p99_seconds: f64,
}
