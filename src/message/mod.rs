//! Messages as every part of tidegate sees them: heads, bodies and their limits.
//!
//! A head is one flat buffer with ranges into it, whichever protocol it came by, so that nothing is
//! copied into a map and an HTTP/1 head can be written out again as it was read. What bytes are a
//! head is decided by `http1` and `listener`; what a head means, by everyone else.

mod address;
mod base64;
mod body;
mod cookies;
mod fields;
mod limits;
mod networks;
mod request;
mod response;
mod tap;

pub use address::{Address, LOCAL, UNIX};
pub use base64::base64;
pub use body::{Body, BodyError};
pub use fields::{Field, Fields, Known};
pub use limits::Limits;
pub use networks::{AccessList, Networks};
pub use request::{RequestHead, Scheme};
pub use response::ResponseHead;
pub use tap::{Tap, Watch};

/// The version of HTTP that a message came by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// The name as it stands in a log line, such as `HTTP/1.1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow (RFC 9112, section 7.1), or an HTTP/2 stream whose length nobody told.
    Chunked,
    /// The body ends with the connection; responses of HTTP/1 only.
    UntilClose,
}

/// A range of bytes within a head's buffer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// Where it starts.
    pub start: u32,
    /// Where it ends, exclusive.
    pub end: u32,
}

impl Span {
    /// Makes the range `start..end`. A head is at most a few hundred KiB, so 32 bits hold it.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }

    /// The bytes it covers.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// True when it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}
