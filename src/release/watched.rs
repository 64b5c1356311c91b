//! What is seen of one release between two transitions: when its step was obeyed everywhere, what its
//! analysis knows, since when its candidate is gone.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::release::analysis::{Analysis, Report, Seen, Step, Users};
use crate::release::controller::Counted;
use crate::release::ledger::Ledger;
use crate::release::look::{RouteSeen, Since};
use crate::release::overlay::of_release;
use crate::release::percent::Percent;
use crate::release::state::State;
use crate::release::strategy::Action;
use crate::store::instant::{self, between};

/// How often what was seen is noted, so that a restart goes on from there.
const NOTE: Duration = Duration::from_secs(5);

/// What is noted of a release, without history.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Progress {
    attempt: u32,
    step: Option<usize>,
    #[serde(with = "instant::rfc3339_option")]
    acknowledged: Option<SystemTime>,
    analysis: Analysis,
    /// True once it is promoted.
    #[serde(default)]
    is_over: bool,
}

/// What is seen of a release.
#[derive(Debug, Default)]
pub(in crate::release) struct Watched {
    progress: Progress,
    gone: Option<SystemTime>,
    report: Option<Report>,
    observed_at: Option<SystemTime>,
    noted_at: Option<SystemTime>,
}

impl Watched {
    /// Goes on from what was noted.
    pub(in crate::release) fn resume(ledger: &Ledger, id: &str) -> Self {
        let mut progress: Progress = ledger.noted(id).unwrap_or_default();
        // The counters of this process have nothing to do with those of the one before.
        progress.analysis.discard_open_tick();
        Self {
            progress,
            ..Self::default()
        }
    }

    /// Follows a release into another attempt or another step.
    pub(in crate::release) fn follow(&mut self, state: &State) {
        if self.progress.attempt != state.attempt || self.progress.is_over {
            *self = Self::default();
            self.progress.attempt = state.attempt;
        }
        if self.progress.step != state.step {
            self.progress.step = state.step;
            self.progress.acknowledged = None;
            self.report = None;
            self.noted_at = None;
        }
    }

    /// Looks whether what was decided is obeyed. The time of a step and its evidence begin there.
    pub(in crate::release) fn acknowledge(
        &mut self,
        state: &State,
        route: &RouteSeen,
        counted: Option<&Counted>,
        now: SystemTime,
    ) {
        let Some(step) = state.step.filter(|_| self.progress.acknowledged.is_none()) else {
            return;
        };
        if route.obeyed != of_release(state) {
            return;
        }
        self.progress.acknowledged = Some(now);
        let strategy = &state.spec.strategy;
        if strategy.analysis.checks.is_empty() {
            return;
        }
        let reading = counted.and_then(|counted| match &counted.source {
            Seen::Reading(reading) => Some(reading),
            Seen::SourceDown(_) => None,
        });
        let at_least = strategy
            .steps
            .get(step)
            .map_or(Duration::ZERO, |step| step.at_least);
        let step = Step {
            users: users(state, step),
            at_least,
        };
        self.progress
            .analysis
            .begin_step(&strategy.analysis, step, reading, now);
        self.observed_at = Some(now);
    }

    /// Lets the analysis look at what was counted.
    pub(in crate::release) fn judge(
        &mut self,
        state: &State,
        counted: Option<&Counted>,
        now: SystemTime,
    ) {
        let settings = &state.spec.strategy.analysis;
        let Some(counted) = counted.filter(|_| !settings.checks.is_empty()) else {
            return;
        };
        let analysis = &mut self.progress.analysis;
        let mut report = analysis.watch(settings, &counted.candidate, now);
        let is_due = self
            .observed_at
            .is_none_or(|before| settings.interval <= between(before, now) || now < before);
        if is_due {
            report = analysis.observe(settings, &counted.source, now);
            self.observed_at = Some(now);
            // What a tick showed outlives the process.
            self.noted_at = None;
        }
        // Before every instance obeys the step there is nothing that could be said of it.
        self.report = Some(report).filter(|_| self.progress.acknowledged.is_some());
    }

    /// Lets the hard stops look at a release that is promoted. What they knew before counts no more:
    /// whoever promoted it knew it, too.
    pub(in crate::release) fn look_back(
        &mut self,
        state: &State,
        counted: Option<&Counted>,
        now: SystemTime,
    ) -> Option<Report> {
        let settings = &state.spec.strategy.analysis;
        if self.progress.attempt != state.attempt || !self.progress.is_over {
            let step = Step {
                users: Users::AllOnCandidate,
                at_least: Duration::ZERO,
            };
            let mut analysis = Analysis::default();
            analysis.begin_step(settings, step, None, now);
            *self = Self::default();
            self.progress = Progress {
                attempt: state.attempt,
                step: state.step,
                acknowledged: None,
                analysis,
                is_over: true,
            };
        }
        let candidate = &counted?.candidate;
        Some(self.progress.analysis.watch(settings, candidate, now))
    }

    /// Says whether the candidate has an endpoint left.
    pub(in crate::release) fn miss(&mut self, is_gone: bool, now: SystemTime) {
        self.gone = self.gone.or(Some(now)).filter(|_| is_gone);
    }

    /// All that, for a decision.
    pub(in crate::release) fn since(&self, unwritable: Option<String>) -> Since {
        Since {
            acknowledged: self.progress.acknowledged,
            gone: self.gone,
            report: self.report.clone(),
            unwritable,
        }
    }

    /// Notes it now and then.
    pub(in crate::release) async fn note(&mut self, ledger: &Ledger, id: &str, now: SystemTime) {
        if self
            .noted_at
            .is_some_and(|before| between(before, now) < NOTE)
        {
            return;
        }
        self.noted_at = Some(now);
        if let Err(error) = ledger.note(id, &self.progress).await {
            warn!(release = id, %error, "what was seen cannot be noted");
        }
    }
}

/// Where users are in a step.
fn users(state: &State, step: usize) -> Users {
    match state.spec.strategy.steps.get(step).map(|step| &step.action) {
        Some(Action::Weight(weight)) if *weight == Percent::ALL => Users::AllOnCandidate,
        Some(Action::Weight(weight)) if *weight != Percent::NONE => Users::Divided,
        Some(Action::Weight(_) | Action::Preview(_) | Action::Mirror(_)) | None => {
            Users::AllOnStable
        }
    }
}
