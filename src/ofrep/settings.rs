//! What may be set: who may ask, from which pages, how much and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::proxy::Rate;

/// Bytes of a request: a context of some hundred attributes.
const MAX_BODY: usize = 64 * 1024;
/// How often a stream says that it lives: what stands between gives up after a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Streams at a time: each holds a connection and some KiB.
const MAX_STREAMS: usize = 1024;

/// Which flags somebody may see.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Those that may be told to people's own devices.
    Client,
    /// All.
    Server,
}

impl Scope {
    /// The word for it in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A token, and what it is good for.
#[derive(Clone, Eq, PartialEq)]
pub struct Token {
    /// The SHA-256 of its secret.
    pub sha256: [u8; 32],
    /// What who has it may see.
    pub scope: Scope,
    /// From when on it is not valid any more, if it does not last.
    pub expires: Option<SystemTime>,
}

impl fmt::Debug for Token {
    /// Without the hash.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("scope", &self.scope)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What the tickets of streams are signed with. Instances that share it take each other's tickets,
/// and give the same answer the same entity tag.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TicketSecret([u8; 32]);

impl TicketSecret {
    /// Makes one of any secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The bytes.
    pub(in crate::ofrep) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TicketSecret(…)")
    }
}

/// What may be set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The tokens by their names.
    pub tokens: BTreeMap<String, Token>,
    /// What may be seen without a token; `None`: nothing.
    pub anonymous: Option<Scope>,
    /// The origins whose pages may read answers, such as `https://shop.example`; `*` is all.
    pub allowed_origins: Vec<String>,
    /// Bytes that the body of a request may have.
    pub max_body: usize,
    /// How often each may ask: whoever has a token, or each address without one. Its keys are not
    /// looked at.
    pub rate: Option<Rate>,
    /// Whether changes are told by streams.
    pub stream: bool,
    /// How often a stream says that it lives.
    pub heartbeat: Duration,
    /// Streams at a time.
    pub max_streams: usize,
    /// What tickets are signed with; without it by something that only this process knows.
    pub ticket_secret: Option<TicketSecret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tokens: BTreeMap::new(),
            anonymous: Some(Scope::Client),
            allowed_origins: Vec::new(),
            max_body: MAX_BODY,
            rate: None,
            stream: true,
            heartbeat: HEARTBEAT,
            max_streams: MAX_STREAMS,
            ticket_secret: None,
        }
    }
}
