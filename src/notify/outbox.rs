//! The outbox as sinks see it: what happened, in order, and how far each of them has come.
//!
//! The store is behind closures, so that this module does not know it. Events lie in the outbox in
//! the order of what was committed; a sink's place in it is one number, because each sink is told
//! in that order. The place is scratch: to lose it means to tell some events again.

use std::fmt;

use serde_json::Value;
use tokio::sync::watch;

use crate::notify::work::Work;

/// An entry as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its place: a later entry has a larger one. No entry has the place 0.
    pub seq: u64,
    /// The id of its event.
    pub id: String,
    /// The event.
    pub event: Value,
}

/// What a sink is told from, and where its place is kept.
pub struct Outbox {
    /// The place of the last thing that was committed, be it an event or not. Whoever sees it can
    /// read the entries up to it.
    pub last: watch::Receiver<u64>,
    /// Reads the entries after a place, in order, so many of them at most.
    pub after: Box<dyn Fn(u64, usize) -> Vec<Written> + Send + Sync>,
    /// Reads what was noted under a key.
    #[expect(clippy::type_complexity, reason = "it is said once")]
    pub noted: Box<dyn Fn(&str) -> Option<Value> + Send + Sync>,
    /// Notes a value under a key, or that there is none; the text is why it could not.
    #[expect(clippy::type_complexity, reason = "it is said once")]
    pub note: Box<dyn Fn(String, Option<Value>) -> Work<Result<(), String>> + Send + Sync>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = *self.last.borrow();
        let mut shown = formatter.debug_struct("Outbox");
        shown.field("last", &last).finish_non_exhaustive()
    }
}
