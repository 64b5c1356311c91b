//! Where a head ends, in bytes that come piece by piece.
//!
//! Invariant: the outcome depends on the bytes and never on how they were cut. Of several faults
//! the first one in the bytes is told, so a head that comes byte by byte is refused at that byte,
//! and the same head in one piece is refused for the same reason.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;

use crate::http1::codec::{HeadError, METHOD_BYTES, is_token_char};
use crate::message::Limits;

/// What a request line has besides its method and target: two spaces, the version, CRLF.
const REQUEST_LINE_REST: usize = " ".len() + " HTTP/1.1\r\n".len();

pub(super) const BARE_LF: HeadError = HeadError::Malformed("line feed without carriage return");
const BARE_CR: HeadError = HeadError::Malformed("carriage return without line feed");
const CONTROL: HeadError = HeadError::Malformed("control character");
const FIRST_BYTE: HeadError = HeadError::Malformed("does not begin with a token");

/// Finds the end of a head in bytes that come piece by piece.
///
/// It never looks twice at a byte that it has seen, so a head that comes byte by byte costs no
/// more than one in a piece, and it fails as early as it can: a client that speaks TLS to a plain
/// port is refused at its first byte.
///
/// One empty line before the head is skipped (RFC 9112, section 2.2: old clients send one after a
/// body); it counts as part of the head and [`read_request`](crate::http1::codec::read_request)
/// expects it there. A line feed alone does not end a line, though the RFC would let it.
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    /// How many bytes were searched for line feeds.
    scanned: usize,
    /// Where the current line starts.
    line: usize,
    /// Where the first line starts: past an empty line, if there was one.
    start: usize,
    /// True when the first line has ended.
    past_first_line: bool,
}

impl HeadScanner {
    /// Looks at `bytes`, all that came so far of this head and what follows it; each call must
    /// give the bytes of the one before, and may give more. `Some` is the length of the head with
    /// its empty line, `None` asks for more bytes.
    ///
    /// # Errors
    /// When what is there cannot become a head within the limits: see [`HeadError`].
    pub fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        if self.scanned == 0 && !self.begins_well(bytes)? {
            return Ok(None);
        }
        let window = &bytes[..bytes.len().min(limits.head_bytes)];
        let first_line_end = self.start + METHOD_BYTES + limits.uri_bytes + REQUEST_LINE_REST;
        let from = self.scanned.max(self.start);
        let mut position = from;
        while let Some(found) = window.get(position..).and_then(|rest| memchr(b'\n', rest)) {
            let feed = position + found;
            if !self.past_first_line && feed >= first_line_end {
                break;
            }
            // The first byte is a token's, so there is one before any feed.
            if window[feed - 1] != b'\r' {
                return Err(first_fault(&window[..=feed], self.start).unwrap_or(BARE_LF));
            }
            if feed - self.line == 1 {
                return Ok(Some(feed + 1));
            }
            position = feed + 1;
            self.line = position;
            self.past_first_line = true;
        }
        if !self.past_first_line && window.len() >= first_line_end {
            let line = &window[..first_line_end];
            let fault = first_fault(line, self.start);
            return Err(fault.unwrap_or_else(|| too_long(&line[self.start..])));
        }
        if window.len() == limits.head_bytes {
            return Err(first_fault(window, self.start).unwrap_or(HeadError::TooLarge));
        }
        if let Some(fault) = first_fault(window, from) {
            return Err(fault);
        }
        self.scanned = window.len();
        Ok(None)
    }

    /// Makes it ready for the next head.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Looks at the first bytes: at most one empty line, then a token. False when there are too
    /// few to tell.
    fn begins_well(&mut self, bytes: &[u8]) -> Result<bool, HeadError> {
        let start = match bytes {
            [] | [b'\r'] | [b'\r', b'\n'] => return Ok(false),
            [b'\r', b'\n', ..] => 2,
            [b'\r', ..] => return Err(BARE_CR),
            _ => 0,
        };
        if !is_token_char(bytes[start]) {
            return Err(FIRST_BYTE);
        }
        self.start = start;
        self.line = start;
        Ok(true)
    }
}

/// The last line of a head and the empty one.
const END: &[u8] = b"\r\n\r\n";
static FIND_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(END));

/// Where a head that has come whole would end: one search instead of one for each line.
///
/// Bytes of which [`read_request`](crate::http1::codec::read_request) or
/// [`read_response`](crate::http1::codec::read_response) then makes a head are those of which
/// [`HeadScanner`] says the same. Where they make none, it has to be asked, too: it tells the first
/// fault.
pub(crate) fn likely_end(bytes: &[u8], limits: &Limits) -> Option<usize> {
    let window = &bytes[..bytes.len().min(limits.head_bytes)];
    if !window.first().copied().is_some_and(is_token_char) {
        return None;
    }
    let first_line_end = METHOD_BYTES + limits.uri_bytes + REQUEST_LINE_REST;
    if let Some(line) = window.get(..first_line_end) {
        memchr(b'\n', line)?;
    }
    Some(FIND_END.find(window)? + END.len())
}

/// The first fault at or after `from`: a control character other than HTAB, or a CR or LF that is
/// not half of a CRLF. A CR as the last byte may still become one.
pub(super) fn first_fault(bytes: &[u8], from: usize) -> Option<HeadError> {
    let mut previous = match from.checked_sub(1) {
        Some(before) => bytes.get(before).copied()?,
        None => 0,
    };
    for &byte in bytes.get(from..)? {
        match byte {
            b'\n' if previous != b'\r' => return Some(BARE_LF),
            b'\n' => {}
            _ if previous == b'\r' => return Some(BARE_CR),
            b'\t' | b'\r' => {}
            0..=0x1f | 0x7f => return Some(CONTROL),
            _ => {}
        }
        previous = byte;
    }
    None
}

/// Tells what made the first line too long: its method or its target.
fn too_long(line: &[u8]) -> HeadError {
    let method = &line[..line.len().min(METHOD_BYTES + 1)];
    if method.iter().copied().all(is_token_char) {
        HeadError::NotImplemented
    } else {
        HeadError::UriTooLong
    }
}

#[cfg(test)]
mod tests;
