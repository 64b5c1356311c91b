//! An HTTP/2 client that writes its frames by hand, for requests that no client library would send.
//!
//! Fields go as literals without Huffman coding (RFC 7541, section 6.2.2); of responses it reads
//! only what the tests ask about: the status, when it is one of the static table's, and resets.

use crate::support::wire::{Stream, Wire};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// A response with this status (0: one that is not in the static table).
    Status(u16),
    /// The stream was reset with this error code.
    Reset(u32),
    /// The connection was closed.
    Gone,
}

/// An HTTP/2 connection written by hand.
pub(crate) struct Frames {
    wire: Wire,
}

impl Frames {
    /// Begins a connection.
    pub(crate) async fn begin(stream: impl Stream + 'static) -> Self {
        let mut wire = Wire::new(stream);
        let mut bytes = PREFACE.to_vec();
        frame(&mut bytes, SETTINGS, 0, 0, &[]);
        wire.send(bytes).await;
        Self { wire }
    }

    /// Goes on with a connection whose preface was sent.
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        let wire = Wire::new(stream);
        Self { wire }
    }

    /// Sends a request without a body on a stream: pseudo-fields and fields as they are given.
    pub(crate) async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(stream, fields, END_HEADERS | END_STREAM).await;
    }

    /// Sends a request's head, with a body to come.
    pub(crate) async fn request_head(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(stream, fields, END_HEADERS).await;
    }

    /// Sends the last data of a request.
    pub(crate) async fn last_data(&mut self, stream: u32, data: &[u8]) {
        let mut bytes = Vec::new();
        frame(&mut bytes, DATA, END_STREAM, stream, data);
        self.wire.send(bytes).await;
    }

    /// Sends a request and takes it back at once; an error is a connection that is gone.
    pub(crate) async fn try_request_and_reset(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let flags = END_HEADERS | END_STREAM;
        frame(&mut bytes, HEADERS, flags, stream, &block(fields));
        // RFC 9113, section 7: CANCEL.
        frame(&mut bytes, RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        self.wire.try_send(bytes).await
    }

    /// Waits for what becomes of the request on a stream.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let head = self.wire.take(9).await;
            let Ok(head) = <[u8; 9]>::try_from(head) else {
                return Outcome::Gone;
            };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let (kind, flags) = (head[3], head[4]);
            let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let payload = self.wire.take(length as usize).await;
            match kind {
                HEADERS if on == stream => return Outcome::Status(status(&payload)),
                RST_STREAM if on == stream => return Outcome::Reset(number(&payload)),
                SETTINGS | PING if flags & ACK == 0 => {
                    let mut bytes = Vec::new();
                    let echoed: &[u8] = if kind == PING { &payload } else { &[] };
                    frame(&mut bytes, kind, ACK, 0, echoed);
                    if self.wire.try_send(bytes).await.is_err() {
                        return Outcome::Gone;
                    }
                }
                GOAWAY if number(&payload[4..]) != 0 => return Outcome::Gone,
                _ => {}
            }
        }
    }

    async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, flags, stream, &block(fields));
        self.wire.send(bytes).await;
    }
}

/// Writes fields as literals without indexing (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        literal(&mut block, name);
        literal(&mut block, value);
    }
    block
}

/// Writes a frame (RFC 9113, section 4.1).
fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame");
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Writes a string literal of fewer than 127 bytes (RFC 7541, section 5.2).
fn literal(block: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 127, "too long for one byte of length: {text}");
    block.push(u8::try_from(text.len()).expect("it is short"));
    block.extend_from_slice(text.as_bytes());
}

/// Reads `:status` where the block begins with an entry of the static table, or a literal of it.
fn status(block: &[u8]) -> u16 {
    // A size update of the dynamic table may come first (RFC 7541, section 6.3).
    let block = match block {
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        all => all,
    };
    match block.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8a) => 206,
        Some(0x8b) => 304,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        _ => 0,
    }
}

/// Reads a number of four bytes.
fn number(bytes: &[u8]) -> u32 {
    let bytes = bytes.first_chunk().expect("four bytes");
    u32::from_be_bytes(*bytes)
}
