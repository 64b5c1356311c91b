//! An exchange between an HTTP/2 client, whose protocol the `h2` crate speaks, and an HTTP/1 socket.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::http1::codec::{Asked, read_response};
use crate::http1::{Deadline, Incoming, Outgoing, Pump};
use crate::listener::{ClientBody, Settings};
use crate::message::{Body, Framing, Version};
use crate::proxy::Error;
use crate::proxy::answer::{self, Answer};
use crate::proxy::attempt::{Failure, UPSTREAM_LIMITS};
use crate::proxy::body::{Download, Upload, release};
use crate::proxy::decide::{self, Decision, KEPT_BODY, Own, Target};
use crate::proxy::dial::Dial;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc;
use crate::proxy::headers::{self, FieldEdits, ResponseEdit};
use crate::proxy::interim::Interim;
use crate::proxy::retry::{self, Failed, is_idempotent};
use crate::proxy::stream::from_http2;
use crate::proxy::trouble::Trouble;
use crate::proxy::tunnel;
use crate::proxy::websocket;
use crate::telemetry::stats::{CloseReason, RetryCause};
use crate::upstream::{Lease, Leased};

/// Carries out an exchange. The response's body, if any, drives the rest of it.
///
/// # Errors
/// While nothing went to the client; the exchange comes back to be answered.
pub(crate) async fn exchange(
    mut exchange: Box<Exchange>,
    body: ClientBody,
    settings: &Settings,
) -> Result<Response<Body>, (Box<Exchange>, Error)> {
    let target = match decide::decide(&mut exchange, settings) {
        Ok(Decision::Forward(target)) => target,
        Ok(Decision::Own(Own::Direct)) => return Ok(direct(&mut exchange)),
        Ok(Decision::Own(Own::Options)) => {
            exchange.answered(204, 0);
            exchange.completed();
            return Ok(answer::options_http2());
        }
        Err(error) => return Err((exchange, error)),
    };
    let framing = exchange.request().framing;
    let limit = target.body_bytes;
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    let mut sending = Sending::Whole(Some(body).filter(|_| has_body));
    let mut dial = Dial::new(target);
    let mut deadline = exchange.worker.take_deadline();
    loop {
        let lease = match dial.connect(&mut exchange).await {
            Ok(lease) => lease,
            Err(error) => return Err((exchange, error)),
        };
        let lease = match lease {
            Leased::Http1(lease) => lease,
            Leased::Http2(lease) => {
                let request = match sending {
                    Sending::Http2(request) => *request,
                    Sending::Whole(body) => from_http2::Request::new(&exchange, body, limit),
                    Sending::Http1(_) if has_body => return Err((exchange, Error::Unavailable)),
                    Sending::Http1(_) => from_http2::Request::new(&exchange, None, limit),
                };
                let attempt = from_http2::attempt(exchange, request, &mut dial, settings, lease);
                let (failed, request, failure) = match Box::pin(attempt).await {
                    Ok(response) => return Ok(response),
                    Err(failed) => failed,
                };
                (exchange, sending) = (failed, Sending::Http2(Box::new(request)));
                match failure {
                    Failure::Final(error) => return Err((exchange, error)),
                    Failure::Again(cause) => dial.goes_again(&mut exchange, cause, None),
                    Failure::Stale(cause) => dial.was_stale(&mut exchange, cause),
                }
                continue;
            }
        };
        decide::write_head(&mut exchange, settings);
        let upload = match sending {
            Sending::Http1(mut upload) => {
                upload.again(&exchange.scratch().upstream);
                upload
            }
            // What was read of it is kept as it goes to HTTP/2.
            Sending::Http2(_) if has_body => return Err((exchange, Error::Unavailable)),
            Sending::Http2(_) => first_upload(&mut exchange, None, dial.target()),
            Sending::Whole(body) => first_upload(&mut exchange, body, dial.target()),
        };
        let mut call = Call {
            exchange,
            lease,
            upload,
            deadline,
            client_wait: settings.timeouts.body,
            interim: Interim::default(),
            seen: 0,
        };
        match call.respond(dial.target()).await {
            Ok(()) => return Ok(call.into_response(dial.target())),
            Err(trouble) => {
                let failure = call.classify(trouble, dial.target());
                exchange = call.exchange;
                deadline = call.deadline;
                let pool = Rc::clone(call.lease.pool());
                call.lease.close(match &failure {
                    Failure::Stale(_) => CloseReason::Upstream,
                    Failure::Again(RetryCause::Status) => CloseReason::Abandoned,
                    Failure::Again(_) | Failure::Final(_) => CloseReason::Error,
                });
                match failure {
                    Failure::Stale(cause) => dial.was_stale(&mut exchange, cause),
                    Failure::Again(cause) => dial.goes_again(&mut exchange, cause, Some(pool)),
                    Failure::Final(error) => return Err((exchange, error)),
                }
                sending = Sending::Http1(call.upload);
            }
        }
    }
}

/// Begins to send a request to an HTTP/1 upstream.
fn first_upload(exchange: &mut Exchange, body: Option<ClientBody>, target: &Target) -> Upload {
    let tap = exchange.request_tap();
    let (scratch, edits) = exchange.scratch_and_edits();
    let edits = edits.request;
    let framing = scratch.request.framing;
    let upload = Upload::new(&scratch.upstream, body, framing, target.body_bytes)
        .without_trailers(edits.and_then(FieldEdits::dropped))
        .with_tap(tap);
    if target.left.keeps() {
        upload.keeping(KEPT_BODY)
    } else {
        upload
    }
}

/// A request's body, and how far it is on its way; what was sent by one protocol is not kept for the
/// other.
enum Sending {
    /// Nobody has read any; `None` when there is none.
    Whole(Option<ClientBody>),
    /// To an HTTP/1 upstream.
    Http1(Upload),
    /// To an HTTP/2 upstream.
    Http2(Box<from_http2::Request>),
}

/// Makes what the route says by itself.
fn direct(exchange: &mut Exchange) -> Response<Body> {
    let head_only = exchange.request().method() == b"HEAD";
    let Some(direct) = exchange.direct() else {
        return answer(exchange, Error::NoRoute);
    };
    let status = direct.status();
    if exchange.is_grpc() {
        let (response, call) = direct.grpc(exchange.told_id());
        exchange.heard_grpc(|_| Some(call));
        exchange.answered(status, 0);
        exchange.completed();
        return response;
    }
    let length = if head_only { 0 } else { direct.body().len() };
    let response = direct.http2(exchange.location(), exchange.told_id(), head_only);
    exchange.answered(status, length);
    exchange.completed();
    response
}

/// Makes the own answer to an exchange that failed.
pub(crate) fn answer(exchange: &mut Exchange, error: Error) -> Response<Body> {
    let answer = Answer::new(&error, Some(exchange.request()))
        .with_request_id(exchange.told_id())
        .edited(exchange.edits().response);
    if exchange.is_grpc() {
        let (status, message) = (grpc::of_error(&error), error.detail());
        exchange.heard_grpc(|_| Some(status));
        exchange.failed(error);
        // Its status of HTTP is counted all the same.
        exchange.answered(answer.status(), 0);
        exchange.completed();
        return answer.into_grpc(status, message);
    }
    let head_only = exchange.request().method() == b"HEAD";
    exchange.failed(error);
    exchange.answered(answer.status(), if head_only { 0 } else { answer.len() });
    exchange.completed();
    let mut response = answer.into_http2();
    if head_only {
        *response.body_mut() = Body::Empty;
    }
    response
}

/// One attempt.
struct Call {
    /// In a box: it is handed from the request to the response's body.
    exchange: Box<Exchange>,
    lease: Lease,
    upload: Upload,
    deadline: Deadline,
    /// How long the client may make no progress with its body.
    client_wait: Duration,
    interim: Interim,
    seen: u64,
}

impl Call {
    /// Sends the request, as far as it has come, until the response's head is there.
    async fn respond(&mut self, target: &Target) -> Result<(), Trouble> {
        self.deadline.set(target.timeouts.response);
        poll_fn(|context| self.poll_respond(context, target)).await
    }

    fn poll_respond(
        &mut self,
        context: &mut Context<'_>,
        target: &Target,
    ) -> Poll<Result<(), Trouble>> {
        let connection = self.lease.connection();
        let mut sent = Ok(());
        if !self.upload.is_done() {
            match self.upload.poll(context, &mut connection.stream) {
                Poll::Ready(Ok(())) => self.deadline.set(target.timeouts.response),
                Poll::Ready(Err(trouble)) => sent = Err(trouble),
                Poll::Pending => {
                    let progress = self.upload.written() + self.upload.body_bytes();
                    if progress != self.seen {
                        self.seen = progress;
                        self.deadline.set(if self.upload.is_waiting_to_write() {
                            target.timeouts.body
                        } else {
                            self.client_wait
                        });
                    }
                }
            }
        }
        loop {
            let scratch = self.exchange.scratch();
            let asked = Asked::by(scratch.request.method());
            let read = connection.poll_head(context, &UPSTREAM_LIMITS, |_, head, _| {
                read_response(head, &UPSTREAM_LIMITS, asked, &mut scratch.response)?;
                Ok(((), 0))
            });
            match read {
                Poll::Ready(Ok(Some(()))) => {}
                Poll::Ready(Ok(None)) => return Poll::Ready(Err(Trouble::Closed)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Trouble::Read(error))),
                Poll::Pending => break,
            }
            let response = &scratch.response;
            let opened = target.upgrade && websocket::is_opened(&scratch.request, response);
            match response.status {
                101 if !opened => return Poll::Ready(Err(Trouble::Unasked)),
                // Any success opens it for the client (RFC 9113, section 8.5).
                200..300 if target.upgrade => return Poll::Ready(Err(Trouble::NotOpened)),
                _ => {}
            }
            // Clients of HTTP/2 are not told of 1xx: they end here.
            if !response.is_interim() {
                if target.left.has_status(response.status)
                    && self.upload.is_replayable()
                    && self
                        .exchange
                        .may_retry(self.lease.pool(), RetryCause::Status)
                {
                    return Poll::Ready(Err(Trouble::Unwanted));
                }
                self.exchange.responded();
                return Poll::Ready(Ok(()));
            }
            self.interim.count()?;
        }
        if let Err(trouble) = sent
            && (trouble.is_the_clients() || !self.lease.was_reused())
        {
            return Poll::Ready(Err(trouble));
        }
        if self.deadline.poll(context).is_ready() {
            return Poll::Ready(Err(
                if self.upload.is_done() || self.upload.is_waiting_to_write() {
                    Trouble::Silent
                } else {
                    Trouble::SlowClient
                },
            ));
        }
        Poll::Pending
    }

    /// Tells whether the request is sent again after a failure.
    fn classify(&mut self, trouble: Trouble, target: &Target) -> Failure {
        let is_silent = retry::is_silent(&trouble, self.lease.connection().inbox());
        let failed = Failed {
            trouble: &trouble,
            is_stale: is_silent && self.lease.was_reused(),
            is_unsent: self.upload.written() == 0,
            is_idempotent: is_idempotent(self.exchange.request().method()),
            is_replayable: self.upload.is_replayable(),
        };
        let next = retry::next(target.left, &failed);
        self.exchange.followed(next, self.lease.pool(), trouble)
    }

    /// The response, once its head is there.
    fn into_response(mut self, target: &Target) -> Response<Body> {
        let cookie = self.exchange.sticky_cookie(target);
        let connect = self.exchange.connect.take();
        let head = self.exchange.response();
        let mut response = Response::new(Body::Empty);
        *response.status_mut() =
            StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let fields = self.exchange.edits().response;
        let edit = ResponseEdit {
            version: Version::Http2,
            close: false,
            framing: head.framing,
            set_cookie: cookie
                .as_deref()
                .filter(|_| !headers::is_shared(head, fields)),
            fields,
        };
        // One more for its length, and one for a date.
        let fields_at_most = head.fields().count() + 2;
        response.headers_mut().reserve(fields_at_most);
        headers::write_response_fields(response.headers_mut(), head, &edit);
        if head.status == 101
            && let Some(connect) = connect
        {
            let Self {
                exchange,
                mut lease,
                ..
            } = self;
            let upstream = lease.lend();
            return tunnel::open(response, exchange, connect, upstream, lease, target);
        }
        let framing = head.framing;
        let length = match framing {
            Framing::Length(n) => Some(n),
            Framing::None | Framing::Chunked | Framing::UntilClose => None,
        };
        let dropped = fields.and_then(FieldEdits::dropped);
        let pump = || {
            let incoming = Incoming::new(framing, &UPSTREAM_LIMITS).without_trailers(dropped);
            Pump::new(incoming, Outgoing::Raw, None)
        };
        // A small body has come with its head: no stream is needed then.
        let mut out = Vec::new();
        let inbox = self.lease.connection().inbox();
        let whole = self.upload.is_done()
            && match framing {
                Framing::None => inbox.is_empty(),
                Framing::Length(n) if n == inbox.len() as u64 => {
                    out.extend_from_slice(inbox);
                    true
                }
                Framing::Length(_) | Framing::UntilClose => false,
                Framing::Chunked => {
                    let mut small = pump();
                    matches!(small.decode(inbox, &mut out), Ok(used) if used == inbox.len())
                        && small.is_read()
                        && small.trailers().is_empty()
                }
            };
        if whole {
            let connection = self.lease.connection();
            connection.consume(connection.inbox().len());
            self.exchange.request_bytes = self.upload.body_bytes();
            self.exchange.response_bytes = out.len() as u64;
            self.exchange.response_tap().see(&out);
            self.exchange.completed();
            self.exchange.worker.give_deadline(self.deadline);
            release(self.lease, &mut self.exchange, &self.upload);
            if !out.is_empty() {
                *response.body_mut() = Body::Full(Bytes::from(out));
            }
            return response;
        }
        let pump = pump().with_tap(self.exchange.response_tap());
        let download = Download::new(
            self.exchange,
            self.lease,
            self.upload,
            pump,
            length,
            target.timeouts,
            self.deadline,
        );
        *response.body_mut() = Body::Stream(Box::pin(download));
        response
    }
}
