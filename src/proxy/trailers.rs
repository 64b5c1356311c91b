//! Trailers, from one protocol to the other.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http1::codec::is_forbidden_trailer;

/// Trailers as field lines, without those that belong into a head or are unwanted; HTTP/2 has
/// checked them as it checks fields.
pub(crate) fn write_trailers(trailers: &HeaderMap, unwanted: &[Box<[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in trailers {
        let is_unwanted = unwanted
            .iter()
            .any(|other| **other == *name.as_str().as_bytes());
        if is_unwanted || is_forbidden_trailer(name.as_str().as_bytes()) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Field lines as trailers; what HTTP/2 could not say is left out.
pub(crate) fn read_trailers(lines: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}
