//! The promises of releases, over anything that can happen.

mod aftermath;
mod commands;
mod controller;
mod counted;
mod fixture;
mod flags;
mod flags_kept;
mod reconciling;
mod sequences;
mod steps;
