//! The head of a request, from its bytes.

use httparse::{Request, Status};

use crate::http1::codec::fields::{Room, collect, refusal, span_within};
use crate::http1::codec::framing::Declared;
use crate::http1::codec::scan::BARE_LF;
use crate::http1::codec::{HeadError, METHOD_BYTES, target};
use crate::message::{Framing, Limits, RequestHead, Version};

/// Reads a request's head: exactly one, as [`HeadScanner`](crate::http1::codec::HeadScanner) found
/// it, with its empty line and perhaps one before it.
///
/// `head` is overwritten; it keeps its memory, so that a head that fits into it allocates nothing.
/// Its text is the head as sent, from the method on; an absolute target without a path has a `/`
/// (or `*`, for OPTIONS) appended there. Then:
///
/// - the target has one of the four forms, and the one that its method asks for;
/// - `authority` is the target's own where it has one, and then Host only has to be valid and does
///   not count: who forwards must send `authority` as Host (RFC 9112, section 3.2.2);
/// - `framing` is [`Framing::None`] without Content-Length and Transfer-Encoding, and
///   `Length(0)` is a body of no bytes that was declared;
/// - Expect, Upgrade and `Limits::body_bytes` are nobody's business here.
///
/// # Errors
/// See [`HeadError`]; `head` is empty then.
pub fn read_request(
    head_bytes: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), HeadError> {
    head.clear();
    let outcome = read(head_bytes, limits, head);
    if outcome.is_err() {
        head.clear();
    }
    outcome
}

fn read(head_bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<(), HeadError> {
    if head_bytes.len() > limits.head_bytes {
        return Err(HeadError::TooLarge);
    }
    let bytes = head_bytes.strip_prefix(b"\r\n").unwrap_or(head_bytes);
    if bytes.starts_with(b"\r") || bytes.starts_with(b"\n") {
        return Err(HeadError::Malformed("empty lines before the head"));
    }
    let mut room = Room::new();
    let mut request = Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, room.of(limits.fields));
    match parsed.map_err(|error| refusal(bytes, error))? {
        Status::Complete(length) if length == bytes.len() => {}
        Status::Complete(_) | Status::Partial => {
            return Err(HeadError::Malformed("not exactly one head"));
        }
    }
    if !bytes.ends_with(b"\r\n\r\n") {
        return Err(BARE_LF);
    }
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed("invalid first line"));
    };
    if method.len() > METHOD_BYTES {
        return Err(HeadError::NotImplemented);
    }
    if path.len() > limits.uri_bytes {
        return Err(HeadError::UriTooLong);
    }
    head.method = span_within(bytes, method.as_bytes());
    head.target = span_within(bytes, path.as_bytes());
    head.version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    let declared = collect(bytes, request.headers, &mut head.fields)?;
    head.text.extend_from_slice(bytes);
    read_meaning(&declared, head)
}

/// Reads target, Host, framing and persistence out of a head that is split into its parts.
fn read_meaning(declared: &Declared, head: &mut RequestHead) -> Result<(), HeadError> {
    let has_authority = target::read(head)?;
    match declared.host()? {
        Some(host) if !target::is_authority(host.of(&head.text)) => {
            return Err(HeadError::Malformed("invalid Host"));
        }
        // RFC 9112, section 3.2: even beside an absolute target.
        None if head.version == Version::Http11 => return Err(HeadError::Malformed("no Host")),
        Some(host) if !has_authority => head.authority = host,
        Some(_) | None => {}
    }
    head.framing = declared.framing(head.version)?.unwrap_or(Framing::None);
    head.keep_alive = declared.keeps_alive(head.version);
    Ok(())
}

#[cfg(test)]
mod tests;
