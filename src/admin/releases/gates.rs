//! Gates: how they stand, and votes at them.

use std::time::SystemTime;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use http::Uri;

use crate::admin::fault::Fault;
use crate::admin::handlers::Nothing;
use crate::admin::mutation::Mutation;
use crate::admin::params::Params;
use crate::admin::releases::commands::ask;
use crate::admin::releases::desk;
use crate::admin::releases::report::word;
use crate::admin::releases::view::{View, stamp};
use crate::admin::wire::{Approved, ChecklistItem, GateStatus, Gates, IgnoredApproval, Said};
use crate::admin::{Served, reply};
use crate::release::command::Command;
use crate::release::gate::{Approval, GateState, Item};
use crate::release::role::Role;
use crate::release::state::State;

/// The gates that are waited at.
pub(in crate::admin) async fn waited_at(
    Extract(served): Extract<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    let desk = desk(&served)?;
    let view = View::of(&desk);
    let states = view.page.known.releases.values();
    let mut gates: Vec<GateStatus> = states
        .filter(|state| state.phase.is_active())
        .filter_map(|state| next(&view, state))
        .filter(|gate| gate.asked_at.is_some() && gate.state != "open")
        .collect();
    gates.sort_by(|a, b| a.asked_at.cmp(&b.asked_at));
    Ok(reply::json(&Gates { gates }))
}

/// Agrees at a gate.
pub(in crate::admin) async fn approve(
    served: Extract<Served>,
    Path((id, gate)): Path<(String, String)>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    vote(served, &id, Command::Approve(gate), mutation).await
}

/// Disagrees at a gate, which ends the release.
pub(in crate::admin) async fn reject(
    served: Extract<Served>,
    Path((id, gate)): Path<(String, String)>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    vote(served, &id, Command::Reject(gate), mutation).await
}

/// Passes a gate without its approvals, in an emergency.
pub(in crate::admin) async fn pass(
    served: Extract<Served>,
    Path((id, gate)): Path<(String, String)>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    vote(served, &id, Command::PassGate(gate), mutation).await
}

async fn vote(
    Extract(served): Extract<Served>,
    id: &str,
    command: Command,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    ask(&served, id, &command, &mutation).await
}

/// The gate before what comes next, if there is one.
pub(in crate::admin::releases) fn next(view: &View, state: &State) -> Option<GateStatus> {
    let name = state.spec.strategy.gate(state.step)?;
    Some(of(view, state, name))
}

/// The gates that are still ahead, in their order; all of a release that is over.
pub(in crate::admin::releases) fn ahead(view: &View, state: &State) -> Vec<GateStatus> {
    let strategy = &state.spec.strategy;
    let is_active = state.phase.is_active();
    let has_started = is_active && state.step.is_some();
    let first = strategy.start_gate.as_deref().filter(|_| !has_started);
    let passed = state.step.filter(|_| is_active).unwrap_or_default();
    let steps = strategy.steps.iter().skip(passed);
    let names = first
        .into_iter()
        .chain(steps.filter_map(|step| step.gate.as_deref()));
    let mut gates: Vec<GateStatus> = Vec::new();
    for name in names {
        if gates.iter().all(|known| known.name != name) {
            gates.push(of(view, state, name));
        }
    }
    gates
}

fn of(view: &View, state: &State, name: &str) -> GateStatus {
    let spec = &state.spec;
    let rules = &view.board.world.rules;
    let gate = rules.gates.get(name);
    let names = |roles: &[Role]| roles.iter().map(|role| role.name().to_owned()).collect();
    let asked_at = state.asked.get(name).map(|asked| asked.at);
    let mut status = GateStatus {
        name: name.to_owned(),
        release: spec.id.clone(),
        route: spec.route.clone(),
        state: "unknown".to_owned(),
        is_next: state.phase.is_active() && spec.strategy.gate(state.step) == Some(name),
        who_may: gate.map(|gate| names(gate.who_may())).unwrap_or_default(),
        have: 0,
        need: gate.map_or(0, |gate| gate.approvals),
        distinct_from_author: gate.is_some_and(|gate| gate.distinct_from_author),
        approvals: Vec::new(),
        ignored: Vec::new(),
        rejected: None,
        passed: None,
        checklist: Vec::new(),
        missing: String::new(),
        asked_at: asked_at.map(stamp),
        expires_at: None,
        is_overdue: false,
    };
    let judged = rules.gate_named(name, &view.page, state, view.report(state), view.now);
    match judged {
        None => status.missing = "it is not configured".to_owned(),
        Some(judged) => fill(&mut status, judged),
    }
    status
}

fn fill(status: &mut GateStatus, judged: GateState) {
    match judged {
        GateState::Open(open) => {
            status.state = "open".to_owned();
            status.have = u32::try_from(open.approvals.len()).unwrap_or(u32::MAX);
            status.approvals = approvals(&open.approvals);
            status.passed = open.exception.map(|by| said(&by.actor, &by.reason, by.at));
            status.checklist = checklist(&open.checklist);
            status.expires_at = open.until.map(stamp);
        }
        GateState::Waiting(waiting) => {
            status.state = "waiting".to_owned();
            status.missing = waiting.missing();
            status.have = waiting.have;
            status.need = waiting.need;
            status.approvals = approvals(&waiting.approvals);
            let ignored = waiting.ignored.iter();
            status.ignored = ignored
                .map(|ignored| IgnoredApproval {
                    by: ignored.by.clone(),
                    at: stamp(ignored.at),
                    why: word(&ignored.why),
                })
                .collect();
            status.checklist = checklist(&waiting.checklist);
            status.expires_at = waiting.expires_at.map(stamp);
            status.is_overdue = waiting.overdue;
        }
        GateState::Rejected(no) => {
            status.state = "rejected".to_owned();
            status.rejected = Some(said(&no.by, &no.reason, no.at));
        }
        GateState::TimedOut { at, .. } => {
            status.state = "timed-out".to_owned();
            status.expires_at = Some(stamp(at));
        }
    }
}

fn approvals(approvals: &[Approval]) -> Vec<Approved> {
    let approvals = approvals.iter().map(|approval| Approved {
        said: said(&approval.by, &approval.reason, approval.at),
        expires_at: approval.expires_at.map(stamp),
    });
    approvals.collect()
}

fn checklist(items: &[Item]) -> Vec<ChecklistItem> {
    let items = items.iter().map(|item| ChecklistItem {
        criterion: item.criterion.to_string(),
        done: item.done,
        detail: item.detail.clone(),
    });
    items.collect()
}

fn said(by: &str, reason: &str, at: SystemTime) -> Said {
    Said {
        by: by.to_owned(),
        reason: reason.to_owned(),
        at: stamp(at),
    }
}
