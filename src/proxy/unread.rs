//! What is left of a request's body when the request has its answer already.
//!
//! It stands between this request and the next. A small rest is read and dropped, so that an own
//! answer costs no connection; for a large one closing is cheaper, for both. Where it is not sure
//! what the rest is, the connection ends: bytes of a body must never be read as a request.

use std::future::poll_fn;
use std::task::Poll;

use crate::http1::{Connection, Deadline, Incoming, Outgoing, Pump};
use crate::message::{Known, Limits, RequestHead};
use crate::proxy::Error;
use crate::tls::Stream;

/// The largest rest that is read to keep a connection: reading it costs less than connecting anew.
const MAX_BYTES: u64 = 64 * 1024;

/// What is left of a request's body.
#[derive(Debug)]
pub(crate) enum Unread {
    /// All of it: nobody has read any.
    Whole,
    /// What this pump has not read.
    Rest(Box<Pump>),
    /// Nobody knows.
    Unknown,
}

impl Unread {
    /// Uses what of the body has come already, and tells whether the connection may serve another
    /// request, once it has been through [`Unread::discard`], after `error` was answered.
    pub(crate) fn settle(
        &mut self,
        connection: &mut Connection<Stream>,
        request: &RequestHead,
        limits: &Limits,
        error: Option<&Error>,
    ) -> bool {
        let mut body = match std::mem::replace(self, Self::Unknown) {
            Self::Whole => {
                let incoming = Incoming::new(request.framing, limits);
                Box::new(Pump::new(incoming, Outgoing::Raw, limits.body_bytes))
            }
            Self::Rest(body) => body,
            Self::Unknown => return false,
        };
        // What follows a CONNECT is no request, whatever the answer.
        if error.is_some_and(breaks_body) || request.method() == b"CONNECT" {
            return false;
        }
        if !body.is_read() {
            match body.decode(connection.inbox(), &mut Vec::new()) {
                Ok(used) => connection.consume(used),
                Err(_) => return false,
            }
        }
        // A client that waits to be told may leave the body out once it has its answer (RFC 9110,
        // section 10.1.1), and some then send their next request in its place.
        let is_sure = body.is_read() || request.known(Known::Expect).next().is_none();
        let is_small = body.left().is_none_or(|left| left <= MAX_BYTES);
        *self = Self::Rest(body);
        is_sure && is_small
    }

    /// True when nothing of the body is to come any more.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::Rest(body) if body.is_read())
    }

    /// True when it is known what is still to come, and that is something.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Rest(body) if !body.is_read())
    }

    /// Reads and drops the rest; tells whether it was small and came to its end in time.
    pub(crate) async fn discard(
        self,
        connection: &mut Connection<Stream>,
        deadline: &mut Deadline,
    ) -> bool {
        let Self::Rest(mut body) = self else {
            return false;
        };
        let limit = body.body_bytes() + MAX_BYTES;
        let mut dropped = Vec::new();
        poll_fn(|context| {
            while !body.is_read() {
                dropped.clear();
                match body.poll_decode(context, connection, &mut dropped) {
                    Poll::Ready(Ok(())) if body.body_bytes() <= limit => {}
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending if deadline.poll(context).is_ready() => {
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        })
        .await
    }
}

/// True for errors after which nobody can tell where the body ends, or wants to wait for that.
fn breaks_body(error: &Error) -> bool {
    match error {
        Error::BadRequest(_)
        | Error::Head(_)
        | Error::BodyTooLarge
        | Error::BadBody(_)
        | Error::ClientTimeout
        | Error::ClientClosed
        | Error::Overloaded
        | Error::Drained => true,
        Error::NoRoute
        | Error::Denied
        | Error::RedirectLoop
        | Error::MethodNotAllowed
        | Error::UnknownProtocol
        | Error::Loop
        | Error::Expectation
        | Error::Unavailable
        | Error::Overflow(_)
        | Error::RateLimited(_)
        | Error::BreakerOpen { .. }
        | Error::Connect(_)
        | Error::UpstreamTls { .. }
        | Error::UpstreamReset(_)
        | Error::UpstreamProtocol(_)
        | Error::NoUpgrade
        | Error::NotOpened
        | Error::ResponseTimeout
        | Error::Truncated(_) => false,
    }
}
