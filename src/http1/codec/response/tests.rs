//! What is a response's head, and how its body ends.

use crate::http1::codec::{Asked, HeadError, HeadScanner, read_response};
use crate::message::{Framing, Limits, ResponseHead, Version};

fn read(bytes: &[u8], asked: Asked) -> Result<ResponseHead, HeadError> {
    let limits = Limits::default();
    HeadScanner::default()
        .scan(bytes, &limits)?
        .expect("a whole head");
    let mut head = ResponseHead::default();
    read_response(bytes, &limits, asked, &mut head)?;
    Ok(head)
}

#[track_caller]
fn accept(bytes: &str, asked: Asked) -> ResponseHead {
    read(bytes.as_bytes(), asked).unwrap_or_else(|error| panic!("{bytes:?}: {error}"))
}

#[track_caller]
fn refuse(bytes: impl AsRef<[u8]>) -> HeadError {
    let bytes = bytes.as_ref();
    for asked in [Asked::Connect, Asked::Head, Asked::Other] {
        if let Ok(head) = read(bytes, asked) {
            panic!("{} was accepted as {head:?}", bytes.escape_ascii());
        }
    }
    read(bytes, Asked::Other).unwrap_err()
}

#[track_caller]
fn check(asked: Asked, status: u16, lines: &str, framing: Framing, keep_alive: bool) {
    let head = accept(&format!("HTTP/1.1 {status} X\r\n{lines}\r\n"), asked);
    assert_eq!((head.framing, head.keep_alive), (framing, keep_alive));
}

const LENGTH: &str = "Content-Length: 5\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn a_head_is_split_into_its_parts() {
    let head = accept(
        "HTTP/1.1 404 Not  Found\r\nA: b\r\nContent-Length: 3\r\n\r\n",
        Asked::Other,
    );
    assert_eq!(head.status, 404);
    assert_eq!(head.reason(), b"Not  Found");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.framing, Framing::Length(3));
    assert_eq!(head.fields().count(), 2);
}

#[test]
fn a_reason_may_be_empty_or_missing_or_not_ascii() {
    for (line, reason) in [
        ("HTTP/1.1 200 OK", &b"OK"[..]),
        ("HTTP/1.1 200 ", b""),
        ("HTTP/1.1 200", b""),
        ("HTTP/1.1 200  OK", b" OK"),
        ("HTTP/1.0 200 \u{fc}ber\tall", "\u{fc}ber\tall".as_bytes()),
    ] {
        let head = accept(&format!("{line}\r\n\r\n"), Asked::Other);
        assert_eq!(head.reason(), reason, "{line}");
    }
}

#[test]
fn a_status_line_is_exact() {
    for line in [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2000",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 099 Low",
        "HTTP/1.1 000 None",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 -20 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 O\u{1}K",
        "HTTP/1.1 200 O\u{7f}K",
        "ICY 200 OK",
        "200 OK",
    ] {
        refuse(format!("{line}\r\n\r\n"));
    }
    refuse("\r\nHTTP/1.1 200 OK\r\n\r\n");
    refuse("HTTP/1.1 200 OK\n\r\n");
    refuse("HTTP/1.1 200 OK\r\nA: b\n\r\n");
    for version in ["0.9", "1.2", "2.0", "3.0"] {
        let error = refuse(format!("HTTP/{version} 200 OK\r\n\r\n"));
        assert_eq!(error, HeadError::Version);
    }
}

#[test]
fn field_lines_are_as_strict_as_in_a_request() {
    for lines in [
        "A : b\r\n",
        " A: b\r\n",
        "A: b\r\n folded\r\n",
        "A: b\rc\r\n",
        "A: b\nC: d\r\n",
        "A: \0\r\n",
        "A\r\n",
        ": b\r\n",
    ] {
        refuse(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
    }
}

#[test]
fn a_body_ends_as_the_fields_say() {
    check(Asked::Other, 200, LENGTH, Framing::Length(5), true);
    check(Asked::Other, 200, CHUNKED, Framing::Chunked, true);
    check(Asked::Other, 200, "", Framing::UntilClose, false);
    let keep_alive = "Connection: keep-alive\r\n";
    check(Asked::Other, 200, keep_alive, Framing::UntilClose, false);
    let close = "Content-Length: 0\r\nConnection: close\r\n";
    check(Asked::Other, 200, close, Framing::Length(0), false);
    check(Asked::Connect, 407, LENGTH, Framing::Length(5), true);
    check(Asked::Other, 999, LENGTH, Framing::Length(5), true);
}

#[test]
fn some_responses_have_no_body_whatever_the_fields_say() {
    for lines in ["", LENGTH, CHUNKED] {
        check(Asked::Head, 200, lines, Framing::None, true);
        check(Asked::Other, 304, lines, Framing::None, true);
        check(Asked::Connect, 200, lines, Framing::None, true);
    }
    check(Asked::Other, 204, "", Framing::None, true);
    check(Asked::Other, 100, "", Framing::None, true);
    check(
        Asked::Other,
        101,
        "Connection: upgrade\r\n",
        Framing::None,
        true,
    );
}

#[test]
fn a_body_announced_where_there_is_none_ends_the_connection() {
    check(
        Asked::Other,
        204,
        "Content-Length: 0\r\n",
        Framing::None,
        true,
    );
    check(Asked::Other, 204, LENGTH, Framing::None, false);
    check(Asked::Other, 204, CHUNKED, Framing::None, false);
    check(Asked::Other, 103, LENGTH, Framing::None, false);
    refuse(format!("HTTP/1.1 103 Early Hints\r\n{CHUNKED}\r\n"));
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_refused() {
    for status in [200, 204, 304] {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: \r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            refuse(format!("HTTP/1.1 {status} X\r\n{lines}\r\n"));
        }
    }
    refuse(format!("HTTP/1.0 200 OK\r\n{CHUNKED}\r\n"));
}

#[test]
fn http_1_0_keeps_a_connection_only_when_both_want_it() {
    let keep_alive =
        |lines: &str| accept(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n"), Asked::Other).keep_alive;
    assert!(!keep_alive(LENGTH));
    assert!(keep_alive(
        "Content-Length: 5\r\nConnection: keep-alive\r\n"
    ));
    assert!(!keep_alive("Connection: keep-alive\r\n"));
}

#[test]
fn what_was_asked_is_told_by_the_method() {
    assert_eq!(Asked::by(b"HEAD"), Asked::Head);
    assert_eq!(Asked::by(b"CONNECT"), Asked::Connect);
    assert_eq!(Asked::by(b"GET"), Asked::Other);
    assert_eq!(Asked::by(b"head"), Asked::Other);
}
