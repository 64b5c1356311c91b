//! What a head declares of its message: Content-Length, Transfer-Encoding, Connection and Host
//! (RFC 9112, sections 3.2, 6 and 9.3).
//!
//! Stricter than the RFC has to be, for here is where requests are smuggled: one Content-Length
//! field with digits in it and nothing else (the RFC lets a list of equal numbers pass), never
//! together with Transfer-Encoding, and `chunked` alone as a transfer coding.

use crate::http1::codec::{HeadError, is_token, trim};
use crate::message::{Framing, Known, Span, Version};

/// The Content-Length of more than one way to read.
const CONTENT_LENGTH: HeadError = HeadError::Malformed("conflicting or malformed Content-Length");

/// What the fields of a head declare of the message itself.
#[derive(Debug, Default)]
pub(super) struct Declared {
    host: Option<Span>,
    repeats_host: bool,
    content_length: Option<u64>,
    codings: Codings,
    close: bool,
    keep_alive: bool,
}

impl Declared {
    /// Takes note of a field, if it is one that matters here.
    ///
    /// # Errors
    /// When it is malformed, or says again what another one said.
    #[inline]
    pub(super) fn take(&mut self, known: Known, value: &[u8], at: Span) -> Result<(), HeadError> {
        match known {
            Known::Host => {
                self.repeats_host = self.host.replace(at).is_some();
            }
            Known::Connection => {
                for option in value.split(|&byte| byte == b',').map(trim) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            Known::ContentLength => {
                let length = content_length(value).ok_or(CONTENT_LENGTH)?;
                if self.content_length.replace(length).is_some() {
                    return Err(CONTENT_LENGTH);
                }
            }
            Known::TransferEncoding => {
                self.codings.take(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the value of Host lies, if there is one. Only requests have a use for it.
    ///
    /// # Errors
    /// When there is more than one.
    pub(super) fn host(&self) -> Result<Option<Span>, HeadError> {
        if self.repeats_host {
            return Err(HeadError::Malformed("more than one Host"));
        }
        Ok(self.host)
    }

    /// How the body ends, as far as the fields tell; `None` when they do not.
    ///
    /// # Errors
    /// When they contradict each other, or ask for a coding that is not chunked.
    #[inline]
    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>, HeadError> {
        let Some(codings) = self.codings.read() else {
            return Ok(self.content_length.map(Framing::Length));
        };
        // RFC 9112, section 6.1: this is how requests are smuggled, so it is never repaired.
        if self.content_length.is_some() {
            return Err(HeadError::Malformed(
                "Transfer-Encoding with Content-Length",
            ));
        }
        // RFC 9112, section 6.1: the framing of such a message is to be taken for faulty.
        if version == Version::Http10 {
            return Err(HeadError::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        codings.map(|()| Some(Framing::Chunked))
    }

    /// True when a length other than 0 or a transfer coding says that there is a body.
    pub(super) fn announces_body(&self) -> bool {
        self.has_codings() || self.content_length.is_some_and(|length| length != 0)
    }

    /// True when there is a Transfer-Encoding field.
    pub(super) fn has_codings(&self) -> bool {
        self.codings.read().is_some()
    }

    /// True when the connection may go on after this message (RFC 9112, section 9.3). A client
    /// sees an origin in us, so keep-alive in HTTP/1.0 is honoured.
    #[inline]
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (self.keep_alive || version != Version::Http10)
    }
}

/// The transfer codings of a message, over all its Transfer-Encoding fields.
#[derive(Debug, Default)]
enum Codings {
    /// No field.
    #[default]
    Absent,
    /// The only one is chunked.
    Chunked,
    /// The last one is chunked, and others come before it.
    ThenChunked,
    /// The last one is another one.
    Other,
    /// Something stands after chunked.
    AfterChunked,
}

impl Codings {
    /// Takes the codings of one field.
    fn take(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for coding in value.split(|&byte| byte == b',').map(trim) {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            let name = coding.split(|&byte| byte == b';').next().map(trim);
            if !name.is_some_and(is_token) {
                return Err(HeadError::Malformed("malformed Transfer-Encoding"));
            }
            *self = match (&self, is_chunked) {
                (Self::Absent, true) => Self::Chunked,
                (Self::Other, true) => Self::ThenChunked,
                (Self::Absent | Self::Other, false) => Self::Other,
                (Self::Chunked | Self::ThenChunked | Self::AfterChunked, _) => Self::AfterChunked,
            };
        }
        Ok(())
    }

    /// Nothing when there is no field; otherwise whether the body is in plain chunks.
    fn read(&self) -> Option<Result<(), HeadError>> {
        match self {
            Self::Absent => None,
            Self::Chunked => Some(Ok(())),
            Self::ThenChunked => Some(Err(HeadError::NotImplemented)),
            Self::Other | Self::AfterChunked => Some(Err(HeadError::Malformed(
                "Transfer-Encoding does not end in chunked, or has it twice",
            ))),
        }
    }
}

/// Reads a Content-Length: digits and nothing else, no sign, no list, no white space within, no
/// overflow.
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        length.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests;
