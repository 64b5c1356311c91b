//! What may be asked about releases and their gates.

use axum::routing::{get, post};
use http::Method;
use serde_json::json;

use crate::admin::actions::{Action, Answer, READ, parameter};
use crate::admin::fault::Code;
use crate::admin::guard::Needs;
use crate::admin::handlers::Nothing;
use crate::admin::openapi::Schemas;
use crate::admin::releases::{self, OF_STORE};
use crate::admin::wire;
use crate::release::role::Permission;

/// What may go wrong with what is told of one release.
const OF_ONE: [Code; 4] = [OF_STORE[0], OF_STORE[1], OF_STORE[2], Code::NotFound];

/// What may go wrong with a command.
const OF_COMMANDS: [Code; 6] = [
    OF_STORE[0],
    OF_STORE[1],
    OF_STORE[2],
    Code::NotFound,
    Code::Refused,
    Code::SomebodyElse,
];

/// What may go wrong with a new release.
const OF_CREATION: [Code; 6] = [
    OF_STORE[0],
    OF_STORE[1],
    OF_STORE[2],
    Code::Exists,
    Code::Busy,
    Code::ReleaseInvalid,
];

/// What is told of one release.
const ONE: Action = Action {
    faults: &OF_ONE,
    ..READ
};

/// What all commands have; some take no answer without a reason.
const COMMAND: Action = Action {
    method: Method::POST,
    needs_reason: true,
    body: Some(Schemas::inline::<Nothing>),
    statuses: &["200", "202"],
    answer: Answer::Json(Schemas::of::<wire::ReleaseChanged>),
    has_etag: true,
    faults: &OF_COMMANDS,
    handler: || post(releases::command),
    ..READ
};

/// All of them.
pub(in crate::admin::actions) static ACTIONS: [Action; 21] = [
    Action {
        name: "releases",
        path: "/api/v1/releases",
        summary: "All releases: those that are not over first.",
        query: &[
            parameter("state", "Phases, `active` or `ended`, with commas."),
            parameter("route", "The route."),
        ],
        answer: Answer::Json(Schemas::of::<wire::Releases>),
        faults: &[Code::QueryInvalid, Code::StoreMissing],
        handler: || get(releases::list),
        ..READ
    },
    Action {
        name: "release.create",
        path: "/api/v1/releases",
        summary: "Makes a release that the file does not have.",
        needs: Needs::May(Permission::CreateRelease),
        needs_reason: false,
        body: Some(|_| {
            json!({
                "type": "object",
                "description": "What a `[release.ID]` of the configuration has, and its id.",
                "properties": {
                    "id": { "type": "string", "description": "Its identity." },
                    "route": { "type": "string", "description": "The route." },
                    "stable": { "type": "string", "description": "The variant that serves now." },
                    "candidate": { "type": "string", "description": "The one that is to serve." },
                    "strategy": {
                        "type": ["string", "object"],
                        "description": "The name of a strategy, or one of its own.",
                    },
                },
                "required": ["id", "route", "stable", "candidate", "strategy"],
                "additionalProperties": true,
            })
        }),
        statuses: &["201", "202"],
        faults: &OF_CREATION,
        handler: || post(releases::create),
        ..COMMAND
    },
    Action {
        name: "release",
        path: "/api/v1/releases/{id}",
        summary: "All of a release.",
        answer: Answer::Json(Schemas::of::<wire::Release>),
        has_etag: true,
        handler: || get(releases::one),
        ..ONE
    },
    Action {
        name: "release.why",
        path: "/api/v1/releases/{id}/why",
        summary: "Why it stands where it stands, what ends that, and who can.",
        answer: Answer::Json(Schemas::of::<wire::Why>),
        handler: || get(releases::why),
        ..ONE
    },
    Action {
        name: "release.analysis",
        path: "/api/v1/releases/{id}/analysis",
        summary: "What the analysis says, with every number that led to it.",
        answer: Answer::Json(Schemas::of::<wire::AnalysisStatus>),
        handler: || get(releases::analysis),
        ..ONE
    },
    Action {
        name: "release.document",
        path: "/api/v1/releases/{id}/document",
        summary: "It as a document in Markdown: what, how, how back, who agreed, what happened.",
        answer: Answer::Text("text/markdown"),
        handler: || get(releases::document),
        ..ONE
    },
    Action {
        name: "release.start",
        path: "/api/v1/releases/{id}/start",
        summary: "Starts it, where it waits for that.",
        needs: Needs::May(Permission::Start),
        needs_reason: false,
        ..COMMAND
    },
    Action {
        name: "release.pause",
        path: "/api/v1/releases/{id}/pause",
        summary: "Lets it stay where it is.",
        needs: Needs::May(Permission::Pause),
        needs_reason: false,
        ..COMMAND
    },
    Action {
        name: "release.resume",
        path: "/api/v1/releases/{id}/resume",
        summary: "Lets it go on.",
        needs: Needs::May(Permission::Resume),
        needs_reason: false,
        ..COMMAND
    },
    Action {
        name: "release.skip",
        path: "/api/v1/releases/{id}/skip",
        summary: "Leaves its step although the analysis or the time does not allow it yet.",
        needs: Needs::May(Permission::Skip),
        ..COMMAND
    },
    Action {
        name: "release.promote",
        path: "/api/v1/releases/{id}/promote",
        summary: "Lets the candidate win now.",
        needs: Needs::May(Permission::Promote),
        ..COMMAND
    },
    Action {
        name: "release.abort",
        path: "/api/v1/releases/{id}/abort",
        summary: "Gives stable everything back.",
        needs: Needs::May(Permission::Abort),
        ..COMMAND
    },
    Action {
        name: "release.rollback",
        path: "/api/v1/releases/{id}/rollback",
        summary: "Gives stable everything back after the promotion.",
        needs: Needs::May(Permission::Rollback),
        body: Some(Schemas::inline::<wire::RollBack>),
        ..COMMAND
    },
    Action {
        name: "release.retry",
        path: "/api/v1/releases/{id}/retry",
        summary: "Begins it anew.",
        needs: Needs::May(Permission::Retry),
        needs_reason: false,
        ..COMMAND
    },
    Action {
        name: "release.review",
        path: "/api/v1/releases/{id}/review",
        summary: "Closes the review of what it passed in an emergency: a second person does.",
        needs: Needs::May(Permission::CloseReview),
        ..COMMAND
    },
    Action {
        name: "release.accept-file",
        path: "/api/v1/releases/{id}/accept-file",
        summary: "Takes what the file asks for and it does not do.",
        needs: Needs::May(Permission::Reconcile),
        ..COMMAND
    },
    Action {
        name: "release.keep",
        path: "/api/v1/releases/{id}/keep",
        summary: "Keeps what runs against the file.",
        needs: Needs::May(Permission::Reconcile),
        ..COMMAND
    },
    Action {
        name: "gates",
        path: "/api/v1/gates",
        summary: "The gates that are waited at.",
        answer: Answer::Json(Schemas::of::<wire::Gates>),
        faults: &[Code::QueryInvalid, Code::StoreMissing],
        handler: || get(releases::waited_at),
        ..READ
    },
    Action {
        name: "release.gate.approve",
        path: "/api/v1/releases/{id}/gates/{gate}/approve",
        summary: "Agrees at a gate.",
        needs: Needs::Known,
        handler: || post(releases::approve),
        ..COMMAND
    },
    Action {
        name: "release.gate.reject",
        path: "/api/v1/releases/{id}/gates/{gate}/reject",
        summary: "Disagrees at a gate, which ends the release.",
        needs: Needs::Known,
        handler: || post(releases::reject),
        ..COMMAND
    },
    Action {
        name: "release.gate.pass",
        path: "/api/v1/releases/{id}/gates/{gate}/pass",
        summary: "Passes a gate without its approvals, in an emergency.",
        needs: Needs::May(Permission::OverrideGate),
        handler: || post(releases::pass),
        ..COMMAND
    },
];
