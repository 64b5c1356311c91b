//! HTTP/1 on both sides: a strict codec, and what moves bytes between two sockets.

pub mod codec;
