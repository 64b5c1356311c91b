//! Gates: people who have to agree, and facts that have to hold, before a release goes on.
//!
//! [`judge`] sees the gate as the file has it now, every vote that was cast, and the facts. It keeps
//! nothing, so a gate that is made stricter asks again by itself. A rejection stands whatever
//! becomes of the gate: only another specification is another question.

mod criterion;
mod judge;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
mod vote;

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

pub use crate::release::gate::criterion::{
    CheckState, Criterion, CriterionError, Facts, Grade, Item, Judged, Standing,
};
pub use crate::release::gate::judge::judge;
pub use crate::release::gate::vote::{Answer, Author, Vote, VoteError};

use crate::release::readiness::Exception;
use crate::release::role::{Permission, Role, Roles};

/// A gate as the file describes it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// Who may vote; whoever may at gates in general when that is empty.
    pub roles: Vec<Role>,
    /// How many people have to approve; with none, the criteria alone decide.
    pub approvals: u32,
    /// Whether an approval of the release's author counts for nothing.
    pub distinct_from_author: bool,
    /// How long an approval counts, and how long the gate is asked before it times out.
    #[serde(rename = "expires_seconds", serialize_with = "seconds")]
    pub expires: Duration,
    /// What becomes of the release then.
    pub on_timeout: OnTimeout,
    /// What has to be true besides.
    pub criteria: Vec<Criterion>,
}

/// What becomes of a release whose gate nobody opened in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeout {
    /// It goes on waiting.
    Hold,
    /// It goes back to stable.
    Abort,
}

/// How a gate stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum GateState {
    /// The release may pass.
    Open(Open),
    /// Somebody or something is missing.
    Waiting(Waiting),
    /// Somebody said no.
    Rejected(Rejected),
    /// Nobody opened it in time, and the gate says that this ends the release.
    TimedOut {
        /// When it was asked.
        #[serde(with = "crate::store::instant::rfc3339")]
        asked_at: SystemTime,
        /// When its time was over.
        #[serde(with = "crate::store::instant::rfc3339")]
        at: SystemTime,
    },
}

/// A gate that is open.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Open {
    /// Those that count, the oldest first.
    pub approvals: Vec<Approval>,
    /// Who passed it without them.
    pub exception: Option<Exception>,
    /// What was asked for besides, all done unless there is an exception.
    pub checklist: Vec<Item>,
    /// When too few approvals are left, if they get old.
    #[serde(with = "crate::store::instant::rfc3339_option")]
    pub until: Option<SystemTime>,
}

/// A gate that is not open yet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// How many people approve.
    pub have: u32,
    /// How many have to.
    pub need: u32,
    /// Those that count, the oldest first.
    pub approvals: Vec<Approval>,
    /// Those that do not, and why, the oldest first.
    pub ignored: Vec<Ignored>,
    /// Who may vote.
    pub who_may: Vec<Role>,
    /// What has to be true besides.
    pub checklist: Vec<Item>,
    /// When it was asked.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub asked_at: SystemTime,
    /// When it times out, or did.
    #[serde(with = "crate::store::instant::rfc3339_option")]
    pub expires_at: Option<SystemTime>,
    /// Whether that is past: the gate still waits, since it says `hold`.
    pub overdue: bool,
}

/// A no.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rejected {
    /// Whose.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
}

/// An approval that counts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// Whose.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
    /// When it no longer counts.
    #[serde(with = "crate::store::instant::rfc3339_option")]
    pub expires_at: Option<SystemTime>,
}

/// An approval that does not count.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ignored {
    /// Whose.
    pub by: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
    /// Why not.
    pub why: Why,
}

/// Why an approval does not count.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It was for another specification of the release.
    OtherSpecification,
    /// It is the author's.
    Author,
    /// The gate asks for other roles by now.
    Role,
    /// It is too old.
    Expired,
}

fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}

impl Gate {
    /// Who may vote.
    pub fn who_may(&self) -> &[Role] {
        if self.roles.is_empty() {
            return Permission::Vote.granted_to();
        }
        &self.roles
    }

    /// Whether who has these roles may vote.
    pub fn may_vote(&self, roles: &Roles) -> bool {
        roles.hold_any(self.who_may())
    }
}

impl Waiting {
    /// What is missing, as one line for people.
    pub fn missing(&self) -> String {
        let mut parts = Vec::new();
        if self.have < self.need {
            let who: Vec<&str> = self.who_may.iter().map(Role::name).collect();
            let (have, need) = (self.have, self.need);
            parts.push(format!(
                "{have} of {need} approvals by {}",
                who.join(" or ")
            ));
        }
        let undone = self.checklist.iter().filter(|item| !item.done);
        parts.extend(undone.map(|item| format!("{}: {}", item.criterion, item.detail)));
        parts.join("; ")
    }
}
