//! Resolving: from a name to where its endpoints are.
//!
//! A [`Client`] asks, of both families of addresses, and for a service also for its records. What
//! an [`Answer`] keeps of what was known before, and when a name is asked for again, is decided
//! purely. Nothing here runs on a worker.

mod answer;
mod client;
mod schedule;

pub use answer::{Answer, LookupError};
pub use client::{Client, ResolverSettings};
pub use schedule::Schedule;
