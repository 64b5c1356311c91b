//! tidegate: a traffic-splitting edge proxy with release management built in.
//!
//! The modules below are in dependency order, from plain to composed: a module imports only from
//! those above it, and `tests/tidy.rs` holds that. Reading this list downward is reading the house
//! from its foundation to its roof.

// ── foundations ──────────────────────────────────────────────────────────────────────────────
pub mod message;
pub mod telemetry;

// ── decisions: pure, no I/O, no clock, no dice ───────────────────────────────────────────────
pub mod route;
pub mod segment;
pub mod split;
pub mod flag;

// ── wires: I/O towards both sides ────────────────────────────────────────────────────────────
pub mod ring;
pub mod http1;
pub mod tls;
pub mod listener;
pub mod upstream;

// ── the straight line from a request to its response ─────────────────────────────────────────
pub mod proxy;

// ── control plane ────────────────────────────────────────────────────────────────────────────
pub mod ofrep;
pub mod outbound;
pub mod store;
pub mod notify;
pub mod release;
pub mod config;
pub mod control;

// ── faces ────────────────────────────────────────────────────────────────────────────────────
pub mod admin;
pub mod app;
pub mod cli;
