//! What an exchange knows of its attempts: what they needed, and what came of them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::message::{Address, Version};
use crate::proxy::Error;
use crate::proxy::attempt::Failure;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc;
use crate::proxy::retry::Next;
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::{
    AttemptResult, GrpcStatus, Outcome, RetryCause, RetryResult, Source,
};
use crate::upstream::{ConnectError, FailureKind, LocalUpstream, Pool, Refused};

impl Exchange {
    /// Notes that a connection for the next attempt is there, `now`: made for it in a time, if it
    /// was, and waited for so long.
    pub(crate) fn connected(
        &mut self,
        pool: &Rc<Pool>,
        protocol: Version,
        in_time: Option<Duration>,
        waited: Duration,
        now: Instant,
    ) {
        self.endpoint = Some(pool.endpoint().address().clone());
        self.counting = pool.counts_failures().then(|| Rc::clone(pool));
        self.upstream_protocol = Some(protocol);
        self.n_attempts += 1;
        if self.mirror.is_some() {
            self.dispatch_copy();
        }
        if let Some(took) = in_time {
            self.connected_in = Some(took);
            if let Some(shard) = self.shard() {
                shard.connected(took);
            }
        }
        if self.sent.is_none()
            && let Some(route) = self.route()
        {
            // What the proxy itself took: from the head to the first byte sent, without waiting
            // for a connection.
            let spent = now.duration_since(self.started);
            let overhead = spent.saturating_sub(waited);
            route.stats.shard(self.worker.index).overhead(overhead);
        }
        self.sent = Some(now);
    }

    /// When the last attempt began to be sent.
    pub(crate) fn sent(&self) -> Option<Instant> {
        self.sent
    }

    /// Gets the leave to go to the upstream, unless it has it.
    ///
    /// # Errors
    /// When the upstream has enough, or is left alone.
    pub(crate) fn admit(&mut self, upstream: &LocalUpstream) -> Result<(), Error> {
        let guard = upstream.upstream().guard();
        let admission = self.admission.as_ref();
        if !admission.is_some_and(|admission| admission.is_of(guard)) {
            self.admission = None;
            let admission = upstream.admit().map_err(|refused| match refused {
                Refused::Full(limit) => Error::Overflow(limit),
                Refused::Open(left) => Error::BreakerOpen { left },
            })?;
            self.admission = admission.map(Box::new);
        }
        Ok(())
    }

    /// Notes that an endpoint could not be connected to; where that is its fault, the breaker is told.
    pub(crate) fn not_connected(&mut self, endpoint: &Address, error: &ConnectError) {
        self.endpoint = Some(endpoint.clone());
        self.n_attempts += 1;
        if !matches!(error, ConnectError::Short(_)) {
            self.tell_breaker(Some(FailureKind::Connect));
        }
    }

    /// Tells whoever counts it how an attempt fared: in a way that may be a failure, or well.
    fn fared(&mut self, failure: Option<FailureKind>) {
        if let Some(pool) = &self.counting {
            let is_minded = failure != Some(FailureKind::Status5xx) || pool.minds_5xx();
            pool.fared(failure.filter(|_| is_minded));
        }
        self.tell_breaker(failure);
    }

    /// Tells the breaker how an attempt fared; connections are told to their endpoints where they
    /// are made.
    fn tell_breaker(&mut self, failure: Option<FailureKind>) {
        if let Some(admission) = &mut self.admission {
            admission.fared(failure);
        }
    }

    /// Tells how a call of gRPC has ended: its status comes last.
    #[cold]
    pub(in crate::proxy::exchange) fn ended_as_call(&mut self, call: GrpcStatus, outcome: Outcome) {
        let call = match (call, outcome) {
            // That is what both ends take it for.
            (GrpcStatus::None, Outcome::ClientClosed) => GrpcStatus::Cancelled,
            _ => call,
        };
        self.grpc = Some(call);
        if let (Some(status), Source::Upstream) = (self.status, self.source) {
            let is_failure = grpc::is_failure(call, status);
            self.fared(is_failure.then_some(FailureKind::Status5xx));
        }
        if let Some(shard) = self.shard() {
            shard.grpc(call);
        }
    }

    /// Notes that an attempt failed and another one follows; in a way that may count as a failure of
    /// whoever was asked.
    pub(crate) fn retry(
        &mut self,
        cause: RetryCause,
        failed: AttemptResult,
        failure: Option<FailureKind>,
    ) {
        if failure.is_some() {
            self.fared(failure);
        }
        if let Some(shard) = self.shard() {
            shard.attempt(failed);
            if let Some(before) = self.retry {
                shard.retried(before, RetryResult::Failure);
            }
        }
        self.retry = Some(cause);
    }

    /// Takes another attempt out of the budget of the upstream; where it has none left, that is
    /// counted.
    pub(crate) fn may_retry(&self, pool: &Pool, cause: RetryCause) -> bool {
        let may_retry = pool.may_retry();
        if !may_retry {
            self.out_of_budget(cause);
        }
        may_retry
    }

    /// What becomes of an attempt by `pool` that came to nothing, where this follows it if the budget
    /// allows; for an answer that is not wanted it has been asked.
    pub(crate) fn followed(&self, next: Next, pool: &Pool, trouble: Trouble) -> Failure {
        let is_paid = matches!(trouble, Trouble::Unwanted);
        match next {
            Next::Replace(cause) => Failure::Stale(cause),
            Next::Again(cause) if is_paid || self.may_retry(pool, cause) => Failure::Again(cause),
            Next::Again(_) | Next::Nothing => Failure::Final(trouble.into_error()),
        }
    }

    /// Counts an attempt that was not made as the budget had none left.
    pub(crate) fn out_of_budget(&self, cause: RetryCause) {
        if let Some(shard) = self.shard() {
            shard.retried(cause, RetryResult::BudgetExhausted);
        }
    }

    /// Notes that another variant gets a further attempt, so that whatever comes of it, the one that
    /// was chosen has failed.
    pub(crate) fn was_rescued(&mut self, cause: RetryCause) {
        self.rescued.get_or_insert(cause);
    }

    /// Notes that the upstream's final head has come.
    pub(crate) fn responded(&mut self) {
        let now = Instant::now();
        self.response_headers = self.sent.map(|sent| now.duration_since(sent));
        self.heard = Some(now);
        self.heard_grpc(|exchange| grpc::in_head(exchange.response()));
        self.status = Some(self.response().status);
        self.source = Source::Upstream;
        if !self.is_grpc() {
            let is_5xx = self.status >= Some(500);
            self.fared(is_5xx.then_some(FailureKind::Status5xx));
        }
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

    /// Notes what went wrong. The status is the one that was passed on, if one was; a client that
    /// went away got none that it cared for.
    pub(crate) fn failed(&mut self, error: Error) {
        if !self.has_responded()
            && let Some(result) = attempt_result(&error)
        {
            self.attempt_ended(result);
            if let Some(kind) = failure_kind(result) {
                self.fared(Some(kind));
            }
        }
        if self.status.is_none() || matches!(error, Error::ClientClosed) {
            self.status = Some(error.status());
            self.source = Source::Proxy;
        }
        self.error = Some(error);
    }
}

/// What the end of an attempt says of its endpoint; connections are judged where they are made.
fn failure_kind(result: AttemptResult) -> Option<FailureKind> {
    match result {
        AttemptResult::Reset | AttemptResult::ProtocolError => Some(FailureKind::Reset),
        AttemptResult::Timeout => Some(FailureKind::Timeout),
        _ => None,
    }
}

/// What an error says of the attempt that it ended.
fn attempt_result(error: &Error) -> Option<AttemptResult> {
    match error {
        Error::Connect(ConnectError::Failed(_) | ConnectError::Short(_)) => {
            Some(AttemptResult::ConnectFailure)
        }
        Error::Connect(ConnectError::Timeout | ConnectError::Full) => {
            Some(AttemptResult::ConnectTimeout)
        }
        Error::Connect(ConnectError::Tls { .. }) | Error::UpstreamTls { .. } => {
            Some(AttemptResult::TlsFailure)
        }
        Error::Connect(ConnectError::Overflow(_)) => None,
        Error::UpstreamReset(_) => Some(AttemptResult::Reset),
        Error::UpstreamProtocol(_) | Error::Connect(ConnectError::Protocol(_)) => {
            Some(AttemptResult::ProtocolError)
        }
        Error::ResponseTimeout => Some(AttemptResult::Timeout),
        Error::ClientClosed | Error::Drained => Some(AttemptResult::Abandoned),
        _ => None,
    }
}
