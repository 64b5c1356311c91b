//! Trailer fields: the lines after the last chunk (RFC 9112, section 7.1.2).
//!
//! They come after everything was decided by the head, so none of them may say anything that the
//! head decides (RFC 9110, section 6.5.1). Such fields are left out, and the rest goes on.

use std::sync::Arc;

use crate::http1::codec::{ChunkError, is_token, is_value_char, trim};
use crate::message::{Known, Limits};

/// Names that no trailer field may have, with what they would change behind our back.
const FORBIDDEN: [&[u8]; 41] = [
    // Where the message ends, and what belongs to one connection.
    b"connection",
    b"content-length",
    b"keep-alive",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    // Where it goes, and where it came from.
    b"forwarded",
    b"host",
    b"via",
    b"x-real-ip",
    // What is done with it.
    b"age",
    b"cache-control",
    b"date",
    b"expect",
    b"expires",
    b"location",
    b"max-forwards",
    b"pragma",
    b"range",
    b"retry-after",
    b"vary",
    b"warning",
    // Who asks.
    b"authorization",
    b"cookie",
    b"cookie2",
    b"set-cookie",
    b"set-cookie2",
    b"www-authenticate",
    b"authentication-info",
    b"origin",
    b"referer",
    // How the body is to be read.
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"content-location",
    b"content-disposition",
    b"accept-ranges",
    b"strict-transport-security",
    b"content-security-policy",
    b"alt-svc",
];

/// Beginnings that no trailer field's name may have: credentials and framing for proxies, what
/// proxies say of the client, conditions, and permissions of other origins.
const FORBIDDEN_BEGINNINGS: [&[u8]; 4] = [b"proxy-", b"x-forwarded-", b"if-", b"access-control-"];

/// The trailer section of one message, as it comes.
#[derive(Debug)]
pub(super) struct Trailers {
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// True when the last byte was the CR of a CRLF.
    after_return: bool,
    /// The lines that are kept, written anew.
    kept: Vec<u8>,
    /// How many bytes the section may still have.
    bytes_left: usize,
    /// How many fields it may still have.
    fields_left: usize,
    /// Names of fields that are not kept, besides those that never are.
    unwanted: Option<Arc<[Box<[u8]>]>>,
}

impl Trailers {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            line: Vec::new(),
            after_return: false,
            kept: Vec::new(),
            bytes_left: limits.head_bytes,
            fields_left: limits.fields,
            unwanted: None,
        }
    }

    /// Leaves fields of these names out.
    pub(super) fn leave_out(&mut self, names: Arc<[Box<[u8]>]>) {
        self.unwanted = Some(names);
    }

    /// The fields that are kept, each with its CRLF.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Takes one byte of the section. True at its end, which is an empty line.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, ChunkError> {
        self.bytes_left = self.bytes_left.checked_sub(1).ok_or(ChunkError::TooLarge)?;
        if self.after_return {
            self.after_return = false;
            return match byte {
                b'\n' if self.line.is_empty() => Ok(true),
                b'\n' => self.end_line().map(|()| false),
                _ => Err(ChunkError::Malformed("carriage return without line feed")),
            };
        }
        match byte {
            b'\r' => self.after_return = true,
            _ if is_value_char(byte) => self.line.push(byte),
            _ => {
                return Err(ChunkError::Malformed(
                    "control character in a trailer field",
                ));
            }
        }
        Ok(false)
    }

    fn end_line(&mut self) -> Result<(), ChunkError> {
        self.fields_left = self
            .fields_left
            .checked_sub(1)
            .ok_or(ChunkError::TooLarge)?;
        let colon = self.line.iter().position(|&byte| byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&self.line[..colon], trim(&self.line[colon + 1..])),
            None => (&[][..], &[][..]),
        };
        // A name that is no token covers white space before the colon and folded lines too.
        if !is_token(name) {
            return Err(ChunkError::Malformed("invalid trailer field"));
        }
        let unwanted = self.unwanted.iter().flat_map(|names| names.iter());
        let is_unwanted = unwanted
            .into_iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if !is_unwanted && !is_forbidden_trailer(name) {
            self.kept.extend_from_slice(name);
            self.kept.extend_from_slice(b": ");
            self.kept.extend_from_slice(value);
            self.kept.extend_from_slice(b"\r\n");
        }
        self.line.clear();
        Ok(())
    }
}

/// True for a name that no trailer field may have.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    let begins = |start: &&[u8]| {
        name.get(..start.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    // Who a client is by its certificate, and what it is assigned to, is for us to say, as in a head.
    matches!(Known::of(name), Known::ClientCert | Known::Assignment)
        || FORBIDDEN_BEGINNINGS.iter().any(begins)
        || FORBIDDEN
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other))
}
