//! Where a head ends, and how early it fails.

use crate::http1::codec::{HeadError, HeadScanner};
use crate::message::Limits;

/// Feeds byte by byte; tells the outcome and after how many bytes it was clear.
fn scan(bytes: &[u8], limits: &Limits) -> (usize, Result<Option<usize>, HeadError>) {
    let mut scanner = HeadScanner::default();
    for end in 0..=bytes.len() {
        match scanner.scan(&bytes[..end], limits) {
            Ok(None) => {}
            outcome => return (end, outcome),
        }
    }
    (bytes.len(), Ok(None))
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, seen: usize, status: u16) {
    let bytes = bytes.as_ref();
    let (end, outcome) = scan(bytes, &Limits::default());
    let error = outcome.expect_err(&bytes.escape_ascii().to_string());
    assert_eq!(
        (end, error.status()),
        (seen, status),
        "{}",
        bytes.escape_ascii()
    );
    // In one piece it is the same error.
    let whole = HeadScanner::default().scan(bytes, &Limits::default());
    assert_eq!(whole, Err(error));
}

#[test]
fn a_head_ends_with_its_empty_line() {
    for (bytes, length) in [
        (&b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest"[..], 24),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", 20),
        (b"HTTP/1.1 200\r\n\r\n\r\n", 16),
        (b"x\r\n\r\n", 5),
    ] {
        assert_eq!(scan(bytes, &Limits::default()), (length, Ok(Some(length))));
        let whole = HeadScanner::default().scan(bytes, &Limits::default());
        assert_eq!(whole, Ok(Some(length)));
    }
    for bytes in [&b""[..], b"\r", b"\r\n", b"GET / HTTP/1.1\r\nA: b\r\n\r"] {
        assert_eq!(scan(bytes, &Limits::default()).1, Ok(None));
    }
}

#[test]
fn it_fails_at_the_first_byte_that_cannot_be() {
    check(b"\x16\x03\x01\x02\x00", 1, 400);
    check(b" GET / HTTP/1.1\r\n", 1, 400);
    check(b"\nGET / HTTP/1.1\r\n", 1, 400);
    check(b"\rGET / HTTP/1.1\r\n", 2, 400);
    check(b"\r\n\r\nGET / HTTP/1.1\r\n", 3, 400);
    check(b"GET / HTTP/1.1\nHost: h\n\n", 15, 400);
    check(b"GET / HTTP/1.1\r\n\n", 17, 400);
    check(b"GET / HTTP/1.1\r\nHost: a\0b\r\n", 24, 400);
    check(b"GET / HTTP/1.1\r\nHost: a\rb\r\n", 25, 400);
    check(b"GET / HTTP/1.1\r\nHost: a\r\r\n", 25, 400);
    check(b"GET / HTTP/1.1\r\nHost: a\x7fb\r\n", 24, 400);
}

#[test]
fn a_first_line_without_end_is_a_target_or_a_method_too_long() {
    let limits = Limits::default();
    let longest = 64 + limits.uri_bytes + " ".len() + " HTTP/1.1\r\n".len();
    check(format!("GET /{}", "a".repeat(9000)), longest, 414);
    check("G".repeat(9000), longest, 501);
    // The empty line before it is no part of the first line.
    check(format!("\r\nGET /{}", "a".repeat(9000)), longest + 2, 414);
    let exact = format!("{} /{} HTTP/1.1\r\n\r\n", "G".repeat(64), "a".repeat(8191));
    assert_eq!(scan(exact.as_bytes(), &limits).1, Ok(Some(exact.len())));
}

#[test]
fn a_head_without_end_is_too_large() {
    let limits = Limits::default();
    let lines = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(20_000));
    check(&lines, limits.head_bytes, 431);
    let line = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(70_000));
    check(&line, limits.head_bytes, 431);
    // Of two faults the first is told.
    check(
        format!("GET / HTTP/1.1\r\n\0{}", "b".repeat(70_000)),
        17,
        400,
    );
}

#[test]
fn a_scanner_is_used_again() {
    let limits = Limits::default();
    let mut scanner = HeadScanner::default();
    assert_eq!(
        scanner.scan(b"GET / HTTP/1.1\r\nA: b\r\n", &limits),
        Ok(None)
    );
    scanner.reset();
    assert_eq!(scanner.scan(b"x\r\n\r\n", &limits), Ok(Some(5)));
}
