//! Rendering: an event in the language of each kind of sink, as requests that are ready to send.
//!
//! Pure: what is rendered twice is the same but for the time of a signature, and for the same
//! event the id is the same.

mod cdevents;
mod cloudevents;
mod slack;
mod webhook;

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value};

use crate::notify::event::Entry;
use crate::notify::sink::{Kind, Sink};

/// A request to a sink, which is a POST.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The path below the sink's URL, if it is not that URL itself.
    pub below: Option<&'static str>,
    /// The fields, with the type of the body.
    pub fields: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Outgoing {
    fn json(value: &Value) -> Self {
        Self::typed("application/json", value)
    }

    fn typed(content_type: &'static str, value: &Value) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            below: None,
            fields,
            body: Bytes::from(value.to_string()),
        }
    }
}

/// The requests that tell a sink of an event, in the order in which they are sent. Alertmanager is
/// told of alerts instead.
pub(in crate::notify) fn requests(sink: &Sink, entry: &Entry, now: SystemTime) -> Vec<Outgoing> {
    match &sink.kind {
        Kind::Alertmanager => Vec::new(),
        Kind::Slack => vec![slack::request(sink, entry)],
        Kind::CloudEvents { cdevents } => {
            let mut requests = vec![cloudevents::request(sink, entry)];
            if let Some(environment) = cdevents {
                requests.extend(cdevents::requests(environment, &entry.event, &entry.id));
            }
            requests
        }
        Kind::Webhook { key } => vec![webhook::request(sink, key.as_ref(), entry, now)],
    }
}

/// The request that tells Alertmanager of alerts.
pub(in crate::notify) fn alerts(alerts: &Value) -> Outgoing {
    Outgoing {
        below: Some("/api/v2/alerts"),
        ..Outgoing::json(alerts)
    }
}

/// The event as programs read it: its id first, then what it says, then the sink's labels.
fn document(sink: &Sink, entry: &Entry) -> Value {
    let mut document = Map::new();
    document.insert("id".to_owned(), entry.id.as_str().into());
    match serde_json::to_value(&entry.event) {
        Ok(Value::Object(event)) => document.extend(event),
        _ => unreachable!("an event is an object with names for keys"),
    }
    if !sink.labels.is_empty() {
        let labels = sink.labels.iter();
        let labels: Map<String, Value> = labels
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        document.insert("labels".to_owned(), Value::Object(labels));
    }
    Value::Object(document)
}

#[cfg(test)]
mod tests;
