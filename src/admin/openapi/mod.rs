//! The API described for programs: OpenAPI 3.1, as `GET /api/v1/openapi.json` answers it.
//!
//! Nobody writes it. Paths, roles and faults are those of the table of actions, which the router is
//! made of; what is sent and answered is described by the types that are sent. `openapi.json` beside
//! this is how it looks, so that a change of the API shows.

mod schemas;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::admin::actions::{Action, Answer, Query};
use crate::admin::fault::{Code, any_of};
use crate::admin::guard::Needs;
use crate::admin::mutation::{REASON, TICKET};
use crate::admin::wire::Problem;
use crate::release::role::Permission;

pub(in crate::admin) use crate::admin::openapi::schemas::{Schemas, Shape};

/// What anything but a probe may be answered.
const OF_THE_GUARD: [Code; 8] = [
    Code::HostMissing,
    Code::TokenMissing,
    Code::TokenWrong,
    Code::TokenExpired,
    Code::OriginForeign,
    Code::TokenUnset,
    Code::RoleMissing,
    Code::HostForeign,
];

/// What every mutation may be answered besides.
const OF_MUTATIONS: [Code; 12] = [
    Code::BodyMalformed,
    Code::IfMatchMalformed,
    Code::IdempotencyKeyMalformed,
    Code::BodyTooSlow,
    Code::RequestUnderWay,
    Code::PreconditionFailed,
    Code::BodyTooLarge,
    Code::MediaTypeUnsupported,
    Code::BodyInvalid,
    Code::ReasonMissing,
    Code::IdempotencyKeyReused,
    Code::TooManyUnderWay,
];

/// The whole description.
pub(in crate::admin) fn document() -> Value {
    let mut schemas = Schemas::default();
    let problem = schemas.of::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for action in Action::all() {
        let path = paths.entry(action.path).or_insert_with(|| json!({}));
        let method = action.method.as_str().to_ascii_lowercase();
        path[method] = operation(action, &problem, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tidegate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Members are only ever added to answers. Errors are problems of RFC 9457 \
                            whose `code` never changes.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the configuration; needed where it has any.",
                },
            },
        },
    })
}

fn operation(action: &Action, problem: &Value, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": action.name,
        "summary": action.summary,
        "parameters": parameters(action),
        "responses": responses(action, problem, schemas),
    });
    match action.needs {
        Needs::Nothing => operation["security"] = json!([]),
        Needs::May(permission) => {
            let roles = any_of(permission.granted_to());
            operation["description"] = format!("Needs the role {roles}.").into();
            operation["x-tidegate-role"] = roles.into();
        }
        Needs::Known => {
            let why = "Who may is said by what it is done to: the gate, the freeze.";
            operation["description"] = why.into();
            operation["x-tidegate-role"] = any_of(Permission::View.granted_to()).into();
        }
    }
    if let Some(body) = action.body {
        operation["requestBody"] = json!({
            "required": action.needs_reason,
            "content": { "application/json": { "schema": envelope(body(schemas), action) } },
        });
    }
    operation
}

/// What is sent, with what every mutation comes with.
fn envelope(mut schema: Value, action: &Action) -> Value {
    let text = |what: &str, length: &RangeInclusive<usize>| {
        json!({
            "type": "string",
            "description": what,
            "minLength": length.start(),
            "maxLength": length.end(),
        })
    };
    let why = text("Why: it is kept with what was done.", &REASON);
    schema["properties"]["reason"] = why;
    let ticket = text("The ticket that this belongs to elsewhere.", &TICKET);
    schema["properties"]["ticket"] = ticket;
    if action.needs_reason {
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        required.push("reason".into());
        schema["required"] = required.into();
    }
    schema
}

fn parameters(action: &Action) -> Vec<Value> {
    let names = action.path.split('/');
    let names = names.filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
    let of_path = names.map(|name| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string" },
        })
    });
    let of_query = action.query.iter().map(|query| {
        let Query { name, what, .. } = query;
        let schema = if query.is_repeated {
            json!({ "type": "array", "items": { "type": "string" } })
        } else {
            json!({ "type": "string" })
        };
        json!({
            "name": name,
            "in": "query",
            "description": what,
            "required": query.is_required,
            "schema": schema,
        })
    });
    let header = |name: &str, what: &str| {
        json!({
            "name": name,
            "in": "header",
            "description": what,
            "schema": { "type": "string" },
        })
    };
    let of_header = [
        header(
            "If-Match",
            "What it must be for this to be done: an ETag, several, or `*`.",
        ),
        header(
            "Idempotency-Key",
            "A text of your own for this one request: it is carried out once, and for a day the same \
             request with the same key gets the same answer, with `Idempotency-Replayed: true`.",
        ),
    ];
    let n_headers = if action.is_mutation() {
        of_header.len()
    } else {
        0
    };
    let of_header = of_header.into_iter().take(n_headers);
    of_path.chain(of_query).chain(of_header).collect()
}

fn responses(action: &Action, problem: &Value, schemas: &mut Schemas) -> Value {
    let (content_type, schema) = match action.answer {
        Answer::Json(schema) => ("application/json", schema(schemas)),
        Answer::Text(content_type) => (content_type, json!({ "type": "string" })),
    };
    let mut done = json!({
        "description": "Done.",
        "content": { content_type: { "schema": schema } },
    });
    if action.has_etag {
        done["headers"] = json!({
            "ETag": {
                "description": "What it is now, for `If-Match`.",
                "schema": { "type": "string" },
            },
        });
    }
    let done = action
        .statuses
        .iter()
        .map(|status| (status.to_string(), done.clone()));
    let mut responses: BTreeMap<String, Value> = done.collect();
    let of_guard = match action.needs {
        Needs::Nothing => &[][..],
        Needs::May(_) | Needs::Known => &OF_THE_GUARD,
    };
    let of_mutation = match action.is_mutation() {
        true => &OF_MUTATIONS[..],
        false => &[],
    };
    let mut codes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let all = of_guard.iter().chain(of_mutation).chain(action.faults);
    for code in all.chain(&[Code::Internal]) {
        let names = codes.entry(code.status().as_u16()).or_default();
        names.push(format!("`{}`", code.name()));
    }
    for (status, names) in codes {
        let answer = json!({
            "description": format!("A problem: {}.", names.join(", ")),
            "content": {
                "application/problem+json": {
                    "schema": problem,
                },
            },
        });
        responses.insert(status.to_string(), answer);
    }
    json!(responses)
}
