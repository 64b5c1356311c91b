//! What the document of a release tells, put together from what is kept and from its records.

use crate::admin::releases::step;
use crate::admin::releases::view::View;
use crate::release::analysis::{CheckReport, Kind, Report, Tally};
use crate::release::document::{Contents, EvidenceRow, GateRow, Happening, HoldRow, Step};
use crate::release::state::State;
use crate::store::{ActorKind, Record};

/// Everything that the document of a release tells; of its records the last comes first.
pub(in crate::admin::releases) fn contents(
    view: &View,
    state: &State,
    report: Option<&Report>,
    records: &[Record],
) -> Contents {
    let spec = &state.spec;
    let steps = spec.strategy.steps.iter().enumerate();
    let steps = steps.map(|(place, of)| Step {
        what: step::words(of),
        progress: step::progress(state, place),
        gate: of.gate.clone(),
    });
    let holds = state.holds.iter().zip(view.holds(state));
    let holds = holds.map(|(hold, told)| HoldRow {
        reason: told.reason,
        since: hold.since,
        detail: told.detail,
        clears_when: told.clears_when,
        who_may_clear: told.who_may_clear,
    });
    let checks = report.map(|report| &report.checks[..]).unwrap_or_default();
    Contents {
        id: spec.id.clone(),
        attempt: state.attempt,
        route: spec.route.clone(),
        stable: spec.stable.clone(),
        candidate: spec.candidate.clone(),
        phase: match &state.cause {
            Some(cause) => format!("{}: {cause}", state.place()),
            None => state.place(),
        },
        author: spec.author.clone(),
        artifact: spec.artifact.clone(),
        commit: spec.commit.clone(),
        change: spec.change,
        risk: spec.risk,
        documents: spec.documents.clone(),
        steps: steps.collect(),
        gates: gates(view, state),
        holds: holds.collect(),
        evidence: checks.iter().map(evidence).collect(),
        review: state.review.clone(),
        timeline: records.iter().rev().map(happening).collect(),
        written_at: view.now,
    }
}

/// All gates, with how those stand that were asked or voted at.
fn gates(view: &View, state: &State) -> Vec<GateRow> {
    let strategy = &state.spec.strategy;
    let steps = strategy.steps.iter().filter_map(|step| step.gate.as_ref());
    let names = strategy.start_gate.iter().chain(steps);
    let mut rows: Vec<GateRow> = Vec::new();
    for name in names {
        if rows.iter().any(|row| row.name == *name) {
            continue;
        }
        let has_votes = state.votes.iter().any(|vote| vote.gate == *name);
        let rules = &view.board.world.rules;
        let judged = rules.gate_named(name, &view.page, state, view.report(state), view.now);
        rows.push(GateRow {
            name: name.clone(),
            state: judged.filter(|_| has_votes || state.asked.contains_key(name)),
        });
    }
    rows
}

fn evidence(check: &CheckReport) -> EvidenceRow {
    let tally = |tally: &Tally, rate: Option<f64>| match rate {
        Some(rate) => format!(
            "{:.0} of {:.0} ({:.2} %)",
            tally.bad,
            tally.requests,
            rate * 100.0
        ),
        None => format!("{:.0} of {:.0}", tally.bad, tally.requests),
    };
    let has_baseline = match check.kind {
        Kind::ErrorRate { .. } | Kind::Latency { .. } => true,
        Kind::Absolute { .. } | Kind::Mismatch { .. } => false,
    };
    EvidenceRow {
        check: check.name.clone(),
        candidate: tally(&check.step.candidate, check.candidate_rate),
        baseline: if has_baseline {
            tally(&check.step.baseline, check.baseline_rate)
        } else {
            "–".to_owned()
        },
        evidence: format!("{:.2}", check.ln_e),
        threshold: format!("{:.2}", check.ln_e_needed),
        verdict: check.text.clone(),
    }
}

fn happening(record: &Record) -> Happening {
    Happening {
        at: record.at,
        // A file is known by its hash, of which the beginning tells it from others.
        actor: match record.actor.kind {
            ActorKind::File => format!("file {}", record.actor.id.get(..12).unwrap_or_default()),
            ActorKind::User
            | ActorKind::Token
            | ActorKind::Controller
            | ActorKind::System
            | ActorKind::Local => record.actor.id.clone(),
        },
        action: record.action.clone(),
        detail: record.reason.clone().unwrap_or_default(),
    }
}
