//! An exchange between two HTTP/1 sockets, in one task and without a channel.
//!
//! The request goes out as it comes in, and the response comes back as soon as it is there, also
//! when the request is not through yet. Each poll looks at all that the exchange waits for: the
//! request's body, the response, the client's leaving, the deadline.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::http1::{Closed, Connection, Deadline, give_buffer, take_buffer};
use crate::listener::{After, Settings};
use crate::message::{Framing, Version};
use crate::proxy::Error;
use crate::proxy::answer::{self, Answer};
use crate::proxy::attempt::{Attempt, Failure};
use crate::proxy::decide::{self, Decision, Own};
use crate::proxy::dial::Dial;
use crate::proxy::exchange::Exchange;
use crate::proxy::stream::{self, from_http1};
use crate::proxy::tunnel;
use crate::proxy::unread::Unread;
use crate::tls::Stream;
use crate::upstream::Leased;

/// How long an own answer may take to be written.
const ANSWER: Duration = Duration::from_secs(5);

/// Bytes of a page that are written together with its head, so that a small one is one packet.
const WITH_HEAD: usize = 8 * 1024;

/// Bytes of a larger page that are written at once: each piece has the time that a client has for
/// a body's progress.
const PIECE: usize = 64 * 1024;

/// The client's side of an exchange.
pub(crate) struct Client<'a> {
    pub(crate) connection: &'a mut Connection<Stream>,
    pub(crate) deadline: &'a mut Deadline,
    pub(crate) settings: &'a Arc<Settings>,
    /// True when the connection is to be closed after the exchange.
    pub(crate) last: &'a dyn Fn() -> bool,
    /// What is left of the request's body.
    pub(crate) unread: Unread,
    /// Until when it is waited for, once it has closed its side.
    pub(crate) leaving: Option<Box<Leaving>>,
}

/// A client that has closed its side: it may be gone, or read on.
#[derive(Default)]
pub(crate) struct Leaving {
    deadline: Deadline,
    seen: u64,
}

impl Client<'_> {
    /// Ready once the client is gone. Who has closed his side alone may still want the answer (RFC
    /// 9112, section 9.6, has servers do that themselves): so it counts as gone only when nothing has
    /// moved for a while since, by a number that grows with each step forward.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>, progress: u64) -> Poll<()> {
        let within = self.settings.timeouts.half_closed;
        let leaving = match &mut self.leaving {
            Some(leaving) => leaving,
            None => match ready!(self.connection.poll_closed(context)) {
                Closed::Side if !within.is_zero() => {
                    let leaving = self.leaving.insert(Box::default());
                    leaving.deadline.set(within);
                    leaving.seen = progress;
                    leaving
                }
                Closed::Side | Closed::Whole => return Poll::Ready(()),
            },
        };
        if leaving.seen != progress {
            leaving.seen = progress;
            leaving.deadline.set(within);
        }
        leaving.deadline.poll(context)
    }

    /// How the connection goes on after an own answer.
    fn ending(&self, close: bool) -> After {
        match (close, self.unread.is_none()) {
            (false, _) => After::KeepAlive,
            (true, true) => After::Close,
            (true, false) => After::Linger,
        }
    }

    /// Lets through what is left of a request's body after its answer, where that is to be done.
    pub(crate) async fn after(self, after: After) -> After {
        if after != After::KeepAlive || !self.unread.is_pending() {
            return after;
        }
        self.deadline.set(self.settings.timeouts.body);
        if self.unread.discard(self.connection, self.deadline).await {
            After::KeepAlive
        } else {
            After::Linger
        }
    }
}

/// Carries out an exchange.
///
/// # Errors
/// While nothing went to the client; what goes wrong later is noted with the exchange.
pub(crate) async fn exchange(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
) -> Result<After, Error> {
    let target = match decide::decide(exchange, client.settings)? {
        Decision::Forward(target) => target,
        Decision::Own(own) => return Ok(answered_here(own, exchange, client).await),
    };
    if target.keeps_body {
        Box::pin(gather(exchange, client)).await?;
    }
    let mut dial = Dial::new(target);
    // What an HTTP/2 upstream was sent of the request's body.
    let mut request: Option<Box<stream::Request>> = None;
    let error = loop {
        let lease = match dial.connect(exchange).await {
            Ok(Leased::Http1(lease)) => lease,
            Ok(Leased::Http2(lease)) => {
                let request = request
                    .get_or_insert_with(|| Box::new(from_http1::request(exchange, client, &dial)));
                // In a box, as all that few exchanges come to: each connection has room for one.
                let attempt = from_http1::attempt(exchange, client, &mut dial, request, lease);
                match Box::pin(attempt).await {
                    Ok(after) => return Ok(after),
                    Err(Failure::Final(error)) => break error,
                    Err(Failure::Again(cause)) => dial.goes_again(exchange, cause, None),
                    Err(Failure::Stale(cause)) => dial.was_stale(exchange, cause),
                }
                continue;
            }
            Err(error) => break error,
        };
        if request.as_ref().is_some_and(|request| !request.is_empty()) {
            // What was read of it is kept as it goes to HTTP/2.
            break Error::Unavailable;
        }
        decide::write_head(exchange, client.settings);
        client.unread = Unread::Unknown;
        let mut attempt = Attempt::new(exchange, client, dial.target(), lease);
        match attempt.respond().await {
            Ok(()) if attempt.is_tunnel() => {
                return Ok(Box::pin(tunnel::from_http1(attempt, dial.target())).await);
            }
            Ok(()) => {
                let outcome = attempt.pass_on().await;
                return Ok(attempt.end(outcome));
            }
            Err(Failure::Final(error)) => {
                attempt.give_up(&error);
                return Err(error);
            }
            Err(Failure::Again(cause)) => {
                let pool = attempt.give_up_for(cause);
                dial.goes_again(exchange, cause, Some(pool));
            }
            Err(Failure::Stale(cause)) => {
                attempt.give_up_stale();
                dial.was_stale(exchange, cause);
            }
        }
    };
    if let Some(request) = request {
        client.unread = request.into_unread();
    }
    Err(error)
}

/// Reads the whole body of a request that may have to be sent again, before it is sent.
async fn gather(exchange: &Exchange, client: &mut Client<'_>) -> Result<(), Error> {
    let Framing::Length(length) = exchange.request().framing else {
        return Ok(());
    };
    let length = usize::try_from(length).map_err(|_| Error::BodyTooLarge)?;
    let mut seen = 0;
    client.deadline.set(client.settings.timeouts.body);
    poll_fn(|context| {
        let read = client.connection.poll_gather(context, length);
        if let Poll::Ready(read) = read {
            return Poll::Ready(read.map_err(|_| Error::ClientClosed));
        }
        let progress = client.connection.inbox().len();
        if progress != seen {
            seen = progress;
            client.deadline.set(client.settings.timeouts.body);
        }
        match client.deadline.poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::ClientTimeout)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Answers an exchange that failed before anything went to the client.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    error: Error,
) -> After {
    if matches!(error, Error::ClientClosed) {
        exchange.failed(error);
        return After::Close;
    }
    let request = exchange.request();
    let answer = Answer::new(&error, Some(request))
        .with_request_id(exchange.told_id())
        .edited(exchange.edits().response);
    let limits = &client.settings.limits;
    let in_step = client
        .unread
        .settle(client.connection, request, limits, Some(&error));
    let close =
        !in_step || !request.keep_alive || request.version == Version::Http10 || (client.last)();
    let head_only = request.method() == b"HEAD";
    let mut out = Vec::new();
    answer.write_http1(&mut out, head_only, close);
    let (status, length) = (answer.status(), answer.len());
    exchange.failed(error);
    exchange.answered(status, if head_only { 0 } else { length });
    write(exchange, client, &out, close).await
}

/// Answers what needs no upstream. It is in a box, so that it takes no room in what is forwarded.
fn answered_here<'f>(
    own: Own,
    exchange: &'f mut Exchange,
    client: &'f mut Client<'_>,
) -> Pin<Box<dyn Future<Output = After> + 'f>> {
    match own {
        Own::Direct => Box::pin(direct(exchange, client)),
        Own::Options => Box::pin(options(exchange, client)),
    }
}

/// Answers what the route says by itself.
async fn direct(exchange: &mut Exchange, client: &mut Client<'_>) -> After {
    let close = closes(exchange, client);
    let head_only = exchange.request().method() == b"HEAD";
    let mut out = take_buffer();
    let mut body = Bytes::new();
    let mut with_head = 0;
    if let Some(direct) = exchange.direct() {
        let (location, id) = (exchange.location(), exchange.told_id());
        direct.write_http1(&mut out, location, id, close);
        match direct.body() {
            _ if head_only => {}
            small if small.len() <= WITH_HEAD => {
                out.extend_from_slice(small);
                with_head = small.len();
            }
            large => body = large.clone(),
        }
        let status = direct.status();
        exchange.answered(status, 0);
    }
    let head = timeout(ANSWER, client.connection.write_all(&out)).await;
    give_buffer(out);
    if !matches!(head, Ok(Ok(()))) {
        return After::Close;
    }
    exchange.response_bytes += with_head as u64;
    // A larger one is not copied for each client, and a slow client may take its time.
    for piece in body.chunks(PIECE) {
        let write = client.connection.write_all(piece);
        if !matches!(
            timeout(client.settings.timeouts.body, write).await,
            Ok(Ok(()))
        ) {
            return After::Close;
        }
        exchange.response_bytes += piece.len() as u64;
    }
    exchange.completed();
    client.ending(close)
}

/// Answers `OPTIONS *`, which asks the proxy itself.
async fn options(exchange: &mut Exchange, client: &mut Client<'_>) -> After {
    let close = closes(exchange, client);
    let mut out = Vec::new();
    answer::write_options(&mut out, close);
    exchange.answered(204, 0);
    write(exchange, client, &out, close).await
}

/// Uses what of the request's body has come, and tells whether the connection closes after an
/// answer that is no error.
fn closes(exchange: &Exchange, client: &mut Client<'_>) -> bool {
    let request = exchange.request();
    let limits = &client.settings.limits;
    let in_step = client
        .unread
        .settle(client.connection, request, limits, None);
    !in_step || !request.keep_alive || request.version == Version::Http10 || (client.last)()
}

/// Writes an own answer.
async fn write(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    answer: &[u8],
    close: bool,
) -> After {
    match timeout(ANSWER, client.connection.write_all(answer)).await {
        Ok(Ok(())) => {
            exchange.completed();
            client.ending(close)
        }
        _ => After::Close,
    }
}
