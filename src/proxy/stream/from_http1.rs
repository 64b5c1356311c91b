//! An exchange between an HTTP/1 socket and a stream of HTTP/2, in one task.
//!
//! It goes as the one between two sockets does: each poll looks at all that the exchange waits for,
//! the response comes back as soon as it is there, and 1xx on the way, too.

mod failed;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode};

use crate::http1::codec::Asked;
use crate::http1::{Connection, Outgoing, Outlet, PumpError, Scratch};
use crate::listener::After;
use crate::message::{Framing, Version};
use crate::proxy::Error;
use crate::proxy::attempt::Failure;
use crate::proxy::decide::{self, Target};
use crate::proxy::dial::Dial;
use crate::proxy::exchange::Exchange;
use crate::proxy::forward::Client;
use crate::proxy::headers::{self, FieldEdits, ResponseEdit};
use crate::proxy::interim::{CONTINUE, Interim, write_continue};
use crate::proxy::stream::call::{Answer, not_opened};
use crate::proxy::stream::coming::Coming;
use crate::proxy::stream::head::{has_no_body, name_status};
use crate::proxy::stream::trailers::Dropped;
use crate::proxy::stream::{Call, Part, Request};
use crate::proxy::trailers::write_trailers;
use crate::proxy::trouble::Trouble;
use crate::proxy::tunnel;
use crate::proxy::websocket;
use crate::upstream::StreamLease;

/// The request's body, of which nothing was read.
pub(crate) fn request(exchange: &Exchange, client: &Client<'_>, dial: &Dial) -> Request {
    let edits = exchange.edits().request;
    let dropped = Dropped::new(edits.and_then(FieldEdits::dropped));
    let limits = &client.settings.limits;
    Request::new(
        exchange.request(),
        limits,
        dial.target().body_bytes,
        dropped,
        exchange.request_tap(),
    )
}

/// Makes an attempt on a stream of `lease`.
///
/// # Errors
/// While nothing went to the client.
pub(crate) async fn attempt(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    dial: &mut Dial,
    request: &mut Request,
    lease: StreamLease,
) -> Result<After, Failure> {
    let upgrade = dial.target().upgrade;
    if upgrade && !lease.takes_extended_connect() {
        return Err(Failure::Final(Error::NoUpgrade));
    }
    let head = decide::http2_head(exchange, client.settings).map_err(Failure::Final)?;
    dial.goes_by(&lease);
    request.upload.again();
    let is_whole = request.upload.is_empty() && !upgrade;
    let left = dial.target().left;
    let call = Call::open(lease, head, is_whole).map_err(|error| not_opened(left, error))?;
    let mut attempt = Attempt::new(exchange, client, dial.target(), request, call);
    match attempt.respond().await {
        Ok(()) => Ok(match attempt.opened.take() {
            Some(response) => attempt.into_tunnel(response).await,
            None => attempt.finish().await,
        }),
        Err(failure) => {
            attempt.note_bytes();
            Err(failure)
        }
    }
}

/// One attempt, with both its bodies.
struct Attempt<'e, 'c> {
    exchange: &'e mut Exchange,
    client: &'e mut Client<'c>,
    target: &'e Target,
    request: &'e mut Request,
    call: Call,
    asked: Asked,
    /// The response's body, once its head is there.
    coming: Option<Coming>,
    /// What comes through the tunnel that the response opened, if it did.
    opened: Option<RecvStream>,
    outlet: Outlet,
    /// True once the whole response was given to the outlet.
    has_ended: bool,
    /// What went wrong as the head was passed on.
    broken: Option<PumpError>,
    uploading: bool,
    /// True when the client's connection closes after the response.
    close: bool,
    /// True when the end of the connection is the end of the response's body for the client.
    until_close: bool,
    /// The 1xx, whose heads are in `scratch.downstream`.
    interim: Interim,
    seen: u64,
}

impl<'e, 'c> Attempt<'e, 'c> {
    fn new(
        exchange: &'e mut Exchange,
        client: &'e mut Client<'c>,
        target: &'e Target,
        request: &'e mut Request,
        call: Call,
    ) -> Self {
        Self {
            asked: Asked::by(exchange.request().method()),
            uploading: !request.upload.is_done(),
            exchange,
            client,
            target,
            request,
            call,
            coming: None,
            opened: None,
            outlet: Outlet::new(Outgoing::Raw),
            has_ended: false,
            broken: None,
            close: false,
            until_close: false,
            interim: Interim::default(),
            seen: 0,
        }
    }

    /// Sends the request, as far as it has come, until the response's head is there and has been
    /// passed on with what came behind it.
    async fn respond(&mut self) -> Result<(), Failure> {
        self.client.deadline.set(self.wait());
        poll_fn(|context| self.poll_respond(context)).await
    }

    fn poll_respond(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let sent = self.poll_upload(context);
        self.uploading &= sent.is_ok();
        // An endpoint may answer and end the stream without having read everything.
        match self.poll_head(context) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(trouble)) => return Poll::Ready(Err(self.classify(trouble))),
            Poll::Pending => {}
        }
        if let Err(trouble) = sent
            && trouble.is_the_clients()
        {
            return Poll::Ready(Err(Failure::Final(trouble.into_error())));
        }
        if !self.uploading && self.client.poll_gone(context, 0).is_ready() {
            return Poll::Ready(Err(Failure::Final(Error::ClientClosed)));
        }
        while self.client.deadline.poll(context).is_ready() {
            if self.awaits_word() {
                self.give_word();
                if let Err(trouble) = self.flush_interim(context) {
                    return Poll::Ready(Err(Failure::Final(trouble.into_error())));
                }
                continue;
            }
            let is_clients = self.uploading && !self.request.upload.is_waiting_to_write();
            if is_clients {
                return Poll::Ready(Err(Failure::Final(Error::ClientTimeout)));
            }
            self.call.lease.timed_out();
            return Poll::Ready(Err(self.classify(Trouble::Silent)));
        }
        Poll::Pending
    }

    /// How long whoever is waited for before the response may take.
    fn wait(&self) -> Duration {
        if !self.uploading {
            self.target.timeouts.response
        } else if self.request.upload.is_waiting_to_write() {
            self.target.timeouts.body
        } else if self.awaits_word() {
            CONTINUE
        } else {
            self.client.settings.timeouts.body
        }
    }

    /// True while the client waits to be told to send its body, and nothing else is waited for.
    fn awaits_word(&self) -> bool {
        self.request.expects && self.uploading && self.request.upload.body_bytes() == 0
    }

    /// Tells the client to send its body; the upstream has said nothing.
    fn give_word(&mut self) {
        self.request.expects = false;
        write_continue(&mut self.exchange.scratch().downstream);
        self.client.deadline.set(self.wait());
    }

    /// How long whoever the response's body waits for may take.
    fn download_wait(&self) -> Duration {
        if self.outlet.is_waiting_to_write() {
            self.client.settings.timeouts.body
        } else {
            self.target.timeouts.body
        }
    }

    /// Sends what there is of the request's body.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        if !self.uploading {
            return Ok(());
        }
        let connection = &mut *self.client.connection;
        let sending = &mut self.call.sending;
        let sent = self.request.poll_send(context, connection, sending)?;
        let progress = self.request.upload.progress();
        if sent.is_ready() {
            self.uploading = false;
            self.client.deadline.set(self.wait());
        } else if progress != self.seen {
            self.seen = progress;
            self.client.deadline.set(self.wait());
        }
        Ok(())
    }

    /// Waits for the response's head and passes it on; 1xx on the way, too.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            self.flush_interim(context)?;
            let head = &mut self.exchange.scratch().response;
            match ready!(self.call.poll_head(context, self.asked, head))? {
                Answer::Interim => {
                    self.interim.count()?;
                    self.pass_interim();
                }
                Answer::Final(_) if self.wants_another() => {
                    return Poll::Ready(Err(Trouble::Unwanted));
                }
                Answer::Final(response) => {
                    if self.target.upgrade && self.is_opened() {
                        self.opened = Some(response);
                    } else {
                        self.pass_on(context, response);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Leaves a 1xx for the client; HTTP/1.0 knows none (RFC 9110, section 15.2).
    fn pass_interim(&mut self) {
        let (scratch, edits) = self.exchange.scratch_and_edits();
        if scratch.request.version == Version::Http11 {
            let edit = ResponseEdit {
                version: Version::Http11,
                close: false,
                framing: Framing::None,
                set_cookie: None,
                fields: edits.response,
            };
            name_status(&mut scratch.response);
            headers::write_response(&mut scratch.downstream, &scratch.response, &edit);
        }
        if self.request.expects && scratch.response.status == 100 {
            self.request.expects = false;
            self.client.deadline.set(self.wait());
        }
    }

    /// True when the final head opens the WebSocket that was asked for; it is that of HTTP/1.1 then.
    fn is_opened(&mut self) -> bool {
        let Scratch {
            request, response, ..
        } = self.exchange.scratch();
        websocket::answer(request, response);
        let is_opened = response.status == 101;
        if is_opened {
            self.exchange.responded();
        } else {
            self.call.no_tunnel();
        }
        is_opened
    }

    /// Carries what comes after the head that opens a tunnel, and `response` after that.
    async fn into_tunnel(self, response: RecvStream) -> After {
        let Self {
            exchange,
            client,
            target,
            call,
            interim,
            ..
        } = self;
        let (upstream, lease) = call.into_tunnel(response, None);
        let upstream = Connection::new(upstream);
        tunnel::answer(exchange, client, upstream, lease, target, interim.sent()).await
    }

    /// Passes the final head on, with what has come behind it.
    fn pass_on(&mut self, context: &mut Context<'_>, response: RecvStream) {
        let identity = self.exchange.sticky_cookie(self.target);
        let is_read = self.request.is_read();
        let tap = self.exchange.response_tap();
        let last = (self.client.last)();
        let (scratch, edits) = self.exchange.scratch_and_edits();
        let fields = edits.response;
        let dropped = Dropped::new(fields.and_then(FieldEdits::dropped));
        name_status(&mut scratch.response);
        let head = &scratch.response;
        let version = scratch.request.version;
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let (framing, outgoing) = match head.framing {
            Framing::None if has_no_body(status, self.asked) => (Framing::None, Outgoing::Raw),
            // The stream has ended with its head: nothing follows, and that has to be said.
            Framing::None => (Framing::Length(0), Outgoing::Raw),
            Framing::Length(n) => (Framing::Length(n), Outgoing::Raw),
            Framing::Chunked | Framing::UntilClose if version == Version::Http10 => {
                (Framing::UntilClose, Outgoing::Raw)
            }
            Framing::Chunked | Framing::UntilClose => (Framing::Chunked, Outgoing::Chunked),
        };
        self.until_close = framing == Framing::UntilClose;
        // A request that is answered before it is through is not followed by another.
        self.close = !scratch.request.keep_alive || !is_read || last || self.until_close;
        let edit = ResponseEdit {
            version,
            close: self.close,
            framing,
            set_cookie: identity
                .as_deref()
                .filter(|_| !headers::is_shared(head, fields)),
            fields,
        };
        headers::write_response(&mut scratch.downstream, head, &edit);
        self.outlet = Outlet::new(outgoing);
        let left = match framing {
            Framing::None => Some(0),
            Framing::Length(n) => Some(n),
            Framing::Chunked | Framing::UntilClose => None,
        };
        self.has_ended = left == Some(0);
        let coming = self
            .coming
            .insert(Coming::new(response, None, left, dropped).with_tap(tap));
        // A small body has come with its head, and leaves with it.
        let first = if self.has_ended {
            Poll::Pending
        } else {
            coming.poll_part(context)
        };
        let (data, end, failed) = match first {
            Poll::Ready(Ok(Part::Data(data, is_last))) => (data, is_last.then(Vec::new), None),
            Poll::Ready(Ok(Part::End(trailers))) => (Bytes::new(), Some(lines(trailers)), None),
            Poll::Ready(Err(error)) => (Bytes::new(), None, Some(error)),
            Poll::Pending => (Bytes::new(), None, None),
        };
        self.has_ended |= end.is_some();
        let head = &self.exchange.scratch().downstream[self.interim.sent()..];
        let to = &mut self.client.connection.stream;
        let wrote = self.outlet.write(context, head, &data, end.as_deref(), to);
        self.exchange.responded();
        self.seen = 0;
        self.client.deadline.set(self.download_wait());
        // The client has its head: whatever goes wrong from here on cuts it.
        self.broken = failed.or(wrote.err());
    }

    /// Writes what the client has not taken of 1xx heads.
    fn flush_interim(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        let heads = &self.exchange.scratch().downstream;
        self.interim.flush(context, heads, self.client.connection)
    }

    /// Passes on the rest of the response, and of the request while the response lasts.
    async fn finish(mut self) -> After {
        let outcome = poll_fn(|context| self.poll_finish(context)).await;
        self.note_bytes();
        if let Err(error) = outcome {
            self.exchange.failed(error);
            return if self.until_close {
                After::Reset
            } else {
                After::Close
            };
        }
        self.exchange.completed();
        match (self.request.is_read(), self.close) {
            // What the client still sends stands before its next request.
            (false, _) => After::Linger,
            (true, true) => After::Close,
            (true, false) => After::KeepAlive,
        }
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Err(trouble) = self.poll_upload(context) {
            // The response counts, whatever became of the request; nothing more of it is sent.
            self.uploading = false;
            if trouble.is_the_clients() {
                return Poll::Ready(Err(trouble.into_error()));
            }
        }
        match self.poll_download(context) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(Trouble::Download(error).into_error()));
            }
            Poll::Pending => {}
        }
        let progress = self.outlet.progress() + self.request.upload.progress();
        // Who is written to and is gone is found out by that.
        let is_quiet = !self.uploading && !self.outlet.is_waiting_to_write();
        if is_quiet && self.client.poll_gone(context, progress).is_ready() {
            return Poll::Ready(Err(Error::ClientClosed));
        }
        if progress != self.seen {
            self.seen = progress;
            self.client.deadline.set(self.download_wait());
        }
        if self.client.deadline.poll(context).is_ready() {
            return Poll::Ready(Err(if self.outlet.is_waiting_to_write() {
                Error::ClientTimeout
            } else {
                self.call.lease.timed_out();
                Error::Truncated(None)
            }));
        }
        Poll::Pending
    }

    fn poll_download(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        loop {
            let to = &mut self.client.connection.stream;
            ready!(self.outlet.poll(context, to))?;
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            let Some(coming) = &mut self.coming else {
                return Poll::Ready(Err(PumpError::Cut));
            };
            let (data, end) = match ready!(coming.poll_part(context))? {
                Part::Data(data, is_last) => (data, is_last.then(Vec::new)),
                Part::End(trailers) => (Bytes::new(), Some(lines(trailers))),
            };
            self.has_ended = end.is_some();
            let to = &mut self.client.connection.stream;
            self.outlet.write(context, &[], &data, end.as_deref(), to)?;
        }
    }

    fn note_bytes(&mut self) {
        self.exchange.request_bytes = self.request.upload.body_bytes();
        self.exchange.response_bytes = self.outlet.body_bytes();
    }
}

/// Trailers as field lines.
fn lines(trailers: Option<HeaderMap>) -> Vec<u8> {
    trailers.map_or_else(Vec::new, |map| write_trailers(&map, &[]))
}
