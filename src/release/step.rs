//! The next step of a release, decided from where it stands and what was seen; nothing is done here.
//!
//! What takes traffic toward stable is looked at first and needs nothing else to be in order. Forward
//! it goes only when nothing at all holds it, and what is not known never counts as good.

use std::time::{Duration, SystemTime};

use crate::release::analysis::{OnFail, OnInsufficient, OnMissing};
use crate::release::hold::Reason;
use crate::release::percent::Percent;
use crate::release::spec::Start;
use crate::release::state::{Phase, State};
use crate::release::strategy::{Kind, MinHealthy, OnDeadline, Requirement};
use crate::store::instant::{between, text};

/// How long the candidate may have no endpoint before it counts as gone: a restart of the only one
/// is within it.
pub const GONE_AFTER: Duration = Duration::from_secs(5);

/// How many endpoints a variant has, and how many of them may be used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Endpoints {
    /// Those that may be used.
    pub available: usize,
    /// All.
    pub total: usize,
}

/// What was seen of a release.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Since when every instance obeys what was decided last; none while one does not.
    pub acknowledged: Option<SystemTime>,
    /// The candidate's endpoints.
    pub candidate: Endpoints,
    /// Since when none of them could be used.
    pub gone_since: Option<SystemTime>,
    /// Who has the requests that stable would begin with, where it has none.
    pub idle: Option<String>,
    /// What the analysis says.
    pub judged: Judged,
    /// The gate before what comes next.
    pub gate: GateSeen,
    /// Freezes that hold what comes next, and until when.
    pub freezes: Vec<(String, String)>,
    /// Why nothing moves forward at all, if that is so.
    pub stopped: Option<String>,
    /// Who killed the flag that it rolls out, and why, if somebody did.
    pub killed: Option<String>,
    /// Releases that come first and are not promoted.
    pub waits_for: Vec<String>,
    /// What it has to have and does not.
    pub missing: Vec<String>,
    /// Why nothing that is decided can be kept, if that is so.
    pub unwritable: Option<String>,
}

/// What the analysis says.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// There is none, or nothing to judge yet.
    Nothing,
    /// A check has failed.
    Failed {
        /// Which.
        check: String,
        /// What becomes of the release.
        on_fail: OnFail,
        /// The numbers.
        detail: String,
    },
    /// Every check has shown the candidate to be as good.
    Proven,
    /// Enough was seen, and nothing speaks against it.
    NoRegression,
    /// Too little was seen; the numbers.
    Insufficient(String),
    /// One side has had no request; which.
    NoData(String),
    /// The numbers cannot be had; why.
    SourceDown(String),
    /// Stable differs from itself; the numbers.
    Untrusted(String),
}

/// What is known of a gate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GateSeen {
    /// It is open, or there is none.
    Open,
    /// Something is missing; what, and who may give it.
    Waiting(String),
    /// Somebody said no; who and why.
    Rejected(String),
    /// It was not opened in time; true when that ends the release.
    TimedOut(bool),
}

/// Where a release goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Move {
    /// Nowhere.
    Stay,
    /// Into a step.
    Enter(usize),
    /// The candidate wins.
    Promote,
    /// Stable gets everything back; why.
    Abort(String),
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where it goes.
    pub next: Move,
    /// The share that the candidate gets in the step that it is in, by how much of it is available.
    pub weight: Percent,
    /// Why it does not go forward, whatever the time.
    pub holds: Vec<(Reason, String)>,
    /// When the least time of the step is over, once that is known.
    pub until: Option<SystemTime>,
}

/// Decides about a release that is active.
pub fn decide(state: &State, seen: &Seen, now: SystemTime) -> Decision {
    let weight = allowed(state, seen.candidate);
    let decision = |next| Decision {
        next,
        weight,
        holds: Vec::new(),
        until: None,
    };
    if let Some(cause) = must_end(state, seen, now) {
        return decision(Move::Abort(cause));
    }
    let holds = holds(state, seen, now);
    let until = over_at(state, seen);
    let is_over = state.step.is_none() || until.is_some_and(|until| until <= now);
    let next = if holds.is_empty() && is_over {
        match state.step {
            None => Move::Enter(0),
            Some(step) if state.spec.strategy.is_last(step) => Move::Promote,
            Some(step) => Move::Enter(step + 1),
        }
    } else {
        Move::Stay
    };
    Decision {
        next,
        weight,
        holds,
        until,
    }
}

/// The share that the candidate may have in the step that it is in: what the step and the file allow,
/// and where too little of it is available, no more for each endpoint than it would have had.
pub fn allowed(state: &State, candidate: Endpoints) -> Percent {
    if !state.phase.owns_weights() {
        return state.weight;
    }
    let step = state.step.unwrap_or_default();
    let wished = state.spec.strategy.weight(step);
    let wished = state.cap.map_or(wished, |cap| wished.min(cap));
    if is_healthy(state.spec.strategy.min_healthy, candidate) {
        return wished;
    }
    let available = Percent::of(candidate.available as u64, candidate.total as u64);
    if candidate.available == 0 {
        Percent::NONE
    } else {
        wished.times(available)
    }
}

/// Whether enough of a variant is available.
pub fn is_healthy(least: MinHealthy, endpoints: Endpoints) -> bool {
    let share = endpoints.available as u64 * 10_000;
    let least_share = u64::from(least.share.hundredths()) * endpoints.total as u64;
    least.endpoints.max(1) <= endpoints.available && least_share <= share
}

/// Why traffic has to go back to stable, if it has to.
fn must_end(state: &State, seen: &Seen, now: SystemTime) -> Option<String> {
    if let Judged::Failed {
        check,
        on_fail: OnFail::Rollback,
        detail,
    } = &seen.judged
        && state.phase != Phase::Pending
    {
        return Some(format!("the check `{check}` failed: {detail}"));
    }
    let gone = seen
        .gone_since
        .is_some_and(|since| GONE_AFTER <= between(since, now));
    if gone && matches!(state.phase, Phase::Progressing | Phase::Baking) && has_traffic(state) {
        return Some("no endpoint of the candidate is available".into());
    }
    let failed = state.tests.iter().find(|(name, result)| {
        let test = state.spec.strategy.tests.get(*name);
        !result.passed && test.is_some_and(|test| test.on_fail == OnFail::Rollback)
    });
    if let Some((name, result)) = failed {
        return Some(format!(
            "the test `{name}` was not passed: {}",
            result.detail
        ));
    }
    match &seen.gate {
        GateSeen::Rejected(why) => return Some(format!("it was rejected: {why}")),
        GateSeen::TimedOut(true) => return Some("a gate was not opened in time".into()),
        GateSeen::TimedOut(false) | GateSeen::Open | GateSeen::Waiting(_) => {}
    }
    let analysis = &state.spec.strategy.analysis;
    if waited_too_long(state, seen, now) && required(state) != Requirement::NotFailed {
        match &seen.judged {
            Judged::Insufficient(why) if analysis.on_insufficient == OnInsufficient::Rollback => {
                return Some(format!("too little was seen in time: {why}"));
            }
            Judged::NoData(why) if analysis.on_no_data == OnMissing::Rollback => {
                return Some(format!("nothing was seen in time: {why}"));
            }
            Judged::SourceDown(why) if analysis.on_source_down == OnMissing::Rollback => {
                return Some(format!("the numbers could not be had in time: {why}"));
            }
            _ => {}
        }
    }
    if is_late(state, now) && state.spec.strategy.on_deadline == OnDeadline::Abort {
        return Some("its deadline has passed".into());
    }
    None
}

fn has_traffic(state: &State) -> bool {
    let step = state.step.unwrap_or_default();
    state.spec.strategy.weight(step) != Percent::NONE
}

/// Whether the deadline has passed; somebody may have said that it may take longer.
fn is_late(state: &State, now: SystemTime) -> bool {
    let begun = match &state.extended {
        Some(said) => Some(said.at),
        None => state.started_at,
    };
    let deadline = state.spec.strategy.deadline;
    begun
        .zip(deadline)
        .is_some_and(|(begun, deadline)| deadline <= between(begun, now))
}

/// When the least time of the step is over: it counts from when every instance obeys the step.
fn over_at(state: &State, seen: &Seen) -> Option<SystemTime> {
    let step = state.spec.strategy.steps.get(state.step?)?;
    let since = seen.acknowledged?.max(state.entered_at);
    since.checked_add(step.at_least)
}

/// Whether the analysis has not come to anything for longer than it may.
fn waited_too_long(state: &State, seen: &Seen, now: SystemTime) -> bool {
    let most = state.spec.strategy.analysis.max_wait;
    over_at(state, seen).is_some_and(|over| most <= between(over, now))
}

/// What the analysis has to say before the next step.
pub fn required(state: &State) -> Requirement {
    let step = state
        .step
        .and_then(|step| state.spec.strategy.steps.get(step));
    step.map_or(Requirement::NotFailed, |step| step.require)
}

fn holds(state: &State, seen: &Seen, now: SystemTime) -> Vec<(Reason, String)> {
    let mut holds = Vec::new();
    let mut hold = |reason, detail: String| holds.push((reason, detail));
    if state.state_lost {
        hold(
            Reason::StateLost,
            "what was decided before may be lost".into(),
        );
    }
    if let Some(said) = &state.paused {
        hold(Reason::Manual, format!("{}: {}", said.by, said.reason));
    }
    if let Some(conflict) = &state.conflict {
        hold(Reason::ConfigConflict, conflict.what.clone());
    }
    if let Some(why) = &seen.unwritable {
        hold(Reason::StoreUnavailable, why.clone());
    }
    if let Some(why) = &seen.stopped {
        hold(Reason::StopTheLine, why.clone());
    }
    if let Some(why) = &seen.killed {
        hold(Reason::FlagKilled, why.clone());
    }
    for (name, until) in &seen.freezes {
        hold(Reason::Freeze(name.clone()), until.clone());
    }
    if is_late(state, now) {
        hold(
            Reason::Deadline,
            "it has not come to its end in time".into(),
        );
    }
    if !is_healthy(state.spec.strategy.min_healthy, seen.candidate) {
        let Endpoints { available, total } = seen.candidate;
        let detail = format!("{available} of {total} endpoints are available");
        hold(Reason::CandidateUnhealthy, detail);
    }
    match state.step {
        None => {
            before_start(state, seen, now, &mut hold);
            tests(state, 0, &mut hold);
        }
        Some(step) => {
            if seen.acknowledged.is_none() {
                hold(Reason::ReplicaLag, "it is not obeyed everywhere".into());
            }
            tests(state, step + 1, &mut hold);
            judged(state, seen, now, &mut hold);
        }
    }
    match &seen.gate {
        GateSeen::Waiting(detail) => {
            let gate = state.spec.strategy.gate(state.step).unwrap_or_default();
            hold(Reason::Approval(gate.to_owned()), detail.clone());
        }
        GateSeen::TimedOut(_) => {
            let gate = state.spec.strategy.gate(state.step).unwrap_or_default();
            hold(
                Reason::Approval(gate.to_owned()),
                "it was not opened in time".into(),
            );
        }
        GateSeen::Open | GateSeen::Rejected(_) => {}
    }
    if state.spec.strategy.kind == Kind::Ab
        && state
            .step
            .is_some_and(|step| state.spec.strategy.is_last(step))
        && over_at(state, seen).is_some_and(|over| over <= now)
    {
        hold(
            Reason::Decision,
            "its time is over; read what it showed".into(),
        );
    }
    holds
}

fn before_start(
    state: &State,
    seen: &Seen,
    now: SystemTime,
    hold: &mut impl FnMut(Reason, String),
) {
    if let Some(other) = &seen.idle {
        let stable = &state.spec.stable;
        let detail = format!("`{stable}` gets no requests: `{other}` does");
        hold(Reason::StableIdle, detail);
    }
    if state.spec.start == Start::Manual && state.start.is_none() {
        hold(
            Reason::NotStarted,
            "it waits for somebody to start it".into(),
        );
    }
    if let Some(when) = state.spec.not_before.filter(|&when| now < when) {
        hold(Reason::Scheduled, format!("not before {}", text(when)));
    }
    for release in &seen.waits_for {
        hold(
            Reason::Dependency(release.clone()),
            format!("`{release}` is not promoted"),
        );
    }
    for what in &seen.missing {
        hold(
            Reason::Incomplete(what.clone()),
            format!("it has no {what}"),
        );
    }
}

/// Tests have to be passed before the candidate gets users.
fn tests(state: &State, next: usize, hold: &mut impl FnMut(Reason, String)) {
    let strategy = &state.spec.strategy;
    if next < strategy.first_with_users() {
        return;
    }
    for name in strategy.tests.keys() {
        match state.tests.get(name) {
            Some(result) if result.passed => {}
            Some(result) => hold(Reason::Test(name.clone()), result.detail.clone()),
            None => hold(Reason::Test(name.clone()), "it is being tried".into()),
        }
    }
}

fn judged(state: &State, seen: &Seen, now: SystemTime, hold: &mut impl FnMut(Reason, String)) {
    if let Judged::Failed { check, detail, .. } = &seen.judged {
        hold(Reason::CheckFailed(check.clone()), detail.clone());
        return;
    }
    let required = required(state);
    if required == Requirement::NotFailed {
        return;
    }
    let analysis = &state.spec.strategy.analysis;
    let late = waited_too_long(state, seen, now);
    let late_by = |detail: &str| {
        if late {
            format!("{detail}, for longer than {:?}", analysis.max_wait)
        } else {
            detail.to_owned()
        }
    };
    match &seen.judged {
        Judged::Failed { .. } | Judged::Proven => {}
        Judged::NoRegression if required == Requirement::NoRegression => {}
        Judged::NoRegression => hold(
            Reason::InsufficientData,
            late_by("nothing speaks against the candidate, but it is not proven"),
        ),
        Judged::Nothing => hold(Reason::InsufficientData, "nothing was seen yet".into()),
        Judged::Insufficient(_) if late && analysis.on_insufficient == OnInsufficient::Pass => {}
        Judged::Insufficient(detail) => hold(Reason::InsufficientData, late_by(detail)),
        Judged::NoData(detail) => hold(Reason::NoData, late_by(detail)),
        Judged::SourceDown(detail) => hold(Reason::MetricsDown, late_by(detail)),
        Judged::Untrusted(detail) => hold(Reason::UntrustedMetric, detail.clone()),
    }
}
