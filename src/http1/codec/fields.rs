//! The field lines of a head, as httparse split them, to ranges over the head's own bytes.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::http1::codec::HeadError;
use crate::http1::codec::framing::Declared;
use crate::http1::codec::scan::{BARE_LF, first_fault};
use crate::message::{Fields, Span};

/// How many fields find room on the stack: more than the default limit, and as many as responses may
/// have, at 8 KiB.
const ON_STACK: usize = 256;

/// Room for what httparse finds. It is not written to before it is used, so its size is free.
pub(super) struct Room<'bytes> {
    stack: [MaybeUninit<Header<'bytes>>; ON_STACK],
    heap: Vec<MaybeUninit<Header<'bytes>>>,
}

impl<'bytes> Room<'bytes> {
    /// Makes the room.
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            stack: [const { MaybeUninit::uninit() }; ON_STACK],
            heap: Vec::new(),
        }
    }

    /// Room for so many fields; only a limit over [`ON_STACK`] allocates.
    #[inline]
    pub(super) fn of(&mut self, n_fields: usize) -> &mut [MaybeUninit<Header<'bytes>>] {
        if n_fields <= ON_STACK {
            &mut self.stack[..n_fields]
        } else {
            self.heap.resize_with(n_fields, MaybeUninit::uninit);
            &mut self.heap
        }
    }
}

/// Adds the fields of `head`, whose bytes are or will be the text that the spans are read with,
/// and tells what they declare of the message.
///
/// httparse takes a line feed alone for the end of a line, and that is refused here: each line
/// must begin after a CRLF, which together with a head that ends in CRLF CRLF covers all of them.
#[inline]
pub(super) fn collect(
    head: &[u8],
    headers: &[Header<'_>],
    fields: &mut Fields,
) -> Result<Declared, HeadError> {
    let mut declared = Declared::default();
    for header in headers {
        let name = span_within(head, header.name.as_bytes());
        let value = span_within(head, header.value);
        let start = name.start as usize;
        if start < 2 || head[start - 2..start] != *b"\r\n" {
            return Err(BARE_LF);
        }
        let known = fields.push(head, name, value);
        declared.take(known, header.value, value)?;
    }
    Ok(declared)
}

/// Where `part`, which was borrowed from `whole`, lies in it.
#[inline]
pub(super) fn span_within(whole: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    debug_assert!(start + part.len() <= whole.len(), "part of the whole");
    Span::new(start, start + part.len())
}

/// Tells a refusal of httparse in our own words.
#[cold]
pub(super) fn refusal(head: &[u8], error: httparse::Error) -> HeadError {
    // A character that no head may have is told first, so that the reason is the one that the
    // scanner gives when the head comes in pieces.
    if let Some(fault) = first_fault(head, 0) {
        return fault;
    }
    match error {
        httparse::Error::HeaderName => HeadError::Malformed("invalid field name"),
        httparse::Error::HeaderValue => HeadError::Malformed("invalid field value"),
        httparse::Error::NewLine => BARE_LF,
        httparse::Error::Status => HeadError::Malformed("invalid status line"),
        httparse::Error::Token => HeadError::Malformed("invalid first line"),
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version => version_refusal(head),
    }
}

/// Tells another version of HTTP (505) from no version at all (400). Only 1.0 and 1.1 are read:
/// what a future minor version means is unknown, so it is refused like a major one.
fn version_refusal(head: &[u8]) -> HeadError {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let is_version = |word: &[u8]| {
        matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
    };
    let mut words = line.split(|&byte| byte == b' ');
    let is_first = words.next().is_some_and(is_version);
    let is_third = words.nth(1).is_some_and(is_version) && words.next().is_none();
    if is_first || is_third {
        HeadError::Version
    } else {
        HeadError::Malformed("invalid version")
    }
}
