//! The vocabulary of the integration tests: origin, proxy, client, and what they are made of.

pub(crate) mod ask;
pub(crate) mod certs;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod conversation;
pub(crate) mod dns;
pub(crate) mod frames;
pub(crate) mod http2;
pub(crate) mod http2_origin;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod openssl;
pub(crate) mod origin;
pub(crate) mod pair;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod script;
pub(crate) mod secure;
pub(crate) mod terminal;
pub(crate) mod tool;
pub(crate) mod secure_origin;
pub(crate) mod wait;
pub(crate) mod websocket;
pub(crate) mod wire;
