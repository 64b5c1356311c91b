//! What people may ask of a release, and what becomes of it; nothing is done here.
//!
//! What takes traffic toward stable is never refused for what holds a release. What takes it forward
//! is refused by everything but what the command is there to pass over.

use std::collections::BTreeMap;
use std::time::SystemTime;

use thiserror::Error;

use crate::release::gate::{Answer, Gate, Vote, VoteError};
use crate::release::hold::Reason;
use crate::release::readiness::{Exception, ReviewError};
use crate::release::role::Roles;
use crate::release::spec::{Difference, Spec};
use crate::release::state::{Phase, Said, State};
use crate::release::step::{Endpoints, GateSeen};
use crate::store::instant::between;

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// To start, where it waits for that.
    Start,
    /// To stay where it is.
    Pause,
    /// To go on.
    Resume,
    /// To leave the step although the analysis or the time does not allow it yet.
    Skip,
    /// To let the candidate win now.
    Promote,
    /// To give stable everything back.
    Abort,
    /// To give stable everything back after the promotion; true also where its time is over or stable
    /// is not available.
    Rollback(bool),
    /// To begin anew.
    Retry,
    /// To agree at a gate.
    Approve(String),
    /// To disagree at a gate, which ends the release.
    Reject(String),
    /// To pass a gate without its approvals, in an emergency.
    PassGate(String),
    /// To have looked at that afterwards.
    Review,
    /// To take what the file asks for.
    AcceptFile,
    /// To keep what runs against the file.
    KeepRunning,
}

impl Command {
    /// The name of the action in the audit trail.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Start => "release.start.ask",
            Self::Pause => "release.pause",
            Self::Resume => "release.resume",
            Self::Skip => "release.skip",
            Self::Promote => "release.promote",
            Self::Abort => "release.abort",
            Self::Rollback(_) => "release.rollback",
            Self::Retry => "release.retry",
            Self::Approve(_) => "release.gate.approve",
            Self::Reject(_) => "release.gate.reject",
            Self::PassGate(_) => "release.gate.pass",
            Self::Review => "release.review",
            Self::AcceptFile => "release.accept-file",
            Self::KeepRunning => "release.keep",
        }
    }

    /// Whether it can only take traffic toward stable, or leave it where it is.
    pub fn is_toward_stable(&self) -> bool {
        match self {
            Self::Abort | Self::Rollback(_) | Self::Reject(_) | Self::Pause => true,
            Self::Start
            | Self::Resume
            | Self::Skip
            | Self::Promote
            | Self::Retry
            | Self::Approve(_)
            | Self::PassGate(_)
            | Self::Review
            | Self::AcceptFile
            | Self::KeepRunning => false,
        }
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// It makes no sense where the release stands.
    #[error("the release is {phase}: {why}")]
    Phase {
        /// Where it stands.
        phase: Phase,
        /// What would have to be.
        why: &'static str,
    },
    /// Something holds it that the command does not pass over.
    #[error("held by {}", list(.0))]
    Held(Vec<Reason>),
    /// A gate on the way is not open.
    #[error("the gate `{0}` is not open")]
    GateClosed(String),
    /// There is no such gate on its way.
    #[error("the release has no gate `{0}`")]
    NoSuchGate(String),
    /// The window for a roll back is over.
    #[error("its rollback window is over; force it if stable can still serve")]
    WindowOver,
    /// Stable could not serve.
    #[error("stable has {} of {} endpoints available; force it if it must be", .0.available, .0.total)]
    StableUnavailable(Endpoints),
    /// The file does not ask for anything else.
    #[error("the file asks for nothing that the release does not do")]
    NoConflict,
    /// What the file asks for cannot be adopted.
    #[error(
        "it cannot be adopted while the release runs: {0} differ; abort it, or give the new one another id"
    )]
    CannotAdopt(&'static str),
    /// What was passed cannot be passed, or looked at, by this one.
    #[error("{0}")]
    Review(#[from] ReviewError),
    /// A vote is not taken.
    #[error("{0}")]
    Vote(#[from] VoteError),
}

fn list(reasons: &[Reason]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join(", ")
}

/// What a command is judged by.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub actor: String,
    /// What they may do.
    pub roles: Roles,
    /// Why.
    pub reason: String,
    /// What holds the release, the time aside.
    pub holds: Vec<Reason>,
    /// The gates on its way from where it stands, in order.
    pub gates: Vec<(String, GateSeen)>,
    /// The gates that are configured.
    pub configured: BTreeMap<String, Gate>,
    /// The share that it would get in the next step is worked out by the next tick; this is when.
    pub now: SystemTime,
    /// Stable's endpoints.
    pub stable: Endpoints,
    /// What the file wishes now, if it still wishes for the release.
    pub wished: Option<Spec>,
    /// The weights of the route in the file.
    pub file_weights: BTreeMap<String, u32>,
}

impl Context {
    fn said(&self) -> Said {
        Said {
            by: self.actor.clone(),
            reason: self.reason.clone(),
            at: self.now,
        }
    }
}

/// Obeys a command: what the release is after it.
///
/// # Errors
/// When it is refused; then nothing has changed.
pub fn obey(command: &Command, state: &State, context: &Context) -> Result<State, Refusal> {
    let mut next = state.clone();
    match command {
        Command::Start => {
            expect(
                state,
                state.phase == Phase::Pending,
                "it has started already",
            )?;
            next.start = Some(context.said());
        }
        Command::Pause => {
            active(state)?;
            next.paused = Some(context.said());
        }
        Command::Resume => {
            active(state)?;
            next.paused = None;
            next.state_lost = false;
            next.cap = None;
            if context.holds.contains(&Reason::Deadline) {
                next.extended = Some(context.said());
            }
        }
        Command::Skip => {
            moving(state)?;
            passes(context, passed_by_skip)?;
            let step = state.step.unwrap_or_default();
            next.skipped.push(context.said());
            if state.spec.strategy.is_last(step) {
                next.end(Phase::Promoted, why("promoted", context), context.now);
            } else {
                // The weight of the new step is that of what is available: the next tick knows.
                let weight = state.weight.min(state.spec.strategy.weight(step + 1));
                next.enter(step + 1, weight, context.now);
            }
        }
        Command::Promote => {
            moving(state)?;
            passes(context, passed_by_promote)?;
            let closed = context
                .gates
                .iter()
                .find(|(_, seen)| *seen != GateSeen::Open);
            if let Some((gate, _)) = closed {
                return Err(Refusal::GateClosed(gate.clone()));
            }
            let held = context.holds.iter().any(passed_by_skip);
            if held || !is_at_end(state) {
                next.skipped.push(context.said());
            }
            next.end(Phase::Promoted, why("promoted", context), context.now);
        }
        Command::Abort if state.phase == Phase::Promoted => {
            return obey(&Command::Rollback(false), state, context);
        }
        Command::Abort => {
            active(state)?;
            next.end(Phase::Aborted, why("aborted", context), context.now);
        }
        Command::Rollback(forced) => {
            expect(
                state,
                state.phase == Phase::Promoted,
                "only a promoted release is rolled back; abort this one",
            )?;
            if !forced {
                let since = state.ended_at.unwrap_or(state.entered_at);
                if state.spec.strategy.rollback_window <= between(since, context.now) {
                    return Err(Refusal::WindowOver);
                }
                if context.stable.available == 0 {
                    return Err(Refusal::StableUnavailable(context.stable));
                }
            }
            next.end(Phase::RolledBack, why("rolled back", context), context.now);
        }
        Command::Retry => {
            expect(
                state,
                matches!(state.phase, Phase::Aborted | Phase::RolledBack),
                "only one that was aborted or rolled back is retried",
            )?;
            next.restart(context.now);
            if let Some(wished) = &context.wished {
                next.spec = wished.clone();
            }
            next.file_weights.clone_from(&context.file_weights);
            // Whoever retries it has started it.
            next.start = Some(context.said());
        }
        Command::Approve(gate) => {
            active(state)?;
            vote(&mut next, gate, Answer::Approve, context)?;
        }
        Command::Reject(gate) => {
            active(state)?;
            vote(&mut next, gate, Answer::Reject, context)?;
            let by = format!("{} at the gate `{gate}`", context.actor);
            next.end(
                Phase::Aborted,
                format!("rejected by {by}: {}", context.reason),
                context.now,
            );
        }
        Command::PassGate(gate) => {
            active(state)?;
            has_gate(state, gate)?;
            let who = (context.actor.as_str(), &context.roles);
            let hash = state.spec.sha256();
            let what = (gate.as_str(), hash.as_str());
            let exception = Exception::gate(what, who, &context.reason, context.now)?;
            next.review.add(exception);
        }
        Command::Review => {
            let who = (context.actor.as_str(), &context.roles);
            next.review.close(who, &context.reason, context.now)?;
        }
        Command::AcceptFile => {
            active(state)?;
            if state.conflict.is_none() {
                return Err(Refusal::NoConflict);
            }
            if let Some(wished) = &context.wished {
                match state.spec.difference(wished, state.step) {
                    Difference::None | Difference::Adoptable => next.spec = wished.clone(),
                    Difference::Candidate => return Err(Refusal::CannotAdopt("its candidate")),
                    Difference::Conflict(what) => return Err(Refusal::CannotAdopt(what)),
                }
            }
            next.file_weights.clone_from(&context.file_weights);
            next.conflict = None;
        }
        Command::KeepRunning => {
            active(state)?;
            let Some(conflict) = next.conflict.take() else {
                return Err(Refusal::NoConflict);
            };
            next.kept = Some(conflict.wish);
            next.file_weights.clone_from(&context.file_weights);
        }
    }
    Ok(next)
}

fn why(what: &str, context: &Context) -> String {
    format!("{what} by {}: {}", context.actor, context.reason)
}

fn expect(state: &State, is_so: bool, why: &'static str) -> Result<(), Refusal> {
    if is_so {
        Ok(())
    } else {
        Err(Refusal::Phase {
            phase: state.phase,
            why,
        })
    }
}

fn active(state: &State) -> Result<(), Refusal> {
    expect(state, state.phase.is_active(), "it has come to its end")
}

fn moving(state: &State) -> Result<(), Refusal> {
    expect(
        state,
        state.phase.owns_weights(),
        "only one that has started and not ended is moved",
    )
}

/// Whether the release is in its last step.
fn is_at_end(state: &State) -> bool {
    let step = state.step.unwrap_or_default();
    state.spec.strategy.is_last(step)
}

fn passes(context: &Context, passed: fn(&Reason) -> bool) -> Result<(), Refusal> {
    let held: Vec<Reason> = context
        .holds
        .iter()
        .filter(|reason| !passed(reason))
        .cloned()
        .collect();
    if held.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Held(held))
    }
}

/// What skipping a step passes over: what the analysis says or does not say.
fn passed_by_skip(reason: &Reason) -> bool {
    match reason {
        Reason::InsufficientData
        | Reason::NoData
        | Reason::MetricsDown
        | Reason::UntrustedMetric
        | Reason::CheckFailed(_) => true,
        Reason::Manual
        | Reason::NotStarted
        | Reason::Approval(_)
        | Reason::Freeze(_)
        | Reason::StopTheLine
        | Reason::FlagKilled
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
        | Reason::Deadline => false,
    }
}

/// What promoting passes over besides: that nobody has decided yet, or that it is late.
fn passed_by_promote(reason: &Reason) -> bool {
    passed_by_skip(reason) || matches!(reason, Reason::Decision | Reason::Deadline)
}

fn has_gate(state: &State, gate: &str) -> Result<(), Refusal> {
    let strategy = &state.spec.strategy;
    let mut gates = strategy
        .steps
        .iter()
        .filter_map(|step| step.gate.as_deref());
    if strategy.start_gate.as_deref() == Some(gate) || gates.any(|known| known == gate) {
        Ok(())
    } else {
        Err(Refusal::NoSuchGate(gate.to_owned()))
    }
}

fn vote(state: &mut State, gate: &str, answer: Answer, context: &Context) -> Result<(), Refusal> {
    has_gate(state, gate)?;
    let Some(gate) = context.configured.get(gate) else {
        return Err(Refusal::NoSuchGate(gate.to_owned()));
    };
    let vote = Vote {
        gate: gate.name.clone(),
        spec_hash: state.spec.sha256(),
        actor: context.actor.clone(),
        mail: None,
        roles: context.roles.clone(),
        answer,
        reason: context.reason.clone(),
        at: context.now,
    };
    state.votes.push(vote.cast(gate, &state.author())?);
    Ok(())
}
