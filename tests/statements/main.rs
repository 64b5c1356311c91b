//! What holds for any bytes: the HTTP/1 reader, the PROXY protocol, keys and cookies, routes, the
//! configuration, and that one request is never read as two.
//!
//! The statements are asked here about their seeds and about what chance makes of these, always;
//! `fuzz/` asks them about whatever libFuzzer comes upon.

mod properties;
mod seeds;
mod statement;
