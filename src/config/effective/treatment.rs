//! What a route does to requests and responses, as one would write it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::effective::{REDACTED, duration, object, secret};
use crate::config::treatment::{HeaderEdits, HeaderText, TreatmentConfig};
use crate::config::unit::write_size;
use crate::proxy::RouteTimeouts;
use crate::route::{PathRewrite, RewriteSpec};

/// Parts of names of fields whose values are not shown: who holds such a value can do something.
const TELLING: [&str; 7] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "token",
];

/// The keys of a route that say it; only those that change something.
pub(in crate::config::effective) fn of(treatment: &TreatmentConfig) -> Map<String, Value> {
    let keys = object([
        ("request_headers", edits(&treatment.request_headers)),
        ("response_headers", edits(&treatment.response_headers)),
        ("rewrite", rewrite(treatment)),
        (
            "assignment_headers",
            json!(treatment.assignment_headers.name()),
        ),
        ("timeouts", timeouts(&treatment.timeouts)),
        (
            "limits",
            (treatment.body_bytes.is_some() || treatment.requests.is_some())
                .then(|| {
                    object([
                        ("body", treatment.body_bytes.map(write_size).into()),
                        ("requests", treatment.requests.into()),
                    ])
                })
                .into(),
        ),
    ]);
    match keys {
        Value::Object(keys) => keys,
        _ => Map::new(),
    }
}

/// The keys of a route without an upstream that say it.
pub(in crate::config::effective) fn of_responses(
    treatment: &TreatmentConfig,
) -> Option<(String, Value)> {
    let edits = edits(&treatment.response_headers);
    (!edits.is_null()).then(|| ("response_headers".to_owned(), edits))
}

fn rewrite(treatment: &TreatmentConfig) -> Value {
    if treatment.path.is_none() && treatment.host.is_none() {
        return Value::Null;
    }
    let [prefix, path, regex_path] = path(treatment.path.as_ref());
    object([prefix, path, regex_path, ("host", json!(treatment.host))])
}

/// The keys that say what becomes of a path.
pub(in crate::config::effective) fn path(
    rewrite: Option<&PathRewrite>,
) -> [(&'static str, Value); 3] {
    let spec = rewrite.map(PathRewrite::spec);
    let (mut prefix, mut path, mut template) = (Value::Null, Value::Null, Value::Null);
    match spec {
        Some(RewriteSpec::Prefix(text)) => prefix = json!(text),
        Some(RewriteSpec::Path(text)) => path = json!(text),
        Some(RewriteSpec::Template(text)) => template = json!(text),
        None => {}
    }
    [("prefix", prefix), ("path", path), ("regex_path", template)]
}

fn timeouts(timeouts: &RouteTimeouts) -> Value {
    if *timeouts == RouteTimeouts::default() {
        return Value::Null;
    }
    let optional = |wait: Option<Duration>| wait.map(duration).into();
    object([
        ("response", optional(timeouts.response)),
        ("body", optional(timeouts.body)),
        ("tunnel", optional(timeouts.tunnel)),
    ])
}

fn edits(edits: &HeaderEdits) -> Value {
    if *edits == HeaderEdits::default() {
        return Value::Null;
    }
    json!({
        "set": fields(&edits.set),
        "add": fields(&edits.add),
        "remove": edits.remove,
    })
}

/// Fields and their values, as far as these are to be shown.
pub(in crate::config::effective) fn fields(fields: &[(String, HeaderText)]) -> Value {
    let entries = fields.iter().map(|(name, text)| {
        let value = match text {
            HeaderText::Secret(value) => secret(value),
            HeaderText::Plain(_) if TELLING.iter().any(|part| name.contains(part)) => {
                json!(REDACTED)
            }
            HeaderText::Plain(text) => json!(text),
        };
        (name.clone(), value)
    });
    Value::Object(entries.collect())
}
