//! A response's head in any bytes: no panic, the same outcome in one piece and byte by byte, and
//! what is accepted holds what `ResponseHead` promises.

use tidegate::http1::codec::{Asked, HeadError, HeadScanner, read_response};
use tidegate::message::{Framing, Limits, ResponseHead};

fn read(bytes: &[u8], step: usize, asked: Asked) -> Result<Option<ResponseHead>, HeadError> {
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
            let mut head = ResponseHead::default();
            read_response(&bytes[..length], &limits, asked, &mut head)?;
            return Ok(Some(head));
        }
        if end == bytes.len() {
            return Ok(None);
        }
        end = bytes.len().min(end + step);
    }
}

pub(in crate::statement) fn holds(bytes: &[u8]) {
    for asked in [Asked::Other, Asked::Head, Asked::Connect] {
        let whole = read(bytes, bytes.len().max(1), asked);
        let pieces = read(bytes, 1, asked);
        assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        let Ok(Some(head)) = whole else {
            continue;
        };
        assert!((100..1000).contains(&head.status));
        assert!(
            !head
                .reason()
                .iter()
                .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        );
        let has_none = head.status < 200 || matches!(head.status, 204 | 304);
        if has_none || asked == Asked::Head {
            assert_eq!(head.framing, Framing::None);
        }
        if head.framing == Framing::UntilClose {
            assert!(!head.keep_alive);
        }
        for field in head.fields() {
            assert!(
                !field
                    .value
                    .iter()
                    .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            );
        }
    }
}
