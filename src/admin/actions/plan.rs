//! What may be asked about the line, freezes, and weights of routes.

use axum::routing::{delete, get, post, put};
use http::Method;

use crate::admin::actions::{Action, Answer, READ, parameter};
use crate::admin::fault::Code;
use crate::admin::guard::Needs;
use crate::admin::handlers::Nothing;
use crate::admin::openapi::Schemas;
use crate::admin::releases::OF_STORE;
use crate::admin::{drift, freezes, line, schedule, weights, wire};
use crate::release::role::Permission;

/// What may go wrong with a change of one thing.
const OF_CHANGES: [Code; 5] = [
    OF_STORE[0],
    OF_STORE[1],
    OF_STORE[2],
    Code::NotFound,
    Code::Busy,
];

/// What may go wrong with a query.
const OF_QUERIES: [Code; 2] = [Code::QueryInvalid, Code::StoreMissing];

/// What all changes have.
const CHANGE: Action = Action {
    needs_reason: true,
    body: Some(Schemas::inline::<Nothing>),
    statuses: &["200", "202"],
    has_etag: true,
    faults: &OF_CHANGES,
    ..READ
};

/// All of them.
pub(in crate::admin::actions) static ACTIONS: [Action; 12] = [
    Action {
        name: "line",
        path: "/api/v1/stop-the-line",
        summary: "Whether anything moves forward.",
        answer: Answer::Json(Schemas::of::<wire::Line>),
        has_etag: true,
        faults: &[Code::StoreMissing],
        handler: || get(line::line),
        ..READ
    },
    Action {
        name: "line.stop",
        method: Method::PUT,
        path: "/api/v1/stop-the-line",
        summary: "Stops everything that moves forward.",
        needs: Needs::May(Permission::StopTheLine),
        answer: Answer::Json(Schemas::of::<wire::LineChanged>),
        faults: &OF_STORE,
        handler: || put(line::stop),
        ..CHANGE
    },
    Action {
        name: "line.go",
        method: Method::DELETE,
        path: "/api/v1/stop-the-line",
        summary: "Lets it go on.",
        needs: Needs::May(Permission::ReleaseTheLine),
        answer: Answer::Json(Schemas::of::<wire::LineChanged>),
        faults: &OF_STORE,
        handler: || delete(line::go),
        ..CHANGE
    },
    Action {
        name: "freezes",
        path: "/api/v1/freezes",
        summary: "The freezes, and what is closed at a moment.",
        query: &[
            parameter("at", "The moment, RFC 3339; now without it."),
            parameter(
                "route",
                "The route; those of releases that are not over without it.",
            ),
        ],
        answer: Answer::Json(Schemas::of::<wire::Freezes>),
        faults: &OF_QUERIES,
        handler: || get(freezes::freezes),
        ..READ
    },
    Action {
        name: "freeze.override",
        method: Method::POST,
        path: "/api/v1/freezes/{name}/override",
        summary: "Passes a freeze for a while: of a release, that opens its review.",
        needs: Needs::Known,
        body: Some(Schemas::inline::<wire::OverrideFreeze>),
        answer: Answer::Json(Schemas::of::<wire::FreezeOverridden>),
        handler: || post(freezes::pass),
        ..CHANGE
    },
    Action {
        name: "schedule",
        path: "/api/v1/schedule",
        summary: "What is planned; with `Accept: text/calendar` as iCalendar.",
        query: &[
            parameter("days", "How far is looked ahead: 30, at most 400."),
            parameter(
                "route",
                "The route; those of releases that are not over without it.",
            ),
        ],
        answer: Answer::Json(Schemas::of::<wire::Schedule>),
        faults: &OF_QUERIES,
        handler: || get(schedule::schedule),
        ..READ
    },
    Action {
        name: "routes",
        path: "/api/v1/routes",
        summary: "The weights of all routes that are divided.",
        answer: Answer::Json(Schemas::of::<wire::Routes>),
        faults: &OF_QUERIES,
        handler: || get(weights::routes),
        ..READ
    },
    Action {
        name: "weights",
        path: "/api/v1/routes/{route}/weights",
        summary: "The weights of a route, and who decides about them.",
        answer: Answer::Json(Schemas::of::<wire::RouteWeights>),
        has_etag: true,
        faults: &[Code::StoreMissing, Code::NotFound],
        handler: || get(weights::weights),
        ..READ
    },
    Action {
        name: "weights.set",
        method: Method::PUT,
        path: "/api/v1/routes/{route}/weights",
        summary: "Sets them, until the file changes, or for a time.",
        needs: Needs::May(Permission::SetWeights),
        body: Some(Schemas::inline::<wire::SetWeights>),
        answer: Answer::Json(Schemas::of::<wire::WeightsChanged>),
        handler: || put(weights::set),
        ..CHANGE
    },
    Action {
        name: "weights.clear",
        method: Method::DELETE,
        path: "/api/v1/routes/{route}/weights",
        summary: "Gives the file its say again.",
        needs: Needs::May(Permission::SetWeights),
        needs_reason: false,
        answer: Answer::Json(Schemas::of::<wire::WeightsChanged>),
        handler: || delete(weights::clear),
        ..CHANGE
    },
    Action {
        name: "drift",
        path: "/api/v1/drift",
        summary: "What runs against the file.",
        answer: Answer::Json(Schemas::of::<wire::Drift>),
        faults: &OF_QUERIES,
        handler: || get(drift::drift),
        ..READ
    },
    Action {
        name: "config.patch",
        path: "/api/v1/config/patch",
        summary: "The commit after which nothing runs against the file, as TOML.",
        faults: &OF_QUERIES,
        handler: || get(drift::patch),
        ..READ
    },
];
