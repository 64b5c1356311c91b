//! A request's head in any bytes: no panic, the same outcome in one piece and byte by byte, and
//! what is accepted holds what `RequestHead` promises.

use tidegate::http1::codec::{HeadError, HeadScanner, read_request};
use tidegate::message::{Known, Limits, RequestHead, Version};

fn read(bytes: &[u8], step: usize) -> Result<Option<(usize, RequestHead)>, HeadError> {
    let limits = Limits {
        head_bytes: 2048,
        fields: 8,
        uri_bytes: 256,
        body_bytes: None,
    };
    let mut scanner = HeadScanner::default();
    let mut end = 0;
    loop {
        if let Some(length) = scanner.scan(&bytes[..end], &limits)? {
            let mut head = RequestHead::default();
            read_request(&bytes[..length], &limits, &mut head)?;
            return Ok(Some((length, head)));
        }
        if end == bytes.len() {
            return Ok(None);
        }
        end = bytes.len().min(end + step);
    }
}

fn is_visible(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, 1);
    let text = |outcome: &Result<_, _>| format!("{outcome:?}");
    assert_eq!(text(&whole), text(&pieces));
    let Ok(Some((length, head))) = whole else {
        return;
    };
    assert!(bytes[..length].ends_with(b"\r\n\r\n"));
    assert!(!head.method().is_empty() && is_visible(head.method()));
    assert!(is_visible(head.target()) && is_visible(head.authority()));
    assert!(!head.target().contains(&b'#') && !head.authority().contains(&b'@'));
    assert!(head.known(Known::Host).count() <= 1);
    assert!(head.known(Known::ContentLength).count() <= 1);
    if head.version == Version::Http11 {
        assert!(!head.authority().is_empty());
    }
    match head.path() {
        b"" => assert_eq!(head.method(), b"CONNECT"),
        b"*" => assert_eq!(head.method(), b"OPTIONS"),
        path => assert!(path.starts_with(b"/")),
    }
    for field in head.fields() {
        assert!(!field.name.is_empty() && is_visible(field.name));
        assert!(
            !field
                .value
                .iter()
                .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        );
    }
}
