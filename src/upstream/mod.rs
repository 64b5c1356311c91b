//! Upstreams: from a decision to a connection with an endpoint.
//!
//! An [`Upstream`] is a named set of endpoints with its settings, shared by all workers and kept
//! over reloads while it is unchanged. What a worker needs for it, its own pools and counts, is a
//! [`LocalUpstream`]: no lock and no shared counter lies on a request's way. This module knows
//! neither routes nor variants.

mod balance;
mod endpoint;
mod pool;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use balance::Balance;
pub use endpoint::Endpoint;
pub use pool::{ConnectError, Lease, Pool};

use crate::telemetry::stats::UpstreamStats;

/// What is set for an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// The time to connect.
    pub connect: Duration,
    /// The time from the end of the request to the head of the response.
    pub response: Duration,
    /// The time without progress of a body, either way.
    pub body: Duration,
    /// How long a connection may wait in the pool; below what endpoints themselves allow.
    pub idle: Duration,
    /// How many connections may wait in the pool of one worker for one endpoint.
    pub pool: usize,
}

/// A named set of endpoints.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    settings: Settings,
    endpoints: Vec<Arc<Endpoint>>,
    stats: Arc<UpstreamStats>,
}

impl Upstream {
    /// Makes an upstream. Endpoints that were there before are handed in as they were, so that
    /// what is known of them and the connections with them are kept.
    pub fn new(
        name: Arc<str>,
        settings: Settings,
        endpoints: Vec<Arc<Endpoint>>,
        stats: Arc<UpstreamStats>,
    ) -> Self {
        Self {
            name,
            settings,
            endpoints,
            stats,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is set for it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its endpoints, in the order of the configuration.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Its numbers.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.stats
    }

    /// How many endpoints would be tried now.
    pub fn n_available(&self) -> usize {
        let now = endpoint::now();
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.is_available(now))
            .count()
    }
}

/// One worker's view of an upstream.
#[derive(Debug)]
pub struct LocalUpstream {
    upstream: Arc<Upstream>,
    pools: Vec<Rc<Pool>>,
    picker: balance::Picker,
}

impl LocalUpstream {
    /// The upstream itself.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// True when at least one endpoint would be tried now.
    pub fn is_available(&self) -> bool {
        // Endpoints that refuse are rare: the clock is read only once one does.
        self.pools.iter().any(|pool| !pool.endpoint().was_refused()) || {
            let now = endpoint::now();
            self.pools
                .iter()
                .any(|pool| pool.endpoint().is_available(now))
        }
    }

    /// Picks the pool of an endpoint for a new attempt; not the one in `tried` while there is
    /// another. `None` when none is available.
    pub fn pick(&self, tried: Option<&Rc<Pool>>) -> Option<Rc<Pool>> {
        self.picker
            .pick(self.upstream.settings.balance, &self.pools, tried)
            .cloned()
    }
}

/// All pools of one worker, by endpoint: they outlive the snapshots.
#[derive(Debug, Default)]
pub struct Pools {
    by_endpoint: RefCell<HashMap<u64, Rc<Pool>>>,
}

impl Pools {
    /// The worker's view of an upstream, over the pools that exist already.
    pub fn local(&self, upstream: &Arc<Upstream>, worker: usize) -> LocalUpstream {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let pools = upstream
            .endpoints
            .iter()
            .map(|endpoint| {
                let pool = by_endpoint.entry(endpoint.id()).or_insert_with(|| {
                    Rc::new(Pool::new(
                        Arc::clone(endpoint),
                        Arc::clone(&upstream.stats),
                        worker,
                    ))
                });
                pool.set_limits(upstream.settings.idle, upstream.settings.pool);
                Rc::clone(pool)
            })
            .collect();
        LocalUpstream {
            upstream: Arc::clone(upstream),
            pools,
            picker: balance::Picker::new(worker),
        }
    }

    /// Closes connections that waited too long or that the endpoint closed, and forgets the pools
    /// of endpoints that no configuration names any more. Called every second or so.
    pub fn sweep(&self) {
        let pools: Vec<_> = self.by_endpoint.borrow().values().cloned().collect();
        for pool in pools {
            pool.sweep();
        }
        // The pool, and a weak one nobody counts: an endpoint held by its pool alone is gone.
        self.by_endpoint
            .borrow_mut()
            .retain(|_, pool| Arc::strong_count(pool.endpoint()) > 1 || pool.in_flight() > 0);
    }
}
