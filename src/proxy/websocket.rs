//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT is the GET that it would be in HTTP/1.1
//! (RFC 6455, section 4.1), to everybody from here on.
//!
//! So it is matched, divided, counted and logged as that GET, with the fields `connection`,
//! `upgrade` and `sec-websocket-*`, and what answers it is 101. Likewise the other way round: what
//! goes to an upstream that speaks HTTP/2 is an extended CONNECT, and its success is that 101.

use crate::http1::{WEBSOCKET_VERSION, websocket_accept, websocket_key};
use crate::message::{Framing, Known, RequestHead, ResponseHead};
use crate::proxy::headers;

/// The name of the protocol, as `:protocol` and Upgrade say it.
pub(crate) const PROTOCOL: &str = "websocket";

/// The fields of the handshake that HTTP/2 has no use for.
pub(crate) const KEY: &str = "sec-websocket-key";
pub(crate) const ACCEPT: &str = "sec-websocket-accept";
const VERSION: &str = "sec-websocket-version";

/// Makes the request for a WebSocket of a head that has the fields of an extended CONNECT.
pub(crate) fn ask(head: &mut RequestHead, random: [u8; 16]) {
    head.method = head.append(b"GET");
    // What follows is the tunnel's.
    head.framing = Framing::None;
    head.append_field(b"connection", b"Upgrade");
    head.append_field(b"upgrade", PROTOCOL.as_bytes());
    head.append_field(KEY.as_bytes(), websocket_key(random).as_bytes());
    if head.field(VERSION.as_bytes()).is_none() {
        head.append_field(VERSION.as_bytes(), WEBSOCKET_VERSION);
    }
}

/// True when a response with 101 opens the WebSocket that the request asked for (RFC 6455, section
/// 4.1). That there is no subprotocol or extension which nobody asked for, the client sees itself.
pub(crate) fn is_opened(request: &RequestHead, response: &ResponseHead) -> bool {
    let Some(key) = key(request) else {
        return false;
    };
    let mut accepts = response
        .fields()
        .filter(|field| field.is(ACCEPT.as_bytes()));
    let is_answer = accepts
        .next()
        .is_some_and(|field| field.value == websocket_accept(key).as_bytes());
    is_answer
        && accepts.next().is_none()
        && headers::names_upgrade(response)
        && response
            .fields()
            .filter(|field| field.known == Known::Connection)
            .any(|field| headers::has_token(field.value, b"upgrade"))
}

/// Makes the answer of HTTP/1.1 of a success that opens the WebSocket on a stream of HTTP/2 with an
/// upstream; any other status stays what it is.
pub(crate) fn answer(request: &RequestHead, response: &mut ResponseHead) {
    if !(200..300).contains(&response.status) {
        return;
    }
    response.status = 101;
    response.reason = response.append(b"Switching Protocols");
    response.framing = Framing::None;
    // It answers a key, and the endpoint saw none (RFC 8441, section 5).
    response.remove_fields(ACCEPT.as_bytes());
    response.append_field(b"upgrade", PROTOCOL.as_bytes());
    if let Some(key) = key(request) {
        let accept = websocket_accept(key);
        response.append_field(ACCEPT.as_bytes(), accept.as_bytes());
    }
}

/// The key of a request: the only one, and of 16 bytes in base64 (RFC 6455, section 4.1).
pub(crate) fn key(request: &RequestHead) -> Option<&[u8]> {
    let mut keys = request.fields().filter(|field| field.is(KEY.as_bytes()));
    let key = keys.next()?.value;
    let digits = key.strip_suffix(b"==")?;
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_key = digits.len() == 22 && digits.iter().all(is_digit);
    (is_key && keys.next().is_none()).then_some(key)
}

/// 16 bytes for a key.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // A key keeps caches from answering, no secret: what it is made of need not be random.
    let _worked = getrandom::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use crate::message::{RequestHead, ResponseHead, Version};
    use crate::proxy::headers::asks_for_upgrade;
    use crate::proxy::websocket::{answer, ask, is_opened, key};

    fn asked(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead {
            version: Version::Http2,
            ..RequestHead::default()
        };
        for (name, value) in fields {
            head.append_field(name.as_bytes(), value.as_bytes());
        }
        ask(&mut head, *b"the sample nonce");
        head
    }

    #[test]
    fn an_extended_connect_is_the_get_of_http_1() {
        let head = asked(&[("sec-websocket-protocol", "chat")]);
        assert_eq!(head.method(), b"GET");
        assert_eq!(asks_for_upgrade(&head), Some(&b"websocket"[..]));
        let field = |name: &str| head.field(name.as_bytes()).unwrap_or_default();
        assert_eq!(field("sec-websocket-key"), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(field("sec-websocket-version"), b"13");
        assert_eq!(field("sec-websocket-protocol"), b"chat");
        let old = asked(&[("sec-websocket-version", "8")]);
        let version = |field: &crate::message::Field<'_>| field.is(b"sec-websocket-version");
        assert_eq!(old.fields().filter(version).count(), 1);
    }

    #[track_caller]
    fn check(fields: &[(&str, &str)], opened: bool) {
        let mut response = ResponseHead::default();
        for (name, value) in fields {
            let start = response.text.len();
            response.text.extend_from_slice(name.as_bytes());
            response.text.extend_from_slice(value.as_bytes());
            let middle = start + name.len();
            let name = crate::message::Span::new(start, middle);
            let value = crate::message::Span::new(middle, response.text.len());
            response.fields.push(&response.text, name, value);
        }
        assert_eq!(is_opened(&asked(&[]), &response), opened, "{fields:?}");
    }

    #[test]
    fn a_success_of_http_2_is_the_answer_of_http_1() {
        let request = asked(&[]);
        for (status, expected) in [(200, 101), (204, 101), (403, 403), (302, 302)] {
            let mut response = ResponseHead {
                status,
                ..ResponseHead::default()
            };
            response.append_field(b"sec-websocket-accept", b"of another key");
            answer(&request, &mut response);
            assert_eq!(response.status, expected);
            response.append_field(b"connection", b"upgrade");
            assert_eq!(is_opened(&request, &response), expected == 101);
        }
    }

    #[test]
    fn a_key_is_one_of_16_bytes() {
        let with = |values: &[&str]| {
            let mut head = RequestHead::default();
            for value in values {
                head.append_field(b"Sec-WebSocket-Key", value.as_bytes());
            }
            key(&head).is_some()
        };
        let good = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(with(&[good]));
        assert!(!with(&[]) && !with(&[good, good]));
        assert!(!with(&["dGhlIHNhbXBsZSBub25jZQ"]) && !with(&[""]));
        assert!(!with(&["dGhlIHNhbXBsZSBub25jZ!=="]));
    }

    #[test]
    fn a_websocket_is_opened_by_all_three_fields_and_the_right_answer() {
        let connection = ("Connection", "Upgrade");
        let upgrade = ("Upgrade", "WebSocket");
        let accept = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        check(&[connection, upgrade, accept], true);
        check(
            &[("connection", "keep-alive, upgrade"), upgrade, accept],
            true,
        );
        check(&[upgrade, accept], false);
        check(&[connection, accept], false);
        check(&[connection, upgrade], false);
        check(&[connection, ("upgrade", "h2c"), accept], false);
        check(&[connection, upgrade, accept, accept], false);
        let other = ("sec-websocket-accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        check(&[connection, upgrade, other], false);
        check(&[connection, upgrade, ("sec-websocket-accept", "")], false);
    }
}
