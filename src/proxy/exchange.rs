//! One exchange: what is known of it, and its end, which is counted and logged exactly once.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::http1::Scratch;
use crate::listener::{Client, Peer};
use crate::proxy::Error;
use crate::proxy::error::Side;
use crate::proxy::snapshot::{Local, Route, Variant};
use crate::proxy::Inner;
use crate::telemetry::access_log::Entry;
use crate::telemetry::stats::{
    AttemptResult, Finished, Outcome, RetryCause, RetryResult, Selection, Shard, Source,
};

/// Where a request was assigned to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assigned {
    /// The route's place in the snapshot.
    pub(crate) route: usize,
    /// The variant that was chosen, which everything is charged to.
    pub(crate) variant: usize,
    /// The variant that serves; another one when the chosen one is unavailable.
    pub(crate) served: usize,
    /// How it was chosen.
    pub(crate) selection: Selection,
}

/// One request with its response, from its head to the last byte.
pub(crate) struct Exchange {
    pub(crate) worker: Rc<Inner>,
    pub(crate) local: Rc<Local>,
    pub(crate) from: Rc<Peer>,
    /// Both heads; `None` only while it ends.
    scratch: Option<Box<Scratch>>,
    pub(crate) client: Client,
    pub(crate) assigned: Option<Assigned>,
    started: Instant,
    /// When the request began to be sent.
    sent: Option<Instant>,
    response_headers: Option<Duration>,
    connected_in: Option<Duration>,
    endpoint: Option<SocketAddr>,
    n_attempts: u32,
    retry: Option<RetryCause>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    status: Option<u16>,
    source: Source,
    error: Option<Error>,
    complete: bool,
}

impl Exchange {
    /// Begins an exchange whose head has been read.
    pub(crate) fn new(
        worker: &Rc<Inner>,
        local: Rc<Local>,
        from: &Rc<Peer>,
        scratch: Box<Scratch>,
        client: Client,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            local,
            from: Rc::clone(from),
            scratch: Some(scratch),
            client,
            assigned: None,
            started: Instant::now(),
            sent: None,
            response_headers: None,
            connected_in: None,
            endpoint: None,
            n_attempts: 0,
            retry: None,
            request_bytes: 0,
            response_bytes: 0,
            status: None,
            source: Source::Proxy,
            error: None,
            complete: false,
        }
    }

    /// Both heads.
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        self.scratch
            .as_mut()
            .expect("an exchange has its heads until it ends")
    }

    /// When it began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Notes where the request is assigned to; from now on it is in flight there.
    pub(crate) fn assign(&mut self, assigned: Assigned) {
        self.assigned = Some(assigned);
        if let Some(shard) = self.shard() {
            shard.begin(assigned.selection);
        }
    }

    /// The route, once it is assigned.
    pub(crate) fn route(&self) -> Option<&Route> {
        Some(&self.local.snapshot.routes[self.assigned?.route])
    }

    fn variant(&self) -> Option<&Variant> {
        Some(&self.route()?.variants[self.assigned?.variant])
    }

    /// The numbers of the variant that is charged.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        Some(self.variant()?.stats.shard(self.worker.index))
    }

    /// Notes that a connection for the next attempt is there.
    pub(crate) fn connected(&mut self, endpoint: SocketAddr, in_time: Option<Duration>) {
        self.endpoint = Some(endpoint);
        self.n_attempts += 1;
        if let Some(took) = in_time {
            self.connected_in = Some(took);
            if let Some(shard) = self.shard() {
                shard.connected(took);
            }
        }
        self.sent = Some(Instant::now());
    }

    /// Notes that an attempt failed and another one follows.
    pub(crate) fn retry(&mut self, cause: RetryCause, failed: AttemptResult) {
        if let Some(shard) = self.shard() {
            shard.attempt(failed);
        }
        self.retry = Some(cause);
    }

    /// Notes that the upstream's final head has come.
    pub(crate) fn responded(&mut self) {
        self.response_headers = self.sent.map(|sent| sent.elapsed());
        self.status = Some(self.scratch().response.status);
        self.source = Source::Upstream;
        self.attempt_ended(AttemptResult::Success);
    }

    fn attempt_ended(&mut self, result: AttemptResult) {
        let retry = self.retry.take();
        if let Some(shard) = self.shard() {
            shard.attempt(result);
            if let Some(cause) = retry {
                let result = match result {
                    AttemptResult::Success => RetryResult::Success,
                    _ => RetryResult::Failure,
                };
                shard.retried(cause, result);
            }
        }
    }

    /// True when a head was passed on to the client, so that it can be told nothing else.
    pub(crate) fn has_responded(&self) -> bool {
        self.status.is_some()
    }

    /// Notes an own answer.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
        self.source = Source::Proxy;
    }

    /// Notes that the response was passed on to its end.
    pub(crate) fn completed(&mut self) {
        self.complete = true;
    }

    /// Notes what went wrong. The status is the one that was passed on, if one was; a client that
    /// went away got none that it cared for.
    pub(crate) fn failed(&mut self, error: Error) {
        if !self.has_responded()
            && let Some(result) = attempt_result(&error)
        {
            self.attempt_ended(result);
        }
        if self.status.is_none() || matches!(error, Error::ClientClosed) {
            self.status = Some(error.status());
            self.source = Source::Proxy;
        }
        self.error = Some(error);
    }

    fn outcome(&self, status: u16) -> Outcome {
        match &self.error {
            Some(error) if error.side() == Side::Client => match error {
                Error::ClientClosed => Outcome::ClientClosed,
                _ => Outcome::Success,
            },
            Some(_) => Outcome::Failure,
            None if status >= 500 => Outcome::Failure,
            None => Outcome::Success,
        }
    }
}

/// What an error says of the attempt that it ended.
fn attempt_result(error: &Error) -> Option<AttemptResult> {
    match error {
        Error::Connect(crate::upstream::ConnectError::Failed(_)) => {
            Some(AttemptResult::ConnectFailure)
        }
        Error::Connect(crate::upstream::ConnectError::Timeout) => {
            Some(AttemptResult::ConnectTimeout)
        }
        Error::UpstreamReset(_) => Some(AttemptResult::Reset),
        Error::UpstreamProtocol(_) => Some(AttemptResult::ProtocolError),
        Error::ResponseTimeout => Some(AttemptResult::Timeout),
        Error::ClientClosed | Error::Drained => Some(AttemptResult::Abandoned),
        _ => None,
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut scratch) = self.scratch.take() else {
            return;
        };
        if !self.complete && self.error.is_none() {
            // Dropped halfway: the task was cut, or HTTP/2 gave the stream up with its client.
            self.failed(Error::ClientClosed);
        }
        let status = self.status.unwrap_or(499);
        let duration = self.started.elapsed();
        let outcome = self.outcome(status);
        let reason = self.error.as_ref().map(Error::reason);
        match self.assigned {
            Some(assigned) => {
                if let Some(shard) = self.shard() {
                    shard.finish(&Finished {
                        code: status,
                        source: self.source,
                        selection: assigned.selection,
                        outcome,
                        duration,
                        response_headers: self.response_headers,
                        request_bytes: self.request_bytes,
                        response_bytes: self.response_bytes,
                        error: reason,
                    });
                }
            }
            None => self.local.unrouted(&self.from.listener, self.worker.index, status),
        }
        if let Some(log) = &self.local.snapshot.access_log {
            let request = &scratch.request;
            let variant_of = |index: usize| self.route().map(|route| &*route.variants[index].name);
            log.record(&Entry {
                time: SystemTime::now(),
                listener: &self.from.listener,
                route: self.route().map(|route| &*route.name),
                variant: self.assigned.and_then(|to| variant_of(to.variant)),
                served_variant: self.assigned.and_then(|to| variant_of(to.served)),
                selection: self.assigned.map(|to| to.selection),
                method: request.method(),
                host: request.authority(),
                path: request.path(),
                referer: request.field(b"referer"),
                user_agent: request.field(b"user-agent"),
                status,
                source: self.source,
                reason,
                bytes_in: self.request_bytes,
                bytes_out: self.response_bytes,
                duration,
                ttfb: self.response_headers,
                upstream_connect: self.connected_in,
                attempts: self.n_attempts,
                endpoint: self.endpoint,
                client: self.client.address,
                protocol: request.version,
                generation: self.local.snapshot.generation,
            });
        }
        scratch.response.clear();
        scratch.give();
    }
}
