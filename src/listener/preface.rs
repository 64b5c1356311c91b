//! Which version of HTTP a client speaks, where no handshake has agreed on it.
//!
//! Who knows that HTTP/2 is spoken here begins with its preface (RFC 9113, section 3.4), which is
//! made so that no request of HTTP/1 begins likewise: the first byte that differs tells.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::http1::{Deadline, take_buffer};
use crate::listener::Settings;
use crate::listener::drain::Handle;
use crate::tls::Stream;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes read at once: most heads come whole then.
const READ_BYTES: usize = 4 * 1024;

/// Which versions of HTTP the clients of a listener may speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spoken {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// All of them: by ALPN with TLS, by prior knowledge without.
    Both,
}

/// How a connection begins.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Beginning {
    /// With HTTP/1; these bytes of it have been read.
    Http1(Vec<u8>),
    /// With HTTP/2, likewise.
    Http2(Vec<u8>),
    /// With what may become either, and then nothing more in time.
    TooSlow,
    /// With nothing in time.
    Silence,
    /// Not at all.
    Nothing,
}

/// Reads from a connection until it is known which version it speaks.
pub(crate) async fn read(stream: &mut Stream, settings: &Settings, handle: &Handle) -> Beginning {
    let mut deadline = Deadline::new();
    deadline.set(settings.timeouts.first_byte);
    let mut begun = Vec::new();
    poll_fn(|context| {
        loop {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Beginning::Nothing),
                Poll::Pending => break,
            }
            if begun.is_empty() {
                begun = take_buffer();
                deadline.set(settings.timeouts.header);
            }
            begun.extend_from_slice(read.filled());
            if let Some(is_http2) = is_http2(&begun) {
                let begun = std::mem::take(&mut begun);
                return Poll::Ready(if is_http2 {
                    Beginning::Http2(begun)
                } else {
                    Beginning::Http1(begun)
                });
            }
        }
        if begun.is_empty() && handle.closes_idle() {
            return Poll::Ready(Beginning::Nothing);
        }
        ready!(deadline.poll(context));
        Poll::Ready(if begun.is_empty() {
            Beginning::Silence
        } else {
            Beginning::TooSlow
        })
    })
    .await
}

/// Tells whether a connection that begins with these bytes is one of HTTP/2; `None` when more of
/// them are needed.
fn is_http2(bytes: &[u8]) -> Option<bool> {
    let n = bytes.len().min(PREFACE.len());
    if bytes[..n] != PREFACE[..n] {
        return Some(false);
    }
    (n == PREFACE.len()).then_some(true)
}

#[cfg(test)]
mod tests {
    use crate::listener::preface::{PREFACE, is_http2};

    #[test]
    fn the_first_byte_that_differs_tells() {
        for n in 0..PREFACE.len() {
            assert_eq!(is_http2(&PREFACE[..n]), None, "{n} bytes of the preface");
            let mut other = PREFACE[..n].to_vec();
            other.push(PREFACE[n] ^ 1);
            assert_eq!(is_http2(&other), Some(false), "byte {n} differs");
        }
        assert_eq!(is_http2(PREFACE), Some(true));
        assert_eq!(is_http2(&[&PREFACE[..], b"and more"].concat()), Some(true));
    }

    #[test]
    fn no_request_of_http_1_is_one_of_http_2() {
        for request in ["PROPFIND / HTTP/1.1\r\n", "PRI / HTTP/1.1\r\n", "P", "\r\n"] {
            assert_ne!(is_http2(request.as_bytes()), Some(true), "{request}");
        }
        assert_eq!(is_http2(b"PRI * HTTP/1.1\r\n"), Some(false));
    }
}
