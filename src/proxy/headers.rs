//! What changes in a head on its way through (RFC 9110, section 7.6), as bytes for HTTP/1.
//!
//! Fields that belong to one connection end here, in both directions; where a request comes from is
//! told anew, unless the proxy in front is trusted; everything else goes on byte for byte and in
//! its order.

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::IpAddr;

use crate::listener::{ForwardedSource, Peer};
use crate::message::{Field, Framing, Known, RequestHead, ResponseHead, Scheme, Version};
use crate::proxy::Error;

/// Our name in `Via`; a request that passed it so often is going in circles.
const PSEUDONYM: &[u8] = b"tidegate";
const LOOPS: usize = 2;

/// What a request's head on the upstream side depends on besides the head itself.
#[derive(Debug)]
pub struct RequestEdit<'a> {
    /// The other end of the client's connection.
    pub from: &'a Peer,
    /// True when what the peer says of the client is believed.
    pub trusted: bool,
    /// Which field the peer says it in, and that is written beside `X-Forwarded-*`.
    pub source: ForwardedSource,
    /// The protocol that the connection is to change to, such as `websocket`.
    pub upgrade: Option<&'a [u8]>,
    /// A cookie that goes no further than here, by its name.
    pub drop_cookie: Option<&'a [u8]>,
}

/// What a response's head on the client's side depends on besides the head itself.
#[derive(Debug)]
pub struct ResponseEdit<'a> {
    /// The version of the client's request.
    pub version: Version,
    /// True when the connection is closed after it.
    pub close: bool,
    /// How the body goes out.
    pub framing: Framing,
    /// A Set-Cookie field's value to add.
    pub set_cookie: Option<&'a [u8]>,
}

/// The names in a head's Connection fields, besides those that we know what they mean.
#[derive(Debug, Default)]
struct Named<'a> {
    names: Vec<&'a [u8]>,
}

impl<'a> Named<'a> {
    fn of(fields: impl Iterator<Item = Field<'a>>) -> Self {
        let mut names = Vec::new();
        for field in fields.filter(|field| field.known == Known::Connection) {
            for name in field.value.split(|&byte| byte == b',') {
                let name = name.trim_ascii();
                // What is dropped anyway, and what a client must not be able to have dropped.
                let known = Known::of(name);
                let plain = matches!(known, Known::Other)
                    && !name.eq_ignore_ascii_case(b"close")
                    && !name.eq_ignore_ascii_case(b"authorization")
                    && !name.is_empty();
                if plain {
                    names.push(name);
                }
            }
        }
        Self { names }
    }

    fn has(&self, field: &Field<'_>) -> bool {
        !self.names.is_empty() && self.names.iter().any(|name| field.is(name))
    }
}

/// Refuses what must not be forwarded because of its fields alone.
///
/// # Errors
/// When the request has come through here before, or expects what nobody knows.
pub(crate) fn check_request(head: &RequestHead) -> Result<(), Error> {
    let mut passed = 0;
    for field in head.fields() {
        match field.known {
            Known::Via => {
                passed += field
                    .value
                    .split(|&byte| byte == b',')
                    .filter(|hop| hop.trim_ascii().ends_with(PSEUDONYM))
                    .count();
            }
            Known::Expect if !field.value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Error::Expectation);
            }
            _ => {}
        }
    }
    if passed >= LOOPS {
        return Err(Error::Loop);
    }
    Ok(())
}

/// The protocol that the request asks to change to, as HTTP/1.1 does (RFC 9110, section 7.8).
///
/// HTTP itself is none to change to: what would be tunnelled then are requests that nobody here has
/// seen. Nor is one of several, which the upstream could choose from and we could not tell.
pub(crate) fn asks_for_upgrade(head: &RequestHead) -> Option<&[u8]> {
    let mut protocols = head.known(Known::Upgrade);
    let protocol = protocols.next()?.trim_ascii();
    let named = head
        .known(Known::Connection)
        .any(|value| has_token(value, b"upgrade"));
    let one = protocols.next().is_none() && !protocol.is_empty() && !protocol.contains(&b',');
    let name = protocol.split(|&byte| byte == b'/').next()?;
    let http = [&b"h2c"[..], b"h2", b"http", b"tls"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http));
    let asks = head.version == Version::Http11 && head.framing == Framing::None;
    (asks && named && one && !http).then_some(protocol)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// Writes a request's head as it goes to an HTTP/1.1 upstream.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead, edit: &RequestEdit<'_>) {
    let named = Named::of(head.fields());
    out.extend_from_slice(head.method());
    out.push(b' ');
    write_target(out, head);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(head.authority());
    out.extend_from_slice(b"\r\n");
    let mut cookies = 0;
    let mut trailers = false;
    for field in head.fields() {
        match field.known {
            Known::Other if named.has(&field) => continue,
            Known::Host
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthorization
            | Known::ProxyAuthenticate
            | Known::TransferEncoding
            | Known::ContentLength
            | Known::Upgrade => continue,
            Known::Te => {
                trailers |= has_token(field.value, b"trailers");
                continue;
            }
            // HTTP/2 may send a cookie field for each cookie; HTTP/1 wants one (RFC 9113, 8.2.3).
            Known::Cookie if head.version == Version::Http2 || edit.drop_cookie.is_some() => {
                cookies += 1;
                continue;
            }
            Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XForwardedProto
            | Known::Forwarded
            | Known::XRealIp => {
                // Nobody's word but a trusted proxy's; what is appended to is written below.
                let kept = edit.trusted
                    && match field.known {
                        Known::XForwardedFor => false,
                        Known::Forwarded => edit.source != ForwardedSource::Forwarded,
                        _ => true,
                    };
                if !kept {
                    continue;
                }
            }
            _ => {}
        }
        write_field(out, field.name, field.value);
    }
    if cookies > 0 {
        write_cookies(out, head, edit.drop_cookie);
    }
    match head.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(n) => write_length(out, n),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(protocol) = edit.upgrade {
        write_upgrade(out, protocol);
    } else if trailers {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
    write_forwarded(out, head, edit);
    out.extend_from_slice(match head.version {
        Version::Http10 => b"Via: 1.0 tidegate\r\n\r\n",
        Version::Http11 => b"Via: 1.1 tidegate\r\n\r\n",
        Version::Http2 => b"Via: 2.0 tidegate\r\n\r\n",
    });
}

/// The target in origin form (RFC 9112, section 3.2.1), which is how a server is asked.
fn write_target(out: &mut Vec<u8>, head: &RequestHead) {
    let path = head.path();
    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"Content-Length: ");
    write_number(out, n);
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes one Cookie field of all cookies but the one that is ours.
fn write_cookies(out: &mut Vec<u8>, head: &RequestHead, drop: Option<&[u8]>) {
    let start = out.len();
    out.extend_from_slice(b"Cookie: ");
    let first = out.len();
    for value in head.known(Known::Cookie) {
        for pair in value.split(|&byte| byte == b';') {
            let pair = pair.trim_ascii();
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            if pair.is_empty() || drop.is_some_and(|drop| name.trim_ascii() == drop) {
                continue;
            }
            if out.len() > first {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(pair);
        }
    }
    if out.len() == first {
        out.truncate(start);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

fn write_upgrade(out: &mut Vec<u8>, protocol: &[u8]) {
    out.extend_from_slice(b"Connection: Upgrade\r\n");
    write_field(out, b"Upgrade", protocol);
}

/// Writes where the request comes from.
fn write_forwarded(out: &mut Vec<u8>, head: &RequestHead, edit: &RequestEdit<'_>) {
    let peer = edit.from.address.ip().to_canonical();
    let scheme = edit.from.scheme.name();
    let trusted = |known| edit.trusted && head.known(known).next().is_some();
    out.extend_from_slice(b"X-Forwarded-For: ");
    if edit.trusted {
        for value in head.known(Known::XForwardedFor) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    write_address(out, peer);
    out.extend_from_slice(b"\r\n");
    if !trusted(Known::XForwardedProto) {
        out.extend_from_slice(match edit.from.scheme {
            Scheme::Http => b"X-Forwarded-Proto: http\r\n",
            Scheme::Https => b"X-Forwarded-Proto: https\r\n",
        });
    }
    if !trusted(Known::XForwardedHost) {
        write_field(out, b"X-Forwarded-Host", head.authority());
    }
    if !trusted(Known::XForwardedPort) {
        out.extend_from_slice(b"X-Forwarded-Port: ");
        write_number(out, u64::from(edit.from.local.port()));
        out.extend_from_slice(b"\r\n");
    }
    if edit.source == ForwardedSource::Forwarded {
        out.extend_from_slice(b"Forwarded: ");
        if edit.trusted {
            for value in head.known(Known::Forwarded) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        }
        // RFC 7239, section 6: an IPv6 address stands in brackets and quotes.
        let node = match peer {
            IpAddr::V4(address) => format!("for={address};proto={scheme}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\";proto={scheme}"),
        };
        out.extend_from_slice(node.as_bytes());
        if !head.authority().is_empty() {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(head.authority());
            out.push(b'"');
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    write!(out, "{address}").expect("a Vec takes any bytes");
}

/// Tells whether a field of a response goes on to the client.
pub(crate) struct ResponseFilter<'a> {
    named: Named<'a>,
    /// True when Content-Length tells of something that is not sent, as in the answer to HEAD.
    keeps_length: bool,
}

impl<'a> ResponseFilter<'a> {
    /// Makes the filter for a response's head.
    pub(crate) fn new(head: &'a ResponseHead) -> Self {
        Self {
            named: Named::of(head.fields()),
            keeps_length: head.framing == Framing::None && head.status >= 200 && head.status != 204,
        }
    }

    /// True when the field goes on.
    pub(crate) fn keeps(&self, field: &Field<'_>) -> bool {
        match field.known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthenticate
            | Known::TransferEncoding
            | Known::Te
            | Known::Upgrade => false,
            Known::ContentLength => self.keeps_length,
            Known::Other => !self.named.has(field),
            _ => true,
        }
    }
}

/// Writes a response's head as it goes to an HTTP/1 client.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead, edit: &ResponseEdit<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let filter = ResponseFilter::new(head);
    for field in head.fields() {
        if filter.keeps(&field) {
            write_field(out, field.name, field.value);
        }
    }
    if let Some(cookie) = edit.set_cookie {
        write_field(out, b"Set-Cookie", cookie);
    }
    match edit.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(n) => write_length(out, n),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if head.status == 101 {
        write_upgrade(out, upgrade(head).unwrap_or_default());
    } else if head.status >= 200 {
        if edit.close {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if edit.version == Version::Http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// True when the response says which protocol it changes to (RFC 9110, section 15.2.2).
pub(crate) fn names_upgrade(head: &ResponseHead) -> bool {
    upgrade(head).is_some_and(|protocol| !protocol.is_empty())
}

fn upgrade(head: &ResponseHead) -> Option<&[u8]> {
    let mut fields = head.fields();
    let field = fields.find(|field| field.known == Known::Upgrade)?;
    Some(field.value)
}

/// True when the response may be stored and given to others, so that it must not carry anybody's
/// identity (RFC 9111, section 5.2.2).
pub(crate) fn is_shared(head: &ResponseHead) -> bool {
    head.fields()
        .filter(|field| field.known == Known::CacheControl)
        .any(|field| {
            field.value.split(|&byte| byte == b',').any(|directive| {
                let directive = directive.trim_ascii();
                directive.eq_ignore_ascii_case(b"public")
                    || directive
                        .get(..8)
                        .is_some_and(|start| start.eq_ignore_ascii_case(b"s-maxage"))
            })
        })
}
