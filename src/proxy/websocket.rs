//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT is the GET that it would be in HTTP/1.1
//! (RFC 6455, section 4.1), to everybody from here on.
//!
//! So it is matched, divided, counted and logged as that GET, with the fields `connection`,
//! `upgrade` and `sec-websocket-*`, and what answers it is 101.

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
    let Some(key) = request.field(KEY.as_bytes()) else {
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
    use crate::proxy::websocket::{ask, is_opened};

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
