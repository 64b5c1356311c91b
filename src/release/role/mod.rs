//! Roles: who may do what.
//!
//! Five roles are a ladder, each with all that is below it: viewer, operator, approver,
//! release-manager, admin. A flag editor stands beside it. Every other name is a group such as
//! `sre`: a group permits nothing but to look, until a gate or a freeze names it. Nobody, not even
//! an admin, is in a group without having been put there, so that two hats need two people.
//!
//! [`Permission`] is the whole table; whoever serves a request asks it and nothing else.

mod permission;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::release::role::permission::Permission;

/// The longest name of a group: it becomes a label and a column.
const MAX_NAME: usize = 64;

/// What stands for every role there is, in a list of roles.
const EVERY: &str = "*";

/// A hat that somebody wears.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Role {
    /// Looks at everything, changes nothing.
    Viewer,
    /// Runs releases, and sends traffic back.
    Operator,
    /// Says yes or no at gates.
    Approver,
    /// Answers for the calendar: overrides freezes and gates, lets a stopped line go on.
    ReleaseManager,
    /// Does everything that a permission can allow.
    Admin,
    /// Changes flags.
    FlagEditor,
    /// Is of a group that gates and freezes may name.
    Group(Group),
}

/// The name of a group: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter.
///
/// Invariant: it is not one of the built-in roles, nor one of them spelt in another way.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Group(String);

/// Why a text names no role.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RoleError {
    /// The text is none that a group can have.
    #[error(
        "{text:?} is no role: a role is viewer, operator, approver, release-manager, admin, \
         flag-editor, or the name of a group (a-z first, then a-z, 0-9, -, _, ., at most 64)"
    )]
    Malformed {
        /// The text.
        text: String,
    },
    /// The text is a built-in role in another spelling, and would be a group without any right.
    #[error("{text:?} is no role: did you mean {meant:?}?")]
    Misspelt {
        /// The text.
        text: String,
        /// The role that it resembles.
        meant: &'static str,
    },
}

/// The built-in roles, in the order of the ladder and beside it.
const BUILT_IN: [(&str, Role); 6] = [
    ("viewer", Role::Viewer),
    ("operator", Role::Operator),
    ("approver", Role::Approver),
    ("release-manager", Role::ReleaseManager),
    ("admin", Role::Admin),
    ("flag-editor", Role::FlagEditor),
];

impl Role {
    /// Its name, as a file or a token has it.
    pub fn name(&self) -> &str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::ReleaseManager => "release-manager",
            Self::Admin => "admin",
            Self::FlagEditor => "flag-editor",
            Self::Group(group) => &group.0,
        }
    }

    /// Whether who wears this hat wears `other`, too: on the ladder, every lower one.
    pub fn includes(&self, other: &Role) -> bool {
        match (self.rung(), other.rung()) {
            (Some(own), Some(other)) => own >= other,
            // A flag editor may look, and an admin edits flags; a group is only itself.
            _ => {
                self == other
                    || *other == Self::Viewer
                    || (*other == Self::FlagEditor && *self == Self::Admin)
            }
        }
    }

    fn rung(&self) -> Option<u8> {
        match self {
            Self::Viewer => Some(0),
            Self::Operator => Some(1),
            Self::Approver => Some(2),
            Self::ReleaseManager => Some(3),
            Self::Admin => Some(4),
            Self::FlagEditor | Self::Group(_) => None,
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        if let Some((_, role)) = BUILT_IN.iter().find(|(name, _)| *name == text) {
            return Ok(role.clone());
        }
        let letters = |name: &str| name.to_ascii_lowercase().replace(['-', '_', '.', ' '], "");
        let plain = letters(text);
        // A plural is the likeliest slip: `admins` would be a group that may do nothing.
        let meant = BUILT_IN
            .iter()
            .find(|(name, _)| letters(name) == plain.trim_end_matches('s'));
        if let Some((meant, _)) = meant {
            let text = text.to_owned();
            return Err(RoleError::Misspelt { text, meant });
        }
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !first || !rest || text.len() > MAX_NAME {
            let text = text.to_owned();
            return Err(RoleError::Malformed { text });
        }
        Ok(Self::Group(Group(text.to_owned())))
    }
}

impl TryFrom<String> for Role {
    type Error = RoleError;

    fn try_from(text: String) -> Result<Self, RoleError> {
        text.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.name().to_owned()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles of one actor.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Roles {
    every: bool,
    held: BTreeSet<Role>,
}

impl Roles {
    /// Every role there is, every group included: the actor of a loopback without tokens, and the
    /// file, whose authors nobody can tell apart.
    pub fn every() -> Self {
        Self {
            every: true,
            held: BTreeSet::new(),
        }
    }

    /// Whether one of the roles is `role`, or includes it.
    pub fn holds(&self, role: &Role) -> bool {
        self.every || self.held.iter().any(|held| held.includes(role))
    }

    /// Whether one of the roles is one of `wanted`, or includes one.
    pub fn hold_any(&self, wanted: &[Role]) -> bool {
        wanted.iter().any(|role| self.holds(role))
    }

    /// Whether this is allowed to who has these roles.
    pub fn may(&self, permission: Permission) -> bool {
        self.hold_any(permission.granted_to())
    }

    /// The names, in order; `*` for every role.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let every = self.every.then_some(EVERY);
        every.into_iter().chain(self.held.iter().map(Role::name))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(", "))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self {
            every: false,
            held: roles.into_iter().collect(),
        }
    }
}

impl TryFrom<Vec<String>> for Roles {
    type Error = RoleError;

    fn try_from(names: Vec<String>) -> Result<Self, RoleError> {
        if names.iter().any(|name| name == EVERY) {
            return Ok(Self::every());
        }
        names.iter().map(|name| name.parse::<Role>()).collect()
    }
}

impl From<Roles> for Vec<String> {
    fn from(roles: Roles) -> Self {
        roles.names().map(str::to_owned).collect()
    }
}

/// Whether two names are of one person: letters' case, blanks and the name before a mail address
/// (`Ana <ana@example.com>`, as a commit has it) are no difference.
pub fn same_person(one: &str, other: &str) -> bool {
    let one = person(one);
    !one.is_empty() && one == person(other)
}

/// What tells a person from others, in one spelling.
pub fn person(name: &str) -> String {
    let name = name.trim();
    let address = name
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'))
        .map_or(name, |(_, address)| address);
    address.trim().to_lowercase()
}
