//! A response's head as it comes by HTTP/2.

use http::response::Parts;
use http::{HeaderMap, StatusCode, header};

use crate::http1::codec::{Asked, HeadError};
use crate::message::{Framing, ResponseHead, Version};
use crate::proxy::attempt::UPSTREAM_LIMITS;

/// Reads a head; `is_whole` when nothing follows it.
///
/// The library has checked what makes a message malformed (RFC 9113, section 8.1.1): fields of
/// connections, names in upper case, lengths that differ.
///
/// # Errors
/// When it has more fields than anybody needs.
pub(crate) fn read_response(
    parts: &Parts,
    is_whole: bool,
    asked: Asked,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    head.clear();
    if parts.headers.len() > UPSTREAM_LIMITS.fields {
        return Err(HeadError::TooLarge);
    }
    head.version = Version::Http2;
    head.status = parts.status.as_u16();
    head.framing = framing(parts, is_whole, asked);
    for (name, value) in &parts.headers {
        head.append_field(name.as_str().as_bytes(), value.as_bytes());
    }
    Ok(())
}

/// How the body ends; without a word of its length a stream's end tells it.
fn framing(parts: &Parts, is_whole: bool, asked: Asked) -> Framing {
    if has_no_body(parts.status, asked) {
        return Framing::None;
    }
    match length(&parts.headers) {
        Some(length) => Framing::Length(length),
        None if is_whole => Framing::None,
        None => Framing::Chunked,
    }
}

/// True where no body follows, whatever the fields say (RFC 9110, sections 6.4.1 and 9.3.2).
pub(crate) fn has_no_body(status: StatusCode, asked: Asked) -> bool {
    asked == Asked::Head
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Gives a head the usual phrase for its status, which HTTP/2 does not send.
pub(crate) fn name_status(head: &mut ResponseHead) {
    let status = StatusCode::from_u16(head.status).ok();
    if let Some(phrase) = status.and_then(|status| status.canonical_reason()) {
        head.reason = head.append(phrase.as_bytes());
    }
}

fn length(fields: &HeaderMap) -> Option<u64> {
    let length = fields.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::Response;

    use crate::http1::codec::Asked;
    use crate::message::{Framing, ResponseHead};
    use crate::proxy::stream::head::read_response;

    #[track_caller]
    fn check(status: u16, length: Option<&str>, is_whole: bool, asked: Asked, expected: Framing) {
        let mut response = Response::builder().status(status).header("x-a", "1");
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let mut head = ResponseHead::default();
        read_response(&parts, is_whole, asked, &mut head).unwrap();
        assert_eq!((head.status, head.framing), (status, expected));
        assert!(head.fields().any(|field| field.is(b"x-a")));
    }

    #[test]
    fn a_body_ends_by_its_length_or_with_its_stream() {
        check(200, Some("5"), false, Asked::Other, Framing::Length(5));
        check(200, None, false, Asked::Other, Framing::Chunked);
        check(200, None, true, Asked::Other, Framing::None);
        check(200, Some("0"), true, Asked::Other, Framing::Length(0));
    }

    #[test]
    fn what_has_no_body_has_none_whatever_it_says() {
        check(200, Some("5"), true, Asked::Head, Framing::None);
        check(200, None, false, Asked::Head, Framing::None);
        check(204, None, false, Asked::Other, Framing::None);
        check(304, Some("5"), true, Asked::Other, Framing::None);
        check(103, None, false, Asked::Other, Framing::None);
    }

    #[test]
    fn a_head_of_very_many_fields_is_refused() {
        let mut response = Response::new(());
        for n in 0..201 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            let value = http::HeaderValue::from_static("1");
            response.headers_mut().insert(name, value);
        }
        let (parts, ()) = response.into_parts();
        let mut head = ResponseHead::default();
        assert!(read_response(&parts, false, Asked::Other, &mut head).is_err());
    }
}
