//! Where a release stands: what is kept of it, and what it makes of its route's traffic.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::gate::{Author, Vote};
use crate::release::hold::Hold;
use crate::release::percent::Percent;
use crate::release::readiness::Review;
use crate::release::spec::Spec;
use crate::release::strategy::{Action, Kind, Salt};
use crate::release::test::TestResult;
use crate::store::instant;

/// Where a release stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not started.
    Pending,
    /// Only who asks for it gets the candidate.
    Preview,
    /// The candidate has a share, or gets copies.
    Progressing,
    /// The candidate has everything, and is watched.
    Baking,
    /// The candidate has won.
    Promoted,
    /// Stable has got everything back after that.
    RolledBack,
    /// Stable has got everything back before that.
    Aborted,
    /// Another candidate took its place.
    Superseded,
    /// It is wished for no more.
    Cancelled,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Preview,
        Self::Progressing,
        Self::Baking,
        Self::Promoted,
        Self::RolledBack,
        Self::Aborted,
        Self::Superseded,
        Self::Cancelled,
    ];

    /// The phase as a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preview => "preview",
            Self::Progressing => "progressing",
            Self::Baking => "baking",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it may still move by itself: a route has one such release at most.
    pub fn is_active(self) -> bool {
        self <= Self::Baking
    }

    /// Whether the release decides about its route's weights.
    pub fn owns_weights(self) -> bool {
        matches!(self, Self::Preview | Self::Progressing | Self::Baking)
    }
}

impl Display for Phase {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Who wished for a release.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The configuration file: it ends when it is taken out.
    File,
    /// Somebody by the API.
    Api,
}

/// Who did something, and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
}

/// What the file asks for and does not get.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Conflict {
    /// What, for people.
    pub what: String,
    /// What the file wishes, told apart from other wishes.
    pub wish: String,
}

/// All that is kept of a release.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// What was adopted of what is wished for.
    pub spec: Spec,
    /// Who wished for it.
    pub origin: Origin,
    /// Who that was.
    pub created_by: String,
    /// How often it was begun; 1 at first.
    pub attempt: u32,
    /// Where it stands.
    pub phase: Phase,
    /// The step that it is in, or was in when it ended; none before it starts.
    pub step: Option<usize>,
    /// The share that the candidate gets.
    pub weight: Percent,
    /// What decides which users the candidate gets, where it is not the route's own.
    pub salt: Option<String>,
    /// When it was wished for.
    #[serde(with = "instant::rfc3339")]
    pub created_at: SystemTime,
    /// When this attempt started.
    #[serde(with = "instant::rfc3339_option")]
    pub started_at: Option<SystemTime>,
    /// When the phase or the step was entered.
    #[serde(with = "instant::rfc3339")]
    pub entered_at: SystemTime,
    /// When it ended.
    #[serde(with = "instant::rfc3339_option")]
    pub ended_at: Option<SystemTime>,
    /// Why it does not move.
    pub holds: Vec<Hold>,
    /// Who paused it.
    pub paused: Option<Said>,
    /// Who started it, where it waits for that.
    pub start: Option<Said>,
    /// True when what was decided before may be lost, until somebody looked at it.
    pub state_lost: bool,
    /// Who let a step be passed over although the analysis had not allowed it.
    pub skipped: Vec<Said>,
    /// Freezes and gates that it passed in an emergency, and who has looked at that afterwards.
    pub review: Review,
    /// No more than this share, because the file says so.
    pub cap: Option<Percent>,
    /// What the file asks for and does not get.
    pub conflict: Option<Conflict>,
    /// What the file wishes that somebody has decided against.
    pub kept: Option<String>,
    /// What was said at its gates.
    pub votes: Vec<Vote>,
    /// Since when each gate is waited for.
    pub asked: BTreeMap<String, Asked>,
    /// What came of each test.
    pub tests: BTreeMap<String, TestResult>,
    /// Who let it go on past its deadline, so that only this counts from then on.
    pub extended: Option<Said>,
    /// When the candidate was first seen to be worse.
    #[serde(with = "instant::rfc3339_option")]
    pub first_bad_at: Option<SystemTime>,
    /// What was bad after its promotion, where it was not taken back for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// Why it ended.
    pub cause: Option<String>,
    /// The weights of the route in the file when the release was last made to fit them.
    pub file_weights: BTreeMap<String, u32>,
}

/// Since when a gate is waited for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// Since when.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
}

impl State {
    /// Makes the state of a release that has not started.
    pub fn new(spec: Spec, origin: Origin, created_by: String, now: SystemTime) -> Self {
        Self {
            spec,
            origin,
            created_by,
            attempt: 1,
            phase: Phase::Pending,
            step: None,
            weight: Percent::NONE,
            salt: None,
            created_at: now,
            started_at: None,
            entered_at: now,
            ended_at: None,
            holds: Vec::new(),
            paused: None,
            start: None,
            state_lost: false,
            skipped: Vec::new(),
            review: Review::default(),
            cap: None,
            conflict: None,
            kept: None,
            votes: Vec::new(),
            asked: BTreeMap::new(),
            tests: BTreeMap::new(),
            extended: None,
            first_bad_at: None,
            alarm: None,
            cause: None,
            file_weights: BTreeMap::new(),
        }
    }

    /// Enters a step; its share is what was decided.
    pub fn enter(&mut self, step: usize, weight: Percent, now: SystemTime) {
        let strategy = &self.spec.strategy;
        self.phase = match strategy.steps.get(step).map(|step| &step.action) {
            Some(Action::Preview(_)) => Phase::Preview,
            Some(Action::Weight(_)) if strategy.is_last(step) && strategy.kind != Kind::Ab => {
                Phase::Baking
            }
            Some(Action::Weight(_) | Action::Mirror(_)) | None => Phase::Progressing,
        };
        if self.started_at.is_none() {
            self.started_at = Some(now);
            self.salt = match &strategy.salt {
                Salt::Release => Some(format!("release:{}", self.spec.id)),
                Salt::Shared(name) => Some(format!("shared:{name}")),
                Salt::Route => None,
            };
        }
        self.step = Some(step);
        self.weight = weight;
        self.entered_at = now;
        self.holds.clear();
        self.asked.clear();
    }

    /// Ends it.
    pub fn end(&mut self, phase: Phase, cause: String, now: SystemTime) {
        self.weight = match phase {
            Phase::Promoted => Percent::ALL,
            Phase::Pending
            | Phase::Preview
            | Phase::Progressing
            | Phase::Baking
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Superseded
            | Phase::Cancelled => Percent::NONE,
        };
        self.phase = phase;
        self.cause = Some(cause);
        self.entered_at = now;
        self.ended_at = Some(now);
        self.holds.clear();
        self.asked.clear();
        self.paused = None;
        self.conflict = None;
        self.alarm = None;
    }

    /// Begins it anew: nothing of what was seen or said counts any more.
    pub fn restart(&mut self, now: SystemTime) {
        let fresh = Self::new(self.spec.clone(), self.origin, self.created_by.clone(), now);
        *self = Self {
            attempt: self.attempt.saturating_add(1),
            created_at: self.created_at,
            review: std::mem::take(&mut self.review),
            file_weights: std::mem::take(&mut self.file_weights),
            ..fresh
        };
    }

    /// Whose it is: who may not agree to it where somebody else has to.
    pub fn author(&self) -> Author {
        Author {
            mail: self.spec.author.clone(),
            created_by: (self.origin == Origin::Api).then(|| self.created_by.clone()),
        }
    }

    /// Where it stands, in a few words: `progressing 3/6 at 25 %`.
    pub fn place(&self) -> String {
        let n_steps = self.spec.strategy.steps.len();
        match (self.phase, self.step) {
            (Phase::Progressing | Phase::Preview | Phase::Baking, Some(step)) => {
                format!("{} {}/{n_steps} at {}", self.phase, step + 1, self.weight)
            }
            _ => self.phase.to_string(),
        }
    }
}

/// Whether a release has ended after it moved traffic, so that what it leaves takes the place of what
/// was set before.
pub fn has_ended(state: &State) -> bool {
    !state.phase.is_active() && state.started_at.is_some()
}
