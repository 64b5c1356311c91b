//! Upstreams: from a decision to a connection with an endpoint.
//!
//! An [`Upstream`] is a named set of endpoints with its settings, shared by all workers and kept
//! over reloads while it is unchanged. Its endpoints may change all the same, when a name leads
//! elsewhere: they stand behind a pointer that the control plane alone writes. What a worker needs
//! for it, its own pools and counts, is a [`LocalUpstream`]: no lock and no shared counter lies on a
//! request's way. This module knows neither routes nor variants.

mod balance;
mod breaker;
mod budget;
mod endpoint;
mod guard;
mod health;
mod http1;
mod http2;
mod local;
mod outlier;
mod pool;
mod proxy_protocol;
mod reach;
mod rendezvous;
mod resolve;
mod retry;
mod set;
mod shortage;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use balance::Balance;
pub use breaker::Breaker;
pub use budget::Budget;
pub use endpoint::{Endpoint, Health};
pub use guard::{Admission, Guard, Refused, UpstreamLimits, wanted};
pub use health::{HealthCheck, Judge, Probe, ProbeError, Question, Reply, ask, probe};
pub use http1::Lease;
pub use http2::{StreamLease, was_not_processed};
pub use local::{LocalUpstream, Pools};
pub use outlier::{FailureKind, Failures, Outlier};
pub use pool::{Leased, Pool};
pub use proxy_protocol::{Behalf, ProxyHeader};
pub use reach::ConnectError;
pub use resolve::{Answer, Client, LookupError, ResolverSettings, Schedule};
pub use retry::{OtherVariant, Retry, RetryKind, RetryKinds};
pub use set::{EndpointSet, Place};
pub use spec::{EndpointSpec, Name, SpecError};

use crate::split::mix;
use crate::telemetry::stats::UpstreamStats;
use crate::tls::Connector;

/// What endpoints speak.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is set for an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// What its endpoints speak.
    pub protocol: Protocol,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How long a connection may wait in the pool; below what endpoints themselves allow.
    pub idle: Duration,
    /// How many connections may wait in the pool of one worker for one endpoint.
    pub pool: usize,
    /// TLS, if its endpoints speak it.
    pub tls: Option<Arc<Connector>>,
    /// What tells its endpoints of clients before anything else, if they expect that.
    pub proxy_protocol: Option<ProxyHeader>,
    /// What its endpoints are asked, if they are, to know whether they are fit to serve.
    pub health: Option<HealthCheck>,
    /// When an endpoint that fails requests is left alone, if it is.
    pub outlier: Option<Outlier>,
    /// How long an endpoint that is new or back takes to come to its whole share, if not at once.
    pub slow_start: Option<Duration>,
    /// How much it is given at once.
    pub limits: UpstreamLimits,
    /// When it is left alone as a whole, if it is.
    pub breaker: Option<Breaker>,
    /// When an attempt that came to nothing is followed by another.
    pub retry: Retry,
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// The time to connect.
    pub connect: Duration,
    /// The time from the end of the request to the head of the response.
    pub response: Duration,
    /// The time without progress of a body, either way.
    pub body: Duration,
}

/// A named set of endpoints.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    settings: Settings,
    endpoints: Arc<ArcSwap<EndpointSet>>,
    stats: Arc<UpstreamStats>,
    guard: Arc<Guard>,
}

impl Upstream {
    /// Makes an upstream. Endpoints that were there before are handed in as they were, so that
    /// what is known of them and the connections with them are kept; so is the guard.
    pub fn new(
        name: Arc<str>,
        settings: Settings,
        endpoints: EndpointSet,
        guard: Arc<Guard>,
    ) -> Self {
        Self {
            name,
            settings,
            endpoints: Arc::new(ArcSwap::from_pointee(endpoints)),
            stats: Arc::clone(guard.stats()),
            guard,
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

    /// Its endpoints for an upstream of the same name with these settings: none when the settings
    /// make other endpoints of them, so that no connection outlives what it was made by.
    pub fn endpoints_for(&self, settings: &Settings) -> Arc<EndpointSet> {
        let is_alike = self.settings.tls == settings.tls
            && self.settings.protocol == settings.protocol
            && self.settings.proxy_protocol == settings.proxy_protocol;
        if is_alike {
            self.endpoints()
        } else {
            Arc::default()
        }
    }

    /// Its endpoints as they are now.
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.endpoints.load_full()
    }

    /// Replaces its endpoints, for requests from now on; those that stay are kept with all that is
    /// known of them. Tells whether anything changed. Called by the control plane alone.
    pub fn follow(&self, places: &[Place]) -> bool {
        let before = self.endpoints.load_full();
        if before.is_of(places) {
            return false;
        }
        let after = Arc::new(before.next(places));
        self.endpoints.store(Arc::clone(&after));
        before.retire_but(&after);
        true
    }

    /// Its numbers.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.stats
    }

    /// What its workers share to spare it.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Takes note of how requests fare, for the breaker.
    fn mark(&self) {
        self.guard.mark(self.settings.breaker.as_ref());
    }

    /// A number that differs, all but certainly, when other endpoints would be tried.
    pub fn availability(&self) -> u64 {
        let now = endpoint::now();
        let endpoints = self.endpoints.load();
        endpoints.iter().fold(0, |sum: u64, one| {
            let bit = one.id() << 1 | u64::from(one.is_available(now));
            mix(sum ^ bit)
        })
    }

    /// How many endpoints would be tried now.
    pub fn n_available(&self) -> usize {
        let now = endpoint::now();
        let endpoints = self.endpoints.load();
        let available = endpoints.iter().filter(|one| one.is_available(now));
        available.count()
    }
}
