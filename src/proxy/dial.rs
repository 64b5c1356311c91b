//! Dialling: from a decision to a connection, also when the first endpoint does not answer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::proxy::Error;
use crate::proxy::decide::{self, Target};
use crate::proxy::exchange::Exchange;
use crate::telemetry::stats::{AttemptResult, RetryCause};
use crate::upstream::{ConnectError, Leased, Pool, StreamLease};

/// How often an exchange tries to connect. The first endpoint, another one, and the runner-up: past
/// that a client waits longer than it should.
const CONNECTS: usize = 3;

/// Gets connections for the attempts of one exchange.
pub(crate) struct Dial {
    target: Target,
    tried: Option<Rc<Pool>>,
    /// The number of the connection with the tried endpoint that is not to be used again.
    left: u64,
    /// True once the request was sent again.
    has_retried: bool,
    /// True when connections that waited in the pool are not to be trusted.
    fresh: bool,
    n_connects: usize,
}

impl Dial {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            tried: None,
            left: 0,
            has_retried: false,
            fresh: false,
            n_connects: 0,
        }
    }

    /// Where the request goes, and how.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Notes that the connection of the last attempt had been closed while it waited; those that
    /// wait beside it are as old.
    pub(crate) fn was_stale(&mut self, exchange: &mut Exchange, cause: RetryCause) {
        exchange.retry(cause, AttemptResult::Reset);
        self.fresh = true;
    }

    /// Notes the connection of an attempt, which another attempt leaves for another endpoint, or at
    /// least for another connection.
    pub(crate) fn goes_by(&mut self, lease: &StreamLease) {
        self.tried = Some(Rc::clone(lease.pool()));
        self.left = lease.connection_number();
    }

    /// Tells whether a request that was not processed may be sent again: once.
    pub(crate) fn goes_again(&mut self, exchange: &mut Exchange, cause: RetryCause) -> bool {
        if self.has_retried {
            return false;
        }
        self.has_retried = true;
        exchange.retry(cause, AttemptResult::Reset);
        true
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
            let asked = Instant::now();
            if !self.fresh
                && let Some(lease) = pool.checkout(asked, beyond)
            {
                exchange.connected(&pool, lease.version(), None, Duration::ZERO, asked);
                return Ok(lease);
            }
            let within = self.target.timeouts.connect;
            // In a box: few exchanges connect, and each connection has room for an exchange.
            let error = match Box::pin(pool.connect(within, beyond)).await {
                Ok(lease) => {
                    let (version, took) = (lease.version(), lease.connected_in());
                    let now = Instant::now();
                    let waited = now.duration_since(asked);
                    exchange.connected(&pool, version, took, waited, now);
                    return Ok(lease);
                }
                Err(error) => error,
            };
            exchange.not_connected(pool.endpoint().address());
            self.n_connects += 1;
            let another = upstream
                .pick(key, Some(&pool))
                .is_some_and(|another| !Rc::ptr_eq(&another, &pool));
            if self.n_connects >= CONNECTS || !(another || self.fail_over(exchange)) {
                return Err(error.into());
            }
            exchange.retry(
                RetryCause::Connect,
                match error {
                    ConnectError::Failed(_) => AttemptResult::ConnectFailure,
                    ConnectError::Timeout | ConnectError::Full => AttemptResult::ConnectTimeout,
                    ConnectError::Tls { .. } => AttemptResult::TlsFailure,
                    ConnectError::Protocol(_) => AttemptResult::ProtocolError,
                },
            );
            self.tried = Some(pool);
        }
    }

    /// Turns to the runner-up, if there is one that may serve.
    fn fail_over(&mut self, exchange: &mut Exchange) -> bool {
        self.target.failover && decide::reassign(exchange, &mut self.target)
    }
}
