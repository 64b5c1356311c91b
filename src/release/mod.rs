//! Releases: moving a route's traffic from its stable variant to a candidate, only while the numbers
//! allow it, and back in a blink when they do not.
//!
//! Everything that is decided is decided purely: [`step::decide`] from where a release stands and
//! what was seen, [`command::obey`] from what somebody asks, [`reconcile::reconcile`] from what the
//! file says. The [`controller`] looks, decides and keeps it in the store; nothing here knows files,
//! sockets or HTTP, and nothing but the store is written to. What routes then obey is the
//! [`overlay`].

pub mod aftermath;
pub mod analysis;
pub mod calendar;
pub mod command;
pub mod controller;
pub mod desk;
pub mod document;
pub mod dora;
pub mod event;
pub mod flags;
pub mod freeze;
pub mod gate;
pub mod hold;
pub mod keys;
pub mod ledger;
pub mod look;
pub mod overlay;
pub mod percent;
pub mod readiness;
pub mod reconcile;
pub mod role;
pub mod spec;
pub mod state;
pub mod step;
pub mod strategy;
pub mod tally;
pub mod test;
#[cfg(test)]
mod tests;
mod watched;
