//! What others are told of a release: one event for each transition, written with it.

use serde_json::{Value, json};

use crate::notify::{Event, Severity};
use crate::release::hold::{Hold, Reason};
use crate::release::ledger::Cause;
use crate::release::state::{Phase, State};
use crate::store::ActorKind;

/// The event of a change of a release; none where nobody needs to be told.
pub fn of(
    cluster: &str,
    action: &str,
    before: Option<&State>,
    after: &State,
    cause: &Cause,
) -> Option<Value> {
    let (kind, severity) = kind(action, cause.actor.kind, before, after)?;
    let spec = &after.spec;
    let mut event = Event::new(cause.at, kind, severity, cluster);
    event.release = Some(spec.id.clone());
    event.route = Some(spec.route.clone());
    event.stable = Some(spec.stable.clone());
    event.candidate = Some(spec.candidate.clone());
    event.attempt = Some(after.attempt);
    event.phase = Some(after.phase.to_string());
    event.step = after.step.and_then(|step| u32::try_from(step).ok());
    event.weight = Some(after.weight.percent());
    event.actor = Some(cause.actor.id.clone());
    event.reason = Some(cause.reason.clone());
    event.artifact.clone_from(&spec.artifact);
    event.detail = detail(kind, after);
    if let Some(evidence) = &cause.evidence {
        event.data.insert("evidence".into(), evidence.clone());
    }
    if !after.holds.is_empty() {
        let holds = after
            .holds
            .iter()
            .map(|hold| json!(hold.reason.to_string()));
        event.data.insert("holds".into(), holds.collect());
    }
    serde_json::to_value(event).ok()
}

fn kind(
    action: &str,
    by: ActorKind,
    before: Option<&State>,
    after: &State,
) -> Option<(&'static str, Severity)> {
    let phase = before.map(|before| before.phase);
    if before.is_none() {
        return Some(("release.created", Severity::Info));
    }
    if phase != Some(after.phase) || before.map(|before| before.step) != Some(after.step) {
        return Some(match after.phase {
            Phase::Pending => ("release.retried", Severity::Info),
            Phase::Preview | Phase::Progressing | Phase::Baking
                if phase == Some(Phase::Pending) =>
            {
                ("release.started", Severity::Info)
            }
            Phase::Preview | Phase::Progressing => ("release.step", Severity::Info),
            Phase::Baking => ("release.baking", Severity::Info),
            Phase::Promoted => ("release.promoted", Severity::Info),
            Phase::RolledBack => ("release.rolled_back", Severity::Critical),
            // A person who ends it knows; what the numbers ended, somebody has to be told.
            Phase::Aborted if by == ActorKind::Controller => ("release.failed", Severity::Critical),
            Phase::Aborted => ("release.aborted", Severity::Info),
            Phase::Superseded => ("release.superseded", Severity::Info),
            Phase::Cancelled => ("release.cancelled", Severity::Info),
        });
    }
    match action {
        "release.hold" => {
            let is_new = |reason: &Reason| {
                before.is_some_and(|before| before.holds.iter().all(|hold| hold.reason != *reason))
            };
            let mut new = after
                .holds
                .iter()
                .filter(|hold| is_new(&hold.reason))
                .peekable();
            new.peek()?;
            let asks = new.any(|hold| matches!(hold.reason, Reason::Approval(_)));
            Some(if asks {
                ("release.approval_needed", Severity::Warning)
            } else {
                ("release.held", Severity::Warning)
            })
        }
        "release.go" => Some(("release.resumed", Severity::Info)),
        "release.weight" => Some(("release.weight", Severity::Warning)),
        "release.conflict" => Some(("config.conflict", Severity::Warning)),
        "release.conflict.clear" | "release.accept-file" | "release.keep" => {
            Some(("config.resolved", Severity::Info))
        }
        "release.alarm" => Some(("release.alarm", Severity::Critical)),
        "release.pause" => Some(("release.paused", Severity::Info)),
        "release.resume" => Some(("release.unpaused", Severity::Info)),
        "release.gate.approve" => Some(("release.approved", Severity::Info)),
        "release.gate.pass" => Some(("release.gate_passed", Severity::Warning)),
        "freeze.override" => Some(("freeze.override", Severity::Warning)),
        "release.review" => Some(("freeze.review_closed", Severity::Info)),
        _ => None,
    }
}

fn detail(kind: &str, after: &State) -> Option<String> {
    if kind == "release.alarm" {
        return after.alarm.clone();
    }
    if let Some(cause) = &after.cause {
        return Some(cause.clone());
    }
    if kind == "config.conflict" {
        return after
            .conflict
            .as_ref()
            .map(|conflict| conflict.what.clone());
    }
    let told = |hold: &Hold| format!("{}: {}", hold.reason, hold.detail);
    let lines: Vec<String> = after.holds.iter().map(told).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
