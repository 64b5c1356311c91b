//! How tests say what is a request's head, and what is none.

use crate::http1::codec::{HeadError, HeadScanner, read_request};
use crate::message::{Limits, RequestHead};

/// Scans and reads one whole head.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<RequestHead, HeadError> {
    let length = HeadScanner::default()
        .scan(bytes, limits)?
        .expect("a whole head");
    assert_eq!(length, bytes.len());
    let mut head = RequestHead::default();
    read_request(bytes, limits, &mut head)?;
    Ok(head)
}

/// Reads a head that must be one.
#[track_caller]
pub(crate) fn accept(bytes: &str) -> RequestHead {
    read(bytes.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{bytes:?}: {error}"))
}

/// Reads a head that must be refused with this status, and leave nothing behind.
#[track_caller]
pub(crate) fn refuse(bytes: impl AsRef<[u8]>, status: u16) {
    let bytes = bytes.as_ref();
    let text = bytes.escape_ascii();
    let mut head = RequestHead::default();
    head.append_field(b"old", b"value");
    match HeadScanner::default().scan(bytes, &Limits::default()) {
        Err(error) => assert_eq!(error.status(), status, "{text}: {error}"),
        Ok(_) => match read_request(bytes, &Limits::default(), &mut head) {
            Err(error) => {
                assert_eq!(error.status(), status, "{text}: {error}");
                assert!(head.text.is_empty() && head.fields.is_empty(), "{text}");
            }
            Ok(()) => panic!("{text} was accepted"),
        },
    }
}

/// A head with this target.
pub(crate) fn with_target(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A head with these lines beside Host.
pub(crate) fn with_lines(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}
