//! A socket that speaks HTTP/1, with what was read from it and is not used yet.
//!
//! Both the clients and the origins of the tests read through it. It reads what a well-behaved peer
//! would and tells exactly how a message ended, which is what the tests are about.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::message::{End, Message, field};
use crate::support::wait::within;

/// How much is read at once.
const READ: usize = 64 * 1024;

/// What a wire may run over: TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Sees every byte that is read.
pub(crate) type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// A socket that speaks HTTP/1.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    tap: Option<Tap>,
    reset: bool,
}

impl Wire {
    /// Makes a wire over a stream.
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
            tap: None,
            reset: false,
        }
    }

    /// Lets `tap` see every byte that is read from now on.
    pub(crate) fn tapped(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Writes bytes; panics when the peer does not take them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes)
            .await
            .expect("the peer takes the bytes");
    }

    /// Writes bytes; an error is the peer being gone.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let written = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        within("writing", written).await
    }

    /// Writes bytes for as long as the peer takes.
    pub(crate) async fn send_patiently(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the writing side and keeps reading.
    pub(crate) async fn finish(&mut self) {
        within("ending the writing side", self.stream.shutdown())
            .await
            .expect("the writing side ends");
    }

    /// Reads a head up to its empty line; nothing when the peer ended before its first byte.
    pub(crate) async fn head(&mut self) -> Option<Message> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Some(Message::from_head(&head));
            }
            if !self.fill().await {
                let rest = String::from_utf8_lossy(&self.buffer);
                assert!(rest.is_empty(), "a head was cut: {rest:?}");
                return None;
            }
        }
    }

    /// Reads a response to `method`, interim ones too; panics when the peer ends before it.
    pub(crate) async fn response(&mut self, method: &str) -> Message {
        let answered = self.try_response(method).await;
        let reset = self.reset;
        answered.unwrap_or_else(|| panic!("no response to {method}; reset: {reset}"))
    }

    /// Reads a response to `method`; nothing when the peer ended before its first byte.
    pub(crate) async fn try_response(&mut self, method: &str) -> Option<Message> {
        let mut message = self.head().await?;
        if method != "HEAD" && !matches!(message.status, 100..200 | 204 | 304) {
            self.body(&mut message, true).await;
        }
        Some(message)
    }

    /// Reads a request's body into it.
    pub(crate) async fn request_body(&mut self, message: &mut Message) {
        self.body(message, false).await;
    }

    /// Reads a response's body into it.
    pub(crate) async fn response_body(&mut self, message: &mut Message) {
        self.body(message, true).await;
    }

    /// Reads until there are `n` bytes and takes them; fewer only when the peer ended.
    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n && self.fill().await {}
        self.buffer.drain(..n.min(self.buffer.len())).collect()
    }

    /// Reads what has come already, without waiting; true when there is something to take, or the
    /// end.
    pub(crate) async fn poll(&mut self) -> bool {
        let filling = self.fill();
        // A future that is not ready at its first poll has nothing to read.
        futures_util::future::poll_immediate(filling)
            .await
            .is_some()
            || !self.buffer.is_empty()
    }

    /// Takes what is there, or reads once; nothing when the peer ended.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads until the peer ends and takes all of it.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Waits until the peer ends; panics when it sends something before that.
    pub(crate) async fn ended(&mut self) {
        let rest = self.rest().await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty(), "instead of the end came {rest:?}");
    }

    /// The stream and the bytes that were read and not used.
    pub(crate) fn into_parts(self) -> (Box<dyn Stream>, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Reads once more; false when the peer ended.
    async fn fill(&mut self) -> bool {
        let start = self.buffer.len();
        self.buffer.reserve(READ);
        // Nothing is lost when this is not awaited to its end.
        let read = within("reading", self.stream.read_buf(&mut self.buffer)).await;
        let n = read.unwrap_or_else(|_| {
            self.reset = true;
            0
        });
        if let Some(tap) = &mut self.tap {
            tap(&self.buffer[start..]);
        }
        n > 0
    }

    /// Reads a body by the framing that the head tells.
    async fn body(&mut self, message: &mut Message, until_close: bool) {
        let chunked = message
            .values("transfer-encoding")
            .iter()
            .any(|coding| coding.to_ascii_lowercase().contains("chunked"));
        if chunked {
            message.end = self.chunks(message).await;
        } else if let Some(length) = message.values("content-length").first() {
            let length: usize = length.parse().expect("a length");
            message.body = self.take(length).await;
            if message.body.len() < length {
                message.end = End::Cut;
            }
        } else if until_close {
            message.body = self.rest().await;
            if self.reset {
                message.end = End::Cut;
            }
        }
    }

    /// Reads chunks and trailers.
    async fn chunks(&mut self, message: &mut Message) -> End {
        loop {
            let Some(line) = self.line().await else {
                return End::Cut;
            };
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            let data = self.take(size).await;
            let whole = data.len() == size;
            message.body.extend(data);
            if !whole {
                return End::Cut;
            }
            match self.take(2).await.as_slice() {
                b"\r\n" => {}
                [] | [_] => return End::Cut,
                other => panic!("a chunk ends with {other:?}"),
            }
        }
        loop {
            match self.line().await {
                None => return End::Cut,
                Some(line) if line.is_empty() => return End::Clean,
                Some(line) => message.trailers.push(field(&line)),
            }
        }
    }

    /// Reads a line and takes it without its CRLF; nothing when the peer ended before its end.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }
}

/// Where `needle` begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}
