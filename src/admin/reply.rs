//! Answers that are as they should be: JSON and text.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use crate::admin::fault::Fault;

/// Answers 200 with a value.
pub(in crate::admin) fn json(value: &impl Serialize) -> Response {
    encode(StatusCode::OK, "application/json", value)
}

/// Answers with text.
pub(in crate::admin) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response {
    let fields = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")];
    (status, fields, body).into_response()
}

/// Answers with a value, as JSON of some kind.
pub(in crate::admin) fn encode(
    status: StatusCode,
    content_type: &'static str,
    value: &impl Serialize,
) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(body) => text(status, content_type, body + "\n"),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            format!("the answer cannot be written as JSON: {error}\n"),
        ),
    }
}

/// Answers with what is wrong.
pub(in crate::admin) fn fault(fault: Fault) -> Response {
    fault.into_response()
}
