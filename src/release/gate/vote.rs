//! Votes: what one person said at one gate, for one specification of a release.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::gate::Gate;
use crate::release::role::{Role, Roles, person};

/// What somebody said at a gate. It is kept as it was cast; [`judge`](crate::release::gate::judge)
/// decides each time whether it counts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Vote {
    /// The name of the gate.
    pub gate: String,
    /// The specification of the release that was seen.
    pub spec_hash: String,
    /// Who.
    pub actor: String,
    /// The mail address of the actor, where it is known: a release's author is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// The roles that the actor had.
    pub roles: Roles,
    /// What was said.
    pub answer: Answer,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes.
    Approve,
    /// No: the release goes back to stable.
    Reject,
}

/// Whose release it is: who wrote what it brings, and who made it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Author {
    /// The address in the file, alone or as a commit has it (`Ana <ana@example.com>`).
    #[serde(default)]
    pub mail: Option<String>,
    /// The actor that created the release.
    #[serde(default)]
    pub created_by: Option<String>,
}

/// Why a vote is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VoteError {
    /// Who votes may not.
    #[error(
        "{actor} may not vote at gate {gate:?}: it needs the role {}",
        names(may)
    )]
    NotAllowed {
        /// The name of the gate.
        gate: String,
        /// Who wanted to.
        actor: String,
        /// Who may.
        may: Vec<Role>,
    },
    /// It would count for nothing.
    #[error("{actor} is the author of the release: gate {gate:?} asks somebody else")]
    Author {
        /// The name of the gate.
        gate: String,
        /// Who wanted to.
        actor: String,
    },
    /// There is no reason.
    #[error("a vote at gate {gate:?} needs a reason")]
    NoReason {
        /// The name of the gate.
        gate: String,
    },
}

fn names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(Role::name).collect();
    names.join(" or ")
}

impl Vote {
    /// Takes a vote, of which `vote` has everything.
    ///
    /// # Errors
    /// When the actor may not vote there, is the author of what the gate wants approved by another,
    /// or gives no reason. The author may say no.
    pub fn cast(self, gate: &Gate, author: &Author) -> Result<Self, VoteError> {
        let (name, actor) = (gate.name.clone(), self.actor.clone());
        if !gate.may_vote(&self.roles) {
            return Err(VoteError::NotAllowed {
                gate: name,
                actor,
                may: gate.who_may().to_vec(),
            });
        }
        let yes = self.answer == Answer::Approve;
        if yes && gate.distinct_from_author && author.is_one_of(&self.identities()) {
            return Err(VoteError::Author { gate: name, actor });
        }
        if self.reason.trim().is_empty() {
            return Err(VoteError::NoReason { gate: name });
        }
        Ok(Self { gate: name, ..self })
    }

    /// What tells this person from others.
    pub(in crate::release::gate) fn identities(&self) -> Vec<String> {
        let names = [Some(&self.actor), self.mail.as_ref()];
        let names = names.into_iter().flatten().map(|name| person(name));
        names.filter(|name| !name.is_empty()).collect()
    }
}

impl Author {
    /// Whether the author has one of these identities.
    pub(in crate::release::gate) fn is_one_of(&self, identities: &[String]) -> bool {
        let own = [&self.mail, &self.created_by];
        let mut own = own.into_iter().flatten().map(|name| person(name));
        own.any(|name| identities.contains(&name))
    }
}
