//! A request's head on its way to an upstream.

use bytes::Bytes;
use h2::ext::Protocol;
use http::uri::{self, Authority, PathAndQuery};
use http::{Method, Request, Uri};

use crate::listener::{ForwardedSource, Peer};
use crate::message::{Framing, Known, RequestHead, Scheme, Version};
use crate::proxy::Error;
use crate::proxy::headers::edits::FieldEdits;
use crate::proxy::headers::forwarded::write_forwarded;
use crate::proxy::headers::sink::Sink;
use crate::proxy::headers::{Named, has_token};
use crate::proxy::websocket::{self, KEY, PROTOCOL};

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
    /// Cookies that go no further than here, by their names; none where the request carries none.
    pub drop_cookies: &'a [String],
    /// A field that goes no further than here, by its name.
    pub drop_field: Option<&'a [u8]>,
    /// The fields that tell of flags, by their names; those that came are among what the route drops.
    pub flags: &'a [(&'a [u8], &'a [u8])],
    /// The request's id behind the name of its field, which takes the place of what came there.
    pub request_id: Option<(&'a [u8], &'a [u8])>,
    /// What the route changes in the fields that came.
    pub fields: Option<&'a FieldEdits>,
    /// What the route changes in the target.
    pub rewrite: Rewritten<'a>,
}

/// What another target a request has behind the proxy; by default the one that it came with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewritten<'a> {
    /// The path.
    pub path: Option<&'a [u8]>,
    /// The host, with or without a port.
    pub host: Option<&'a [u8]>,
    /// The prefix that was taken from the path: upstreams are told, so that their links can have it.
    pub prefix: Option<&'a [u8]>,
}

/// Refuses what must not be forwarded because of its fields alone.
///
/// # Errors
/// When the request has come through here before, or expects what nobody knows.
pub(crate) fn check_request(head: &RequestHead) -> Result<(), Error> {
    if !head.fields.has(Known::Via) && !head.fields.has(Known::Expect) {
        return Ok(());
    }
    let mut passed = 0;
    for field in head.fields() {
        match field.known {
            Known::Via => {
                passed += field
                    .value
                    .split(|&byte| byte == b',')
                    .filter(|hop| is_ours(hop))
                    .count();
            }
            // A client of HTTP/1.0 expects nothing (RFC 9110, section 10.1.1).
            Known::Expect
                if head.version != Version::Http10
                    && !field.value.eq_ignore_ascii_case(b"100-continue") =>
            {
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

/// True for a hop of Via that was this proxy: its protocol, its name, and maybe a comment.
fn is_ours(hop: &[u8]) -> bool {
    let mut words = hop
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words.nth(1).is_some_and(|name| name == PSEUDONYM)
}

/// The protocol that the request asks to change to, as HTTP/1.1 does (RFC 9110, section 7.8); one of
/// HTTP/2 does so only where we have put it so.
///
/// It is WebSocket (RFC 6455) or none: what an unknown protocol carries, nobody here can tell, and
/// in one that is HTTP again requests would pass that nobody has seen. Nor is it one of several,
/// which the upstream could choose from.
pub(crate) fn asks_for_upgrade(head: &RequestHead) -> Option<&[u8]> {
    let mut protocols = head.known(Known::Upgrade);
    let protocol = protocols.next()?.trim_ascii();
    let named = head
        .known(Known::Connection)
        .any(|value| has_token(value, b"upgrade"));
    let is_websocket =
        protocols.next().is_none() && protocol.eq_ignore_ascii_case(PROTOCOL.as_bytes());
    let asks = head.version != Version::Http10 && head.framing == Framing::None;
    (asks && named && is_websocket).then_some(protocol)
}

/// Writes a request's head as it goes to an HTTP/1.1 upstream.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead, edit: &RequestEdit<'_>) {
    out.extend_from_slice(head.method());
    out.push(b' ');
    write_target(out, head, edit);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(edit.rewrite.host.unwrap_or(head.authority()));
    out.extend_from_slice(b"\r\n");
    write_fields(out, head, edit);
    out.extend_from_slice(b"\r\n");
}

/// Makes a request's head as it goes to an HTTP/2 upstream (RFC 9113, section 8.3.1), over a
/// connection of this scheme: some servers refuse a request with another one.
///
/// # Errors
/// When its target or its method is none by the letter: HTTP/1 lets some pass that HTTP/2 refuses. And
/// when it asks for a WebSocket without a valid key.
pub(crate) fn http2_request(
    head: &RequestHead,
    edit: &RequestEdit<'_>,
    scheme: Scheme,
) -> Result<Request<()>, Error> {
    let mut target = Vec::new();
    write_target(&mut target, head, edit);
    let mut parts = uri::Parts::default();
    let path = PathAndQuery::from_maybe_shared(Bytes::from(target));
    parts.path_and_query = Some(path.map_err(|_| Error::BadRequest("invalid target"))?);
    let mut request = Request::new(());
    // RFC 9113, section 8.3.1: without an authority none is made up, and the library takes that
    // for a request of HTTP/1 that is passed on.
    let host = edit.rewrite.host.unwrap_or(head.authority());
    if host.is_empty() {
        *request.version_mut() = http::Version::HTTP_11;
    } else {
        let authority = Authority::try_from(host);
        parts.authority = Some(authority.map_err(|_| Error::BadRequest("invalid authority"))?);
        parts.scheme = Some(match scheme {
            Scheme::Http => uri::Scheme::HTTP,
            Scheme::Https => uri::Scheme::HTTPS,
        });
        *request.version_mut() = http::Version::HTTP_2;
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::BadRequest("invalid target"))?;
    *request.method_mut() =
        Method::from_bytes(head.method()).map_err(|_| Error::BadRequest("invalid method"))?;
    request.headers_mut().reserve(head.fields.len() + 8);
    write_fields(request.headers_mut(), head, edit);
    if edit.upgrade.is_some() {
        // Nobody behind us would see it.
        if websocket::key(head).is_none() {
            return Err(Error::BadRequest("no valid sec-websocket-key"));
        }
        // RFC 8441, section 4: what is an Upgrade in HTTP/1.1 is a CONNECT with a protocol here.
        *request.method_mut() = Method::CONNECT;
        request.headers_mut().remove(KEY);
        let protocol = Protocol::from_static(PROTOCOL);
        request.extensions_mut().insert(protocol);
    }
    Ok(request)
}

/// Writes the fields of a request as they go to an upstream, whichever protocol it speaks.
fn write_fields<S: Sink>(out: &mut S, head: &RequestHead, edit: &RequestEdit<'_>) {
    let named = Named::of(head.fields.known(&head.text, Known::Connection));
    let mut cookies = 0;
    let mut trailers = false;
    for field in head.fields() {
        let is_private = edit.drop_field.is_some_and(|name| field.is(name));
        if is_private || edit.fields.is_some_and(|edits| edits.drop(field.name)) {
            continue;
        }
        match field.known {
            Known::Other if named.has(&field) => continue,
            Known::Other if edit.request_id.is_some_and(|(name, _)| field.is(name)) => continue,
            Known::Host
            | Known::Connection
            | Known::KeepAlive
            // Half of a way into HTTP/2 that is no more (RFC 9113, section 3.1).
            | Known::Http2Settings
            | Known::ProxyConnection
            | Known::ProxyAuthorization
            | Known::ProxyAuthenticate
            | Known::TransferEncoding
            | Known::ContentLength
            | Known::Assignment
            | Known::ClientCert
            | Known::Upgrade => continue,
            Known::Expect if head.version == Version::Http10 => continue,
            Known::Te => {
                trailers |= has_token(field.value, b"trailers");
                continue;
            }
            // HTTP/2 may send a cookie field for each cookie; HTTP/1 wants one (RFC 9113, 8.2.3).
            Known::Cookie if head.version == Version::Http2 || !edit.drop_cookies.is_empty() => {
                cookies += 1;
                continue;
            }
            Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XForwardedPrefix
            | Known::XForwardedProto
            | Known::Forwarded
            | Known::XRealIp => {
                // Nobody's word but a trusted proxy's; what is appended to is written below.
                let kept = edit.trusted
                    && match field.known {
                        Known::XForwardedFor => false,
                        Known::XForwardedPrefix => edit.rewrite.prefix.is_none(),
                        Known::Forwarded => edit.source != ForwardedSource::Forwarded,
                        _ => true,
                    };
                if !kept {
                    continue;
                }
            }
            _ => {}
        }
        out.passed(&field, &head.text);
    }
    if cookies > 0 {
        write_cookies(out, head, edit.drop_cookies);
    }
    if let Some(edits) = edit.fields {
        out.added(edits);
    }
    match head.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(n) => out.length(n),
        Framing::Chunked => out.unsized_body(),
    }
    if let Some(protocol) = edit.upgrade {
        out.upgrade(protocol);
    } else if trailers {
        out.trailers_welcome();
    }
    write_forwarded(out, head, edit);
    if let Some((name, id)) = edit.request_id {
        out.field(name, id);
    }
    for (name, variant) in edit.flags {
        out.field(name, variant);
    }
    if let Some(identity) = &edit.from.identity {
        out.field(b"Client-Cert", identity.certificate.as_bytes());
        out.field(b"X-Client-Cert-Subject", identity.subject.as_bytes());
        out.field(
            b"X-Client-Cert-Fingerprint",
            identity.fingerprint.as_bytes(),
        );
    }
    out.field(
        b"Via",
        match head.version {
            Version::Http10 => b"1.0 tidegate",
            Version::Http11 => b"1.1 tidegate",
            Version::Http2 => b"2.0 tidegate",
        },
    );
}

/// The target in origin form (RFC 9112, section 3.2.1), which is how a server is asked.
fn write_target(out: &mut Vec<u8>, head: &RequestHead, edit: &RequestEdit<'_>) {
    let path = edit.rewrite.path.unwrap_or(head.path());
    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

/// Writes one Cookie field of all cookies but those that are ours.
fn write_cookies<S: Sink>(out: &mut S, head: &RequestHead, drop: &[String]) {
    let mut pairs = head.cookie_pairs().filter(|pair| {
        let is_ours = |ours: &String| {
            let after = pair
                .strip_prefix(ours.as_bytes())
                .map(<[u8]>::trim_ascii_start);
            after.is_some_and(|after| after.is_empty() || after.starts_with(b"="))
        };
        !drop.iter().any(is_ours)
    });
    let Some(first) = pairs.next() else {
        return;
    };
    out.composed(b"Cookie", |out| {
        out.extend_from_slice(first);
        for pair in pairs {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(pair);
        }
    });
}
