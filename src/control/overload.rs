//! Measures what the process carries, and tells those who would take more of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::{MemoryBound, OverloadConfig};
use crate::listener::{Bounds, Load, Overload};
use crate::telemetry::Telemetry;
use crate::telemetry::memory;

/// How often memory is measured: what comes in within this time is not seen in time.
const SAMPLE: Duration = Duration::from_millis(100);

/// How often, while new work is refused, what was let go of is given back to the system.
const TRIM_SAMPLES: u32 = 10;

/// Watches over the process.
pub(crate) struct Guard {
    overload: Arc<Overload>,
    n_samples: u32,
}

impl Guard {
    pub(crate) fn new(overload: Arc<Overload>) -> Self {
        Self {
            overload,
            n_samples: 0,
        }
    }

    /// When to measure.
    pub(crate) fn ticks() -> Interval {
        let mut ticks = interval(SAMPLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Obeys another configuration.
    pub(crate) fn follow(&self, config: &OverloadConfig) {
        let bounds = Bounds {
            memory: config.memory.and_then(bytes),
            connections: config.connections,
        };
        self.overload.set_bounds(&bounds);
        let Some(bound) = bounds.memory else {
            return;
        };
        let resident = memory::resident();
        if resident >= bound {
            warn!(
                bound,
                resident, "overload.memory is less than what the process has"
            );
        }
    }

    /// True while there is anything to measure.
    pub(crate) fn is_on(&self) -> bool {
        self.overload.bounds() != Bounds::default() || self.overload.refuses()
    }

    /// Measures, and tells whoever it concerns.
    pub(crate) fn look(&mut self, connections: usize, telemetry: &Telemetry) {
        let bounds = self.overload.bounds();
        let load = Load {
            memory: memory::resident(),
            connections,
        };
        let changed = self.overload.measured(&load);
        let refuses = self.overload.refuses();
        if changed {
            let (bound, memory) = (bounds.memory.unwrap_or(0), load.memory);
            if refuses {
                warn!(memory, bound, connections, "overload: new work is refused");
            } else {
                info!(memory, bound, connections, "overload is over");
            }
        }
        let is_full = bounds.connections.is_some_and(|bound| connections >= bound);
        telemetry.recorder().overloaded(refuses, is_full);
        self.n_samples = match refuses {
            true => self.n_samples + 1,
            false => 0,
        };
        if refuses && self.n_samples.is_multiple_of(TRIM_SAMPLES) {
            memory::trim();
        }
    }
}

/// A bound in bytes; none where it is a share of what the kernel does not tell.
fn bytes(bound: MemoryBound) -> Option<u64> {
    match bound {
        MemoryBound::Bytes(bytes) => Some(bytes),
        MemoryBound::Percent(percent) => {
            let allowed = memory::allowed();
            if allowed.is_none() {
                warn!(
                    "overload.memory: how much memory there is cannot be told, so it has no effect"
                );
            }
            Some(allowed? / 100 * u64::from(percent))
        }
    }
}
