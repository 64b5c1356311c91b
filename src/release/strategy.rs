//! Strategies: by which steps a release moves traffic, and what has to hold meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::release::analysis;
use crate::release::percent::Percent;
use crate::release::readiness::Document;
use crate::release::test::Test;

/// How a release moves traffic.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Strategy {
    /// What it is called in the configuration; empty where a release has one of its own.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Which users the candidate gets.
    pub salt: Salt,
    /// The steps; at least one, and the last gives the candidate everything unless the kind is
    /// [`Kind::Ab`].
    pub steps: Vec<Step>,
    /// The gate before the first step.
    pub start_gate: Option<String>,
    /// How long the whole may take, from its start.
    pub deadline: Option<Duration>,
    /// What happens then.
    pub on_deadline: OnDeadline,
    /// How long after its promotion a release can be rolled back at once.
    pub rollback_window: Duration,
    /// How much of the candidate has to be available.
    pub min_healthy: MinHealthy,
    /// What a release has to have before it starts.
    pub requires: Vec<Document>,
    /// How the candidate is judged.
    pub analysis: analysis::Settings,
    /// What the candidate is tried with before it gets users.
    pub tests: BTreeMap<String, Test>,
}

/// What a strategy is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A growing share.
    Canary,
    /// Nothing, then everything.
    BlueGreen,
    /// Copies of requests before any user.
    MirrorFirst,
    /// Fixed shares for a fixed time, and a person who decides.
    Ab,
}

/// Which users the candidate gets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Salt {
    /// Others for each release.
    Release,
    /// Those that the route's own salt gives it.
    Route,
    /// The same ones as of all that share this name.
    Shared(String),
}

/// What happens when the deadline has passed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadline {
    /// Somebody is told, and traffic stays as it is.
    #[default]
    Hold,
    /// Stable gets everything back.
    Abort,
}

/// How much of the candidate has to be available.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MinHealthy {
    /// So many endpoints.
    pub endpoints: usize,
    /// And such a share of them.
    pub share: Percent,
}

impl Default for MinHealthy {
    fn default() -> Self {
        Self {
            endpoints: 1,
            share: Percent::NONE,
        }
    }
}

/// One rung.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// The least time, from when every instance obeys it.
    pub at_least: Duration,
    /// What the analysis has to say before the next step.
    pub require: Requirement,
    /// Who has to agree before the next step.
    pub gate: Option<String>,
}

/// What a step does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Only who asks for it gets the candidate.
    Preview(Preview),
    /// The candidate gets copies of requests.
    Mirror(MirrorStep),
    /// The candidate gets such a share of the requests.
    Weight(Percent),
}

/// What a request has to have to get a candidate that nobody else gets; all of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Preview {
    /// The host that it is for, without a port, in lower case.
    #[serde(default)]
    pub host: Option<String>,
    /// Fields with their values.
    pub headers: BTreeMap<String, String>,
}

/// Copies of requests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorStep {
    /// Of how many requests.
    pub percent: Percent,
    /// Of which methods.
    pub methods: Vec<String>,
}

/// What the analysis has to say before the next step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Only that the candidate does not fail.
    NotFailed,
    /// That enough was seen, and nothing speaks against it.
    NoRegression,
    /// That every check has shown the candidate to be as good.
    Proven,
}

impl Strategy {
    /// The share that the candidate is to get in a step.
    pub fn weight(&self, step: usize) -> Percent {
        match self.steps.get(step).map(|step| &step.action) {
            Some(Action::Weight(weight)) => *weight,
            Some(Action::Preview(_) | Action::Mirror(_)) | None => Percent::NONE,
        }
    }

    /// The first step that gives the candidate users.
    pub fn first_with_users(&self) -> usize {
        let mut steps = self.steps.iter();
        let first = steps.position(|step| matches!(step.action, Action::Weight(_)));
        first.unwrap_or(self.steps.len())
    }

    /// Whether a step is the last one.
    pub fn is_last(&self, step: usize) -> bool {
        self.steps.len() <= step + 1
    }

    /// The gate that has to open before what comes after a step; `None` as the step is the start.
    pub fn gate(&self, step: Option<usize>) -> Option<&str> {
        match step {
            None => self.start_gate.as_deref(),
            Some(step) => self.steps.get(step)?.gate.as_deref(),
        }
    }
}
