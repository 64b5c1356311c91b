//! Dialling: from a decision to a connection, also when the first endpoint does not answer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::proxy::Error;
use crate::proxy::decide::{self, Target};
use crate::proxy::exchange::Exchange;
use crate::proxy::retry::{Left, is_idempotent};
use crate::telemetry::stats::{AttemptResult, RetryCause};
use crate::upstream::{
    Behalf, ConnectError, FailureKind, Leased, LocalUpstream, OtherVariant, Pool, RetryKind,
    StreamLease,
};

/// How often an exchange tries to connect: past that a client waits longer than it should.
const CONNECTS: u32 = 3;

/// How often an exchange turns to another variant as one has no endpoint left: past that a client
/// waits longer than it should.
const FAILOVERS: u32 = 2;

/// Gets connections for the attempts of one exchange.
pub(crate) struct Dial {
    target: Target,
    tried: Option<Rc<Pool>>,
    /// The number of the connection with the tried endpoint that is not to be used again.
    left: u64,
    /// True when connections that waited in the pool are not to be trusted.
    fresh: bool,
    /// How many further attempts were made.
    n_retries: u32,
    /// How often a connection turned out to be closed.
    n_stale: u32,
    n_connects: u32,
    n_failovers: u32,
}

impl Dial {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            tried: None,
            left: 0,
            fresh: false,
            n_retries: 0,
            n_stale: 0,
            n_connects: 0,
            n_failovers: 0,
        }
    }

    /// Where the request goes, and how.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Notes that the connection of the last attempt had been closed while it waited; those that
    /// wait beside it are as old.
    pub(crate) fn was_stale(&mut self, exchange: &mut Exchange, cause: RetryCause) {
        exchange.retry(cause, AttemptResult::Reset, None);
        self.fresh = true;
        self.n_stale += 1;
    }

    /// Notes the connection of an attempt, which another attempt leaves for another endpoint, or at
    /// least for another connection.
    pub(crate) fn goes_by(&mut self, lease: &StreamLease) {
        self.tried = Some(Rc::clone(lease.pool()));
        self.left = lease.connection_number();
    }

    /// Notes that an attempt came to nothing, `at` an endpoint unless that is noted already, and that
    /// another follows: at another endpoint if there is one, or at another variant's where that is
    /// wanted.
    pub(crate) fn goes_again(
        &mut self,
        exchange: &mut Exchange,
        cause: RetryCause,
        at: Option<Rc<Pool>>,
    ) {
        let (result, kind) = match cause {
            RetryCause::Status => (AttemptResult::Success, Some(FailureKind::Status5xx)),
            RetryCause::Timeout => (AttemptResult::Timeout, Some(FailureKind::Timeout)),
            RetryCause::Reset => (AttemptResult::Reset, Some(FailureKind::Reset)),
            RetryCause::Connect | RetryCause::Unsent | RetryCause::Refused => {
                (AttemptResult::Reset, None)
            }
        };
        exchange.retry(cause, result, kind);
        self.n_retries += 1;
        if let Some(pool) = at {
            self.tried = Some(pool);
            self.left = 0;
        }
        self.leave_variant(exchange, cause);
    }

    /// Turns to another variant, if the upstream's settings say so and there is one.
    fn leave_variant(&mut self, exchange: &mut Exchange, cause: RetryCause) -> bool {
        let local = exchange.local();
        let upstream = exchange.upstream(&local).map(LocalUpstream::upstream);
        let other_variant = upstream.map(|upstream| upstream.settings().retry.other_variant);
        let may_leave = match other_variant.unwrap_or_default() {
            OtherVariant::Never => false,
            OtherVariant::Unsent => matches!(
                cause,
                RetryCause::Connect | RetryCause::Unsent | RetryCause::Refused
            ),
            OtherVariant::Idempotent => true,
        };
        let leaves = may_leave && decide::leave_variant(exchange, &mut self.target);
        if leaves {
            exchange.was_rescued(cause);
            self.tried = None;
        }
        leaves
    }

    /// Gets a connection for an attempt.
    ///
    /// Nothing of the request has been sent while a connection is looked for, so another endpoint
    /// is always as good; and when a variant has none left, so is the runner-up, if it may serve.
    ///
    /// # Errors
    /// When none can be had.
    pub(crate) async fn connect(&mut self, exchange: &mut Exchange) -> Result<Leased, Error> {
        loop {
            let local = exchange.local();
            let Some(upstream) = exchange.upstream(&local) else {
                return Err(Error::Unavailable);
            };
            exchange.admit(upstream)?;
            let request = exchange.request();
            self.target.left = Left::of(
                &upstream.upstream().settings().retry,
                self.n_retries,
                self.n_stale,
                is_idempotent(request.method()),
                self.target.upgrade,
            );
            let key = upstream.key(exchange.request(), exchange.client.address);
            let pool = match upstream.pick(key, self.tried.as_ref()) {
                Some(pool) => pool,
                None if self.fail_over(exchange) => continue,
                None => upstream
                    .pick_ejected(self.tried.as_ref())
                    .ok_or(Error::Unavailable)?,
            };
            let again = self
                .tried
                .as_ref()
                .is_some_and(|tried| Rc::ptr_eq(tried, &pool));
            let beyond = if again { self.left } else { 0 };
            let header = upstream.upstream().settings().proxy_protocol;
            let behalf = header.map(|_| Behalf {
                from: exchange.from.address,
                to: exchange.from.local,
            });
            let behalf = behalf.as_ref();
            let asked = Instant::now();
            if !self.fresh
                && let Some(lease) = pool.checkout(asked, beyond, behalf)
            {
                exchange.connected(&pool, lease.version(), None, Duration::ZERO, asked);
                return Ok(lease);
            }
            let within = self.target.timeouts.connect;
            // In a box: few exchanges connect, and each connection has room for an exchange.
            let error = match Box::pin(pool.connect(within, beyond, behalf)).await {
                Ok(lease) => {
                    let (version, took) = (lease.version(), lease.connected_in());
                    let now = Instant::now();
                    let waited = now.duration_since(asked);
                    exchange.connected(&pool, version, took, waited, now);
                    return Ok(lease);
                }
                // Another endpoint has no more of what the upstream has none left of.
                Err(ConnectError::Overflow(limit)) => return Err(Error::Overflow(limit)),
                Err(error) => error,
            };
            exchange.not_connected(pool.endpoint().address(), &error);
            let failed = match error {
                ConnectError::Failed(_) | ConnectError::Short(_) => AttemptResult::ConnectFailure,
                ConnectError::Timeout | ConnectError::Full | ConnectError::Overflow(_) => {
                    AttemptResult::ConnectTimeout
                }
                ConnectError::Tls { .. } => AttemptResult::TlsFailure,
                ConnectError::Protocol(_) => AttemptResult::ProtocolError,
            };
            let another = upstream.pick(key, Some(&pool));
            let is_another = another.is_some_and(|another| !Rc::ptr_eq(&another, &pool));
            self.n_connects += 1;
            let may_retry = self.n_connects < CONNECTS && self.target.left.has(RetryKind::Connect);
            // What there is not enough of here is no reason to leave a variant.
            let may_leave = may_retry && !matches!(error, ConnectError::Short(_));
            let leaves = may_leave && self.leave_variant(exchange, RetryCause::Connect);
            if !leaves {
                if !(may_retry && is_another || self.fail_over(exchange)) {
                    return Err(error.into());
                }
                self.tried = Some(pool);
            }
            exchange.retry(RetryCause::Connect, failed, None);
        }
    }

    /// Turns to the runner-up, if there is one that may serve.
    fn fail_over(&mut self, exchange: &mut Exchange) -> bool {
        let may_fail_over = self.n_failovers < FAILOVERS;
        let fails_over = may_fail_over && decide::reassign(exchange, &mut self.target);
        self.n_failovers += u32::from(fails_over);
        fails_over
    }
}
