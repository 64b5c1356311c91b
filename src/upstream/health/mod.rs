//! Active health checks: whether an endpoint is fit to serve, asked again and again.
//!
//! What is asked is a [`HealthCheck`]; [`Judge`] decides, purely, what a row of answers means; `probe`
//! asks once. Who asks, and when, is the control plane's business: no worker does, and what a worker
//! sees of it is a flag of the endpoint.

mod grpc;
mod judge;
mod probe;
mod question;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use judge::Judge;
pub use probe::{ProbeError, probe};
pub use question::{Question, Reply, ask};

/// What an endpoint is asked, how often, and how many answers count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What it is asked.
    pub probe: Probe,
    /// From one question to the next; a tenth more or less, so that instances do not ask in step.
    pub interval: Duration,
    /// How long an answer may take, connecting included.
    pub timeout: Duration,
    /// How many good answers in a row make an endpoint healthy.
    pub healthy: u32,
    /// How many bad answers in a row make it unhealthy.
    pub unhealthy: u32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// A GET, which is to be answered with one of some statuses.
    Http {
        /// The path, with a query if there is one.
        path: Arc<str>,
        /// The host that is asked for; `None` is the endpoint's own name or address.
        host: Option<Arc<str>>,
        /// The statuses.
        status: RangeInclusive<u16>,
    },
    /// gRPC's health service (grpc.health.v1), which is to say that it is serving.
    Grpc {
        /// The service that is asked for; an empty one is the server as a whole.
        service: Arc<str>,
    },
    /// A connection, with TLS where the upstream has it.
    Tcp,
}
