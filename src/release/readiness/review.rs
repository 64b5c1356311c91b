//! Exceptions and their review: what an emergency passed, and the second person who looks at it.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::freeze::Override;
use crate::release::readiness::ChangeType;
use crate::release::role::{Permission, Role, Roles, same_person};

/// Something that was passed without what it asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Passed {
    /// The freeze of that name.
    Freeze(String),
    /// The gate of that name.
    Gate(String),
}

/// One use of an emergency's right.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exception {
    /// What was passed.
    pub passed: Passed,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
    /// The specification for which a gate was passed: for another, the gate asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
}

/// Somebody's word that an emergency was looked at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Closing {
    /// Who closed the review.
    pub actor: String,
    /// What was found.
    pub comment: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
}

/// The review of a release: required from its first exception on, until a second person closes it;
/// a later exception opens it again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Review {
    exceptions: Vec<Exception>,
    closing: Option<Closing>,
}

/// Why a review is not closed, or an exception not made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReviewError {
    /// Nothing was passed.
    #[error("there is nothing to review: no freeze and no gate was overridden")]
    NothingToReview,
    /// Somebody did already.
    #[error("the review was closed by {actor}")]
    AlreadyClosed {
        /// Who did.
        actor: String,
    },
    /// Who asks has a part in it.
    #[error("{actor} overrode {what}, and cannot close the review of that: somebody else has to")]
    SamePerson {
        /// Who asked.
        actor: String,
        /// What that person passed.
        what: Passed,
    },
    /// Who asks may not.
    #[error("{actor} may not {what}: it needs the role {}", names(may))]
    NotAllowed {
        /// Who asked.
        actor: String,
        /// For what.
        what: String,
        /// Who may.
        may: Vec<Role>,
    },
    /// There is no reason.
    #[error("to {what} needs a reason")]
    NoReason {
        /// For what.
        what: String,
    },
}

fn names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(Role::name).collect();
    names.join(" or ")
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freeze(name) => write!(f, "freeze {name:?}"),
            Self::Gate(name) => write!(f, "gate {name:?}"),
        }
    }
}

impl Exception {
    /// Passes a gate without its approvals.
    ///
    /// # Errors
    /// When the actor may not, or gives no reason.
    pub fn gate(
        (gate, spec_hash): (&str, &str),
        (actor, roles): (&str, &Roles),
        reason: &str,
        at: SystemTime,
    ) -> Result<Self, ReviewError> {
        let passed = Passed::Gate(gate.to_owned());
        let what = format!("override {passed}");
        if !roles.may(Permission::OverrideGate) {
            return Err(ReviewError::NotAllowed {
                actor: actor.to_owned(),
                what,
                may: Permission::OverrideGate.granted_to().to_vec(),
            });
        }
        if reason.trim().is_empty() {
            return Err(ReviewError::NoReason { what });
        }
        Ok(Self {
            passed,
            actor: actor.to_owned(),
            reason: reason.trim().to_owned(),
            at,
            spec_hash: Some(spec_hash.to_owned()),
        })
    }

    /// The same for a freeze, once a release has moved by an override.
    pub fn freeze(by: &Override) -> Self {
        Self {
            passed: Passed::Freeze(by.freeze.clone()),
            actor: by.actor.clone(),
            reason: by.reason.clone(),
            at: by.at,
            spec_hash: None,
        }
    }
}

impl Review {
    /// What the change is from now on: whoever made an exception made it an emergency.
    pub fn change_type(&self, declared: ChangeType) -> ChangeType {
        if self.exceptions.is_empty() {
            declared
        } else {
            ChangeType::Emergency
        }
    }

    /// Whether a second person has to look at it.
    pub fn is_required(&self) -> bool {
        !self.exceptions.is_empty() && self.closing.is_none()
    }

    /// What was passed, in order.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Who closed it, while it is closed.
    pub fn closing(&self) -> Option<&Closing> {
        self.closing.as_ref()
    }

    /// Takes an exception into it; it is open from then on. One that it has already is no second.
    pub fn add(&mut self, exception: Exception) {
        if !self.exceptions.contains(&exception) {
            self.exceptions.push(exception);
            self.closing = None;
        }
    }

    /// Closes it.
    ///
    /// # Errors
    /// When there is nothing to close, when the actor may not, made one of the exceptions, or says
    /// nothing.
    pub fn close(
        &mut self,
        (actor, roles): (&str, &Roles),
        comment: &str,
        at: SystemTime,
    ) -> Result<(), ReviewError> {
        let what = "close the review".to_owned();
        if self.exceptions.is_empty() {
            return Err(ReviewError::NothingToReview);
        }
        if let Some(closing) = &self.closing {
            let actor = closing.actor.clone();
            return Err(ReviewError::AlreadyClosed { actor });
        }
        if !roles.may(Permission::CloseReview) {
            return Err(ReviewError::NotAllowed {
                actor: actor.to_owned(),
                what,
                may: Permission::CloseReview.granted_to().to_vec(),
            });
        }
        let own = |exception: &&Exception| same_person(&exception.actor, actor);
        if let Some(exception) = self.exceptions.iter().find(own) {
            return Err(ReviewError::SamePerson {
                actor: actor.to_owned(),
                what: exception.passed.clone(),
            });
        }
        if comment.trim().is_empty() {
            return Err(ReviewError::NoReason { what });
        }
        self.closing = Some(Closing {
            actor: actor.to_owned(),
            comment: comment.trim().to_owned(),
            at,
        });
        Ok(())
    }
}
