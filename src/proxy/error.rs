//! What can go wrong with an exchange, and what follows from it: a status for the client, a reason
//! for log and metrics, and a side to blame.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::http1::codec::HeadError;
use crate::http1::{PumpError, ReadError};
use crate::proxy::rate_limit::Limited;
use crate::proxy::redirect::Nowhere;
use crate::telemetry::stats::{ErrorReason, Limit};
use crate::tls::Fault;
use crate::upstream::ConnectError;

/// Whose fault it is. Only the upstream's counts against a variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// Nobody's but the proxy's own word: no route, draining.
    Proxy,
}

/// Why an exchange did not go as it should.
#[derive(Debug, Error)]
pub enum Error {
    /// No route catches the request.
    #[error("no route")]
    NoRoute,
    /// The process has more to carry than it can.
    #[error("overload")]
    Overloaded,
    /// The listener or the route does not take requests of this client.
    #[error("client not allowed")]
    Denied,
    /// The method is never forwarded.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The protocol that an extended CONNECT asks for is not WebSocket.
    #[error("unknown protocol of an extended connect")]
    UnknownProtocol,
    /// The route's redirect leads to where the request came.
    #[error("redirect to itself")]
    RedirectLoop,
    /// The request came through this proxy before.
    #[error("request loop")]
    Loop,
    /// The request says two things at once.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// The request's head cannot be taken.
    #[error("bad head")]
    Head(#[from] HeadError),
    /// The request expects what we do not know.
    #[error("unknown expectation")]
    Expectation,
    /// The request's body is too large.
    #[error("body too large")]
    BodyTooLarge,
    /// The request's body is malformed.
    #[error("malformed body")]
    BadBody(#[source] PumpError),
    /// The request's head or body stopped coming.
    #[error("client too slow")]
    ClientTimeout,
    /// The client closed, or its connection failed.
    #[error("client went away")]
    ClientClosed,
    /// The exchange was under way when the drain's time was up.
    #[error("cut by a drain")]
    Drained,
    /// The variant, and everyone who might stand in for it, has no endpoint to try.
    #[error("no available endpoint")]
    Unavailable,
    /// There are as many requests, or connections, as there may be.
    #[error("as many {} as there may be", .0.label())]
    Overflow(Limit),
    /// The client, or all of them, send more requests than the route takes in a time.
    #[error("too many requests")]
    RateLimited(Limited),
    /// Too many requests to the upstream failed.
    #[error("breaker open")]
    BreakerOpen {
        /// How long it still is, at least.
        left: Duration,
    },
    /// No connection with an endpoint.
    #[error("connect")]
    Connect(#[from] ConnectError),
    /// The endpoint ended TLS before its response's head: one that does not take our certificate
    /// says so only now.
    #[error("upstream ended tls before its response")]
    UpstreamTls {
        /// What it was.
        fault: Fault,
        /// What the library says.
        source: io::Error,
    },
    /// The endpoint closed or failed before its response's head.
    #[error("upstream closed before its response")]
    UpstreamReset(#[source] Option<ReadError>),
    /// The endpoint speaks HTTP/2 and does not say that it takes WebSockets over it (RFC 8441,
    /// section 3).
    #[error("no extended connect at the upstream")]
    NoUpgrade,
    /// The endpoint's response cannot be read in one way only.
    #[error("invalid response")]
    UpstreamProtocol(#[source] Option<HeadError>),
    /// The endpoint answered well, and not with the WebSocket that an HTTP/2 client asked for, to
    /// whom any other success would be one (RFC 9113, section 8.5).
    #[error("upstream did not open a websocket")]
    NotOpened,
    /// No response's head in time.
    #[error("no response in time")]
    ResponseTimeout,
    /// The response's body ended before its end, after its head had been passed on.
    #[error("response cut short")]
    Truncated(#[source] Option<PumpError>),
}

impl From<Nowhere> for Error {
    fn from(nowhere: Nowhere) -> Self {
        match nowhere {
            Nowhere::NoHost => Self::BadRequest("the request names no host to be redirected to"),
            Nowhere::LeadsOut => Self::LEADS_OUT,
            Nowhere::Itself => Self::RedirectLoop,
        }
    }
}

impl Error {
    /// What a path is that a rewrite cannot keep where it belongs.
    pub(crate) const LEADS_OUT: Self = Self::BadRequest("the path leads out of where it belongs");

    /// The status for the client.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) | Self::BadBody(_) => 400,
            Self::Denied => 403,
            Self::NoRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::ClientTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::Expectation => 417,
            Self::RateLimited(_) => 429,
            Self::UnknownProtocol => 501,
            Self::Head(error) => error.status(),
            Self::ClientClosed => 499,
            Self::Connect(
                ConnectError::Failed(_) | ConnectError::Tls { .. } | ConnectError::Protocol(_),
            )
            | Self::UpstreamTls { .. }
            | Self::UpstreamReset(_)
            | Self::UpstreamProtocol(_)
            | Self::NotOpened
            | Self::NoUpgrade
            | Self::Truncated(_) => 502,
            Self::Overloaded
            | Self::Unavailable
            | Self::Drained
            | Self::Overflow(_)
            | Self::BreakerOpen { .. }
            | Self::Connect(
                ConnectError::Short(_) | ConnectError::Full | ConnectError::Overflow(_),
            ) => 503,
            Self::Connect(ConnectError::Timeout) | Self::ResponseTimeout => 504,
            Self::Loop | Self::RedirectLoop => 508,
        }
    }

    /// After how many seconds it is worth while to ask again, where that is known or can be guessed.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::BreakerOpen { left: wait } | Self::RateLimited(Limited { wait, .. }) => {
                let started = u64::from(wait.subsec_nanos() > 0);
                Some((wait.as_secs() + started).max(1))
            }
            _ => (self.status() == 503).then_some(1),
        }
    }

    /// The reason for log and metrics.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::NoRoute => ErrorReason::NoRoute,
            Self::Overloaded => ErrorReason::Overload,
            Self::Denied => ErrorReason::ClientDenied,
            Self::RedirectLoop => ErrorReason::RedirectLoop,
            Self::MethodNotAllowed
            | Self::UnknownProtocol
            | Self::Loop
            | Self::BadRequest(_)
            | Self::Expectation
            | Self::BadBody(_) => ErrorReason::ClientProtocolError,
            Self::Head(HeadError::TooLarge) => ErrorReason::HeadTooLarge,
            Self::Head(HeadError::UriTooLong) => ErrorReason::UriTooLarge,
            Self::Head(_) => ErrorReason::ClientProtocolError,
            Self::BodyTooLarge => ErrorReason::BodyTooLarge,
            Self::ClientTimeout => ErrorReason::ClientTimeout,
            Self::ClientClosed => ErrorReason::ClientClosed,
            Self::Drained => ErrorReason::Draining,
            Self::Unavailable => ErrorReason::NoHealthyUpstream,
            Self::Connect(ConnectError::Failed(_)) => ErrorReason::ConnectFailure,
            Self::Connect(ConnectError::Short(_)) => ErrorReason::LocalShortage,
            Self::Connect(ConnectError::Timeout) => ErrorReason::ConnectTimeout,
            Self::Connect(ConnectError::Tls { .. }) | Self::UpstreamTls { .. } => {
                ErrorReason::TlsFailure
            }
            Self::Overflow(_) | Self::Connect(ConnectError::Full | ConnectError::Overflow(_)) => {
                ErrorReason::Overflow
            }
            Self::BreakerOpen { .. } => ErrorReason::BreakerOpen,
            Self::RateLimited(_) => ErrorReason::RateLimited,
            Self::UpstreamReset(_) => ErrorReason::UpstreamReset,
            Self::UpstreamProtocol(_)
            | Self::Connect(ConnectError::Protocol(_))
            | Self::NotOpened
            | Self::NoUpgrade => ErrorReason::UpstreamProtocolError,
            Self::ResponseTimeout => ErrorReason::ResponseTimeout,
            Self::Truncated(_) => ErrorReason::Truncated,
        }
    }

    /// The side to blame.
    pub fn side(&self) -> Side {
        match self {
            Self::NoRoute
            | Self::Overloaded
            | Self::RedirectLoop
            | Self::Drained
            | Self::Connect(ConnectError::Short(_)) => Side::Proxy,
            Self::Denied
            | Self::RateLimited(_)
            | Self::MethodNotAllowed
            | Self::UnknownProtocol
            | Self::Loop
            | Self::BadRequest(_)
            | Self::Head(_)
            | Self::Expectation
            | Self::BodyTooLarge
            | Self::BadBody(_)
            | Self::ClientTimeout
            | Self::ClientClosed => Side::Client,
            Self::Unavailable
            | Self::Overflow(_)
            | Self::BreakerOpen { .. }
            | Self::Connect(_)
            | Self::UpstreamTls { .. }
            | Self::UpstreamReset(_)
            | Self::UpstreamProtocol(_)
            | Self::NoUpgrade
            | Self::NotOpened
            | Self::ResponseTimeout
            | Self::Truncated(_) => Side::Upstream,
        }
    }

    /// The error type for `Proxy-Status` (RFC 9209, section 2.3).
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Self::NoRoute => "destination_not_found",
            Self::Denied | Self::RateLimited(_) => "http_request_denied",
            Self::Overloaded | Self::Unavailable | Self::Drained | Self::BreakerOpen { .. } => {
                "destination_unavailable"
            }
            Self::Connect(ConnectError::Failed(_)) => "connection_refused",
            Self::Connect(ConnectError::Short(_)) => "proxy_internal_error",
            Self::Connect(ConnectError::Timeout) => "connection_timeout",
            Self::Overflow(_) | Self::Connect(ConnectError::Full | ConnectError::Overflow(_)) => {
                "connection_limit_reached"
            }
            Self::Connect(ConnectError::Tls { fault, .. }) | Self::UpstreamTls { fault, .. } => {
                match fault {
                    Fault::Certificate => "tls_certificate_error",
                    Fault::Alert => "tls_alert_received",
                    Fault::Protocol => "tls_protocol_error",
                }
            }
            Self::UpstreamReset(_) => "connection_terminated",
            Self::Connect(ConnectError::Protocol(_))
            | Self::UpstreamProtocol(_)
            | Self::Truncated(_) => "http_protocol_error",
            Self::NotOpened | Self::NoUpgrade => "http_upgrade_failed",
            Self::ResponseTimeout => "http_response_timeout",
            Self::Loop | Self::RedirectLoop => "proxy_loop_detected",
            Self::MethodNotAllowed
            | Self::UnknownProtocol
            | Self::BadRequest(_)
            | Self::Head(_)
            | Self::Expectation
            | Self::BodyTooLarge
            | Self::BadBody(_)
            | Self::ClientTimeout
            | Self::ClientClosed => "http_request_error",
        }
    }

    /// A short sentence for the client: what, and never where.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::NoRoute => "no route for this request",
            Self::Overloaded | Self::Connect(ConnectError::Short(_)) => "too much to do right now",
            Self::Denied => "this is not open to you",
            Self::RateLimited(_) => "more requests than are taken in this time",
            Self::MethodNotAllowed => "this method is not forwarded",
            Self::UnknownProtocol => "the protocol is not websocket, the only one known here",
            Self::RedirectLoop => "the redirect leads to where the request came",
            Self::Loop => "the request has come through here before",
            Self::BadRequest(why) => why,
            Self::Head(HeadError::Malformed(why)) => why,
            Self::Head(HeadError::UriTooLong) => "the request target is too long",
            Self::Head(HeadError::TooLarge) => "the request head is too large",
            Self::Head(HeadError::NotImplemented) => "the transfer coding is not known",
            Self::Head(HeadError::Version) => "the HTTP version is not spoken here",
            Self::Expectation => "the expectation is not known",
            Self::BodyTooLarge => "the request body is too large",
            Self::BadBody(_) => "the request body is malformed",
            Self::ClientTimeout => "the request did not come in time",
            Self::ClientClosed => "the client went away",
            Self::Drained => "shutting down",
            Self::Unavailable => "no upstream is available",
            Self::Connect(ConnectError::Failed(_)) => "the upstream could not be reached",
            Self::Connect(ConnectError::Timeout) => "the upstream could not be reached in time",
            Self::Connect(ConnectError::Protocol(_)) => "the upstream does not speak HTTP/2",
            Self::Overflow(_) | Self::Connect(ConnectError::Full | ConnectError::Overflow(_)) => {
                "no further requests are taken now"
            }
            Self::BreakerOpen { .. } => {
                "the upstream failed too often and is left alone for a while"
            }
            Self::NoUpgrade => "the upstream takes no WebSockets over HTTP/2",
            Self::Connect(ConnectError::Tls { .. }) | Self::UpstreamTls { .. } => {
                "no secure connection with the upstream"
            }
            Self::UpstreamReset(_) => "the upstream closed before it answered",
            Self::UpstreamProtocol(_) => "the upstream's answer is invalid",
            Self::NotOpened => "the upstream did not open a websocket",
            Self::ResponseTimeout => "the upstream did not answer in time",
            Self::Truncated(_) => "the upstream's answer was cut short",
        }
    }
}
