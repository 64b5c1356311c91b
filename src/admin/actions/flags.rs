//! What may be asked about flags.

use axum::routing::{delete, get, post};
use http::Method;

use crate::admin::actions::{Action, Answer, READ, parameter};
use crate::admin::fault::Code;
use crate::admin::guard::Needs;
use crate::admin::handlers::Nothing;
use crate::admin::openapi::Schemas;
use crate::admin::releases::OF_STORE;
use crate::admin::{flags, wire};
use crate::release::role::Permission;

/// What may go wrong with a change of a flag.
const OF_CHANGES: [Code; 6] = [
    OF_STORE[0],
    OF_STORE[1],
    OF_STORE[2],
    Code::NotFound,
    Code::Busy,
    Code::Refused,
];

/// What all changes have.
const CHANGE: Action = Action {
    method: Method::POST,
    needs: Needs::May(Permission::EditFlag),
    needs_reason: true,
    body: Some(Schemas::inline::<Nothing>),
    statuses: &["200", "202"],
    answer: Answer::Json(Schemas::of::<wire::FlagChanged>),
    has_etag: true,
    faults: &OF_CHANGES,
    ..READ
};

/// All of them.
pub(in crate::admin::actions) static ACTIONS: [Action; 11] = [
    Action {
        name: "flags",
        path: "/api/v1/flags",
        summary: "All flags.",
        answer: Answer::Json(Schemas::of::<wire::Flags>),
        faults: &[Code::QueryInvalid],
        handler: || get(flags::list),
        ..READ
    },
    Action {
        name: "flags.stale",
        path: "/api/v1/flags/stale",
        summary: "The flags that should be taken out.",
        answer: Answer::Json(Schemas::of::<wire::StaleFlags>),
        faults: &[Code::QueryInvalid],
        handler: || get(flags::stale),
        ..READ
    },
    Action {
        name: "flag",
        path: "/api/v1/flags/{flag}",
        summary: "A flag, and what of it is set at run time.",
        answer: Answer::Json(Schemas::of::<wire::Flag>),
        has_etag: true,
        faults: &[Code::NotFound],
        handler: || get(flags::one),
        ..READ
    },
    Action {
        name: "flag.evaluate",
        path: "/api/v1/flags/{flag}/evaluate",
        summary: "What a flag answers; it is not counted as a use of it.",
        query: &[
            parameter("context", "The evaluation context: a JSON object."),
            parameter("at", "The moment, RFC 3339; now without it."),
            parameter(
                "explain",
                "Tells every line of the decision, whatever its value.",
            ),
        ],
        answer: Answer::Json(Schemas::of::<wire::FlagEvaluation>),
        faults: &[Code::QueryInvalid, Code::NotFound],
        handler: || get(flags::evaluate),
        ..READ
    },
    Action {
        name: "flag.history",
        path: "/api/v1/flags/{flag}/history",
        summary: "Records of what was done to a flag, the last first.",
        query: &[
            parameter("limit", "How many: 100, at most 1000."),
            parameter("until", "Up to this record, by its number."),
        ],
        answer: Answer::Json(Schemas::of::<wire::Audit>),
        faults: &[Code::QueryInvalid, Code::StoreMissing],
        handler: || get(flags::history),
        ..READ
    },
    Action {
        name: "flag.kill",
        path: "/api/v1/flags/{flag}/kill",
        summary: "Serves the off variant to everyone until that is taken back; no freeze is in its way. \
                  A flag without a kill switch needs the role that edits flags.",
        needs: Needs::May(Permission::KillFlag),
        handler: || post(flags::kill),
        ..CHANGE
    },
    Action {
        name: "flag.unkill",
        path: "/api/v1/flags/{flag}/unkill",
        summary: "Takes a kill back.",
        handler: || post(flags::unkill),
        ..CHANGE
    },
    Action {
        name: "flag.enable",
        path: "/api/v1/flags/{flag}/enable",
        summary: "Has a flag on that is off in the file, for a day or as long as is said.",
        body: Some(Schemas::inline::<wire::SwitchFlag>),
        handler: || post(flags::enable),
        ..CHANGE
    },
    Action {
        name: "flag.disable",
        path: "/api/v1/flags/{flag}/disable",
        summary: "Has a flag off; no freeze is in its way.",
        body: Some(Schemas::inline::<wire::SwitchFlag>),
        handler: || post(flags::disable),
        ..CHANGE
    },
    Action {
        name: "flag.override",
        path: "/api/v1/flags/{flag}/override",
        summary: "Serves a variant or a split to everyone, for a day or as long as is said.",
        body: Some(Schemas::inline::<wire::OverrideFlag>),
        handler: || post(flags::set),
        ..CHANGE
    },
    Action {
        name: "flag.clear",
        method: Method::DELETE,
        path: "/api/v1/flags/{flag}/override",
        summary: "Takes what everyone is served back.",
        handler: || delete(flags::clear),
        ..CHANGE
    },
];
