//! What an exchange says of the variant that was chosen for it, by which variants are judged.

use crate::proxy::Error;
use crate::proxy::error::Side;
use crate::proxy::grpc;
use crate::telemetry::stats::{Class, GrpcStatus, RetryCause, Source};

/// What is known of an exchange that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// What went wrong.
    pub(crate) error: Option<&'a Error>,
    /// Why a further attempt went to another variant.
    pub(crate) rescued: Option<RetryCause>,
    /// True when another variant than the chosen one served at last.
    pub(crate) stood_in: bool,
    /// Who made the answer.
    pub(crate) source: Source,
    /// Its status.
    pub(crate) status: u16,
    /// What came of a call of gRPC.
    pub(crate) grpc: Option<GrpcStatus>,
}

/// Decides what it says.
pub(crate) fn of(seen: &Seen<'_>) -> Class {
    let side = seen.error.map(Error::side);
    if matches!(seen.error, Some(Error::ClientClosed)) {
        return Class::ClientClosed;
    }
    if matches!(side, Some(Side::Client | Side::Proxy)) {
        return Class::Excused;
    }
    // Whatever came of the further attempt, the one that was chosen has failed.
    match seen.rescued {
        Some(RetryCause::Timeout) => return Class::Timeout,
        Some(
            RetryCause::Connect
            | RetryCause::Unsent
            | RetryCause::Reset
            | RetryCause::Refused
            | RetryCause::Status,
        ) => return Class::ServerError,
        None => {}
    }
    if seen.stood_in {
        return Class::Unavailable;
    }
    if side.is_none() && seen.source == Source::Proxy {
        // What a route answers by itself.
        return Class::Excused;
    }
    let is_cut = matches!(seen.error, Some(Error::Truncated(_)));
    match seen.status {
        504 => Class::Timeout,
        500.. => Class::ServerError,
        _ if is_cut => Class::Reset,
        // Every other error of the upstream's has a status of its own.
        _ if side.is_some() => Class::ServerError,
        status if seen.grpc.is_some_and(|call| grpc::is_failure(call, status)) => Class::Grpc,
        400.. => Class::ClientError,
        _ => Class::Ok,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::http1::codec::HeadError;
    use crate::proxy::Error;
    use crate::proxy::exchange::class::{Seen, of};
    use crate::telemetry::stats::{Class, GrpcStatus, RetryCause, Source};
    use crate::upstream::ConnectError;

    fn short() -> ConnectError {
        ConnectError::Short(io::Error::from(io::ErrorKind::AddrNotAvailable))
    }

    /// An answer of the upstream's.
    fn answer(status: u16) -> Seen<'static> {
        Seen {
            error: None,
            rescued: None,
            stood_in: false,
            source: Source::Upstream,
            status,
            grpc: None,
        }
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        for (status, class) in [
            (101, Class::Ok),
            (200, Class::Ok),
            (304, Class::Ok),
            (400, Class::ClientError),
            (499, Class::ClientError),
            (500, Class::ServerError),
            (503, Class::ServerError),
            (504, Class::Timeout),
            (599, Class::ServerError),
            (999, Class::ServerError),
        ] {
            assert_eq!(of(&answer(status)), class, "{status}");
        }
    }

    #[test]
    fn an_error_is_the_upstreams_the_clients_or_nobodys() {
        for (error, class) in [
            (Error::ResponseTimeout, Class::Timeout),
            (Error::Connect(ConnectError::Timeout), Class::Timeout),
            (Error::UpstreamReset(None), Class::ServerError),
            (Error::UpstreamProtocol(None), Class::ServerError),
            (Error::Unavailable, Class::ServerError),
            (Error::ClientClosed, Class::ClientClosed),
            (Error::BodyTooLarge, Class::Excused),
            (Error::ClientTimeout, Class::Excused),
            (Error::Head(HeadError::TooLarge), Class::Excused),
            (Error::Denied, Class::Excused),
            (Error::Drained, Class::Excused),
            (Error::Overloaded, Class::Excused),
            (Error::Connect(short()), Class::Excused),
        ] {
            let status = error.status();
            let seen = Seen {
                error: Some(&error),
                source: Source::Proxy,
                ..answer(status)
            };
            assert_eq!(of(&seen), class, "{error}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_is_a_reset_unless_its_head_said_worse() {
        let error = Error::Truncated(None);
        let cut = |status| Seen {
            error: Some(&error),
            ..answer(status)
        };
        assert_eq!(of(&cut(200)), Class::Reset);
        assert_eq!(of(&cut(404)), Class::Reset);
        assert_eq!(of(&cut(500)), Class::ServerError);
    }

    #[test]
    fn a_call_is_judged_by_its_own_status_where_that_of_http_is_no_failure() {
        let call = |status, grpc| Seen {
            grpc: Some(grpc),
            ..answer(status)
        };
        for (seen, class) in [
            (call(200, GrpcStatus::Ok), Class::Ok),
            (call(200, GrpcStatus::NotFound), Class::Ok),
            (call(200, GrpcStatus::Internal), Class::Grpc),
            (call(200, GrpcStatus::None), Class::Grpc),
            (call(404, GrpcStatus::None), Class::Grpc),
            (call(403, GrpcStatus::None), Class::ClientError),
            (call(503, GrpcStatus::None), Class::ServerError),
        ] {
            assert_eq!(of(&seen), class, "{seen:?}");
        }
    }

    #[test]
    fn what_another_variant_served_says_nothing_good_of_the_one_that_was_chosen() {
        let failed_over = Seen {
            stood_in: true,
            ..answer(200)
        };
        assert_eq!(of(&failed_over), Class::Unavailable);
        let failed = Seen {
            stood_in: true,
            ..answer(500)
        };
        assert_eq!(of(&failed), Class::Unavailable);
        for (cause, class) in [
            (RetryCause::Connect, Class::ServerError),
            (RetryCause::Status, Class::ServerError),
            (RetryCause::Timeout, Class::Timeout),
        ] {
            let rescued = Seen {
                rescued: Some(cause),
                ..failed_over
            };
            assert_eq!(of(&rescued), class, "{cause:?}");
        }
        let gone = Seen {
            error: Some(&Error::ClientClosed),
            status: 499,
            ..failed_over
        };
        assert_eq!(of(&gone), Class::ClientClosed);
    }

    #[test]
    fn what_a_route_answers_by_itself_says_nothing_of_an_upstream() {
        for status in [200, 404, 503] {
            let own = Seen {
                source: Source::Proxy,
                ..answer(status)
            };
            assert_eq!(of(&own), Class::Excused, "{status}");
        }
    }
}
