//! Releases, gates and freezes, as one would write them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::effective::{all, duration, object, path, secret, strategy, texts};
use crate::config::releases::{NotifyConfig, ReleasesConfig};
use crate::notify;
use crate::release::freeze::{Freeze, Kind, Window};
use crate::release::gate::{Gate, OnTimeout};
use crate::release::readiness::{Document, Risk};
use crate::release::spec::{Spec, Start};
use crate::store::instant;

/// The sections that say it.
pub(in crate::config::effective) fn of(config: &ReleasesConfig) -> Map<String, Value> {
    let store = config.has_store.then(|| {
        json!({
            "kind": "file",
            "path": path(&config.store.path),
            "on_state_lost": config.store.on_state_lost.name(),
        })
    });
    let freezes = config.rules.freezes.iter();
    let freezes: Map<String, Value> = freezes.map(|one| (one.name.clone(), freeze(one))).collect();
    let specs = config.specs.iter().map(|(id, spec)| {
        let files = config.document_files.get(id);
        (id.clone(), release(spec, files))
    });
    let notify = config
        .notify
        .iter()
        .map(|sink| (sink.name.clone(), told(sink)));
    let sections = [
        ("cluster", json!({ "id": config.cluster })),
        ("store", store.into()),
        ("release", Value::Object(specs.collect())),
        ("strategy", all(&config.strategies, strategy::of)),
        ("gate", all(&config.rules.gates, gate)),
        ("freeze", Value::Object(freezes)),
        ("notify", Value::Object(notify.collect())),
    ];
    let sections = sections.into_iter().filter(|(_, value)| !value.is_null());
    sections
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// A value that serde writes as its word in the file.
pub(in crate::config::effective) fn word(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn release(spec: &Spec, files: Option<&BTreeMap<Document, PathBuf>>) -> Value {
    let documents = &spec.documents;
    let document = |document: Document, text: &Option<String>| {
        let file = files.and_then(|files| files.get(&document));
        file.map_or_else(|| json!(text), |file| json!({ "file": path(file) }))
    };
    let moment = |at| match at {
        Some(at) => json!(instant::timestamp(at).to_string()),
        None => Value::Null,
    };
    let strategy = match spec.strategy.name.as_str() {
        "" => strategy::of(&spec.strategy),
        name => json!(name),
    };
    object([
        (
            "route",
            spec.flag().is_none().then_some(&*spec.route).into(),
        ),
        ("flag", spec.flag().into()),
        ("stable", json!(spec.stable)),
        ("candidate", json!(spec.candidate)),
        ("artifact", json!(spec.artifact)),
        ("commit", json!(spec.commit)),
        ("commit_time", moment(spec.commit_time)),
        ("author", json!(spec.author)),
        ("rework_of", json!(spec.rework_of)),
        (
            "change",
            object([
                ("type", json!(spec.change.name())),
                ("ticket", json!(documents.ticket)),
                ("risk", spec.risk.map(Risk::name).into()),
            ]),
        ),
        ("notes", document(Document::Notes, &documents.notes)),
        (
            "rollback_plan",
            document(Document::RollbackPlan, &documents.rollback_plan),
        ),
        (
            "procedure",
            document(Document::Procedure, &documents.procedure),
        ),
        ("not_before", moment(spec.not_before)),
        ("after", json!(spec.after)),
        (
            "start",
            json!(match spec.start {
                Start::Auto => "auto",
                Start::Manual => "manual",
            }),
        ),
        ("strategy", strategy),
    ])
}

/// Somebody who is told. What comes after the host of a URL may be a secret, where it is not known to
/// be none.
fn told(sink: &NotifyConfig) -> Value {
    let (kind, environment) = match &sink.kind {
        notify::Kind::Alertmanager => ("alertmanager", None),
        notify::Kind::Slack => ("slack", None),
        notify::Kind::CloudEvents { cdevents } => ("cloudevents", cdevents.as_ref()),
        notify::Kind::Webhook { .. } => ("webhook", None),
    };
    let url = match (&sink.kind, sink.written_url.file()) {
        (_, Some(file)) => json!({ "file": path(file) }),
        (notify::Kind::Alertmanager | notify::Kind::CloudEvents { .. }, None) => {
            json!(sink.written_url.expose())
        }
        (notify::Kind::Slack | notify::Kind::Webhook { .. }, None) => json!(sink.url.to_string()),
    };
    let labels: Map<String, Value> = sink
        .labels
        .iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    object([
        ("kind", json!(kind)),
        ("url", url),
        ("events", texts(&sink.events)),
        ("labels", Value::Object(labels)),
        ("timeout", duration(sink.timeout)),
        ("ca", sink.ca.as_deref().map_or(Value::Null, path)),
        ("cdevents", environment.map(|_| true).into()),
        ("environment", json!(environment)),
        ("secret", sink.secret.as_ref().map_or(Value::Null, secret)),
    ])
}

fn gate(gate: &Gate) -> Value {
    json!({
        "roles": texts(&gate.roles),
        "approvals": gate.approvals,
        "distinct_from_author": gate.distinct_from_author,
        "expires": duration(gate.expires),
        "on_timeout": match gate.on_timeout {
            OnTimeout::Hold => "hold",
            OnTimeout::Abort => "abort",
        },
        "criteria": texts(&gate.criteria),
    })
}

fn freeze(freeze: &Freeze) -> Value {
    let moment = |at| match at {
        Some(at) => json!(instant::timestamp(at).to_string()),
        None => Value::Null,
    };
    let (mut from, mut to, mut weekly, mut tz) =
        (Value::Null, Value::Null, Value::Null, Value::Null);
    match &freeze.window {
        Window::Span(span) => (from, to) = (moment(span.from()), moment(span.to())),
        Window::Weekly(week) => {
            weekly = json!({
                "days": week.days().collect::<Vec<_>>(),
                "from": week.from().to_string(),
                "to": week.to().to_string(),
            });
            tz = json!(week.zone().name());
        }
    }
    object([
        (
            "kind",
            json!(match freeze.kind {
                Kind::Deny => "deny",
                Kind::Allow => "allow",
            }),
        ),
        ("from", from),
        ("to", to),
        ("weekly", weekly),
        ("tz", tz),
        (
            "blocks",
            freeze.blocks.iter().map(|act| act.name()).collect(),
        ),
        ("routes", texts(&freeze.routes)),
        ("override_roles", texts(&freeze.override_roles)),
    ])
}
