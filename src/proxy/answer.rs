//! Own answers: what tidegate says when no upstream does. Short, and never an address.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::message::{Body, Known, RequestHead};
use crate::proxy::Error;
use crate::proxy::grpc;
use crate::proxy::headers::{FieldEdits, OwnField, Sink};
use crate::proxy::rate_limit::Limited;
use crate::telemetry::stats::GrpcStatus;

/// The longest that a cached date is behind: a Date field counts in seconds.
const DATE_AGE: Duration = Duration::from_millis(500);

/// An own answer, before it is written for one protocol or the other.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    /// Its fields, besides those that frame it and its date.
    fields: Vec<OwnField>,
    body: Bytes,
}

impl Answer {
    /// The answer for an error. `request` tells by `Accept` whether JSON is wanted; without one it
    /// is text.
    pub(crate) fn new(error: &Error, request: Option<&RequestHead>) -> Self {
        let status = error.status();
        let title = reason_phrase(status);
        let (content_type, body) = if request.is_some_and(wants_json) {
            let body = format!(
                "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{}\"}}\n",
                error.detail()
            );
            ("application/problem+json", body)
        } else {
            let body = format!("{status} {title}: {}\n", error.detail());
            ("text/plain; charset=utf-8", body)
        };
        let mut answer = Self {
            status,
            fields: Vec::with_capacity(4),
            body: body.into(),
        };
        answer.add(b"content-type", content_type.as_bytes());
        let proxy_status = format!("tidegate; error={}", error.proxy_status());
        answer.add(b"proxy-status", proxy_status.as_bytes());
        if status == 405 {
            answer.add(b"allow", ALLOW.as_bytes());
        }
        if let Some(seconds) = error.retry_after() {
            answer.add(b"retry-after", seconds.to_string().as_bytes());
            if let Error::RateLimited(limited) = error {
                answer.tell_rate(limited, seconds);
            }
        }
        answer
    }

    /// Tells which limit it was (draft-ietf-httpapi-ratelimit-headers): its quota and its time, and
    /// that nothing is left of it for so many seconds.
    fn tell_rate(&mut self, limited: &Limited, seconds: u64) {
        let (number, requests) = (limited.number, limited.requests);
        let per = limited.per.as_secs();
        let policy = format!("\"limit-{number}\";q={requests};w={per}");
        self.add(b"ratelimit-policy", policy.as_bytes());
        let left = format!("\"limit-{number}\";r=0;t={seconds}");
        self.add(b"ratelimit", left.as_bytes());
    }

    /// Tells the request's id, too, behind the name of its field: who complains can say it.
    pub(crate) fn with_request_id(mut self, field: Option<(&[u8], &[u8])>) -> Self {
        if let Some((name, id)) = field {
            self.add(name, id);
        }
        self
    }

    /// Makes the changes that the route makes in the fields of its responses.
    pub(crate) fn edited(mut self, edits: Option<&FieldEdits>) -> Self {
        if let Some(edits) = edits {
            self.fields.retain(|field| !edits.drop(&field.name));
            self.fields.extend_from_slice(edits.added());
        }
        self
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        self.fields.push(OwnField {
            name: name.into(),
            value: value.into(),
        });
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of its body.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Writes it for HTTP/1.
    pub(crate) fn write_http1(&self, out: &mut Vec<u8>, head_only: bool, close: bool) {
        let title = reason_phrase(self.status);
        out.extend_from_slice(format!("HTTP/1.1 {} {title}\r\nDate: ", self.status).as_bytes());
        write_date(out);
        out.extend_from_slice(b"\r\n");
        for field in &self.fields {
            out.field(&field.name, &field.value);
        }
        out.length(self.body.len() as u64);
        if close {
            out.close();
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(&self.body);
        }
    }

    /// Makes it a response to a call of gRPC: the head says all, and its status of HTTP is 200.
    pub(crate) fn into_grpc(self, status: GrpcStatus, message: &str) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        for field in &self.fields {
            headers.field(&field.name, &field.value);
        }
        let content_type = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.field(b"grpc-status", status.label().as_bytes());
        headers.field(b"grpc-message", grpc::encode_message(message).as_bytes());
        response
    }

    /// Makes it a response for HTTP/2.
    pub(crate) fn into_http2(self) -> Response<Body> {
        let mut response = Response::new(Body::Full(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for field in &self.fields {
            response.headers_mut().field(&field.name, &field.value);
        }
        response
    }
}

/// What is said to `OPTIONS *`, CONNECT and TRACE: the methods that anybody may be forwarded.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const ALLOW_FIELD: &[u8] = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

/// Writes the answer to `OPTIONS *`, which asks the proxy itself (RFC 9110, section 9.3.7).
pub(crate) fn write_options(out: &mut Vec<u8>, close: bool) {
    out.extend_from_slice(b"HTTP/1.1 204 No Content\r\nDate: ");
    write_date(out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(ALLOW_FIELD);
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The answer to `OPTIONS *` for HTTP/2.
pub(crate) fn options_http2() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}

/// True when the client names JSON among what it accepts.
fn wants_json(request: &RequestHead) -> bool {
    request
        .known(Known::Accept)
        .any(|value| memchr::memmem::find(value, b"json").is_some())
}

/// The standard reason phrase of a status.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

/// Writes the date of now, made twice a second at most.
pub(crate) fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<Option<(Instant, String)>> = const { RefCell::new(None) };
    }
    DATE.with_borrow_mut(|date| {
        let fresh = date
            .as_ref()
            .is_some_and(|(made, _)| made.elapsed() < DATE_AGE);
        if !fresh {
            *date = Some((Instant::now(), httpdate::fmt_http_date(SystemTime::now())));
        }
        if let Some((_, text)) = date {
            out.extend_from_slice(text.as_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::message::RequestHead;
    use crate::proxy::Error;
    use crate::proxy::answer::Answer;

    #[test]
    fn an_answer_says_what_went_wrong_as_text_or_json() {
        let mut out = Vec::new();
        Answer::new(&Error::Unavailable, None).write_http1(&mut out, false, true);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(text.contains("proxy-status: tidegate; error=destination_unavailable\r\n"));
        assert!(text.contains("Connection: close\r\n"));
        assert!(text.ends_with("503 Service Unavailable: no upstream is available\n"));

        let mut request = RequestHead::default();
        request.append_field(b"accept", b"application/json");
        let mut out = Vec::new();
        Answer::new(&Error::NoRoute, Some(&request)).write_http1(&mut out, false, false);
        let text = String::from_utf8(out).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], 404);
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let mut out = Vec::new();
        Answer::new(&Error::NoRoute, None).write_http1(&mut out, true, false);
        assert!(out.ends_with(b"\r\n\r\n"));
    }
}
