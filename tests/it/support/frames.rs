//! An HTTP/2 client that writes its frames by hand, for requests that no client library would send.
//!
//! Fields go as literals without Huffman coding (RFC 7541, section 6.2.2); of responses it reads
//! only what the tests ask about: the status, the data, and resets.

use crate::support::wire::{Stream, Wire};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The largest frame that every peer takes (RFC 9113, section 4.2).
const FRAME_BYTES: usize = 16_384;

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// A response with this status.
    Status(u16),
    /// The stream was reset with this error code.
    Reset(u32),
    /// The connection was given up with this error code.
    Goaway(u32),
    /// The connection was closed.
    Gone,
}

/// What comes on a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A head with this status, or trailers (0); true when it ends the stream.
    Head(u16, bool),
    /// Data; true when it ends the stream.
    Data(Vec<u8>, bool),
    /// It was reset with this error code.
    Reset(u32),
    /// The connection was given up with this error code.
    Goaway(u32),
    /// The connection was closed.
    Gone,
}

/// An HTTP/2 connection written by hand.
pub(crate) struct Frames {
    wire: Wire,
    settings: Vec<(u16, u32)>,
    /// What the peer has given in room for the connection, beyond what it begins with.
    room: u64,
    /// Pings that are not answered yet, where they wait.
    pings: Option<Vec<Vec<u8>>>,
    /// What is gathered to be sent together.
    gathered: Option<Vec<u8>>,
}

impl Frames {
    /// Begins a connection.
    pub(crate) async fn begin(stream: impl Stream + 'static) -> Self {
        let mut wire = Wire::new(stream);
        let mut bytes = PREFACE.to_vec();
        frame(&mut bytes, SETTINGS, 0, 0, &[]);
        wire.send(bytes).await;
        Self::with(wire)
    }

    /// Goes on with a connection whose preface was sent.
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self::with(Wire::new(stream))
    }

    fn with(wire: Wire) -> Self {
        Self {
            wire,
            settings: Vec::new(),
            room: 0,
            pings: None,
            gathered: None,
        }
    }

    /// Gathers what is sent from now on, so that the peer gets it at once.
    pub(crate) fn gather(&mut self) {
        self.gathered = Some(Vec::new());
    }

    /// Sends what was gathered.
    pub(crate) async fn send_gathered(&mut self) {
        let bytes = self.gathered.take().unwrap_or_default();
        self.send(bytes).await;
    }

    /// Sends bytes; whoever refuses may have hung up already.
    async fn send(&mut self, bytes: Vec<u8>) {
        match &mut self.gathered {
            Some(gathered) => gathered.extend(bytes),
            None => self.wire.try_send(bytes).await.unwrap_or_default(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: Vec<u8>) {
        self.send(bytes).await;
    }

    /// Sends a ping and waits for its answer; false when the connection ends instead.
    pub(crate) async fn ping(&mut self) -> bool {
        self.frame(PING, 0, 0, b"are you?").await;
        loop {
            let head = self.wire.take(9).await;
            let Ok(head) = <[u8; 9]>::try_from(head) else {
                return false;
            };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let payload = self.wire.take(length as usize).await;
            if head[3] == PING && head[4] == ACK && payload == b"are you?" {
                return true;
            }
        }
    }

    /// Lets the peer wait for answers to its pings.
    pub(crate) fn hold_pings(&mut self) {
        self.pings = Some(Vec::new());
    }

    /// How many pings wait for an answer.
    pub(crate) fn n_pings(&self) -> usize {
        self.pings.as_ref().map_or(0, Vec::len)
    }

    /// Answers the pings that wait, and from now on every one at once.
    pub(crate) async fn answer_pings(&mut self) {
        for payload in self.pings.take().unwrap_or_default() {
            self.frame(PING, ACK, 0, &payload).await;
        }
    }

    /// What the peer has given in room for the connection, beyond what it begins with.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }

    /// Sends a request without a body on a stream: pseudo-fields and fields as they are given.
    pub(crate) async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(stream, fields, END_HEADERS | END_STREAM).await;
    }

    /// Sends a request's head, with a body to come.
    pub(crate) async fn request_head(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(stream, fields, END_HEADERS).await;
    }

    /// Makes room for so many bytes more on a stream, or on the connection by the number 0.
    pub(crate) async fn window_update(&mut self, stream: u32, bytes: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
            .await;
    }

    /// Sends the last data of a request.
    pub(crate) async fn last_data(&mut self, stream: u32, data: &[u8]) {
        let mut bytes = Vec::new();
        frame(&mut bytes, DATA, END_STREAM, stream, data);
        self.send(bytes).await;
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

    /// Sends data that is not the last.
    pub(crate) async fn data(&mut self, stream: u32, data: &[u8]) {
        self.frame(DATA, 0, stream, data).await;
    }

    /// Sends trailers, or whatever else is a second block of fields, as the end of a request.
    pub(crate) async fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.headers(stream, fields, END_HEADERS | END_STREAM).await;
    }

    /// Resets a stream.
    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.frame(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    /// Sends pieces of a head without an end, until the peer has had enough or all were sent.
    pub(crate) async fn endless_head(&mut self, stream: u32, fields: &[(&str, &str)], n: usize) {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, END_STREAM, stream, &block(fields));
        for _ in 0..n {
            frame(&mut bytes, CONTINUATION, 0, stream, &block(fields));
            if self.wire.try_send(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
        }
    }

    /// Sends any frame.
    pub(crate) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame(&mut bytes, kind, flags, stream, payload);
        self.send(bytes).await;
    }

    /// Waits for what becomes of the request on a stream.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            match self.event(stream).await {
                Event::Head(status, _) => return Outcome::Status(status),
                Event::Reset(code) => return Outcome::Reset(code),
                Event::Goaway(code) => return Outcome::Goaway(code),
                Event::Gone => return Outcome::Gone,
                Event::Data(..) => {}
            }
        }
    }

    /// Waits for what comes next on a stream.
    pub(crate) async fn event(&mut self, stream: u32) -> Event {
        loop {
            let head = self.wire.take(9).await;
            let Ok(head) = <[u8; 9]>::try_from(head) else {
                return Event::Gone;
            };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let (kind, flags) = (head[3], head[4]);
            let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let payload = self.wire.take(length as usize).await;
            let ends = flags & END_STREAM != 0;
            match kind {
                HEADERS if on == stream => return Event::Head(status(&payload), ends),
                DATA if on == stream => return Event::Data(payload, ends),
                RST_STREAM if on == stream => return Event::Reset(number(&payload)),
                SETTINGS if flags & ACK == 0 => {
                    self.settings.extend(payload.chunks(6).map(setting));
                    self.frame(SETTINGS, ACK, 0, &[]).await;
                }
                PING if flags & ACK == 0 => match &mut self.pings {
                    Some(pings) => pings.push(payload),
                    None => self.frame(PING, ACK, 0, &payload).await,
                },
                WINDOW_UPDATE if on == 0 => self.room += u64::from(number(&payload)),
                GOAWAY if number(&payload[4..]) != 0 => {
                    return Event::Goaway(number(&payload[4..]));
                }
                _ => {}
            }
        }
    }

    /// What the peer said for a setting (RFC 9113, section 6.5.1), once something has come after it.
    pub(crate) fn setting(&self, id: u16) -> Option<u32> {
        let mut settings = self.settings.iter().rev();
        settings
            .find(|(known, _)| *known == id)
            .map(|(_, value)| *value)
    }

    async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        let block = block(fields);
        let mut pieces = block.chunks(FRAME_BYTES).peekable();
        let mut bytes = Vec::new();
        let mut kind = HEADERS;
        let mut first = flags & !END_HEADERS;
        loop {
            let piece = pieces.next().unwrap_or_default();
            let last = pieces.peek().is_none();
            let end = if last { flags & END_HEADERS } else { 0 };
            frame(&mut bytes, kind, first | end, stream, piece);
            if last {
                break;
            }
            (kind, first) = (CONTINUATION, 0);
        }
        self.send(bytes).await;
    }
}

/// A frame (RFC 9113, section 4.1).
pub(crate) fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, kind, flags, stream, payload);
    bytes
}

/// Writes fields as literals without indexing (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
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

/// Writes a string literal (RFC 7541, sections 5.1 and 5.2).
fn literal(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).expect("it is short"));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(0x80 | u8::try_from(length % 128).expect("it is small"));
            length /= 128;
        }
        block.push(u8::try_from(length).expect("it is small"));
    }
    block.extend_from_slice(text.as_bytes());
}

/// Reads `:status` at the start of a block: an entry of the static table, or a literal with its
/// name from there. 0 when there is none.
fn status(block: &[u8]) -> u16 {
    // A size update of the dynamic table may come first (RFC 7541, section 6.3).
    let block = match block {
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        all => all,
    };
    match block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        // 8 is :status; with incremental indexing, without, or never indexed.
        [0x48 | 0x08 | 0x18, 3, a, b, c, ..] => [a, b, c]
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(*digit - b'0')),
        [0x48 | 0x08 | 0x18, length, rest @ ..] if length & 0x80 != 0 => {
            digits(&rest[..usize::from(length & 0x7f)])
        }
        _ => 0,
    }
}

/// Reads digits in Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, 3 to 9 have six.
fn digits(bytes: &[u8]) -> u16 {
    let all = bytes
        .iter()
        .fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    let mut left = 8 * bytes.len();
    let mut number = 0;
    for _ in 0..3 {
        let five = all >> (left - 5) & 0x1f;
        let (digit, bits) = match five {
            0..=2 => (five, 5),
            _ => ((all >> (left - 6) & 0x3f) - 0x19 + 3, 6),
        };
        number = number * 10 + u16::try_from(digit).expect("a digit");
        left -= bits;
    }
    number
}

/// Reads a setting (RFC 9113, section 6.5.1).
fn setting(bytes: &[u8]) -> (u16, u32) {
    let id = u16::from_be_bytes([bytes[0], bytes[1]]);
    (id, number(&bytes[2..]))
}

/// Reads a number of four bytes.
fn number(bytes: &[u8]) -> u32 {
    let bytes = bytes.first_chunk().expect("four bytes");
    u32::from_be_bytes(*bytes)
}
