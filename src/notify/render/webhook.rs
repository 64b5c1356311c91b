//! A plain webhook: the event as JSON, signed when both sides share a secret.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue};

use crate::notify::event::Entry;
use crate::notify::render::{Outgoing, document};
use crate::notify::sink::Sink;
use crate::outbound::SigningKey;

/// Says which requests are the same one again: the id of the event
/// (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(in crate::notify::render) fn request(
    sink: &Sink,
    key: Option<&SigningKey>,
    entry: &Entry,
    now: SystemTime,
) -> Outgoing {
    let mut request = Outgoing::json(&document(sink, entry));
    // The draft's value is a quoted string of structured fields (RFC 9651), but those who read it
    // in practice take it as it is.
    if let Ok(id) = HeaderValue::from_str(&entry.id) {
        request.fields.insert(IDEMPOTENCY_KEY, id);
    }
    if let Some(key) = key {
        request.fields.extend(key.sign(&request.body, now));
    }
    request
}
