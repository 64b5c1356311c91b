//! Answers: JSON, and errors as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::admin::wire::{ConfigProblem, Problem};

/// Answers 200 with a value.
pub(in crate::admin) fn json(value: &impl Serialize) -> Response {
    encode(StatusCode::OK, "application/json", value)
}

/// Answers with a problem.
pub(in crate::admin) fn problem(status: StatusCode, detail: impl Into<String>) -> Response {
    problems(status, detail, Vec::new())
}

/// Answers with a problem that has a list of what is wrong with a configuration.
pub(in crate::admin) fn problems(
    status: StatusCode,
    detail: impl Into<String>,
    problems: Vec<ConfigProblem>,
) -> Response {
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: detail.into(),
        problems,
    };
    let mut response = encode(status, "application/problem+json", &problem);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2: a 401 tells how to authenticate.
        let challenge = HeaderValue::from_static("Bearer realm=\"tidegate\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
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

fn encode(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(body) => text(status, content_type, body + "\n"),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            format!("the answer cannot be written as JSON: {error}\n"),
        ),
    }
}
