//! What tidegate tells about itself: numbers, access log, traces.
//!
//! Numbers that a request touches are recorded into a shard of the worker that serves it, without
//! a lock and without an atomic read-modify-write, and are added up by whoever reads them. Numbers
//! off the hot path go through the `metrics` crate. [`Telemetry`] puts both into one text for
//! Prometheus; the names of all of them are in [`metrics`].

pub mod access_log;
pub mod colour;
mod exposition;
pub mod memory;
pub mod metrics;
mod plane;
mod process;
mod recorder;
mod registry;
mod render;
pub mod stats;
pub mod trace;

pub use plane::{
    CheckLive, DoraLive, FlagLive, FreezeLive, OfrepLive, PlaneLive, ReleaseLive, SinkLive,
    StoreLive, TransitionLive,
};
pub use recorder::Recorder;
pub use registry::{CertificateLive, Live, Registry, UpstreamLive, VariantLive, VariantState};

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use crate::telemetry::access_log::Outputs;
use crate::telemetry::stats::Buckets;

/// Everything that is counted in this process.
///
/// It is no global: a test makes one of its own.
pub struct Telemetry {
    registry: Registry,
    recorder: Recorder,
    access_logs: Outputs,
    /// None where nothing is kept of releases.
    plane: ArcSwapOption<PlaneLive>,
}

impl Telemetry {
    /// Makes it empty, for so many workers and with these bounds of the latency histograms.
    ///
    /// Both are fixed for the life of the process: other bounds would have to start the histograms
    /// from 0 again.
    pub fn new(n_workers: usize, buckets: Buckets) -> Self {
        let recorder = Recorder::default();
        Self {
            registry: Registry::new(n_workers, Arc::new(buckets)),
            access_logs: Outputs::new(recorder.access_log_dropped()),
            recorder,
            plane: ArcSwapOption::empty(),
        }
    }

    /// The numbers that workers record.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The numbers that the control plane records.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Where access logs go.
    pub fn access_logs(&self) -> &Outputs {
        &self.access_logs
    }

    /// Tells what there is to show of the release plane.
    pub fn set_plane(&self, plane: PlaneLive) {
        self.plane.store(Some(Arc::new(plane)));
    }

    /// Bounds the memory of what goes through `metrics`. Its owner calls it every few seconds.
    pub fn upkeep(&self) {
        self.recorder.upkeep();
    }

    /// Renders everything in the Prometheus text format 0.0.4, always in the same order.
    ///
    /// It takes milliseconds when there are thousands of series: never call it on a worker.
    pub fn render(&self, now: Instant) -> String {
        let plane = self.plane.load_full();
        render::render(&self.registry, &self.recorder, plane.as_deref(), now)
    }
}
