//! Everything that may be asked, in one table: by which method and path, what it needs, who answers.
//!
//! The router is made of it, and who asks is held to it, so that nothing can be asked that does not
//! stand here.

mod audit;
mod flags;
mod plan;
mod release;

use axum::routing::{MethodRouter, get, post};
use http::Method;
use serde_json::json;

use crate::admin::Served;
use crate::admin::fault::Code;
use crate::admin::guard::Needs;
use crate::admin::handlers;
use crate::admin::openapi::{Schemas, Shape};
use crate::admin::wire;
use crate::release::role::Permission;

/// One thing that may be asked.
#[derive(Debug)]
pub(in crate::admin) struct Action {
    /// What logs and records call it: the kind of what it is about, and what is done.
    pub(in crate::admin) name: &'static str,
    /// The method.
    pub(in crate::admin) method: Method,
    /// The path, with `{…}` where something is named.
    pub(in crate::admin) path: &'static str,
    /// What it does, in a sentence.
    pub(in crate::admin) summary: &'static str,
    /// What it needs.
    pub(in crate::admin) needs: Needs,
    /// Whether who asks has to say why; a mutation may always come with a reason.
    pub(in crate::admin) needs_reason: bool,
    /// What may stand in the query.
    pub(in crate::admin) query: &'static [Query],
    /// The members of the body besides reason and ticket, of a mutation.
    pub(in crate::admin) body: Option<Shape>,
    /// The statuses of an answer that says that it was done.
    pub(in crate::admin) statuses: &'static [&'static str],
    /// What is answered.
    pub(in crate::admin) answer: Answer,
    /// Whether the answer has an `ETag`.
    pub(in crate::admin) has_etag: bool,
    /// What may go wrong with it, besides what may go wrong with all of its kind.
    pub(in crate::admin) faults: &'static [Code],
    /// Makes what answers.
    pub(in crate::admin) handler: fn() -> MethodRouter<Served>,
}

/// A parameter in the query.
#[derive(Debug)]
pub(in crate::admin) struct Query {
    /// Its name.
    pub(in crate::admin) name: &'static str,
    /// What it says.
    pub(in crate::admin) what: &'static str,
    /// Whether it has to be there.
    pub(in crate::admin) is_required: bool,
    /// Whether it may be there several times.
    pub(in crate::admin) is_repeated: bool,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) enum Answer {
    /// JSON.
    Json(Shape),
    /// A text of such a content type.
    Text(&'static str),
}

const VIEWER: Needs = Needs::May(Permission::View);
const TEXT: Answer = Answer::Text("text/plain");

/// What most actions have: a path that is read.
pub(in crate::admin) const READ: Action = Action {
    name: "",
    method: Method::GET,
    path: "",
    summary: "",
    needs: VIEWER,
    needs_reason: false,
    query: &[],
    body: None,
    statuses: &["200"],
    answer: TEXT,
    has_etag: false,
    faults: &[],
    handler: MethodRouter::new,
};

/// What most mutations have: a body with nothing else than every mutation's.
const CHANGE: Action = Action {
    method: Method::POST,
    needs: Needs::May(Permission::Reload),
    body: Some(Schemas::inline::<handlers::Nothing>),
    ..READ
};

/// `?verbose`.
const VERBOSE: Query = parameter("verbose", "Tells more, whatever its value.");

/// Those of the process and its configuration.
static PROCESS: [Action; 10] = [
    Action {
        name: "livez",
        path: "/livez",
        summary: "Whether the process serves its admin port.",
        needs: Needs::Nothing,
        handler: || get(handlers::livez),
        ..READ
    },
    Action {
        name: "healthz",
        path: "/healthz",
        summary: "The same by another name.",
        needs: Needs::Nothing,
        handler: || get(handlers::livez),
        ..READ
    },
    Action {
        name: "readyz",
        path: "/readyz",
        summary: "Whether the instance is ready: 503 where it is not.",
        needs: Needs::Nothing,
        query: &[VERBOSE],
        handler: || get(handlers::readyz),
        ..READ
    },
    Action {
        name: "metrics",
        path: "/metrics",
        summary: "The metrics, in the text format of Prometheus.",
        handler: || get(handlers::metrics),
        ..READ
    },
    Action {
        name: "openapi",
        path: "/api/v1/openapi.json",
        summary: "This description.",
        answer: Answer::Json(|_| json!({ "type": "object" })),
        handler: || get(handlers::openapi),
        ..READ
    },
    Action {
        name: "status",
        path: "/api/v1/status",
        summary: "What is live.",
        query: &[VERBOSE],
        answer: Answer::Json(Schemas::of::<wire::Status>),
        handler: || get(handlers::status),
        ..READ
    },
    Action {
        name: "config",
        path: "/api/v1/config",
        summary: "The live configuration, with every default and no secret.",
        answer: Answer::Json(|_| json!({ "type": "object" })),
        has_etag: true,
        handler: || get(handlers::config),
        ..READ
    },
    Action {
        name: "explain",
        path: "/api/v1/explain",
        summary: "Why a request would go where it would go.",
        query: &EXPLAIN,
        answer: Answer::Json(Schemas::of::<wire::Explained>),
        faults: &[Code::QueryInvalid],
        handler: || get(handlers::explain),
        ..READ
    },
    Action {
        name: "config.reload",
        path: "/api/v1/config/reload",
        summary: "Reads the configuration again; answers when it is live.",
        answer: Answer::Json(Schemas::of::<wire::Reloaded>),
        faults: &[Code::ConfigInvalid],
        handler: || post(handlers::reload),
        ..CHANGE
    },
    Action {
        name: "upgrade",
        needs: Needs::May(Permission::Administer),
        path: "/api/v1/upgrade",
        summary: "Has another process take over; answers when it serves.",
        answer: Answer::Json(Schemas::of::<wire::Upgraded>),
        faults: &[Code::UpgradeUnderWay, Code::UpgradeFailed, Code::Ending],
        handler: || post(handlers::upgrade),
        ..CHANGE
    },
];

/// The parameters of an explanation.
const EXPLAIN: [Query; 5] = [
    Query {
        is_required: true,
        ..parameter("url", "The request's URL.")
    },
    parameter("method", "Its method, if it is not GET."),
    Query {
        is_repeated: true,
        ..parameter("header", "A field of it, as `Name: value`.")
    },
    parameter(
        "key",
        "The key of the user, in the place of what it is found in.",
    ),
    parameter("client", "The IP address that it comes from."),
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
        Self::all().find(|action| action.path == path && action.method == *method)
    }

    /// All of them.
    pub(in crate::admin) fn all() -> impl Iterator<Item = &'static Self> {
        let parts = [
            &PROCESS[..],
            &release::ACTIONS[..],
            &plan::ACTIONS[..],
            &flags::ACTIONS[..],
            &audit::ACTIONS[..],
        ];
        parts.into_iter().flatten()
    }
}

const fn parameter(name: &'static str, what: &'static str) -> Query {
    Query {
        name,
        what,
        is_required: false,
        is_repeated: false,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::admin::actions::Action;
    use crate::admin::guard::Needs;
    use crate::release::role::Permission;

    #[test]
    fn nothing_stands_there_twice() {
        for (n, action) in Action::all().enumerate() {
            let same =
                |other: &Action| (&other.method, other.path) == (&action.method, action.path);
            assert!(!Action::all().take(n).any(same), "{action:?}");
        }
    }

    #[test]
    fn what_changes_something_is_not_for_those_who_may_only_look() {
        for action in Action::all() {
            let for_viewers = match action.needs {
                Needs::Nothing | Needs::May(Permission::View) => true,
                Needs::May(_) => false,
                // Who may is said by what it is done to.
                Needs::Known => continue,
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
