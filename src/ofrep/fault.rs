//! What goes wrong with a request, as providers read it.
//!
//! Statuses are those that the providers know: for anything but 400, 404 and 500 they make an error
//! of their own, and then only what a person reads in the body is left. So the body always has
//! `errorDetails`, without which the provider for Python fails, and the `key` where a flag was asked
//! for, without which those for JavaScript do.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::ofrep::caller::Refusal;

/// What is wrong, of what the protocol knows.
///
/// That a targeting key is missing is no fault here: a rule that needs it does not match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// The request cannot be read.
    Parse,
    /// Its context is not one.
    InvalidContext,
    /// There is no such flag, or not for who asks.
    FlagNotFound,
    /// Anything else.
    General,
}

impl Code {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [
        Self::Parse,
        Self::InvalidContext,
        Self::FlagNotFound,
        Self::General,
    ];

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "PARSE_ERROR",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::General => "GENERAL",
        }
    }
}

/// What is wrong with a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::ofrep) struct Fault {
    status: StatusCode,
    code: Code,
    details: Cow<'static, str>,
    field: Option<(HeaderName, HeaderValue)>,
}

impl Fault {
    /// Makes one.
    pub(in crate::ofrep) fn new(
        status: StatusCode,
        code: Code,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            details: details.into(),
            field: None,
        }
    }

    /// The request cannot be read.
    pub(in crate::ofrep) fn parse(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Parse, details)
    }

    /// There is no such flag, or not for who asks: which of the two is not told.
    pub(in crate::ofrep) fn not_found(key: &str) -> Self {
        let details = format!("there is no flag `{key}`");
        Self::new(StatusCode::NOT_FOUND, Code::FlagNotFound, details)
    }

    /// Nothing is at the path.
    pub(in crate::ofrep) fn nothing_here() -> Self {
        let details = "there are POST /ofrep/v1/evaluate/flags, POST /ofrep/v1/evaluate/flags/KEY \
                       and GET /ofrep/v1/stream";
        Self::new(StatusCode::NOT_FOUND, Code::General, details)
    }

    /// The path is there for other methods.
    pub(in crate::ofrep) fn method(allowed: &'static str) -> Self {
        let details = format!("there is {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::General, details)
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    /// Who asks may not.
    pub(in crate::ofrep) fn refused(refusal: Refusal) -> Self {
        let challenge = match refusal {
            Refusal::Closed => {
                return Self::new(StatusCode::FORBIDDEN, Code::General, refusal.to_string());
            }
            Refusal::Missing => "Bearer realm=\"tidegate\"",
            // RFC 6750, section 3.1: what is wrong with the token, if there is one.
            Refusal::Wrong | Refusal::Expired | Refusal::Ticket => {
                "Bearer realm=\"tidegate\", error=\"invalid_token\""
            }
        };
        Self::new(StatusCode::UNAUTHORIZED, Code::General, refusal.to_string())
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Who asks does so too often; there is a place again after this time.
    ///
    /// The time is told in whole seconds: the provider for Python fails on any other form, and those
    /// for JavaScript read `2030-01-01…` as 2030 seconds.
    pub(in crate::ofrep) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let details = format!("too many requests; there is a place again in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::General, details)
            .with(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// As many streams are open as there may be.
    pub(in crate::ofrep) fn full(wait: Duration) -> Self {
        let details = "as many streams are open as may be";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::General, details)
            .with(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// What it is called.
    pub(in crate::ofrep) fn code(&self) -> Code {
        self.code
    }

    /// The status for the client.
    pub(in crate::ofrep) fn status(&self) -> StatusCode {
        self.status
    }

    /// It as an answer: of one flag, if one was asked for.
    pub(in crate::ofrep) fn response(self, key: Option<&str>) -> Response {
        let mut members = Map::new();
        if let Some(key) = key {
            members.insert("key".to_owned(), Value::from(key));
        }
        members.insert("errorCode".to_owned(), Value::from(self.code.name()));
        members.insert("errorDetails".to_owned(), Value::from(self.details));
        let fields = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        let body = Body::from(Value::Object(members).to_string());
        let mut response = (self.status, fields, body).into_response();
        response.headers_mut().extend(self.field);
        response
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.field = Some((name, value));
        self
    }
}
