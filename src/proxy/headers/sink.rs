//! Where a head is written to: bytes of HTTP/1, or the fields of an HTTP/2 message.
//!
//! What goes into a head is decided once, above this; here is only how each protocol says it.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::Field;
use crate::proxy::headers::edits::FieldEdits;

/// What takes the fields of a head, in their order.
pub(crate) trait Sink {
    /// Takes a field.
    fn field(&mut self, name: &[u8], value: &[u8]);

    /// Takes a field as it came in a head's `text`.
    fn passed(&mut self, field: &Field<'_>, text: &[u8]);

    /// Takes the fields that edits add.
    fn added(&mut self, edits: &FieldEdits);

    /// Takes a field whose value is made of several pieces.
    fn composed(&mut self, name: &[u8], compose: impl FnOnce(&mut Vec<u8>));

    /// Says that a body of this length follows.
    fn length(&mut self, n: u64);

    /// Says that a body follows whose end its framing tells.
    fn unsized_body(&mut self);

    /// Says that the connection changes to another protocol.
    fn upgrade(&mut self, protocol: &[u8]);

    /// Says that trailers are welcome.
    fn trailers_welcome(&mut self);

    /// Says that the connection is closed after this message.
    fn close(&mut self);

    /// Says to a peer that would not expect it that the connection is kept after this message.
    fn keep_alive(&mut self);
}

/// HTTP/1: field lines.
impl Sink for Vec<u8> {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.extend_from_slice(name);
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }

    fn passed(&mut self, field: &Field<'_>, text: &[u8]) {
        match field.line(text) {
            Some(line) => self.extend_from_slice(line),
            None => self.field(field.name, field.value),
        }
    }

    fn added(&mut self, edits: &FieldEdits) {
        self.extend_from_slice(edits.lines());
    }

    fn composed(&mut self, name: &[u8], compose: impl FnOnce(&mut Vec<u8>)) {
        self.extend_from_slice(name);
        self.extend_from_slice(b": ");
        compose(self);
        self.extend_from_slice(b"\r\n");
    }

    fn length(&mut self, n: u64) {
        self.extend_from_slice(b"Content-Length: ");
        write_number(self, n);
        self.extend_from_slice(b"\r\n");
    }

    fn unsized_body(&mut self) {
        self.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }

    fn upgrade(&mut self, protocol: &[u8]) {
        self.extend_from_slice(b"Connection: Upgrade\r\n");
        self.field(b"Upgrade", protocol);
    }

    fn trailers_welcome(&mut self) {
        self.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }

    fn close(&mut self) {
        self.extend_from_slice(b"Connection: close\r\n");
    }

    fn keep_alive(&mut self) {
        self.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

/// HTTP/2: names in lower case; framing, upgrades and the connection are none of the fields'
/// business (RFC 9113, section 8.2.2).
impl Sink for HeaderMap {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        // What was read as a field is one here, too; anything else must not go on.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            self.append(name, value);
        }
    }

    fn passed(&mut self, field: &Field<'_>, _: &[u8]) {
        self.field(field.name, field.value);
    }

    fn added(&mut self, edits: &FieldEdits) {
        for field in edits.added() {
            self.field(&field.name, &field.value);
        }
    }

    fn composed(&mut self, name: &[u8], compose: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::new();
        compose(&mut value);
        self.field(name, &value);
    }

    fn length(&mut self, n: u64) {
        // Digits are always a value.
        if let Ok(value) = HeaderValue::from_bytes(itoa::Buffer::new().format(n).as_bytes()) {
            self.insert(http::header::CONTENT_LENGTH, value);
        }
    }

    fn unsized_body(&mut self) {}

    fn upgrade(&mut self, _: &[u8]) {}

    fn trailers_welcome(&mut self) {
        self.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }

    fn close(&mut self) {}

    fn keep_alive(&mut self) {}
}

/// Writes a number in decimal.
pub(in crate::proxy::headers) fn write_number(out: &mut Vec<u8>, n: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
