//! Own answers: what tidegate says when no upstream does. Short, and never an address.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::message::{Body, Known, RequestHead};
use crate::proxy::Error;

/// The longest that a cached date is behind: a Date field counts in seconds.
const DATE_AGE: Duration = Duration::from_millis(500);

/// An own answer, before it is written for one protocol or the other.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    proxy_status: String,
    allow: bool,
    retry_after: bool,
    request_id: Option<(Vec<u8>, Vec<u8>)>,
}

impl Answer {
    /// The answer for an error. `request` tells by `Accept` whether JSON is wanted; without one it
    /// is text.
    pub(crate) fn new(error: &Error, request: Option<&RequestHead>) -> Self {
        let status = error.status();
        let title = reason_phrase(status);
        let json = request.is_some_and(wants_json);
        let body = if json {
            format!(
                "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{}\"}}\n",
                error.detail()
            )
        } else {
            format!("{status} {title}: {}\n", error.detail())
        };
        Self {
            status,
            content_type: if json {
                "application/problem+json"
            } else {
                "text/plain; charset=utf-8"
            },
            body,
            proxy_status: format!("tidegate; error={}", error.proxy_status()),
            allow: status == 405,
            retry_after: status == 503,
            request_id: None,
        }
    }

    /// Tells the request's id, too, behind the name of its field: who complains can say it.
    pub(crate) fn with_request_id(mut self, field: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        self.request_id = field;
        self
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
        let rest = format!(
            "\r\nContent-Type: {}\r\nContent-Length: {}\r\nProxy-Status: {}\r\n",
            self.content_type,
            self.body.len(),
            self.proxy_status
        );
        out.extend_from_slice(rest.as_bytes());
        if self.allow {
            out.extend_from_slice(ALLOW_FIELD);
        }
        if self.retry_after {
            out.extend_from_slice(b"Retry-After: 1\r\n");
        }
        if let Some((name, id)) = &self.request_id {
            for part in [name, &b": "[..], id, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(self.body.as_bytes());
        }
    }

    /// Makes it a response for HTTP/2.
    pub(crate) fn into_http2(self) -> Response<Body> {
        let mut response = Response::new(Body::Full(Bytes::from(self.body)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        if let Ok(value) = HeaderValue::try_from(self.proxy_status) {
            headers.insert("proxy-status", value);
        }
        if self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(ALLOW));
        }
        if self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some((name, id)) = self.request_id
            && let (Ok(name), Ok(id)) =
                (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&id))
        {
            headers.insert(name, id);
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
fn reason_phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

/// Writes the date of now, made twice a second at most.
fn write_date(out: &mut Vec<u8>) {
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
        assert!(text.contains("Proxy-Status: tidegate; error=destination_unavailable\r\n"));
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
