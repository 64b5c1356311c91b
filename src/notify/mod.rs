//! Notifications: events go from the outbox to sinks, at least once each, with the same id.
//!
//! An event is in the outbox when it is committed with the change that it tells of; from there on
//! it is ours. What is sent, to whom, when again and when no more is decided purely; a task for
//! each sink does it. This module knows neither the store nor what a release is: the one is behind
//! closures, and of the other there is but the vocabulary of [`Event`].

mod alerts;
mod backoff;
mod counts;
mod deliverer;
mod edge;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod outbox;
mod pattern;
mod queue;
mod render;
mod sink;
mod standing;
#[cfg(test)]
mod tests;
mod work;
mod worker;

pub use backoff::GIVEN_UP_AFTER;
pub use counts::SinkStats;
pub use deliverer::Deliverer;
pub use edge::Edge;
pub use event::{Entry, Event, Link, Severity};
pub use outbox::{Outbox, Written};
pub use pattern::{Pattern, PatternError};
pub use render::Outgoing;
pub use sink::{Kind, LabelError, Labels, Sink};
pub use work::Work;
