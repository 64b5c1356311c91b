//! What would change if another configuration took the place of one: its keys, the users that would
//! move, and what it would mean for connections.
//!
//! Pure: two configurations come in, and nobody is asked. What secrets and files hold is not looked
//! at, only their names are.

mod division;
mod effect;
#[cfg(test)]
mod flag_tests;
mod flags;
mod keys;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::config::Config;

pub use division::{DivisionChange, Move, Sides, Users, VariantChange};
pub use effect::Effect;
pub(crate) use effect::needs_restart;
pub use keys::Change;

/// What would change.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The keys that differ, in the order of the effective configuration.
    pub changes: Vec<Change>,
    /// The divisions of routes and segments that differ, by the names of the routes.
    pub divisions: Vec<DivisionChange>,
    /// What happens to sockets, connections and running requests.
    pub effects: Vec<Effect>,
    /// The keys of which a change needs a restart: a reload would refuse all of it.
    pub restart: Vec<&'static str>,
}

impl Plan {
    /// Tells what would change if `new` took the place of `old`.
    pub fn new(old: &Config, new: &Config) -> Self {
        Self {
            changes: keys::changes(&old.effective(), &new.effective()),
            divisions: division::changes(old, new),
            effects: effect::effects(old, new),
            restart: needs_restart(old, new),
        }
    }

    /// True when nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
