//! Everything that may be asked, in one table: by which method and path, what it needs, who answers.
//!
//! The router is made of it, and who asks is held to it, so that nothing can be asked that does not
//! stand here.

use axum::routing::{MethodRouter, get, post};
use http::Method;

use crate::admin::Served;
use crate::admin::guard::Needs;
use crate::admin::handlers;
use crate::admin::role::Role;

/// One thing that may be asked.
#[derive(Debug)]
pub(in crate::admin) struct Action {
    /// What logs and records call it: the kind of what it is about, and what is done.
    pub(in crate::admin) name: &'static str,
    /// The method.
    pub(in crate::admin) method: Method,
    /// The path, with `{…}` where something is named.
    pub(in crate::admin) path: &'static str,
    /// What it needs.
    pub(in crate::admin) needs: Needs,
    /// Whether who asks has to say why; a mutation may always come with a reason.
    pub(in crate::admin) needs_reason: bool,
    /// Makes what answers.
    pub(in crate::admin) handler: fn() -> MethodRouter<Served>,
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const OPERATOR: Needs = Needs::Role(Role::Operator);

/// All of them.
pub(in crate::admin) static ACTIONS: [Action; 9] = [
    read("livez", "/livez", Needs::Nothing, || get(handlers::livez)),
    read("livez", "/healthz", Needs::Nothing, || get(handlers::livez)),
    read("readyz", "/readyz", Needs::Nothing, || {
        get(handlers::readyz)
    }),
    read("metrics", "/metrics", VIEWER, || get(handlers::metrics)),
    read("status", "/api/v1/status", VIEWER, || get(handlers::status)),
    read("config", "/api/v1/config", VIEWER, || get(handlers::config)),
    read("explain", "/api/v1/explain", VIEWER, || {
        get(handlers::explain)
    }),
    Action {
        name: "config.reload",
        method: Method::POST,
        path: "/api/v1/config/reload",
        needs: OPERATOR,
        needs_reason: false,
        handler: || post(handlers::reload),
    },
    Action {
        name: "upgrade",
        method: Method::POST,
        path: "/api/v1/upgrade",
        needs: OPERATOR,
        needs_reason: false,
        handler: || post(handlers::upgrade),
    },
];

impl Action {
    /// True when it changes something.
    pub(in crate::admin) fn is_mutation(&self) -> bool {
        self.method != Method::GET
    }

    /// The one of a method at a path of the table, if there is one.
    pub(in crate::admin) fn of(method: &Method, path: &str) -> Option<&'static Self> {
        // What answers GET answers HEAD (RFC 9110, section 9.3.2).
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut actions = ACTIONS.iter();
        actions.find(|action| action.path == path && action.method == *method)
    }
}

const fn read(
    name: &'static str,
    path: &'static str,
    needs: Needs,
    handler: fn() -> MethodRouter<Served>,
) -> Action {
    Action {
        name,
        method: Method::GET,
        path,
        needs,
        needs_reason: false,
        handler,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::admin::actions::{ACTIONS, Action};
    use crate::admin::guard::Needs;
    use crate::admin::role::Role;

    #[test]
    fn nothing_stands_there_twice() {
        for (n, action) in ACTIONS.iter().enumerate() {
            let same =
                |other: &&Action| (&other.method, other.path) == (&action.method, action.path);
            assert!(!ACTIONS[..n].iter().any(|other| same(&other)), "{action:?}");
        }
    }

    #[test]
    fn what_changes_something_is_not_for_those_who_may_only_look() {
        for action in &ACTIONS {
            let for_viewers = match action.needs {
                Needs::Nothing => true,
                Needs::Role(role) => Role::Viewer.includes(role),
            };
            assert_eq!(for_viewers, !action.is_mutation(), "{action:?}");
        }
    }

    #[test]
    fn what_is_asked_by_head_is_what_get_asks() {
        let action = Action::of(&Method::HEAD, "/api/v1/status").unwrap();
        assert_eq!(action.name, "status");
        assert!(Action::of(&Method::PUT, "/api/v1/status").is_none());
        assert!(Action::of(&Method::GET, "/api/v1").is_none());
    }
}
