//! The two variants that most tests of splits and reloads have.

use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};

/// Two variants, each with an origin that answers with the variant's name.
pub(crate) struct Pair {
    /// Answers `stable`.
    pub(crate) stable: Origin,
    /// Answers `canary`.
    pub(crate) canary: Origin,
}

impl Pair {
    /// Starts both.
    pub(crate) async fn start() -> Self {
        Self {
            stable: origin::answering("stable").await,
            canary: origin::answering("canary").await,
        }
    }

    /// The route `shop`, divided by these weights of stable and canary, with further keys.
    pub(crate) fn split(&self, weights: [u32; 2], keys: &str) -> Config {
        let [stable, canary] = weights;
        let stable = ("stable", stable, self.stable.address);
        let canary = ("canary", canary, self.canary.address);
        config::split(keys, &[stable, canary])
    }
}
