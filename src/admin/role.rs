//! Roles: what somebody may do, in words.
//!
//! Those that tidegate knows are in an order, in which each includes what the ones before it may;
//! editing flags stands beside it. Any other word is the name of a group, such as `sre`, which means
//! something to who asks for it by name and opens nothing by itself.

use std::fmt::{Display, Formatter};

/// A role that tidegate knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Role {
    /// May read everything.
    Viewer,
    /// May also work the instance and move releases: reload, upgrade, pause.
    Operator,
    /// May also open gates.
    Approver,
    /// May also override what holds a release.
    ReleaseManager,
    /// May do everything.
    Admin,
    /// May read everything, and edit flags.
    FlagEditor,
}

impl Role {
    /// All of them.
    pub(in crate::admin) const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Operator,
        Self::Approver,
        Self::ReleaseManager,
        Self::Admin,
        Self::FlagEditor,
    ];

    /// The word for it in the configuration.
    pub(in crate::admin) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::ReleaseManager => "release-manager",
            Self::Admin => "admin",
            Self::FlagEditor => "flag-editor",
        }
    }

    /// The role that a word is, if it is one and no group.
    pub(in crate::admin) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// True when who has this role may do what `other` may.
    pub(in crate::admin) fn includes(self, other: Self) -> bool {
        match (self.rank(), other.rank()) {
            (Some(rank), Some(needed)) => needed <= rank,
            // Flags are edited by their editors, and by those who may do everything.
            (Some(_), None) => self == Self::Admin,
            (None, _) => matches!(other, Self::Viewer | Self::FlagEditor),
        }
    }

    /// Its place in the order, for those that have one.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Viewer => Some(0),
            Self::Operator => Some(1),
            Self::Approver => Some(2),
            Self::ReleaseManager => Some(3),
            Self::Admin => Some(4),
            Self::FlagEditor => None,
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles that somebody has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Roles {
    /// Every one, and every group.
    Every,
    /// Those of these names.
    Named(Vec<String>),
}

impl Roles {
    /// True when one of them includes a role.
    pub(in crate::admin) fn include(&self, needed: Role) -> bool {
        match self {
            Self::Every => true,
            Self::Named(names) => {
                let mut roles = names.iter().filter_map(|name| Role::of(name));
                roles.any(|role| role.includes(needed))
            }
        }
    }

    /// Their names; `*` for every one.
    pub(in crate::admin) fn names(&self) -> Vec<&str> {
        match self {
            Self::Every => vec!["*"],
            Self::Named(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

impl Display for Roles {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::role::{Role, Roles};

    fn named(names: &[&str]) -> Roles {
        Roles::Named(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_role_includes_those_before_it() {
        let order = &Role::ALL[..5];
        for (n, role) in order.iter().enumerate() {
            for (other_n, other) in order.iter().enumerate() {
                assert_eq!(role.includes(*other), other_n <= n, "{role} {other}");
            }
        }
    }

    #[test]
    fn flags_are_edited_by_their_editors_and_who_may_do_everything() {
        for role in Role::ALL {
            let may = matches!(role, Role::Admin | Role::FlagEditor);
            assert_eq!(role.includes(Role::FlagEditor), may, "{role}");
            let included = matches!(role, Role::Viewer | Role::FlagEditor);
            assert_eq!(Role::FlagEditor.includes(role), included, "{role}");
        }
    }

    #[test]
    fn a_group_opens_nothing_by_itself() {
        for needed in Role::ALL {
            assert!(!named(&["sre", "Admin", "viewers"]).include(needed));
            assert!(Roles::Every.include(needed));
        }
        assert!(named(&["sre", "operator"]).include(Role::Viewer));
    }

    #[test]
    fn a_name_is_that_of_one_role() {
        for role in Role::ALL {
            assert_eq!(Role::of(role.name()), Some(role));
        }
        assert_eq!(Role::of("sre"), None);
    }
}
