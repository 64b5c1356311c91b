//! Overrides: a person passes a freeze, with a reason, for a while.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::freeze::{Freeze, Move};
use crate::release::role::{Role, Roles};

/// A freeze that does not hold for somebody, for a while.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Override {
    /// The name of the freeze.
    pub freeze: String,
    /// For what.
    pub scope: Scope,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
    /// When the freeze holds again.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub expires_at: SystemTime,
}

/// What an override is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One release, by its name.
    Release(String),
    /// Everything that the freeze concerns.
    Everything,
}

/// Why a freeze is not overridden.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OverrideError {
    /// Who asks may not.
    #[error("{actor} may not override freeze {freeze:?}: {}", who(may))]
    NotAllowed {
        /// The name of the freeze.
        freeze: String,
        /// Who asked.
        actor: String,
        /// Who may.
        may: Vec<Role>,
    },
    /// There is no reason.
    #[error("an override of freeze {freeze:?} needs a reason")]
    NoReason {
        /// The name of the freeze.
        freeze: String,
    },
    /// It would be over at once.
    #[error("an override of freeze {freeze:?} has to end after it begins")]
    Expired {
        /// The name of the freeze.
        freeze: String,
    },
}

fn who(may: &[Role]) -> String {
    if may.is_empty() {
        return "nobody may".to_owned();
    }
    let names: Vec<&str> = may.iter().map(Role::name).collect();
    format!("it needs the role {}", names.join(" or "))
}

impl Override {
    /// Overrides a freeze from `at` to `expires_at`.
    ///
    /// # Errors
    /// When the actor has none of the freeze's roles, gives no reason, or asks for no time.
    pub fn new(
        of: &Freeze,
        scope: Scope,
        (actor, roles): (&str, &Roles),
        reason: &str,
        (at, expires_at): (SystemTime, SystemTime),
    ) -> Result<Self, OverrideError> {
        let freeze = of.name.clone();
        if !roles.hold_any(&of.override_roles) {
            return Err(OverrideError::NotAllowed {
                freeze,
                actor: actor.to_owned(),
                may: of.override_roles.clone(),
            });
        }
        if reason.trim().is_empty() {
            return Err(OverrideError::NoReason { freeze });
        }
        if expires_at <= at {
            return Err(OverrideError::Expired { freeze });
        }
        Ok(Self {
            freeze,
            scope,
            actor: actor.to_owned(),
            reason: reason.trim().to_owned(),
            at,
            expires_at,
        })
    }

    /// Whether that move passes the freeze by this.
    pub fn passes(&self, freeze: &Freeze, asked: &Move<'_>, now: SystemTime) -> bool {
        let meant = match &self.scope {
            Scope::Everything => true,
            Scope::Release(release) => asked.release == Some(release.as_str()),
        };
        meant && self.freeze == freeze.name && (self.at..self.expires_at).contains(&now)
    }
}
