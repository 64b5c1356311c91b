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

/// How many ports there are.
const PORTS: u32 = 65536;

/// The characters of a reg-name that stand for themselves: unreserved ones and sub-delims. They
/// cover IPv4 addresses too.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let characters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\
        -._~!$&'()*+,;=";
    let mut at = 0;
    while at < characters.len() {
        plain[characters[at] as usize] = true;
        at += 1;
    }
    plain
};

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

/// True for a path that begins with `/`, and perhaps a query (RFC 9112, section 3.2.1), of the
/// characters that a target may have.
pub fn is_origin_form(target: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    target.starts_with(b"/") && target.iter().all(plain)
}

/// True for `uri-host [ ":" port ]` (RFC 3986, section 3.2.2) with a host that is not empty (RFC
/// 9110, section 4.2.1) and a port of 0 to 65535, or none behind its colon.
#[inline]
pub fn is_authority(bytes: &[u8]) -> bool {
    // Nearly all of them are a name of plain characters, which one pass can tell.
    let plain = bytes.iter().position(|&byte| !PLAIN[usize::from(byte)]);
    let Some(length) = plain else {
        return !bytes.is_empty();
    };
    match bytes[length] {
        b':' => length != 0 && is_port(&bytes[length + 1..]),
        b'%' | b'[' => is_odd_authority(bytes),
        _ => false,
    }
}

/// The same for an authority with an IPv6 address or percent-encoded characters.
#[cold]
fn is_odd_authority(bytes: &[u8]) -> bool {
    let Some(host) = host(bytes) else {
        return false;
    };
    let port_is_valid = match &bytes[host.len()..] {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    let host_is_valid = match host {
        [b'[', address @ .., b']'] => is_ipv6(address),
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
    let mut port = 0_u32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        port = (port * 10 + u32::from(digit - b'0')).min(PORTS);
    }
    port < PORTS
}

/// True for an IPv6 address. Zones and the addresses of the future are refused: nobody sends them.
fn is_ipv6(address: &[u8]) -> bool {
    str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// True for a reg-name of RFC 3986 that is not empty.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, rest) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
            }
            _ if PLAIN[usize::from(*byte)] => {}
            _ => return false,
        }
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests;
