//! What goes wrong with a request, as it is answered: `application/problem+json` (RFC 9457).
//!
//! A fault has a code that never changes, for programs, and words for people. The code decides the
//! status.

use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use crate::admin::reply;
use crate::admin::wire::{ConfigProblem, Problem};
use crate::release::role::Role;

/// What a code becomes a URI by (RFC 9457, section 3.1.1). It identifies; there is nothing to fetch.
const TYPE: &str = "urn:tidegate:problem:";

/// What is wrong, of all that can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Code {
    /// The request has no `Host`.
    HostMissing,
    /// Its `Host` is not served here.
    HostForeign,
    /// It comes from a web page of somebody else.
    OriginForeign,
    /// It has no token.
    TokenMissing,
    /// Its token is not known.
    TokenWrong,
    /// Its token is not valid any more.
    TokenExpired,
    /// No token could let it in.
    TokenUnset,
    /// Who asks has not the role for it.
    RoleMissing,
    /// There is nothing at the path.
    NotFound,
    /// The path is there for other methods.
    MethodNotAllowed,
    /// The query cannot be understood.
    QueryInvalid,
    /// The body is no JSON.
    BodyMalformed,
    /// The body is larger than anything that is asked here.
    BodyTooLarge,
    /// The body does not come.
    BodyTooSlow,
    /// The body says that it is something else than JSON.
    MediaTypeUnsupported,
    /// The body is not what is asked for.
    BodyInvalid,
    /// There is no reason, and there has to be one.
    ReasonMissing,
    /// `If-Match` cannot be read.
    IfMatchMalformed,
    /// `If-Match` names something else than there is.
    PreconditionFailed,
    /// `Idempotency-Key` cannot be read.
    IdempotencyKeyMalformed,
    /// `Idempotency-Key` is that of another request.
    IdempotencyKeyReused,
    /// The same request is under way.
    RequestUnderWay,
    /// Too many requests are under way.
    TooManyUnderWay,
    /// The configuration has problems.
    ConfigInvalid,
    /// An upgrade is under way.
    UpgradeUnderWay,
    /// The upgrade did not come about.
    UpgradeFailed,
    /// The process is ending.
    Ending,
    /// A release is not what one can be.
    ReleaseInvalid,
    /// There is one of that name.
    Exists,
    /// A release decides about it.
    Busy,
    /// It cannot be done as things stand.
    Refused,
    /// Somebody else has to do it.
    SomebodyElse,
    /// Nothing is kept, because nothing is configured to be.
    StoreMissing,
    /// What is kept cannot be written.
    StoreUnavailable,
    /// What is kept is being handed over to another process.
    StoreClosed,
    /// Too many listen to what happens.
    TooManyListeners,
    /// The fault is on this side.
    Internal,
}

impl Code {
    /// Its name, for programs.
    pub(in crate::admin) fn name(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostForeign => "host_foreign",
            Self::OriginForeign => "origin_foreign",
            Self::TokenMissing => "token_missing",
            Self::TokenWrong => "token_wrong",
            Self::TokenExpired => "token_expired",
            Self::TokenUnset => "token_unset",
            Self::RoleMissing => "role_missing",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::QueryInvalid => "query_invalid",
            Self::BodyMalformed => "body_malformed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::MediaTypeUnsupported => "media_type_unsupported",
            Self::BodyInvalid => "body_invalid",
            Self::ReasonMissing => "reason_missing",
            Self::IfMatchMalformed => "if_match_malformed",
            Self::PreconditionFailed => "precondition_failed",
            Self::IdempotencyKeyMalformed => "idempotency_key_malformed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::RequestUnderWay => "request_under_way",
            Self::TooManyUnderWay => "too_many_under_way",
            Self::ConfigInvalid => "config_invalid",
            Self::UpgradeUnderWay => "upgrade_under_way",
            Self::UpgradeFailed => "upgrade_failed",
            Self::Ending => "ending",
            Self::ReleaseInvalid => "release_invalid",
            Self::Exists => "exists",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::SomebodyElse => "somebody_else",
            Self::StoreMissing => "store_missing",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreClosed => "store_closed",
            Self::TooManyListeners => "too_many_listeners",
            Self::Internal => "internal",
        }
    }

    /// The status for the client.
    pub(in crate::admin) fn status(self) -> StatusCode {
        match self {
            Self::HostMissing
            | Self::QueryInvalid
            | Self::BodyMalformed
            | Self::IfMatchMalformed
            | Self::IdempotencyKeyMalformed => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenWrong | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::OriginForeign | Self::TokenUnset | Self::RoleMissing | Self::SomebodyElse => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UpgradeUnderWay
            | Self::RequestUnderWay
            | Self::Exists
            | Self::Busy
            | Self::Refused => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaTypeUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HostForeign => StatusCode::MISDIRECTED_REQUEST,
            Self::ConfigInvalid
            | Self::ReleaseInvalid
            | Self::UpgradeFailed
            | Self::BodyInvalid
            | Self::ReasonMissing
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Ending
            | Self::TooManyUnderWay
            | Self::StoreMissing
            | Self::StoreUnavailable
            | Self::StoreClosed
            | Self::TooManyListeners => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What is wrong with a request.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Fault {
    code: Code,
    detail: String,
    role: Option<String>,
    pointer: Option<String>,
    problems: Vec<ConfigProblem>,
}

impl Fault {
    /// Makes one, with what is wrong in words.
    pub(in crate::admin) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            role: None,
            pointer: None,
            problems: Vec::new(),
        }
    }

    /// Names the role that is missing; any of them would do.
    pub(in crate::admin) fn needs(mut self, roles: &[Role]) -> Self {
        self.role = Some(any_of(roles));
        self
    }

    /// Points at the member of the body that is wrong, by a JSON Pointer (RFC 6901).
    pub(in crate::admin) fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }

    /// Adds all that is wrong with a configuration.
    pub(in crate::admin) fn with(mut self, problems: Vec<ConfigProblem>) -> Self {
        self.problems = problems;
        self
    }

    /// What is wrong.
    pub(in crate::admin) fn code(&self) -> Code {
        self.code
    }

    /// What is wrong, in words.
    pub(in crate::admin) fn detail(&self) -> &str {
        &self.detail
    }
}

/// Roles of which any would do, in words.
pub(in crate::admin) fn any_of(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(Role::name).collect();
    names.join(" or ")
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (code, status) = (self.code, self.code.status());
        let problem = Problem {
            kind: format!("{TYPE}{}", code.name()),
            code: code.name().to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            role: self.role,
            pointer: self.pointer,
            problems: self.problems,
        };
        let mut response = reply::encode(status, "application/problem+json", &problem);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 tells how to authenticate. RFC 6750, section 3.1: and
            // what is wrong with the token, if there is one.
            let challenge = HeaderValue::from_static(match code {
                Code::TokenMissing => "Bearer realm=\"tidegate\"",
                _ => "Bearer realm=\"tidegate\", error=\"invalid_token\"",
            });
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
