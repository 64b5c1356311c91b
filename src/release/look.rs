//! What is seen of a release: the facts that its next step is decided by, put together from what is
//! kept, what is configured and what goes on.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::release::analysis::{CheckVerdict, Report, Verdict};
use crate::release::freeze::{Act, Freeze, Move, blocked};
use crate::release::gate::{
    CheckState, Facts, Gate, GateState, Grade, Judged as Graded, Standing, judge,
};
use crate::release::ledger::Page;
use crate::release::overlay::{RouteOverlay, share};
use crate::release::percent::Percent;
use crate::release::reconcile::File;
use crate::release::spec::{Spec, flag_of};
use crate::release::state::{Phase, Said, State};
use crate::release::step::{Endpoints, GateSeen, Judged, Seen};
use crate::store::instant;

/// What is configured for all releases.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Gates by name.
    pub gates: BTreeMap<String, Gate>,
    /// Windows.
    pub freezes: Vec<Freeze>,
}

/// What goes on on a route.
#[derive(Clone, Debug, Default)]
pub struct RouteSeen {
    /// What is obeyed of it instead of the file.
    pub obeyed: Option<RouteOverlay>,
    /// The endpoints of its variants.
    pub variants: BTreeMap<String, Endpoints>,
}

/// What was seen of a release, since when.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// When every instance obeyed what was decided last.
    pub acknowledged: Option<SystemTime>,
    /// When the candidate's last endpoint went.
    pub gone: Option<SystemTime>,
    /// What the analysis said last.
    pub report: Option<Report>,
    /// Why nothing can be kept.
    pub unwritable: Option<String>,
}

impl Rules {
    /// How the gate stands that is before what comes next.
    pub fn gate(
        &self,
        page: &Page,
        state: &State,
        report: Option<&Report>,
        now: SystemTime,
    ) -> Option<GateState> {
        let name = state.spec.strategy.gate(state.step)?;
        self.gate_named(name, page, state, report, now)
    }

    /// How a gate stands for a release; nothing where no gate has that name.
    pub fn gate_named(
        &self,
        name: &str,
        page: &Page,
        state: &State,
        report: Option<&Report>,
        now: SystemTime,
    ) -> Option<GateState> {
        let gate = self.gates.get(name)?;
        let asked = state.asked.get(name).map_or(now, |asked| asked.at);
        let facts = facts(page, state, report);
        Some(judge(
            gate,
            &state.author(),
            &state.votes,
            &facts,
            asked,
            now,
        ))
    }

    /// The freezes before what comes next, with when they end. Those of a flag's changes are before the
    /// release that rolls it out, too.
    pub fn frozen(
        &self,
        page: &Page,
        state: &State,
        file: &File,
        now: SystemTime,
    ) -> Vec<(String, String)> {
        let act = match state.step {
            None => Act::Start,
            Some(step) if state.spec.strategy.is_last(step) => Act::Promote,
            Some(_) => Act::Advance,
        };
        let places = places(&state.spec, file);
        let of = |act: Act| {
            let asked = Move {
                act,
                routes: &places,
                release: Some(&state.spec.id),
            };
            blocked(&self.freezes, &page.overridden, &asked, now)
        };
        let mut blocking = of(act);
        if flag_of(&state.spec.route).is_some() {
            for more in of(Act::Flag) {
                if blocking.iter().all(|known| known.freeze != more.freeze) {
                    blocking.push(more);
                }
            }
        }
        let told = blocking.into_iter().map(|blocking| {
            let until = blocking.until.map_or_else(
                || "until it is taken away".to_owned(),
                |until| format!("until {}", instant::text(until)),
            );
            (blocking.freeze, until)
        });
        told.collect()
    }

    /// Everything that is seen of a release.
    pub fn look(
        &self,
        page: &Page,
        state: &State,
        route: &RouteSeen,
        since: &Since,
        (file, now): (&File, SystemTime),
    ) -> Seen {
        let spec = &state.spec;
        let report = since.report.as_ref();
        let meets_gates = state.review.change_type(spec.change).meets_gates();
        let gate = match spec.strategy.gate(state.step) {
            Some(name) if meets_gates => match self.gate(page, state, report, now) {
                Some(state) => seen_of(state),
                None => GateSeen::Waiting(format!("no gate `{name}` is configured")),
            },
            _ => GateSeen::Open,
        };
        let is_promoted = |id: &String| {
            let release = page.known.releases.get(id);
            release.is_some_and(|state| state.phase == Phase::Promoted)
        };
        let after = spec.after.iter().filter(|id| !is_promoted(id));
        let missing = spec.documents.missing(&spec.strategy.requires);
        Seen {
            acknowledged: since.acknowledged,
            candidate: route
                .variants
                .get(&spec.candidate)
                .copied()
                .unwrap_or_default(),
            gone_since: since.gone,
            idle: served_instead(page, state, route),
            judged: report.map_or(Judged::Nothing, judged),
            gate,
            freezes: self.frozen(page, state, file, now),
            stopped: page
                .line
                .as_ref()
                .map(|said| format!("{}: {}", said.by, said.reason)),
            killed: killed(page, spec).map(|said| format!("{}: {}", said.by, said.reason)),
            waits_for: after.cloned().collect(),
            missing: missing.iter().map(ToString::to_string).collect(),
            unwritable: since.unwritable.clone(),
        }
    }
}

/// Who killed the flag that a release rolls out, if it rolls out one and somebody did.
pub fn killed<'p>(page: &'p Page, spec: &Spec) -> Option<&'p Said> {
    let flag = flag_of(&spec.route)?;
    page.known.flags.get(flag)?.killed.as_ref()
}

/// What a freeze of a release may be named by: its route, or what one of its flag may be.
fn places<'a>(spec: &'a Spec, file: &'a File) -> Vec<&'a str> {
    let Some(flag) = flag_of(&spec.route) else {
        return vec![&spec.route];
    };
    let routes = file.flags.get(flag).map(|flag| flag.routes.as_slice());
    let routes = routes.unwrap_or_default().iter();
    routes.map(String::as_str).collect()
}

/// The variant that has most of a route's requests, where stable of a release has none.
fn served_instead(page: &Page, state: &State, route: &RouteSeen) -> Option<String> {
    let obeyed = route.obeyed.as_ref().map(|obeyed| &obeyed.weights);
    let weights = obeyed.or_else(|| page.known.file.get(&state.spec.route))?;
    let (most, weight) = weights.iter().max_by_key(|(_, weight)| **weight)?;
    let is_idle = share(weights, &state.spec.stable) == Percent::NONE;
    (is_idle && *weight != 0).then(|| most.clone())
}

/// What a gate's state is for the release that waits at it.
pub fn seen_of(state: GateState) -> GateSeen {
    match state {
        GateState::Open(_) => GateSeen::Open,
        GateState::Waiting(waiting) => GateSeen::Waiting(waiting.missing()),
        GateState::Rejected(no) => GateSeen::Rejected(format!("{}: {}", no.by, no.reason)),
        GateState::TimedOut { .. } => GateSeen::TimedOut(true),
    }
}

/// What a gate's criteria are held against.
fn facts(page: &Page, state: &State, report: Option<&Report>) -> Facts {
    let mut checks = BTreeMap::new();
    for name in state.spec.strategy.tests.keys() {
        let state = match state.tests.get(name) {
            Some(result) if result.passed => CheckState::Passed,
            Some(result) => CheckState::Failed(result.detail.clone()),
            None => CheckState::Pending("it was not tried yet".into()),
        };
        checks.insert(name.clone(), state);
    }
    for name in state.spec.strategy.analysis.checks.keys() {
        let found =
            report.and_then(|report| report.checks.iter().find(|check| check.name == *name));
        let state = match found {
            None => CheckState::Pending("nothing was seen yet".into()),
            Some(check) => match check.verdict {
                CheckVerdict::Proven | CheckVerdict::NoRegression => CheckState::Passed,
                CheckVerdict::Fail => CheckState::Failed(check.text.clone()),
                CheckVerdict::Untrusted | CheckVerdict::Idle | CheckVerdict::Insufficient => {
                    CheckState::Pending(check.text.clone())
                }
            },
        };
        checks.insert(name.clone(), state);
    }
    let standing = |state: &State| match state.phase {
        Phase::Promoted => Standing::Promoted,
        phase => Standing::InPhase(phase.to_string()),
    };
    let releases = page.known.releases.iter();
    Facts {
        spec_hash: state.spec.sha256(),
        judged: match report.map(|report| &report.verdict) {
            Some(Verdict::Proven) => Graded::As(Grade::Proven),
            Some(Verdict::NoRegression) => Graded::As(Grade::NoRegression),
            Some(_) => Graded::Not(report.map(text).unwrap_or_default()),
            None => Graded::Not("nothing was seen yet".into()),
        },
        documents: state.spec.documents.clone(),
        checks,
        releases: releases
            .map(|(id, state)| (id.clone(), standing(state)))
            .collect(),
        exceptions: state.review.exceptions().to_vec(),
    }
}

/// What a report comes to.
pub fn judged(report: &Report) -> Judged {
    match &report.verdict {
        Verdict::Fail { check, on_fail } => Judged::Failed {
            check: check.clone(),
            on_fail: *on_fail,
            detail: detail(report, check),
        },
        Verdict::Proven => Judged::Proven,
        Verdict::NoRegression => Judged::NoRegression,
        Verdict::Insufficient { .. } => Judged::Insufficient(text(report)),
        Verdict::NoData { .. } => Judged::NoData(text(report)),
        Verdict::SourceDown { why } => Judged::SourceDown(why.clone()),
        Verdict::Untrusted { check } => Judged::Untrusted(detail(report, check)),
    }
}

fn detail(report: &Report, check: &str) -> String {
    let found = report.checks.iter().find(|one| one.name == check);
    found.map(|check| check.text.clone()).unwrap_or_default()
}

/// What a report says, for people.
pub fn text(report: &Report) -> String {
    match &report.verdict {
        Verdict::Fail { check, .. } => format!("`{check}` failed: {}", detail(report, check)),
        Verdict::Proven => "every check has shown the candidate to be as good".into(),
        Verdict::NoRegression => "nothing speaks against the candidate".into(),
        Verdict::Insufficient { missing } if 0.0 < *missing => {
            format!("{missing:.0} more requests of the candidate are needed")
        }
        Verdict::Insufficient { .. } => "more evidence is needed".into(),
        Verdict::NoData { arm } => format!("{arm:?} has had no request").to_lowercase(),
        Verdict::SourceDown { why } => format!("the numbers cannot be had: {why}"),
        Verdict::Untrusted { check } => {
            format!("stable differs from itself: {}", detail(report, check))
        }
    }
}
