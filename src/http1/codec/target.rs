//! The target of a request, in its four forms (RFC 9112, section 3.2), and authorities.
//!
//! A target is made of visible ASCII. Characters that RFC 3986 wants percent-encoded but that are
//! seen in the wild (`|`, `"`, `{`, `^`, a backtick …) pass as they are: there is no second way to
//! read them. Bytes over 0x7F are refused, for two decoders need not agree on them, and so is `#`:
//! a fragment is never sent, and some would cut it off.

use std::net::Ipv6Addr;
use std::str;

use memchr::memchr;

use crate::http1::codec::HeadError;
use crate::http1::codec::fields::span_within;
use crate::message::{RequestHead, Span};

const TARGET: HeadError = HeadError::Malformed("invalid target");

/// Reads `head.target` into authority, path and query. True when the target has the authority.
///
/// # Errors
/// When it is of no form, or of one that the method does not allow.
#[inline]
pub(super) fn read(head: &mut RequestHead) -> Result<bool, HeadError> {
    let target = head.target.of(&head.text);
    if !target.is_ascii() || memchr(b'#', target).is_some() {
        return Err(TARGET);
    }
    let method = head.method.of(&head.text);
    if method == b"CONNECT" {
        // RFC 9112, section 3.2.3: authority-form is for CONNECT, and it has a port.
        if !is_authority(target) || matches!(port(target), None | Some(b"")) {
            return Err(TARGET);
        }
        head.authority = head.target;
        return Ok(true);
    }
    match target {
        [b'/', ..] => {
            set_path(head, head.target);
            Ok(false)
        }
        b"*" if method == b"OPTIONS" => {
            head.path = head.target;
            Ok(false)
        }
        _ => read_absolute(head).map(|()| true),
    }
}

/// Reads an absolute-form target: `http` or `https`, an authority, perhaps a path and a query.
fn read_absolute(head: &mut RequestHead) -> Result<(), HeadError> {
    let target = head.target.of(&head.text);
    let rest = strip_scheme(target, b"http://")
        .or_else(|| strip_scheme(target, b"https://"))
        .ok_or(TARGET)?;
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(length);
    // User information is refused with it: a deprecated way to make one host look like another
    // (RFC 9110, section 4.2.4).
    if !is_authority(authority) {
        return Err(TARGET);
    }
    head.authority = span_within(&head.text, authority);
    let rest = span_within(&head.text, rest);
    set_path(head, rest);
    if head.path.is_empty() {
        // RFC 9112, section 3.2.4: OPTIONS of a bare authority asks about the server itself.
        let whole = head.method() == b"OPTIONS" && head.query.is_none();
        head.path = head.append(if whole { b"*" } else { b"/" });
    }
    Ok(())
}

/// Divides path from query.
#[inline]
fn set_path(head: &mut RequestHead, span: Span) {
    let (start, end) = (span.start as usize, span.end as usize);
    match memchr(b'?', span.of(&head.text)) {
        Some(at) => {
            head.path = Span::new(start, start + at);
            head.query = Some(Span::new(start + at + 1, end));
        }
        None => head.path = span,
    }
}

/// What follows the scheme, whose case does not matter.
fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// True for `uri-host [ ":" port ]` (RFC 3986, section 3.2.2) with a host that is not empty (RFC
/// 9110, section 4.2.1) and a port of 0 to 65535, or none behind its colon.
#[inline]
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let Some(host) = host(bytes) else {
        return false;
    };
    let port_is_valid = match &bytes[host.len()..] {
        [] | [b':'] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    let host_is_valid = match host {
        [b'[', address @ .., b']'] => is_ipv6(address),
        [] => false,
        name => is_name(name),
    };
    port_is_valid && host_is_valid
}

/// The host at the start of an authority: up to its closing bracket, or up to a colon.
fn host(bytes: &[u8]) -> Option<&[u8]> {
    let length = match bytes {
        [b'[', ..] => memchr(b']', bytes)? + 1,
        _ => memchr(b':', bytes).unwrap_or(bytes.len()),
    };
    Some(&bytes[..length])
}

/// The port of a valid authority, if there is a colon.
fn port(authority: &[u8]) -> Option<&[u8]> {
    authority[host(authority)?.len()..].strip_prefix(b":")
}

fn is_port(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
}

/// True for an IPv6 address. Zones and the addresses of the future are refused: nobody sends them.
fn is_ipv6(address: &[u8]) -> bool {
    str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// True for a reg-name of RFC 3986, which covers IPv4 addresses too.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b'%' => match rest {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest = after;
                }
                _ => return false,
            },
            _ => return false,
        }
    }
    true
}
