//! What comes after a promotion: while the window for a rollback is open, the hard stops look on.
//!
//! Stable has no requests any more, so nothing is left to compare with; what is bad by itself still is.
//! Whoever is bad then is taken back, once, where stable can take over; where it cannot, or the check is
//! told to hold, a person is called, and from there on it is that person's.

use std::time::SystemTime;

use crate::release::analysis::{CheckReport, CheckVerdict, OnFail, Report};
use crate::release::look::RouteSeen;
use crate::release::overlay::{same_shares, weights};
use crate::release::percent::Percent;
use crate::release::reconcile::{File, Known};
use crate::release::state::{Origin, Phase, State};
use crate::release::step::{Endpoints, is_healthy};
use crate::store::instant::between;

/// What is decided about a release that is promoted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Aftermath {
    /// It stays.
    Stay,
    /// Stable gets everything back; why.
    RollBack(String),
    /// It stays, and somebody has to be told; what.
    Alarm(String),
}

/// Whether a promoted release is looked at still: it can be rolled back at once, a hard stop is there to
/// look at it, and nobody was called for it before.
pub fn is_watched(state: &State, now: SystemTime) -> bool {
    let since = state.ended_at.unwrap_or(state.entered_at);
    let strategy = &state.spec.strategy;
    let mut checks = strategy.analysis.checks.values();
    state.phase == Phase::Promoted
        && state.alarm.is_none()
        && between(since, now) < strategy.rollback_window
        && checks.any(|check| check.kind.is_absolute() && !check.dry_run)
}

/// Whether a promoted release is what its route obeys still: nobody has divided it anew, no other
/// release moves it, and the file has not let it go.
pub fn still_serves(state: &State, known: &Known, file: &File, route: Option<&RouteSeen>) -> bool {
    let spec = &state.spec;
    let mut others = known.releases.values();
    let is_moved = others.any(|other| other.phase.is_active() && other.spec.route == spec.route);
    let is_let_go = state.origin == Origin::File && !file.releases.contains_key(&spec.id);
    let obeyed = route.and_then(|route| route.obeyed.as_ref());
    let obeyed = obeyed.map(|obeyed| &obeyed.weights);
    let obeyed = obeyed.or_else(|| file.weights.get(&spec.route));
    let left = weights(&spec.stable, &spec.candidate, Percent::ALL);
    !is_moved && !is_let_go && obeyed.is_some_and(|obeyed| same_shares(obeyed, &left))
}

/// Decides about a release that is watched, given what its hard stops say and how much of stable is
/// there.
pub fn decide(state: &State, report: &Report, stable: Endpoints) -> Aftermath {
    let has_failed = |check: &&CheckReport| {
        check.kind.is_absolute() && !check.dry_run && check.verdict == CheckVerdict::Fail
    };
    let Some(check) = report.checks.iter().find(has_failed) else {
        return Aftermath::Stay;
    };
    let what = format!(
        "the check `{}` failed after the promotion: {}",
        check.name, check.text
    );
    match check.on_fail {
        OnFail::Hold => Aftermath::Alarm(what),
        OnFail::Rollback if is_healthy(state.spec.strategy.min_healthy, stable) => {
            Aftermath::RollBack(what)
        }
        OnFail::Rollback => {
            let Endpoints { available, total } = stable;
            let name = &state.spec.stable;
            Aftermath::Alarm(format!(
                "{what}; `{name}` cannot take over: {available} of {total} endpoints are available"
            ))
        }
    }
}
