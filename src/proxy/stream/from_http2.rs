//! An exchange between two streams of HTTP/2: one of a client, and one with an upstream.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::{Response, StatusCode};

use crate::http1::codec::Asked;
use crate::http1::{Connection, Deadline};
use crate::listener::{ClientBody, Settings};
use crate::message::{Body, Framing, Version};
use crate::proxy::Error;
use crate::proxy::attempt::Failure;
use crate::proxy::decide::{self, Target};
use crate::proxy::dial::Dial;
use crate::proxy::exchange::Exchange;
use crate::proxy::headers::{self, FieldEdits, ResponseEdit};
use crate::proxy::interim::Interim;
use crate::proxy::stream::call::{Answer, next, not_opened};
use crate::proxy::stream::coming::Coming;
use crate::proxy::stream::download::{Background, Download, poll_part};
use crate::proxy::stream::trailers::Dropped;
use crate::proxy::stream::{Call, Upload};
use crate::proxy::trouble::Trouble;
use crate::proxy::tunnel;
use crate::proxy::websocket;
use crate::telemetry::stats::RetryCause;
use crate::upstream::StreamLease;

/// A request's body, which outlives an attempt that came to nothing.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where it comes from; `None` when there is none.
    incoming: Option<ClientBody>,
    upload: Upload,
}

impl Request {
    /// Makes the one of a request of which nothing but the head was read.
    pub(crate) fn new(
        exchange: &Exchange,
        incoming: Option<ClientBody>,
        limit: Option<u64>,
    ) -> Self {
        let edits = exchange.edits().request;
        let dropped = Dropped::new(edits.and_then(FieldEdits::dropped));
        let framing = exchange.request().framing;
        Self {
            incoming,
            upload: Upload::new(framing, limit)
                .without_trailers(dropped)
                .with_tap(exchange.request_tap()),
        }
    }
}

/// Makes an attempt on a stream of `lease`. The response's body, if any, drives the rest of it.
///
/// # Errors
/// While nothing went to the client; the exchange and the request come back.
pub(crate) async fn attempt(
    mut exchange: Box<Exchange>,
    mut request: Request,
    dial: &mut Dial,
    settings: &Settings,
    lease: StreamLease,
) -> Result<Response<Body>, (Box<Exchange>, Request, Failure)> {
    let upgrade = dial.target().upgrade;
    if upgrade && !lease.takes_extended_connect() {
        return Err((exchange, request, Failure::Final(Error::NoUpgrade)));
    }
    let head = match decide::http2_head(&mut exchange, settings) {
        Ok(head) => head,
        Err(error) => return Err((exchange, request, Failure::Final(error))),
    };
    dial.goes_by(&lease);
    request.upload.again();
    let is_whole = request.upload.is_empty() && !upgrade;
    let call = match Call::open(lease, head, is_whole) {
        Ok(call) => call,
        Err(error) => {
            let failure = not_opened(dial.target().left, error);
            return Err((exchange, request, failure));
        }
    };
    let mut attempt = Attempt {
        asked: Asked::by(exchange.request().method()),
        exchange,
        request,
        call,
        deadline: Deadline::new(),
        client_wait: settings.timeouts.body,
        interim: Interim::default(),
        seen: 0,
    };
    match attempt.respond(dial.target()).await {
        Ok((response, first)) => Ok(attempt.into_response(response, first, dial.target())),
        Err(trouble) => Err(attempt.give_up(trouble, dial.target())),
    }
}

/// One attempt.
struct Attempt {
    exchange: Box<Exchange>,
    request: Request,
    call: Call,
    asked: Asked,
    deadline: Deadline,
    /// How long the client may make no progress with its body.
    client_wait: Duration,
    interim: Interim,
    seen: u64,
}

impl Attempt {
    /// Sends the request, as far as it has come, until the response's head is there; and with it
    /// the first data, if it has come, too.
    async fn respond(&mut self, target: &Target) -> Result<(RecvStream, Option<Bytes>), Trouble> {
        self.deadline.set(self.wait(target));
        poll_fn(|context| self.poll_respond(context, target)).await
    }

    fn poll_respond(
        &mut self,
        context: &mut Context<'_>,
        target: &Target,
    ) -> Poll<Result<(RecvStream, Option<Bytes>), Trouble>> {
        let mut sent = Ok(());
        if !self.request.upload.is_done() {
            let Request { incoming, upload } = &mut self.request;
            let sending = &mut self.call.sending;
            let step = upload.poll(context, sending, |context| {
                poll_part(context, incoming.as_mut())
            });
            let progress = upload.progress();
            match step {
                Poll::Ready(Ok(())) => self.deadline.set(self.wait(target)),
                Poll::Ready(Err(trouble)) => sent = Err(trouble),
                Poll::Pending if progress != self.seen => {
                    self.seen = progress;
                    self.deadline.set(self.wait(target));
                }
                Poll::Pending => {}
            }
        }
        loop {
            let head = &mut self.exchange.scratch().response;
            match self.call.poll_head(context, self.asked, head) {
                Poll::Ready(Ok(Answer::Final(_))) if self.wants_another(target) => {
                    return Poll::Ready(Err(Trouble::Unwanted));
                }
                Poll::Ready(Ok(Answer::Final(mut response))) => {
                    if target.upgrade {
                        let scratch = self.exchange.scratch();
                        websocket::answer(&scratch.request, &mut scratch.response);
                    }
                    self.exchange.responded();
                    let first = match response.poll_data(context) {
                        Poll::Ready(Some(Ok(data))) => Some(data),
                        // Whatever else it is, it comes again.
                        Poll::Ready(None | Some(Err(_))) | Poll::Pending => None,
                    };
                    return Poll::Ready(Ok((response, first)));
                }
                // Clients of HTTP/2 are not told of 1xx: they end here.
                Poll::Ready(Ok(Answer::Interim)) => {
                    self.interim.count()?;
                }
                Poll::Ready(Err(trouble)) => return Poll::Ready(Err(trouble)),
                Poll::Pending => break,
            }
        }
        if let Err(trouble) = sent
            && trouble.is_the_clients()
        {
            return Poll::Ready(Err(trouble));
        }
        if self.deadline.poll(context).is_ready() {
            let upload = &self.request.upload;
            if upload.is_done() || upload.is_waiting_to_write() {
                self.call.lease.timed_out();
                return Poll::Ready(Err(Trouble::Silent));
            }
            return Poll::Ready(Err(Trouble::SlowClient));
        }
        Poll::Pending
    }

    /// How long whoever is waited for before the response may take.
    fn wait(&self, target: &Target) -> Duration {
        if self.request.upload.is_done() {
            target.timeouts.response
        } else if self.request.upload.is_waiting_to_write() {
            target.timeouts.body
        } else {
            self.client_wait
        }
    }

    /// True when another attempt is made for the status of the answer.
    fn wants_another(&self, target: &Target) -> bool {
        let status = self.exchange.response().status;
        target.left.has_status(status)
            && self.request.upload.is_replayable()
            && self
                .exchange
                .may_retry(self.call.lease.pool(), RetryCause::Status)
    }

    /// Ends an attempt that came to nothing; its stream is reset.
    fn give_up(self, trouble: Trouble, target: &Target) -> (Box<Exchange>, Request, Failure) {
        let Self {
            mut exchange,
            request,
            call,
            ..
        } = self;
        exchange.request_bytes = request.upload.body_bytes();
        let (lease, method) = (&call.lease, exchange.request().method());
        let is_replayable = request.upload.is_replayable();
        let next = next(&trouble, lease, target.left, method, is_replayable);
        let failure = exchange.followed(next, lease.pool(), trouble);
        (exchange, request, failure)
    }

    /// The response, once its head is there.
    fn into_response(
        self,
        body: RecvStream,
        first: Option<Bytes>,
        target: &Target,
    ) -> Response<Body> {
        let Self {
            mut exchange,
            request,
            mut call,
            deadline,
            ..
        } = self;
        let cookie = exchange.sticky_cookie(target);
        let connect = exchange.connect.take();
        let head = exchange.response();
        let mut response = Response::new(Body::Empty);
        *response.status_mut() =
            StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let framing = head.framing;
        let fields = exchange.edits().response;
        let edit = ResponseEdit {
            version: Version::Http2,
            close: false,
            framing,
            set_cookie: cookie
                .as_deref()
                .filter(|_| !headers::is_shared(head, fields)),
            fields,
        };
        headers::write_response_fields(response.headers_mut(), head, &edit);
        if head.status == 101
            && let Some(connect) = connect
        {
            let (upstream, lease) = call.into_tunnel(body, first);
            let upstream = Connection::new(upstream);
            return tunnel::open(response, exchange, connect, upstream, lease, target);
        }
        if target.upgrade {
            call.no_tunnel();
        }
        let dropped = Dropped::new(fields.and_then(FieldEdits::dropped));
        let left = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let is_whole = body.is_end_stream() && request.upload.is_done();
        let n_first = first.as_ref().map_or(0, Bytes::len) as u64;
        if framing == Framing::None || is_whole && left.is_none_or(|left| left == n_first) {
            // A small body has come with its head: no stream is needed then.
            exchange.request_bytes = request.upload.body_bytes();
            exchange.response_bytes = n_first;
            exchange.completed();
            if let Some(data) = first.filter(|data| !data.is_empty()) {
                exchange.response_tap().see(&data);
                *response.body_mut() = Body::Full(data);
            }
            return response;
        }
        let Call { sending, lease, .. } = call;
        let Request { upload, incoming } = request;
        let n_sent = upload.body_bytes();
        let incoming = incoming.filter(|_| !upload.is_done());
        let rest = incoming.map(|incoming| Background::begin(upload, sending, incoming));
        exchange.request_bytes = n_sent;
        let tap = exchange.response_tap();
        let coming = Coming::new(body, first, left, dropped).with_tap(tap);
        let download = Download::new(exchange, coming, rest, target.timeouts, deadline, lease);
        *response.body_mut() = Body::Stream(Box::pin(download));
        response
    }
}
