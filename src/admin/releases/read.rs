//! What is told of releases.

use std::cmp::Reverse;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::aside;
use crate::admin::params::{Params, invalid};
use crate::admin::releases::view::View;
use crate::admin::releases::{desk, document as contents, report, step, unknown, with_etag};
use crate::admin::wire::{AnalysisStatus, Releases};
use crate::admin::{Served, reply};
use crate::config::with_causes;
use crate::release::analysis::{Baseline, Report};
use crate::release::document::render;
use crate::release::state::{Phase, State};
use crate::store::{Order, Query, Record, Store};

/// The most records of a release that its document tells of.
const MOST_RECORDS: usize = 500;

/// Records that are looked through for the last word of the analysis.
const LAST_RECORDS: usize = 50;

/// The content type of a document (RFC 7763).
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// All releases, or those that are asked for.
pub(in crate::admin) async fn list(
    Extract(served): Extract<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["state", "route"])?;
    let wanted = Wanted::read(params.text("state"))?;
    let route = params.text("route").map(str::to_owned);
    let desk = desk(&served)?;
    Ok(aside(served, move |_| {
        let view = View::of(&desk);
        let releases = view.page.known.releases.values();
        let mut found: Vec<&State> = releases
            .filter(|state| wanted.takes(state.phase))
            .filter(|state| {
                route
                    .as_ref()
                    .is_none_or(|route| *route == state.spec.route)
            })
            .collect();
        found.sort_by_key(|state| {
            let since = state.ended_at.unwrap_or(state.created_at);
            (Reverse(state.phase.is_active()), Reverse(since))
        });
        let releases = found.into_iter().map(|state| view.row(state));
        reply::json(&Releases {
            releases: releases.collect(),
        })
    })
    .await)
}

/// Which releases are wanted.
struct Wanted(Option<Vec<Phase>>);

impl Wanted {
    fn read(text: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = text else {
            return Ok(Self(None));
        };
        let mut wanted = Vec::new();
        for word in text.split(',') {
            let phases = Phase::ALL.into_iter();
            let found: Vec<Phase> = match word {
                "active" => phases.filter(|phase| phase.is_active()).collect(),
                "ended" => phases.filter(|phase| !phase.is_active()).collect(),
                name => phases.filter(|phase| phase.name() == name).collect(),
            };
            if found.is_empty() {
                let names = Phase::ALL.map(Phase::name).join(", ");
                let why = format!("state: `{word}` is none of active, ended, {names}");
                return Err(invalid(why));
            }
            wanted.extend(found);
        }
        Ok(Self(Some(wanted)))
    }

    fn takes(&self, phase: Phase) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.contains(&phase))
    }
}

/// One release.
pub(in crate::admin) async fn one(
    Extract(served): Extract<Served>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let view = View::of(&*desk(&served)?);
    let state = known(&view, &id)?;
    let response = reply::json(&view.release(state));
    Ok(with_etag(response, view.revision(&id)))
}

/// Why one stands where it stands.
pub(in crate::admin) async fn why(
    Extract(served): Extract<Served>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let view = View::of(&*desk(&served)?);
    let state = known(&view, &id)?;
    Ok(reply::json(&view.why(state)))
}

/// What the analysis says of one.
pub(in crate::admin) async fn analysis(
    Extract(served): Extract<Served>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let desk = desk(&served)?;
    known(&View::of(&desk), &id)?;
    Ok(aside(served, move |_| {
        let view = View::of(&desk);
        let Ok(state) = known(&view, &id) else {
            return reply::fault(unknown("release", &id));
        };
        let last = match view.report(state) {
            Some(report) => Some(report.clone()),
            None => last_report(desk.ledger().store(), state),
        };
        let settings = &state.spec.strategy.analysis;
        let at = state
            .step
            .and_then(|step| state.spec.strategy.steps.get(step));
        reply::json(&AnalysisStatus {
            id: id.clone(),
            attempt: state.attempt,
            phase: state.phase.name().to_owned(),
            step: state.step.map(|step| step + 1),
            require: at.map(|at| step::require(at.require).to_owned()),
            interval_seconds: settings.interval.as_secs_f64(),
            warmup_seconds: settings.warmup.as_secs_f64(),
            alpha: settings.alpha,
            baseline: match &settings.baseline {
                Baseline::Stable => "stable".to_owned(),
                Baseline::Slice => "slice".to_owned(),
                Baseline::Variant(name) => name.clone(),
            },
            report: last.as_ref().map(report::status),
        })
    })
    .await)
}

/// One as a document for everybody.
pub(in crate::admin) async fn document(
    Extract(served): Extract<Served>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let desk = desk(&served)?;
    known(&View::of(&desk), &id)?;
    Ok(aside(served, move |_| {
        let view = View::of(&desk);
        let Ok(state) = known(&view, &id) else {
            return reply::fault(unknown("release", &id));
        };
        let store = desk.ledger().store();
        let records = match records(store, &id, MOST_RECORDS) {
            Ok(records) => records,
            Err(fault) => return reply::fault(fault),
        };
        let last = view.report(state).cloned();
        let last = last.or_else(|| evidence(records.iter(), state));
        let contents = contents::contents(&view, state, last.as_ref(), &records);
        reply::text(StatusCode::OK, MARKDOWN, render(&contents))
    })
    .await)
}

fn known<'v>(view: &'v View, id: &str) -> Result<&'v State, Fault> {
    let state = view.page.known.releases.get(id);
    state.ok_or_else(|| unknown("release", id))
}

/// The last records of a release, the last one first.
fn records(store: &Store, id: &str, limit: usize) -> Result<Vec<Record>, Fault> {
    let query = Query {
        object_kind: Some("release".to_owned()),
        object_id: Some(id.to_owned()),
        limit,
        order: Order::Newest,
        ..Query::default()
    };
    let records = store.records(&query);
    records.map_err(|error| Fault::new(Code::Internal, with_causes(&error)))
}

/// What the analysis said last of an attempt, as it was kept with what it led to.
fn last_report(store: &Store, state: &State) -> Option<Report> {
    let records = records(store, &state.spec.id, LAST_RECORDS).ok()?;
    evidence(records.iter(), state)
}

fn evidence<'r>(records: impl Iterator<Item = &'r Record>, state: &State) -> Option<Report> {
    let mut own = records.filter(|record| record.object.attempt == Some(state.attempt));
    own.find_map(|record| serde_json::from_value(record.evidence.clone()?).ok())
}
