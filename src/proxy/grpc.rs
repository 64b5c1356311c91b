//! Calls of gRPC: HTTP says 200 whatever happens, and what came of a call stands in its trailers.
//!
//! A call is a POST by HTTP/2 with a content-type of `application/grpc`, as gRPC's own description
//! of its protocol over HTTP/2 has it. Nothing of it is changed on its way; what it says is heard,
//! so that a variant that fails its calls is seen to fail, and own answers are said in its words.

use std::fmt::Write as _;

use http::HeaderMap;

use crate::message::{RequestHead, ResponseHead, Version};
use crate::proxy::Error;
use crate::telemetry::stats::GrpcStatus;
use crate::upstream::ConnectError;

/// The type of a call's messages, to which an encoding (`+proto`) and parameters may be added; but
/// `application/grpc-web` is something else.
const CONTENT_TYPE: &[u8] = b"application/grpc";

/// Where the status stands.
const STATUS: &str = "grpc-status";

/// True for a call of gRPC.
pub(crate) fn is_call(head: &RequestHead) -> bool {
    if head.version != Version::Http2 || head.method() != b"POST" {
        return false;
    }
    let Some(kind) = head.field(b"content-type") else {
        return false;
    };
    let Some((kind, rest)) = kind.split_at_checked(CONTENT_TYPE.len()) else {
        return false;
    };
    kind.eq_ignore_ascii_case(CONTENT_TYPE) && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// What trailers say of a call.
pub(crate) fn in_trailers(trailers: &HeaderMap) -> Option<GrpcStatus> {
    let status = trailers.get(STATUS)?;
    Some(GrpcStatus::read(status.as_bytes()))
}

/// What a response's head says of a call, as one does that has no messages.
pub(crate) fn in_head(head: &ResponseHead) -> Option<GrpcStatus> {
    let mut fields = head.fields();
    let field = fields.find(|field| field.is(STATUS.as_bytes()))?;
    Some(GrpcStatus::read(field.value))
}

/// True when a call failed by the service's fault, given the status of HTTP, too.
///
/// Which those are is what OpenTelemetry says of a server's calls (semantic conventions for gRPC,
/// "Server span"): a caller that gave up, or gave what cannot be used, is no fault of the service's.
/// A call without a status is taken for what its client takes it for.
pub(crate) fn is_failure(status: GrpcStatus, http: u16) -> bool {
    match status {
        GrpcStatus::Unknown
        | GrpcStatus::DeadlineExceeded
        | GrpcStatus::Unimplemented
        | GrpcStatus::Internal
        | GrpcStatus::Unavailable
        | GrpcStatus::DataLoss
        | GrpcStatus::Other => true,
        GrpcStatus::Ok
        | GrpcStatus::Cancelled
        | GrpcStatus::InvalidArgument
        | GrpcStatus::NotFound
        | GrpcStatus::AlreadyExists
        | GrpcStatus::PermissionDenied
        | GrpcStatus::ResourceExhausted
        | GrpcStatus::FailedPrecondition
        | GrpcStatus::Aborted
        | GrpcStatus::OutOfRange
        | GrpcStatus::Unauthenticated => false,
        GrpcStatus::None => is_failure(of_http(http), http),
    }
}

/// What a client of gRPC makes of a response without a status of gRPC ("HTTP to gRPC Status Code
/// Mapping", doc/http-grpc-status-mapping.md of gRPC).
pub(crate) fn of_http(status: u16) -> GrpcStatus {
    match status {
        400 | 431 => GrpcStatus::Internal,
        401 => GrpcStatus::Unauthenticated,
        403 => GrpcStatus::PermissionDenied,
        404 => GrpcStatus::Unimplemented,
        429 | 502..=504 => GrpcStatus::Unavailable,
        _ => GrpcStatus::Unknown,
    }
}

/// What a client of gRPC is told of an error: what it would make of its status of HTTP, but for two.
pub(crate) fn of_error(error: &Error) -> GrpcStatus {
    match error {
        // It may have been done all the same, which "unavailable" would not say: clients may send
        // again what was answered so.
        Error::ResponseTimeout => GrpcStatus::DeadlineExceeded,
        Error::Connect(ConnectError::Timeout) => GrpcStatus::Unavailable,
        // What servers say to a message that is too large.
        Error::BodyTooLarge => GrpcStatus::ResourceExhausted,
        other => of_http(other.status()),
    }
}

/// A message as it stands in `grpc-message`: percent-encoded, but for visible ASCII and spaces.
pub(crate) fn encode_message(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b' '..=b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use crate::message::{RequestHead, Version};
    use crate::proxy::Error;
    use crate::proxy::grpc::{encode_message, is_call, is_failure, of_error, of_http};
    use crate::telemetry::stats::GrpcStatus;
    use crate::upstream::ConnectError;

    fn asks(version: Version, method: &str, kind: Option<&str>) -> bool {
        let mut head = RequestHead {
            version,
            ..RequestHead::default()
        };
        head.method = head.append(method.as_bytes());
        if let Some(kind) = kind {
            head.append_field(b"content-type", kind.as_bytes());
        }
        is_call(&head)
    }

    #[test]
    fn a_call_is_a_post_by_http_2_of_the_type_of_grpc() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC;x=y",
        ] {
            assert!(asks(Version::Http2, "POST", Some(kind)), "{kind}");
            assert!(!asks(Version::Http11, "POST", Some(kind)), "{kind}");
        }
        for kind in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grp",
            "text/plain",
        ] {
            assert!(!asks(Version::Http2, "POST", Some(kind)), "{kind}");
        }
        assert!(!asks(Version::Http2, "GET", Some("application/grpc")));
        assert!(!asks(Version::Http2, "POST", None));
    }

    #[test]
    fn the_services_faults_are_failures_and_the_callers_are_not() {
        let failures: Vec<_> = GrpcStatus::ALL
            .iter()
            .filter(|&&status| is_failure(status, 200))
            .map(|status| status.label())
            .collect();
        assert_eq!(
            failures,
            ["2", "4", "12", "13", "14", "15", "none", "other"]
        );
    }

    #[test]
    fn without_a_status_it_is_what_its_client_makes_of_it() {
        for (http, fails) in [(200, true), (404, true), (401, false), (403, false)] {
            assert_eq!(is_failure(GrpcStatus::None, http), fails, "{http}");
        }
        assert_eq!(of_http(429), GrpcStatus::Unavailable);
        assert_eq!(of_http(200), GrpcStatus::Unknown);
    }

    #[test]
    fn an_error_is_told_apart_by_whether_it_may_have_been_done() {
        for (error, status) in [
            (Error::Unavailable, GrpcStatus::Unavailable),
            (Error::NoRoute, GrpcStatus::Unimplemented),
            (Error::UpstreamReset(None), GrpcStatus::Unavailable),
            (Error::ResponseTimeout, GrpcStatus::DeadlineExceeded),
            (
                Error::Connect(ConnectError::Timeout),
                GrpcStatus::Unavailable,
            ),
            (Error::BodyTooLarge, GrpcStatus::ResourceExhausted),
            (Error::BadRequest("x"), GrpcStatus::Internal),
            (Error::ClientTimeout, GrpcStatus::Unknown),
        ] {
            assert_eq!(of_error(&error), status, "{error}");
        }
    }

    #[test]
    fn a_message_is_visible_ascii_whatever_it_says() {
        assert_eq!(encode_message("no upstream"), "no upstream");
        assert_eq!(encode_message("100 %\n\u{e9}"), "100 %25%0A%C3%A9");
    }
}
