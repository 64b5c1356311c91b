//! The tally: how often releases came to a phase, what was said at gates, and what became of what was
//! to be kept, since the process began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::release::gate::Answer;
use crate::release::readiness::Passed;
use crate::release::state::{Phase, State};
use crate::store::{ActorKind, CommitError, Committed};

/// Who or what leads to a transition.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum By {
    /// A check that failed.
    Analysis,
    /// The controller, by anything else.
    Controller,
    /// A person or a program that asked for it.
    Operator,
    /// The configuration file.
    File,
}

/// What was said at a gate.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AtGate {
    /// Somebody agreed.
    Approved,
    /// Somebody disagreed.
    Rejected,
    /// Somebody passed it without its approvals.
    Passed,
}

/// What became of something that was to be kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kept {
    /// It is kept.
    Done,
    /// Somebody else was first.
    Conflict,
    /// The store did not take it.
    Failed,
}

/// How often each of these happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Releases of a route that came to a phase or took a step in it.
    pub transitions: BTreeMap<(String, Phase, By), u64>,
    /// What was said, by gate.
    pub approvals: BTreeMap<(String, AtGate), u64>,
    /// What was to be kept.
    pub commits: BTreeMap<Kept, u64>,
}

/// The counts, shared by all who keep something.
#[derive(Clone, Debug, Default)]
pub(in crate::release) struct Tally {
    counts: Arc<Mutex<Counts>>,
}

/// What is counted once it is kept. Where nobody waits for that any more, it is counted as well: what
/// was begun is kept all the same.
pub(in crate::release) struct Pending {
    tally: Tally,
    transition: Option<(String, Phase, By)>,
    said: Option<(String, AtGate)>,
    is_told: bool,
}

impl By {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Analysis, Self::Controller, Self::Operator, Self::File];

    /// The word of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Controller => "controller",
            Self::Operator => "operator",
            Self::File => "file",
        }
    }

    /// Who or what leads to a phase, by who did it and the report that is kept with it.
    pub fn of(actor: ActorKind, report: Option<&Value>, to: Phase) -> Self {
        match actor {
            ActorKind::User | ActorKind::Token | ActorKind::Local => Self::Operator,
            ActorKind::File => Self::File,
            ActorKind::Controller | ActorKind::System => {
                let has_failed = report.is_some_and(is_failed);
                let is_end = matches!(to, Phase::Aborted | Phase::RolledBack);
                if has_failed && is_end {
                    Self::Analysis
                } else {
                    Self::Controller
                }
            }
        }
    }

    /// Who or what can lead to a phase: these are shown before it happens.
    pub fn possible(to: Phase) -> &'static [Self] {
        match to {
            Phase::Pending => &[Self::Operator, Self::File],
            Phase::Preview | Phase::Progressing | Phase::Baking => {
                &[Self::Controller, Self::Operator]
            }
            Phase::Promoted => &[Self::Controller, Self::Operator],
            Phase::RolledBack => &[Self::Analysis, Self::Operator],
            Phase::Aborted => &Self::ALL,
            Phase::Superseded | Phase::Cancelled => &[Self::Operator, Self::File],
        }
    }
}

impl AtGate {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Approved, Self::Rejected, Self::Passed];

    /// The word of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Passed => "passed",
        }
    }
}

impl Kept {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Done, Self::Conflict, Self::Failed];

    /// The word of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

impl Tally {
    /// What is counted so far.
    pub(in crate::release) fn read(&self) -> Counts {
        self.lock().clone()
    }

    /// Gets ready to count a change that is no release's.
    pub(in crate::release) fn any(&self) -> Pending {
        Pending {
            tally: self.clone(),
            transition: None,
            said: None,
            is_told: false,
        }
    }

    /// Gets ready to count what becomes of a release.
    pub(in crate::release) fn release(
        &self,
        before: Option<&State>,
        after: &State,
        by: ActorKind,
        report: Option<&Value>,
    ) -> Pending {
        let by = By::of(by, report, after.phase);
        let place = |state: &State| (state.phase, state.step, state.attempt);
        let has_moved = before.map(place) != Some(place(after));
        let mut pending = self.any();
        pending.transition = has_moved.then(|| (after.spec.route.clone(), after.phase, by));
        pending.said = said(before, after);
        pending
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // A panic while it was held leaves counts, each of them whole.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Counts it by what became of it.
    pub(in crate::release) fn end(mut self, outcome: &Result<Committed, CommitError>) {
        match outcome {
            Ok(_) => {}
            Err(CommitError::Conflict { .. }) => self.give_up(Kept::Conflict),
            Err(
                CommitError::Unavailable(_)
                | CommitError::Closed
                | CommitError::TooLarge { .. }
                | CommitError::BadKey(_)
                | CommitError::Unreadable(_),
            ) => self.give_up(Kept::Failed),
        }
    }

    fn give_up(&mut self, kept: Kept) {
        self.is_told = true;
        *self.tally.lock().commits.entry(kept).or_default() += 1;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let mut counts = self.tally.lock();
        *counts.commits.entry(Kept::Done).or_default() += 1;
        if let Some(transition) = self.transition.take() {
            *counts.transitions.entry(transition).or_default() += 1;
        }
        if let Some(said) = self.said.take() {
            *counts.approvals.entry(said).or_default() += 1;
        }
    }
}

/// What was said at a gate by this change, if something was.
fn said(before: Option<&State>, after: &State) -> Option<(String, AtGate)> {
    let before = before?;
    if before.votes.len() < after.votes.len() {
        let vote = after.votes.last()?;
        let answer = match vote.answer {
            Answer::Approve => AtGate::Approved,
            Answer::Reject => AtGate::Rejected,
        };
        return Some((vote.gate.clone(), answer));
    }
    let passed = after.review.exceptions();
    if before.review.exceptions().len() < passed.len()
        && let Passed::Gate(gate) = &passed.last()?.passed
    {
        return Some((gate.clone(), AtGate::Passed));
    }
    None
}

/// Whether a report, as it is kept, says that a check has failed.
fn is_failed(report: &Value) -> bool {
    report["verdict"]["is"] == "fail"
}
