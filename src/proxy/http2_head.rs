//! A request's head as it comes by HTTP/2: what the `h2` crate has let through is checked here, so that it
//! means to whoever reads it as HTTP/1 what it means to us.
//!
//! The same rules hold as for a head of HTTP/1, and those of RFC 9113, section 8 besides.

use h2::ext::Protocol;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body::Body as _;

use crate::http1::codec::{HeadError, METHOD_BYTES, content_length, is_authority, is_origin_form};
use crate::listener::{ClientBody, Settings};
use crate::message::{Framing, RequestHead, Version};
use crate::proxy::Error;
use crate::proxy::websocket::{self, ACCEPT, KEY, PROTOCOL};

/// Fields that belong to an HTTP/1 connection and make an HTTP/2 request malformed (RFC 9113,
/// section 8.2.2).
const CONNECTION_FIELDS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Reads a request's head from HTTP/2.
///
/// # Errors
/// When it says two things at once, or what an HTTP/1 upstream could take for something else.
pub(crate) fn read(
    parts: &Parts,
    body: &ClientBody,
    head: &mut RequestHead,
    settings: &Settings,
) -> Result<(), Error> {
    head.version = Version::Http2;
    head.method = head.append(parts.method.as_str().as_bytes());
    let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
    let uri = &parts.uri;
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    head.target = head.append(target.as_bytes());
    head.path = head.append(uri.path().as_bytes());
    head.query = uri.query().map(|query| head.append(query.as_bytes()));
    if parts.method.as_str().len() > METHOD_BYTES {
        return Err(Error::Head(HeadError::NotImplemented));
    }
    if target.len() > settings.limits.uri_bytes {
        return Err(Error::Head(HeadError::UriTooLong));
    }
    if parts.headers.len() > settings.limits.fields {
        return Err(Error::Head(HeadError::TooLarge));
    }
    // One without a protocol has neither scheme nor path (RFC 9113, section 8.5).
    let is_connect = parts.method == http::Method::CONNECT && protocol.is_none();
    let is_asterisk = parts.method == http::Method::OPTIONS && target == "*";
    if !is_connect && !is_asterisk && !is_origin_form(target.as_bytes()) {
        return Err(Error::BadRequest("no valid :path"));
    }
    // The library keeps :scheme only beside :authority, and lets any scheme pass.
    let scheme = match uri.scheme_str() {
        None if is_connect || uri.authority().is_none() => "http",
        scheme => scheme.unwrap_or_default(),
    };
    if !matches!(scheme, "http" | "https") {
        return Err(Error::BadRequest("a :scheme other than http and https"));
    }
    let authority = authority(uri, &parts.headers)?;
    head.authority = head.append(authority);
    let mut length = None;
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        if CONNECTION_FIELDS.contains(&name.as_str()) {
            return Err(Error::BadRequest("a field of HTTP/1 connections in HTTP/2"));
        }
        // RFC 9113, section 8.2.1: white space around a value makes the request malformed.
        if value.trim_ascii().len() < value.len() {
            return Err(Error::BadRequest("white space around a value"));
        }
        if name == header::CONTENT_LENGTH {
            let said = content_length(value);
            if said.is_none() || length.is_some() {
                return Err(Error::BadRequest("malformed content-length"));
            }
            length = said;
        }
        // A WebSocket has its handshake from us.
        if protocol.is_some() && [KEY, ACCEPT].contains(&name.as_str()) {
            continue;
        }
        head.append_field(name.as_str().as_bytes(), value);
    }
    head.framing = match length {
        Some(length) => Framing::Length(length),
        None if body.is_end_stream() => Framing::None,
        None => Framing::Chunked,
    };
    match protocol {
        None => {}
        Some(protocol) if protocol.eq_ignore_ascii_case(PROTOCOL) => {
            websocket::ask(head, websocket::random());
        }
        Some(_) => return Err(Error::UnknownProtocol),
    }
    Ok(())
}

/// Whom the request is for, as `:authority` says it, or Host, or both alike (RFC 9113, section
/// 8.3.1).
fn authority<'p>(uri: &'p Uri, fields: &'p HeaderMap) -> Result<&'p [u8], Error> {
    let mut hosts = fields.get_all(header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(Error::BadRequest("more than one host"));
    }
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    if let (Some(authority), Some(host)) = (authority, host)
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err(Error::BadRequest(":authority and host differ"));
    }
    authority
        .or(host)
        .filter(|name| is_authority(name))
        .ok_or(Error::BadRequest("no valid :authority"))
}
