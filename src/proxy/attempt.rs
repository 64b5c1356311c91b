//! One attempt: a request on its way to one endpoint, and the response on its way back.

mod failed;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::http1::{Incoming, Outgoing, Pump};
use crate::listener::After;
use crate::message::{Framing, Known, Limits, Version};
use crate::proxy::Error;
use crate::proxy::decide::Target;
use crate::proxy::exchange::Exchange;
use crate::proxy::forward::Client;
use crate::proxy::headers::FieldEdits;
use crate::proxy::interim::{CONTINUE, Interim, write_continue};
use crate::proxy::reply::{Passed, Reply};
use crate::proxy::retry::Picky;
use crate::proxy::trouble::Trouble;
use crate::proxy::unread::Unread;
use crate::telemetry::stats::{CloseReason, RetryCause};
use crate::upstream::Lease;

/// Limits on what an upstream may send; the client's limits are about clients.
pub(crate) const UPSTREAM_LIMITS: Limits = Limits {
    head_bytes: 256 * 1024,
    fields: 200,
    uri_bytes: 0,
    body_bytes: None,
};

/// Why an attempt brought no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The pooled connection had been closed, and another takes its place.
    Stale(RetryCause),
    /// Another attempt follows; it has been taken out of the budget.
    Again(RetryCause),
    /// That is it.
    Final(Error),
}

/// One attempt, with both its bodies.
pub(crate) struct Attempt<'e, 'c> {
    exchange: &'e mut Exchange,
    client: &'e mut Client<'c>,
    target: &'e Target,
    lease: Lease,
    upload: Pump,
    download: Pump,
    /// Bytes of the client's inbox that were sent as body but are kept, so that they can be sent
    /// again.
    held: usize,
    started: bool,
    uploading: bool,
    /// True while the client waits to be told to send its body.
    expects: bool,
    /// True when sending the request failed: nobody knows how much of its body was read.
    lost: bool,
    /// True while all of the request that was read could be sent again.
    replayable: bool,
    /// True when the client's connection closes after the response.
    close: bool,
    /// True when the end of the connection is the end of the response's body for the client.
    until_close: bool,
    /// The 1xx, whose heads are in `scratch.downstream`.
    interim: Interim,
    seen: u64,
}

impl<'e, 'c> Attempt<'e, 'c> {
    pub(crate) fn new(
        exchange: &'e mut Exchange,
        client: &'e mut Client<'c>,
        target: &'e Target,
        lease: Lease,
    ) -> Self {
        let framing = exchange.request().framing;
        let limits = &client.settings.limits;
        let outgoing = match framing {
            Framing::Chunked => Outgoing::Chunked,
            Framing::None | Framing::Length(_) | Framing::UntilClose => Outgoing::Raw,
        };
        let edits = exchange.edits().request;
        let incoming =
            Incoming::new(framing, limits).without_trailers(edits.and_then(FieldEdits::dropped));
        let upload =
            Pump::new(incoming, outgoing, target.body_bytes).with_tap(exchange.request_tap());
        let request = exchange.request();
        let expects = framing != Framing::None
            && request.version == Version::Http11
            && request.known(Known::Expect).next().is_some();
        Self {
            exchange,
            client,
            target,
            lease,
            upload,
            download: Pump::new(Incoming::Length(0), Outgoing::Raw, None),
            held: 0,
            started: false,
            uploading: true,
            expects,
            lost: false,
            replayable: true,
            close: false,
            until_close: false,
            interim: Interim::default(),
            seen: 0,
        }
    }

    /// Sends the request, as far as it has come, until the response's head is there and has been
    /// passed on with what came behind it.
    pub(crate) async fn respond(&mut self) -> Result<(), Failure> {
        self.client.deadline.set(self.upload_wait());
        poll_fn(|context| self.poll_respond(context)).await
    }

    fn poll_respond(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let sent = self.poll_upload(context);
        if sent.is_err() {
            self.uploading = false;
            self.lost = true;
        }
        // An endpoint may answer and close without having read everything: the answer counts.
        match self.poll_head(context) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.classify(error))),
            Poll::Pending => {}
        }
        if let Err(error) = sent
            && error.is_the_clients()
        {
            return Poll::Ready(Err(Failure::Final(error.into_error())));
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
            return Poll::Ready(Err(if self.uploading {
                Failure::Final(self.stalled_upload())
            } else {
                self.classify(Trouble::Silent)
            }));
        }
        Poll::Pending
    }

    /// How long whoever the request's body waits for may take.
    fn upload_wait(&self) -> Duration {
        if self.upload.is_waiting_to_write() {
            self.target.timeouts.body
        } else if self.awaits_word() {
            CONTINUE
        } else {
            self.client.settings.timeouts.body
        }
    }

    /// True while the client waits to be told to send its body, and nothing else is waited for.
    fn awaits_word(&self) -> bool {
        self.expects
            && self.uploading
            && self.upload.body_bytes() == 0
            && !self.upload.is_waiting_to_write()
    }

    /// Notes that the upstream itself told the client to go on, if it did.
    fn heard(&mut self) {
        if self.expects && self.exchange.response().status == 100 {
            self.expects = false;
            self.client.deadline.set(self.upload_wait());
        }
    }

    /// Tells the client to send its body; the upstream has said nothing.
    fn give_word(&mut self) {
        self.expects = false;
        write_continue(&mut self.exchange.scratch().downstream);
        self.client.deadline.set(self.upload_wait());
    }

    /// How long whoever the response's body waits for may take.
    fn download_wait(&self) -> Duration {
        if self.download.is_waiting_to_write() {
            self.client.settings.timeouts.body
        } else {
            self.target.timeouts.body
        }
    }

    /// Whose fault it is that the request's body does not move.
    fn stalled_upload(&self) -> Error {
        if self.upload.is_waiting_to_write() {
            Error::ResponseTimeout
        } else {
            Error::ClientTimeout
        }
    }

    /// Sends what there is of the request.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        if !self.uploading {
            return Ok(());
        }
        let begins = !self.started;
        if begins {
            self.started = true;
            let scratch = self.exchange.scratch();
            let inbox = self.client.connection.inbox();
            let upstream = &mut self.lease.connection().stream;
            self.held = self
                .upload
                .start(context, &scratch.upstream, inbox, upstream)
                .map_err(Trouble::Upload)?;
        }
        let may_go_again = self.lease.was_reused() || self.target.left.keeps();
        if !self.upload.is_read() || !may_go_again {
            // More is to come than has been read, or it is not sent again: once is enough.
            self.client.connection.consume(self.held);
            self.held = 0;
        }
        let upstream = &mut self.lease.connection().stream;
        let result = self
            .upload
            .poll(context, self.client.connection, upstream)
            .map_err(Trouble::Upload)?;
        if self.held == 0 && self.upload.body_bytes() > 0 {
            self.replayable = false;
        }
        match result {
            Poll::Ready(()) => {
                self.uploading = false;
                let within = self.target.timeouts.response;
                match self.exchange.sent().filter(|_| begins) {
                    // Sent in one go: the clock needs not be read again.
                    Some(sent) => self.client.deadline.set_from(sent, within),
                    None => self.client.deadline.set(within),
                }
            }
            Poll::Pending if self.upload.progress() != self.seen => {
                self.seen = self.upload.progress();
                self.client.deadline.set(self.upload_wait());
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Reads the response's head and passes it on; 1xx on the way, too.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            self.flush_interim(context)?;
            let Self {
                exchange,
                client,
                target,
                lease,
                upload,
                lost,
                interim,
                replayable,
                ..
            } = self;
            let is_picky = target.left.keeps() && *replayable && interim.sent() == 0;
            let picky = is_picky.then(|| Picky::new(target.left, lease.pool()));
            let identity = exchange.sticky_cookie(target);
            let tap = exchange.response_tap();
            let (scratch, edits) = exchange.scratch_and_edits();
            let reply = Reply {
                version: scratch.request.version,
                // A request that is answered before it is through is not followed by another.
                close: !scratch.request.keep_alive || *lost || !upload.is_read() || (client.last)(),
                upgrade: target.upgrade,
                identity: identity.as_deref(),
                fields: edits.response,
                sent: interim.sent(),
                tap: &tap,
                picky: picky.as_ref(),
            };
            let to = &mut client.connection.stream;
            let read =
                lease
                    .connection()
                    .poll_head(context, &UPSTREAM_LIMITS, |context, head, rest| {
                        reply.pass_on(context, scratch, head, rest, to)
                    });
            if picky.is_some_and(|picky| picky.is_out_of_budget()) {
                exchange.out_of_budget(RetryCause::Status);
            }
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(Passed::Unwanted))) => {
                    return Poll::Ready(Err(Trouble::Unwanted));
                }
                Poll::Ready(Ok(Some(Passed::Interim))) => {
                    self.heard();
                    self.interim.count()?;
                }
                Poll::Ready(Ok(Some(Passed::Unasked))) => {
                    return Poll::Ready(Err(Trouble::Unasked));
                }
                Poll::Ready(Ok(Some(Passed::Final {
                    pump,
                    close,
                    until_close,
                    wrote,
                }))) => {
                    self.download = pump;
                    self.close = close;
                    self.until_close = until_close;
                    self.exchange.responded();
                    self.seen = 0;
                    self.client.deadline.set(self.download_wait());
                    return Poll::Ready(wrote.map_err(Trouble::Download));
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Err(Trouble::Closed)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Trouble::Read(error))),
            }
        }
    }

    /// Writes what the client has not taken of 1xx heads.
    fn flush_interim(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        let heads = &self.exchange.scratch().downstream;
        self.interim.flush(context, heads, self.client.connection)
    }

    /// True when the response turned the connection into a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.exchange.response().status == 101
    }

    /// Passes on the rest of the response, and of the request while the response lasts.
    ///
    /// # Errors
    /// When one of them breaks off.
    pub(crate) async fn pass_on(&mut self) -> Result<(), Error> {
        let with_head = self.download.progress();
        poll_fn(|context| self.poll_finish(context)).await?;
        if self.download.progress() == with_head {
            self.exchange.ended_with_head();
        }
        Ok(())
    }

    /// Ends an attempt whose response was passed on, or broke off.
    pub(crate) fn end(mut self, outcome: Result<(), Error>) -> After {
        self.note_bytes();
        match outcome {
            Ok(()) => self.succeed(),
            Err(error) => {
                let until_close = self.until_close;
                let exchange = self.give_up(&error);
                exchange.failed(error);
                if until_close {
                    After::Reset
                } else {
                    After::Close
                }
            }
        }
    }

    /// Writes what is left of the head of an upgrade; the connections are the tunnel's then.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn into_tunnel(
        mut self,
    ) -> Result<(&'e mut Exchange, &'e mut Client<'c>, Lease), After> {
        if let Err(error) = self.pass_on().await {
            self.exchange.failed(error);
            return Err(After::Close);
        }
        Ok((self.exchange, self.client, self.lease))
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Err(trouble) = self.poll_upload(context) {
            // The response counts, whatever became of the request; nothing more of it is sent.
            self.uploading = false;
            self.lost = true;
            if trouble.is_the_clients() {
                return Poll::Ready(Err(trouble.into_error()));
            }
        }
        let upstream = self.lease.connection();
        let done = self
            .download
            .poll(context, upstream, &mut self.client.connection.stream);
        match done {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(Trouble::Download(error).into_error()));
            }
            Poll::Pending => {}
        }
        let progress = self.download.progress() + self.upload.progress();
        // Who is written to and is gone is found out by that.
        let is_quiet = !self.uploading && !self.download.is_waiting_to_write();
        if is_quiet && self.client.poll_gone(context, progress).is_ready() {
            return Poll::Ready(Err(Error::ClientClosed));
        }
        if progress != self.seen {
            self.seen = progress;
            self.client.deadline.set(self.download_wait());
        }
        if self.client.deadline.poll(context).is_ready() {
            return Poll::Ready(Err(if self.download.is_waiting_to_write() {
                Error::ClientTimeout
            } else {
                Error::Truncated(None)
            }));
        }
        Poll::Pending
    }

    /// The response is through: both connections go on, if they can.
    fn succeed(self) -> After {
        let now = self.exchange.completed();
        self.client.connection.consume(self.held);
        let is_read = self.upload.is_read() && !self.lost;
        let sent = self.upload.is_done() && !self.lost;
        let response = self.exchange.response();
        if sent && response.keep_alive && response.framing != Framing::UntilClose {
            self.lease.give_back(now);
        } else if sent {
            self.lease.close(CloseReason::Upstream);
        } else {
            self.lease.close(CloseReason::Abandoned);
        }
        match (is_read, self.close) {
            // What the client still sends stands before its next request.
            (false, _) => After::Linger,
            (true, true) => After::Close,
            (true, false) => After::KeepAlive,
        }
    }

    fn note_bytes(&mut self) {
        self.exchange.request_bytes = self.upload.body_bytes();
        self.exchange.response_bytes = self.download.body_bytes();
    }

    /// Ends an attempt that failed for good.
    pub(crate) fn give_up(mut self, error: &Error) -> &'e mut Exchange {
        self.note_bytes();
        self.client.connection.consume(self.held);
        if !self.lost {
            self.client.unread = Unread::Rest(Box::new(self.upload));
        }
        self.lease.close(match error {
            Error::ClientClosed | Error::ClientTimeout | Error::BodyTooLarge => {
                CloseReason::Abandoned
            }
            _ => CloseReason::Error,
        });
        self.exchange
    }
}
