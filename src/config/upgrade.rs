//! `[upgrade]`: how another process takes over.

use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::Table;

/// How another process takes over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpgradeConfig {
    /// How long the new process may take until it is ready; one that takes longer is ended.
    pub timeout: Duration,
}

impl Default for UpgradeConfig {
    /// Ten thousand routes take a second; names that nobody answers for may take a few.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
        }
    }
}

/// Reads `[upgrade]`.
pub(crate) fn upgrade(root: &mut Table<'_>) -> UpgradeConfig {
    let mut upgrade = UpgradeConfig::default();
    root.section("upgrade", |table| {
        table.set("timeout", &mut upgrade.timeout, |value| {
            value.duration(&WAIT)
        });
    });
    upgrade
}
