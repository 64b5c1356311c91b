//! What may be asked about what happened.

use axum::routing::{get, post};
use http::Method;

use crate::admin::actions::{Action, Answer, Query, READ, parameter};
use crate::admin::fault::Code;
use crate::admin::guard::Needs;
use crate::admin::openapi::Schemas;
use crate::admin::releases::OF_STORE;
use crate::admin::{dora, events, incidents, trail, wire};
use crate::release::role::Permission;

/// What may go wrong with a query.
const OF_QUERIES: [Code; 2] = [Code::QueryInvalid, Code::StoreMissing];

const OBJECT: Query = parameter("object", "The kind of what it was done to, or KIND:NAME.");
const ACTOR: Query = parameter("actor", "Who did it.");
const ACTION: Query = parameter("action", "What the action begins with.");

/// All of them.
pub(in crate::admin::actions) static ACTIONS: [Action; 7] = [
    Action {
        name: "audit",
        path: "/api/v1/audit",
        summary: "Records of what was done.",
        query: &[
            parameter("since", "From this record on, by number or instant."),
            parameter("until", "Up to this one."),
            OBJECT,
            ACTOR,
            ACTION,
            parameter("limit", "How many: 100, at most 1000."),
            parameter("order", "`oldest` first, or `newest`."),
        ],
        answer: Answer::Json(Schemas::of::<wire::Audit>),
        faults: &OF_QUERIES,
        handler: || get(trail::audit),
        ..READ
    },
    Action {
        name: "audit.head",
        path: "/api/v1/audit/head",
        summary: "The last record's number and hash: an anchor.",
        answer: Answer::Json(Schemas::of::<wire::AuditHead>),
        faults: &[Code::StoreMissing],
        handler: || get(trail::head),
        ..READ
    },
    Action {
        name: "audit.verify",
        path: "/api/v1/audit/verify",
        summary: "Whether the trail is whole.",
        query: &[parameter("anchor", "What it has to have: SEQ:HASH.")],
        answer: Answer::Json(Schemas::of::<wire::AuditVerified>),
        faults: &OF_QUERIES,
        handler: || get(trail::verified),
        ..READ
    },
    Action {
        name: "events",
        path: "/api/v1/events",
        summary: "Records as they are made, as server-sent events; `Last-Event-ID` goes on from there.",
        query: &[
            parameter("since", "From this record on; from now without it."),
            OBJECT,
            ACTOR,
            ACTION,
        ],
        answer: Answer::Text("text/event-stream"),
        faults: &[
            Code::QueryInvalid,
            Code::StoreMissing,
            Code::TooManyListeners,
        ],
        handler: || get(events::events),
        ..READ
    },
    Action {
        name: "dora",
        path: "/api/v1/dora",
        summary: "How often, how fast and how well changes reach users.",
        query: &[
            parameter("window", "How far is looked back: 90d, at most 731d."),
            parameter("route", "The route; all without it."),
        ],
        answer: Answer::Json(Schemas::of::<wire::Dora>),
        faults: &OF_QUERIES,
        handler: || get(dora::figures),
        ..READ
    },
    Action {
        name: "incidents",
        path: "/api/v1/incidents",
        summary: "Incidents that are linked with releases.",
        answer: Answer::Json(Schemas::of::<wire::Incidents>),
        faults: &OF_QUERIES,
        handler: || get(incidents::incidents),
        ..READ
    },
    Action {
        name: "incident.link",
        method: Method::POST,
        path: "/api/v1/incidents",
        summary: "Links an incident with a release, or says when it was over.",
        needs: Needs::May(Permission::LinkIncident),
        body: Some(Schemas::inline::<wire::LinkIncident>),
        statuses: &["201", "202"],
        answer: Answer::Json(Schemas::of::<wire::IncidentChanged>),
        has_etag: true,
        faults: &[OF_STORE[0], OF_STORE[1], OF_STORE[2], Code::NotFound],
        handler: || post(incidents::link),
        ..READ
    },
];
