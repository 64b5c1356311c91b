//! The head of a response, from its bytes.

use httparse::{ParserConfig, Response, Status};
use memchr::memchr;

use crate::http1::codec::HeadError;
use crate::http1::codec::fields::{Room, collect, refusal};
use crate::http1::codec::framing::Declared;
use crate::http1::codec::scan::{BARE_LF, first_fault};
use crate::message::{Framing, Limits, ResponseHead, Span, Version};

/// Where the reason phrase starts, after `HTTP/1.1 200 `.
const REASON_START: usize = "HTTP/1.1 200 ".len();

/// What a response answers, as far as its framing depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A HEAD request: there is no body, whatever the fields say.
    Head,
    /// A CONNECT request: after a 2xx there is a tunnel.
    Connect,
    /// Any other one.
    Other,
}

impl Asked {
    /// Tells it from the request's method.
    pub fn by(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Reads a response's head: exactly one, with its empty line; no empty line before it.
///
/// `head` is overwritten; it keeps its memory. Whoever forwards it must know:
///
/// - Content-Length may stand in a 1xx or 204, where it must not be (RFC 9110, section 8.6), and
///   Transfer-Encoding in a 204. There is no body all the same; the fields must not be forwarded.
///   If they announce one, `keep_alive` is false, so that bytes that some take for a body never
///   become the next response;
/// - Content-Length in the answer to HEAD and in a 304 tells what GET would get, and stays;
/// - the field of a 2xx to CONNECT that frames is to be ignored (RFC 9110, section 9.3.6).
///
/// # Errors
/// See [`HeadError`]; `head` is empty then, and the upstream's answer is no valid one (502).
pub fn read_response(
    head_bytes: &[u8],
    limits: &Limits,
    asked: Asked,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    head.clear();
    let outcome = read(head_bytes, limits, asked, head);
    if outcome.is_err() {
        head.clear();
    }
    outcome
}

fn read(
    bytes: &[u8],
    limits: &Limits,
    asked: Asked,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    if bytes.len() > limits.head_bytes {
        return Err(HeadError::TooLarge);
    }
    // httparse skips empty lines.
    if !bytes.starts_with(b"HTTP/") {
        let fault = first_fault(bytes, 0);
        return Err(fault.unwrap_or(HeadError::Malformed("invalid status line")));
    }
    let mut room = Room::new();
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        room.of(limits.fields),
    );
    match parsed.map_err(|error| refusal(bytes, error))? {
        Status::Complete(length) if length == bytes.len() => {}
        Status::Complete(_) | Status::Partial => {
            return Err(HeadError::Malformed("not exactly one head"));
        }
    }
    if !bytes.ends_with(b"\r\n\r\n") {
        return Err(BARE_LF);
    }
    let (Some(status), Some(minor)) = (response.code, response.version) else {
        return Err(HeadError::Malformed("invalid status line"));
    };
    if status < 100 {
        return Err(HeadError::Malformed("invalid status"));
    }
    head.status = status;
    head.version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    head.reason = reason(bytes);
    let declared = collect(bytes, response.headers, &mut head.fields)?;
    head.text.extend_from_slice(bytes);
    set_framing(head, asked, &declared)
}

/// The reason phrase, which may be missing with its space (RFC 9112, section 4, wants the space).
/// It may hold obs-text, for which httparse gives an empty one.
fn reason(bytes: &[u8]) -> Span {
    let end = memchr(b'\r', bytes).unwrap_or_default();
    Span::new(REASON_START.min(end), end)
}

/// Decides how the body ends (RFC 9112, section 6.3).
fn set_framing(
    head: &mut ResponseHead,
    asked: Asked,
    declared: &Declared,
) -> Result<(), HeadError> {
    // An error here is one even where there is no body: such an upstream is not to be believed.
    let framing = declared.framing(head.version)?;
    let is_interim = head.status < 200;
    if is_interim && declared.has_codings() {
        return Err(HeadError::Malformed("Transfer-Encoding in a 1xx response"));
    }
    head.keep_alive = declared.keeps_alive(head.version);
    head.framing = if is_interim || head.status == 204 {
        head.keep_alive &= !declared.announces_body();
        Framing::None
    } else if head.status == 304
        || asked == Asked::Head
        || (asked == Asked::Connect && (200..300).contains(&head.status))
    {
        Framing::None
    } else {
        framing.unwrap_or(Framing::UntilClose)
    };
    head.keep_alive &= head.framing != Framing::UntilClose;
    Ok(())
}

#[cfg(test)]
mod tests;
