//! What the analysis says, as it is told.

use serde::Serialize;
use serde_json::Value;

use crate::admin::releases::view::stamp;
use crate::admin::wire::{
    ArmsStatus, CheckStatus, LatencyStatus, PercentilesStatus, ReportStatus, TallyStatus,
};
use crate::release::analysis::{
    Arms, CheckReport, LatencyReport, Percentiles, Report, Tally, Verdict,
};
use crate::release::look;

/// The word for a verdict.
pub(in crate::admin::releases) fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fail { .. } => "fail",
        Verdict::Proven => "proven",
        Verdict::NoRegression => "no-regression",
        Verdict::Insufficient { .. } => "insufficient",
        Verdict::NoData { .. } => "no-data",
        Verdict::SourceDown { .. } => "source-down",
        Verdict::Untrusted { .. } => "untrusted",
    }
}

/// All of a report.
pub(in crate::admin::releases) fn status(report: &Report) -> ReportStatus {
    let (check, missing_requests) = match &report.verdict {
        Verdict::Fail { check, .. } | Verdict::Untrusted { check } => (Some(check.clone()), None),
        Verdict::Insufficient { missing } => (None, finite(*missing)),
        Verdict::Proven
        | Verdict::NoRegression
        | Verdict::NoData { .. }
        | Verdict::SourceDown { .. } => (None, None),
    };
    ReportStatus {
        verdict: verdict(&report.verdict).to_owned(),
        text: look::text(report),
        check,
        missing_requests,
        at: stamp(report.at),
        since: report.since.map(stamp),
        n_ticks: report.n_ticks,
        checks: report.checks.iter().map(of_check).collect(),
    }
}

fn of_check(check: &CheckReport) -> CheckStatus {
    // A kind is an object with its name and its margins.
    let mut settings = match serde_json::to_value(&check.kind) {
        Ok(Value::Object(settings)) => settings,
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    let kind = settings.remove("kind");
    CheckStatus {
        name: check.name.clone(),
        kind: kind
            .as_ref()
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        settings,
        verdict: word(&check.verdict),
        on_fail: word(&check.on_fail),
        dry_run: check.dry_run,
        required: check.required,
        since: stamp(check.since),
        restarted: check.restarted.as_ref().map(word),
        release: arms(&check.release),
        step: arms(&check.step),
        candidate_rate: check.candidate_rate.and_then(finite),
        baseline_rate: check.baseline_rate.and_then(finite),
        ln_e: finite(check.ln_e),
        ln_e_needed: finite(check.ln_e_needed),
        over_floor: check.over_floor,
        pass_ln_e: finite(check.pass_ln_e),
        pass_ln_e_needed: finite(check.pass_ln_e_needed),
        guard_ln_e: check.guard_ln_e.and_then(finite),
        needed_requests: finite(check.needed_requests),
        phi: check.phi,
        latency: check.latency.as_ref().map(latency),
        text: check.text.clone(),
    }
}

fn arms(arms: &Arms) -> ArmsStatus {
    let tally = |tally: &Tally| TallyStatus {
        requests: tally.requests,
        bad: tally.bad,
    };
    ArmsStatus {
        candidate: tally(&arms.candidate),
        baseline: tally(&arms.baseline),
    }
}

fn latency(latency: &LatencyReport) -> LatencyStatus {
    let percentiles = |of: Percentiles| PercentilesStatus {
        p50_seconds: of.p50,
        p95_seconds: of.p95,
        p99_seconds: of.p99,
    };
    LatencyStatus {
        threshold_seconds: latency.threshold,
        candidate: latency.candidate.map(percentiles),
        baseline: latency.baseline.map(percentiles),
    }
}

/// JSON has no infinity.
fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// The word for a value that is written as one.
pub(in crate::admin::releases) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
