//! What is a request's head, and what is none.

use crate::http1::codec::tests::requests::{accept, read, refuse, with_lines, with_target};
use crate::http1::codec::{HeadError, METHOD_BYTES, read_request};
use crate::message::{Framing, Limits, RequestHead, Version};

#[test]
fn a_head_is_split_into_its_parts() {
    let head =
        accept("GET /a/b?c=d?e HTTP/1.1\r\nHost: Example.com:80\r\nX-A:\t 1  2 \t\r\nE:\r\n\r\n");
    assert_eq!(head.method(), b"GET");
    assert_eq!(head.target(), b"/a/b?c=d?e");
    assert_eq!(head.path(), b"/a/b");
    assert_eq!(head.query(), Some(&b"c=d?e"[..]));
    assert_eq!(head.authority(), b"Example.com:80");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive);
    assert_eq!(head.fields.len(), 3);
    assert_eq!(head.field(b"x-a"), Some(&b"1  2"[..]));
    assert_eq!(head.field(b"e"), Some(&b""[..]));
}

#[test]
fn one_empty_line_may_come_before() {
    let head = accept("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(head.text.starts_with(b"GET"));
    assert_eq!(head.field(b"host"), Some(&b"h"[..]));
    refuse("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    refuse("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
}

#[test]
fn a_head_read_into_a_used_one_leaves_nothing_of_it() {
    let limits = Limits::default();
    let mut head =
        accept("GET /long?query HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\n");
    read_request(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", &limits, &mut head).unwrap();
    assert_eq!((head.path(), head.query()), (&b"/"[..], None));
    assert_eq!(head.framing, Framing::None);
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.fields.len(), 1);
}

#[test]
fn a_request_line_has_three_words_and_single_spaces() {
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET / x HTTP/1.1",
        " GET / HTTP/1.1",
        "GET HTTP/1.1",
        "GET",
        "G(T / HTTP/1.1",
        "GÉT / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.1a",
        "GET / HTTP/",
        "/ HTTP/1.1",
    ] {
        refuse(format!("{line}\r\nHost: h\r\n\r\n"), 400);
    }
}

#[test]
fn only_the_versions_1_0_and_1_1_are_read() {
    for version in ["0.9", "1.2", "2.0", "3.0", "1.9"] {
        refuse(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"), 505);
    }
    // The preface of HTTP/2 (RFC 9113, section 3.4), as far as it looks like a head.
    refuse("PRI * HTTP/2.0\r\n\r\n", 505);
}

#[test]
fn an_unknown_method_passes_and_a_very_long_one_does_not() {
    accept(&with_target("BREW", "/pot"));
    accept(&with_target(&"M".repeat(METHOD_BYTES), "/"));
    refuse(with_target(&"M".repeat(METHOD_BYTES + 1), "/"), 501);
}

#[test]
fn a_field_line_is_name_colon_value() {
    for lines in [
        "A : b\r\n",
        "A\t: b\r\n",
        " A: b\r\n",
        ": b\r\n",
        "A\r\n",
        "A b: c\r\n",
        "A(: c\r\n",
        "Ä: c\r\n",
        "A: b\r\n folded\r\n",
        "A: b\r\n\tfolded\r\n",
        "A: b\rc\r\n",
        "A: b\r\r\n",
        "A: b\nB: c\r\n",
        "A\0: b\r\n",
        "A: \0\r\n",
    ] {
        refuse(with_lines(lines), 400);
    }
    // Folding, and a space, of the very first line too.
    refuse("GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400);
}

#[test]
fn a_value_has_no_control_character_but_tabs() {
    for byte in 0..=u8::MAX {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: h\r\nA: b".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"c\r\n\r\n");
        match byte {
            b'\t' | 0x20..=0x7e | 0x80.. => {
                let head = read(&bytes, &Limits::default()).unwrap();
                assert_eq!(head.field(b"a"), Some(&[b'b', byte, b'c'][..]));
            }
            _ => refuse(bytes, 400),
        }
    }
}

#[test]
fn a_line_ends_with_both_of_its_characters() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    for (at, _) in head.iter().enumerate().filter(|&(_, &byte)| byte == b'\r') {
        let mut bytes = head.to_vec();
        bytes.remove(at);
        refuse(&bytes, 400);
        // Without the scanner before it, too.
        let mut into = RequestHead::default();
        let outcome = read_request(&bytes, &Limits::default(), &mut into);
        assert_eq!(outcome.unwrap_err().status(), 400);
    }
}

#[test]
fn a_head_is_exactly_one() {
    for bytes in [
        &b""[..],
        b"\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
    ] {
        let outcome = read_request(bytes, &Limits::default(), &mut RequestHead::default());
        assert_eq!(
            outcome.unwrap_err().status(),
            400,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let bytes = b"GET /12345 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    let exact = Limits {
        head_bytes: bytes.len(),
        fields: 2,
        uri_bytes: 6,
        body_bytes: None,
    };
    read(bytes, &exact).unwrap();
    let check = |limits: Limits, expected: HeadError| {
        assert_eq!(read(bytes, &limits).unwrap_err(), expected);
        let outcome = read_request(bytes, &limits, &mut RequestHead::default());
        assert_eq!(outcome, Err(expected));
    };
    let head_bytes = bytes.len() - 1;
    check(
        Limits {
            head_bytes,
            ..exact
        },
        HeadError::TooLarge,
    );
    check(Limits { fields: 1, ..exact }, HeadError::TooLarge);
    check(
        Limits {
            uri_bytes: 5,
            ..exact
        },
        HeadError::UriTooLong,
    );
}

#[test]
fn more_fields_than_the_usual_have_room_when_the_limit_says_so() {
    let limits = Limits {
        fields: 500,
        ..Limits::default()
    };
    let head = |n: usize| {
        let lines: String = (1..n).map(|at| format!("a{at}: {at}\r\n")).collect();
        read(with_lines(&lines).as_bytes(), &limits).map(|head| head.fields.len())
    };
    assert_eq!(head(500), Ok(500));
    assert_eq!(head(501), Err(HeadError::TooLarge));
}
