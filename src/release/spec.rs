//! What a release is: which route goes from which variant to which, how, and what people need to
//! know of it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::release::readiness::{ChangeType, Documents, Risk};
use crate::release::strategy::{Action, Step, Strategy};
use crate::store::instant;

/// What stands before the name of a flag that a release rolls out, where the name of a route stands
/// otherwise; no name of a route has a colon.
pub const FLAG: &str = "flag:";

/// A release as it is wished for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spec {
    /// Its identity: another is another release.
    pub id: String,
    /// The route whose traffic moves; or [`FLAG`] and the name of the flag that is rolled out.
    pub route: String,
    /// The variant that serves now.
    pub stable: String,
    /// The variant that is to serve.
    pub candidate: String,
    /// What is released, as a package URL.
    pub artifact: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// When that was made.
    #[serde(with = "instant::rfc3339_option")]
    pub commit_time: Option<SystemTime>,
    /// Who made it.
    pub author: Option<String>,
    /// What kind of change it is.
    pub change: ChangeType,
    /// What may go wrong.
    pub risk: Option<Risk>,
    /// What people need to read.
    pub documents: Documents,
    /// Not before this moment.
    #[serde(with = "instant::rfc3339_option")]
    pub not_before: Option<SystemTime>,
    /// Releases that have to be promoted first.
    pub after: Vec<String>,
    /// The release that this one mends.
    pub rework_of: Option<String>,
    /// Whether it starts by itself, or waits for somebody to start it.
    pub start: Start,
    /// How traffic moves.
    pub strategy: Strategy,
}

/// How a release starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// As soon as nothing speaks against it.
    #[default]
    Auto,
    /// When somebody says so, and nothing speaks against it.
    Manual,
}

/// How a release that is wished for differs from what was adopted of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Difference {
    /// In nothing.
    None,
    /// In what can be obeyed while it runs.
    Adoptable,
    /// In what it leads to: another candidate. The one before has to give everything back first.
    Candidate,
    /// In what cannot be changed while it runs; what it is, for people.
    Conflict(&'static str),
}

/// The name of the flag that a release moves, if what it moves is one.
pub fn flag_of(target: &str) -> Option<&str> {
    target.strip_prefix(FLAG)
}

impl Spec {
    /// The flag that it rolls out, if it is no route whose traffic moves.
    pub fn flag(&self) -> Option<&str> {
        flag_of(&self.route)
    }

    /// The SHA-256 of all that makes it what it is, in hexadecimal digits: what an approval was given
    /// for. How it is judged and told of is not part of it.
    pub fn sha256(&self) -> String {
        let actions: Vec<&Action> = self
            .strategy
            .steps
            .iter()
            .map(|step| &step.action)
            .collect();
        let what = (
            (&self.id, &self.route, &self.stable, &self.candidate),
            (&self.artifact, &self.commit),
            actions,
        );
        // These are strings and numbers: they can always be written.
        let text = serde_json::to_vec(&what).unwrap_or_default();
        Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// How `wished` differs from this, which is in a step, or at its start with `None`.
    pub fn difference(&self, wished: &Self, step: Option<usize>) -> Difference {
        if self == wished {
            return Difference::None;
        }
        if self.candidate != wished.candidate {
            return Difference::Candidate;
        }
        if self.route != wished.route {
            return Difference::Conflict("what it moves");
        }
        // One that has not started has moved nothing: its stable may have been replaced meanwhile.
        if self.stable != wished.stable && step.is_some() {
            return Difference::Conflict("its stable variant");
        }
        if self.strategy.kind != wished.strategy.kind {
            return Difference::Conflict("the kind of its strategy");
        }
        if self.strategy.salt != wished.strategy.salt && step.is_some() {
            return Difference::Conflict("the salt of its strategy");
        }
        let done = step.map_or(0, |step| step + 1);
        let begun = |strategy: &Strategy| -> Vec<Action> {
            let steps = strategy.steps.iter().take(done);
            steps.map(|step: &Step| step.action.clone()).collect()
        };
        if begun(&self.strategy) != begun(&wished.strategy) {
            return Difference::Conflict("steps that were taken already");
        }
        Difference::Adoptable
    }
}
