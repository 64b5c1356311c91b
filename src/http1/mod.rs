//! HTTP/1 on both sides: a strict codec, and what moves bytes between two sockets.
//!
//! The same [`Connection`] reads requests from clients and responses from upstreams; a [`Pump`]
//! carries a body from one to the other and frames it anew; a [`Tunnel`] carries what comes after
//! an upgrade. None of them knows who is routed where. Every step is a `poll`, so that one task
//! drives both directions of an exchange without a channel or a lock in between, and so that bytes
//! read into the thread's one buffer are used before the poll ends: nobody who waits holds a buffer.

pub mod codec;

mod buffer;
mod connection;
mod deadline;
mod outlet;
mod pump;
mod spill;
mod splice;
mod tunnel;
mod websocket;

pub use buffer::{Scratch, give_buffer, take_buffer};
pub use connection::{Closed, Connection, ReadError};
pub use deadline::Deadline;
pub use outlet::Outlet;
pub use pump::{Incoming, Outgoing, Pump, PumpError};
pub use splice::{Sink, Wire};
pub use tunnel::{Patience, Tunnel, TunnelEnd};
pub use websocket::{WEBSOCKET_VERSION, websocket_accept, websocket_key};
