//! Steps in words, and where each stands.

use crate::admin::wire::StepStatus;
use crate::config::write_duration;
use crate::release::document::Progress;
use crate::release::state::{Phase, State};
use crate::release::strategy::{Action, Requirement, Step};

/// A step in words: `25 % for 30m, proven`.
pub(in crate::admin::releases) fn words(step: &Step) -> String {
    let mut words = match &step.action {
        Action::Preview(preview) => {
            let fields = preview.headers.iter();
            let fields = fields.map(|(name, value)| format!("{name}: {value}"));
            let asked: Vec<String> = preview.host.iter().cloned().chain(fields).collect();
            format!("preview by {}", asked.join(", "))
        }
        Action::Mirror(mirror) => format!("mirror {}", mirror.percent),
        Action::Weight(weight) => weight.to_string(),
    };
    if !step.at_least.is_zero() {
        words += &format!(" for {}", write_duration(step.at_least));
    }
    match step.require {
        Requirement::NotFailed => {}
        Requirement::NoRegression => words += ", no regression",
        Requirement::Proven => words += ", proven",
    }
    words
}

/// Where a step stands, by its place from 0.
pub(in crate::admin::releases) fn progress(state: &State, place: usize) -> Progress {
    let at = state.step;
    match state.phase {
        Phase::Promoted | Phase::RolledBack => Progress::Done,
        Phase::Pending | Phase::Preview | Phase::Progressing | Phase::Baking => match at {
            Some(at) if place < at => Progress::Done,
            Some(at) if place == at => Progress::Current,
            Some(_) | None => Progress::Ahead,
        },
        Phase::Aborted | Phase::Superseded | Phase::Cancelled => match at {
            Some(at) if place < at => Progress::Done,
            Some(_) | None => Progress::NotReached,
        },
    }
}

/// All steps.
pub(in crate::admin::releases) fn all(state: &State) -> Vec<StepStatus> {
    let steps = state.spec.strategy.steps.iter().enumerate();
    let steps = steps.map(|(place, step)| {
        let (action, percent) = match &step.action {
            Action::Preview(_) => ("preview", 0.0),
            Action::Mirror(mirror) => ("mirror", mirror.percent.percent()),
            Action::Weight(weight) => ("weight", weight.percent()),
        };
        StepStatus {
            what: words(step),
            action: action.to_owned(),
            percent,
            at_least_seconds: step.at_least.as_secs_f64(),
            require: require(step.require).to_owned(),
            gate: step.gate.clone(),
            progress: match progress(state, place) {
                Progress::Done => "done",
                Progress::Current => "current",
                Progress::Ahead => "ahead",
                Progress::Skipped => "skipped",
                Progress::NotReached => "not-reached",
            }
            .to_owned(),
        }
    });
    steps.collect()
}

/// What a step asks for, as the configuration has it.
pub(in crate::admin::releases) fn require(require: Requirement) -> &'static str {
    match require {
        Requirement::NotFailed => "not-failed",
        Requirement::NoRegression => "no-regression",
        Requirement::Proven => "proven",
    }
}

/// What comes after where a release stands, if nothing holds it.
pub(in crate::admin::releases) fn next(state: &State) -> Option<String> {
    if !state.phase.is_active() {
        return None;
    }
    let steps = &state.spec.strategy.steps;
    let next = state.step.map_or(0, |step| step + 1);
    Some(match steps.get(next) {
        Some(step) => format!("step {} of {}: {}", next + 1, steps.len(), words(step)),
        None => "promotion".to_owned(),
    })
}
