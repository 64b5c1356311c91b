//! Releases as they are told of: what is kept, with what the last tick made of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::admin::fault::any_of;
use crate::admin::releases::report::{self, word};
use crate::admin::releases::{gates, step};
use crate::admin::wire::{
    EndpointsStatus, ExceptionStatus, HoldStatus, Release, ReleaseRow, ReviewStatus, Said,
    TestStatus, Why,
};
use crate::release::analysis::{Baseline, Kind, Report};
use crate::release::desk::{Board, Desk, Told};
use crate::release::hold::{Hold, Reason};
use crate::release::keys;
use crate::release::ledger::Page;
use crate::release::look;
use crate::release::percent::Percent;
use crate::release::readiness::{Document, Passed};
use crate::release::state::{self, Phase, State};
use crate::release::step::Endpoints;
use crate::release::test::TestKind;
use crate::store::instant;

/// What is known at a moment.
pub(in crate::admin) struct View {
    /// What is kept.
    pub(in crate::admin) page: Arc<Page>,
    /// What the last tick saw.
    pub(in crate::admin) board: Arc<Board>,
    /// The moment.
    pub(in crate::admin) now: SystemTime,
}

impl View {
    /// What is known now.
    pub(in crate::admin) fn of(desk: &Desk) -> Self {
        Self {
            page: desk.ledger().read(),
            board: desk.board(),
            now: SystemTime::now(),
        }
    }

    /// The revision of what is kept of a release.
    pub(in crate::admin) fn revision(&self, id: &str) -> u64 {
        self.page.revision(&keys::release(id))
    }

    /// What the analysis said last of a release as it is.
    pub(in crate::admin::releases) fn report(&self, state: &State) -> Option<&Report> {
        self.told(state)?.report.as_ref()
    }

    fn told(&self, state: &State) -> Option<&Told> {
        self.board
            .releases
            .get(&state.spec.id)
            .filter(|_| state.phase.is_active())
    }

    /// A release in a few words.
    pub(in crate::admin) fn row(&self, state: &State) -> ReleaseRow {
        let spec = &state.spec;
        let report = self.report(state);
        ReleaseRow {
            id: spec.id.clone(),
            revision: self.revision(&spec.id),
            route: spec.route.clone(),
            stable: spec.stable.clone(),
            candidate: spec.candidate.clone(),
            kind: word(&spec.strategy.kind),
            phase: state.phase.name().to_owned(),
            is_active: state.phase.is_active(),
            attempt: state.attempt,
            step: state.step.map(|step| step + 1),
            n_steps: spec.strategy.steps.len(),
            weight_percent: state.weight.percent(),
            share_percent: report.and_then(|report| share(state, report)),
            verdict: report.map(|report| report::verdict(&report.verdict).to_owned()),
            holds: self.holds(state),
            until: self.until(state),
            cause: state.cause.clone(),
            review_is_required: state.review.is_required(),
            created_at: stamp(state.created_at),
            started_at: state.started_at.map(stamp),
            entered_at: stamp(state.entered_at),
            ended_at: state.ended_at.map(stamp),
        }
    }

    /// All of a release.
    pub(in crate::admin) fn release(&self, state: &State) -> Release {
        let spec = &state.spec;
        let report = self.report(state);
        let route = self.board.world.routes.get(&spec.route);
        let route = route.filter(|_| state.phase.is_active());
        let endpoints = |variant: &String| {
            let endpoints = route?.variants.get(variant)?;
            Some(endpoints_status(endpoints))
        };
        let documents = Document::ALL.into_iter();
        let documents = documents.filter(|it| spec.documents.text(*it).is_some());
        let begun = state.extended.as_ref().map(|said| said.at);
        let begun = begun
            .or(state.started_at)
            .filter(|_| state.phase.is_active());
        let deadline = begun.zip(spec.strategy.deadline);
        let promoted = state.ended_at.filter(|_| state.phase == Phase::Promoted);
        let window = spec.strategy.rollback_window;
        Release {
            row: self.row(state),
            origin: word(&state.origin),
            created_by: state.created_by.clone(),
            spec_sha256: spec.sha256(),
            artifact: spec.artifact.clone(),
            commit: spec.commit.clone(),
            commit_time: spec.commit_time.map(stamp),
            author: spec.author.clone(),
            change: state.review.change_type(spec.change).name().to_owned(),
            risk: spec.risk.map(|risk| risk.name().to_owned()),
            ticket: spec.documents.ticket.clone(),
            documents: documents.map(|it| it.name().to_owned()).collect(),
            not_before: spec.not_before.map(stamp),
            after: spec.after.clone(),
            rework_of: spec.rework_of.clone(),
            start: word(&spec.start),
            strategy: spec.strategy.name.clone(),
            steps: step::all(state),
            gates: gates::ahead(self, state),
            tests: tests(state),
            verdict_text: report.map(look::text),
            stable_endpoints: endpoints(&spec.stable),
            candidate_endpoints: endpoints(&spec.candidate),
            acknowledged_at: self
                .told(state)
                .and_then(|told| told.acknowledged)
                .map(stamp),
            deadline_at: deadline
                .and_then(|(begun, deadline)| instant::after(begun, deadline))
                .map(stamp),
            rollback_until: promoted
                .and_then(|at| instant::after(at, window))
                .map(stamp),
            first_bad_at: state.first_bad_at.map(stamp),
            alarm: state.alarm.clone(),
            paused: state.paused.as_ref().map(said),
            started: state.start.as_ref().map(said),
            extended: state.extended.as_ref().map(said),
            skipped: state.skipped.iter().map(said).collect(),
            cap_percent: state.cap.map(Percent::percent),
            conflict: state.conflict.as_ref().map(|it| it.what.clone()),
            review: review(state),
        }
    }

    /// Why a release stands where it stands.
    pub(in crate::admin::releases) fn why(&self, state: &State) -> Why {
        let report = self.report(state);
        let gate = gates::next(self, state).filter(|_| state.phase.is_active());
        Why {
            id: state.spec.id.clone(),
            phase: state.phase.name().to_owned(),
            place: state.place(),
            text: self.text(state),
            next: step::next(state),
            until: self.until(state),
            holds: self.holds(state),
            verdict: report.map(|report| report::verdict(&report.verdict).to_owned()),
            verdict_text: report.map(look::text),
            approvals: gate
                .iter()
                .flat_map(|gate| gate.approvals.clone())
                .collect(),
            gate,
            conflict: state.conflict.as_ref().map(|it| it.what.clone()),
        }
    }

    fn text(&self, state: &State) -> String {
        if let Some(cause) = state.cause.as_ref().filter(|_| !state.phase.is_active()) {
            return format!("it is {}: {cause}", state.phase);
        }
        let holds = self.holds(state);
        if !holds.is_empty() {
            let holds: Vec<String> = holds
                .iter()
                .map(|hold| format!("{} ({})", hold.reason, hold.detail))
                .collect();
            return format!("it is held by {}", holds.join(", "));
        }
        match self.until(state) {
            Some(until) if self.waits_for_time(state) => {
                format!("nothing holds it; its step lasts until {until}")
            }
            None if state.step.is_some() => "it waits until routes obey its step".to_owned(),
            Some(_) | None => "nothing holds it; it goes on at once".to_owned(),
        }
    }

    fn waits_for_time(&self, state: &State) -> bool {
        let until = self.told(state).and_then(|told| told.until);
        until.is_some_and(|until| self.now < until)
    }

    fn until(&self, state: &State) -> Option<String> {
        // What was told of the step before says nothing of this one.
        let told = self.told(state)?;
        let until = told.until.filter(|until| state.entered_at <= *until);
        until.map(stamp)
    }

    /// Why a release does not move; what was asked for since the last tick included.
    pub(in crate::admin::releases) fn holds(&self, state: &State) -> Vec<HoldStatus> {
        // Who resumed it need not wait for the next look to see that.
        let found = state.holds.iter();
        let found = found.filter(|hold| hold.reason != Reason::Manual || state.paused.is_some());
        let mut holds: Vec<HoldStatus> = found.map(|hold| self.hold(hold, state)).collect();
        let paused = state.paused.as_ref().filter(|_| {
            state.phase.is_active() && !state.holds.iter().any(|it| it.reason == Reason::Manual)
        });
        if let Some(by) = paused {
            let hold = Hold {
                reason: Reason::Manual,
                since: by.at,
                detail: format!("{}: {}", by.by, by.reason),
            };
            holds.insert(0, self.hold(&hold, state));
        }
        holds
    }

    fn hold(&self, hold: &Hold, state: &State) -> HoldStatus {
        HoldStatus {
            reason: hold.reason.to_string(),
            kind: hold.reason.name().to_owned(),
            since: stamp(hold.since),
            // What is kept is what was so when the hold began.
            detail: self
                .report(state)
                .filter(|_| matches!(hold.reason, Reason::InsufficientData | Reason::NoData))
                .map_or_else(|| hold.detail.clone(), look::text),
            clears_when: hold.reason.clears_when(),
            who_may_clear: self.who_may_clear(&hold.reason),
        }
    }

    /// Who can end a hold: gates and freezes name roles of their own.
    fn who_may_clear(&self, reason: &Reason) -> String {
        let rules = &self.board.world.rules;
        let named = match reason {
            Reason::Approval(name) => rules.gates.get(name).map(|gate| any_of(gate.who_may())),
            Reason::Freeze(name) => {
                let mut freezes = rules.freezes.iter();
                let freeze = freezes.find(|freeze| freeze.name == *name);
                freeze.map(|freeze| any_of(&freeze.override_roles))
            }
            Reason::Manual
            | Reason::NotStarted
            | Reason::StopTheLine
            | Reason::FlagKilled
            | Reason::InsufficientData
            | Reason::NoData
            | Reason::MetricsDown
            | Reason::UntrustedMetric
            | Reason::CheckFailed(_)
            | Reason::CandidateUnhealthy
            | Reason::StableIdle
            | Reason::ReplicaLag
            | Reason::ConfigConflict
            | Reason::StateLost
            | Reason::StoreUnavailable
            | Reason::Dependency(_)
            | Reason::Scheduled
            | Reason::Test(_)
            | Reason::Incomplete(_)
            | Reason::Decision
            | Reason::Deadline => None,
        };
        let named = named.filter(|named| !named.is_empty());
        let role = || {
            reason
                .role()
                .unwrap_or("nobody: it clears by itself")
                .to_owned()
        };
        named.unwrap_or_else(role)
    }
}

/// The share that the candidate had of what was judged in this step.
fn share(state: &State, report: &Report) -> Option<f64> {
    let is_divided = state.weight != Percent::NONE && state.weight != Percent::ALL;
    let compares = state.spec.strategy.analysis.baseline == Baseline::Stable;
    if !is_divided || !compares {
        return None;
    }
    let mut checks = report.checks.iter();
    let check = checks.find(|check| matches!(check.kind, Kind::ErrorRate { .. }))?;
    let (candidate, stable) = (check.step.candidate.requests, check.step.baseline.requests);
    let all = candidate + stable;
    (0.0 < all).then(|| (candidate / all * 10_000.0).round() / 100.0)
}

fn tests(state: &State) -> BTreeMap<String, TestStatus> {
    let tests = state.spec.strategy.tests.iter().map(|(name, test)| {
        let result = state.tests.get(name);
        let status = TestStatus {
            kind: match &test.kind {
                TestKind::Http(_) => "http",
                TestKind::Webhook(_) => "webhook",
            }
            .to_owned(),
            state: match result.map(|result| result.passed) {
                Some(true) => "passed",
                Some(false) => "failed",
                None => "pending",
            }
            .to_owned(),
            detail: result.map(|it| it.detail.clone()).unwrap_or_default(),
            at: result.map(|it| stamp(it.at)),
        };
        (name.clone(), status)
    });
    tests.collect()
}

fn review(state: &State) -> ReviewStatus {
    let exceptions = state.review.exceptions().iter().map(|exception| {
        let (kind, name) = match &exception.passed {
            Passed::Freeze(name) => ("freeze", name),
            Passed::Gate(name) => ("gate", name),
        };
        ExceptionStatus {
            kind: kind.to_owned(),
            name: name.clone(),
            said: Said {
                by: exception.actor.clone(),
                reason: exception.reason.clone(),
                at: stamp(exception.at),
            },
        }
    });
    ReviewStatus {
        is_required: state.review.is_required(),
        exceptions: exceptions.collect(),
        closed: state.review.closing().map(|closing| Said {
            by: closing.actor.clone(),
            reason: closing.comment.clone(),
            at: stamp(closing.at),
        }),
    }
}

fn endpoints_status(endpoints: &Endpoints) -> EndpointsStatus {
    EndpointsStatus {
        available: endpoints.available,
        total: endpoints.total,
    }
}

/// Who did something, and why.
pub(in crate::admin) fn said(said: &state::Said) -> Said {
    Said {
        by: said.by.clone(),
        reason: said.reason.clone(),
        at: stamp(said.at),
    }
}

/// An instant as it is told.
pub(in crate::admin) fn stamp(at: SystemTime) -> String {
    instant::text(at)
}
