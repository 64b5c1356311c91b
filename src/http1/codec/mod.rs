//! The codec: bytes to heads and chunks and back, and nothing else.
//!
//! It is strict: what RFC 9112 calls an error is one here, and where the RFC lets a recipient be
//! lenient, the answer is still no whenever two recipients could read the same bytes in two ways.
//! What passes means one thing only, so one request never becomes two on its way. Where the RFC
//! leaves a choice, the choice is written beside the check. `httparse` splits a head into its
//! parts; the checks before and after it are our own.
//!
//! It knows no socket and no clock. The reading side hands it bytes as they come:
//! [`HeadScanner`] finds a head's end, [`read_request`] or [`read_response`] reads the head,
//! [`ChunkedReader`] finds the body in chunks.

mod chunked;
mod extension;
mod fields;
mod framing;
mod request;
mod response;
mod scan;
mod target;
mod trailers;

use thiserror::Error;

pub use chunked::{ChunkError, ChunkStep, ChunkedReader, write_chunk_head, write_last_chunk};
pub use framing::content_length;
pub use request::read_request;
pub use response::{Asked, read_response};
pub use scan::HeadScanner;
pub(crate) use scan::likely_end;
pub use target::{is_authority, is_origin_form};
pub use trailers::is_forbidden_trailer;

/// The longest method. The longest registered one has 17 letters; a longer token than this is no
/// method that anybody behind us knows (501, RFC 9112, section 3).
pub const METHOD_BYTES: usize = 64;

/// Why bytes are not a head, or not one that is read here.
///
/// Whatever it is, the connection cannot be used any further: where the next message would start
/// is not known.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeadError {
    /// It breaks the grammar, or it could be read in more than one way.
    #[error("malformed head: {0}")]
    Malformed(&'static str),
    /// The target is over [`Limits::uri_bytes`](crate::message::Limits::uri_bytes).
    #[error("target too long")]
    UriTooLong,
    /// The head is over [`Limits::head_bytes`](crate::message::Limits::head_bytes), or it has more
    /// fields than [`Limits::fields`](crate::message::Limits::fields).
    #[error("head too large")]
    TooLarge,
    /// It asks for a transfer coding other than chunked, or its method is over [`METHOD_BYTES`].
    #[error("transfer coding or method not implemented")]
    NotImplemented,
    /// It is of another version than HTTP/1.0 and HTTP/1.1.
    #[error("version not supported")]
    Version,
}

impl HeadError {
    /// The status that tells a client so. A response that cannot be read is 502, whatever it is.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UriTooLong => 414,
            Self::TooLarge => 431,
            Self::NotImplemented => 501,
            Self::Version => 505,
        }
    }
}

/// True for the characters of a token (RFC 9110, section 5.6.2).
fn is_token_char(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// True when all of it is one token.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_char)
}

/// True for the characters of a field's value: HTAB, SP, VCHAR and obs-text (RFC 9110, section 5.5).
fn is_value_char(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A value without the optional white space around it (RFC 9110, section 5.6.3): SP and HTAB only.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
