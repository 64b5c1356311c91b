//! What is a request's head, and what is none.

use crate::http1::codec::{HeadError, HeadScanner, METHOD_BYTES, read_request};
use crate::message::{Framing, Limits, RequestHead, Version};

fn read(bytes: &[u8], limits: &Limits) -> Result<RequestHead, HeadError> {
    let length = HeadScanner::default()
        .scan(bytes, limits)?
        .expect("a whole head");
    assert_eq!(length, bytes.len());
    let mut head = RequestHead::default();
    read_request(bytes, limits, &mut head)?;
    Ok(head)
}

#[track_caller]
fn accept(bytes: &str) -> RequestHead {
    read(bytes.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{bytes:?}: {error}"))
}

#[track_caller]
fn refuse(bytes: impl AsRef<[u8]>, status: u16) {
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
fn with_target(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A head with these lines beside Host.
fn with_lines(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

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
fn an_absolute_target_has_the_authority_and_host_does_not_count() {
    let head = accept("GET http://a.example:81/p?q HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert_eq!(head.authority(), b"a.example:81");
    assert_eq!(head.path(), b"/p");
    assert_eq!(head.query(), Some(&b"q"[..]));

    let head = accept("GET HTTPS://[::1]?q HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!(head.authority(), b"[::1]");
    assert_eq!(head.path(), b"/");
    assert_eq!(head.query(), Some(&b"q"[..]));

    assert_eq!(accept(&with_target("GET", "http://a")).path(), b"/");
    assert_eq!(accept(&with_target("OPTIONS", "http://a")).path(), b"*");
    assert_eq!(accept(&with_target("OPTIONS", "http://a/")).path(), b"/");
    assert_eq!(accept(&with_target("OPTIONS", "http://a?q")).path(), b"/");
    // Host must be there and valid all the same.
    refuse("GET http://a/ HTTP/1.1\r\n\r\n", 400);
    refuse("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400);
}

#[test]
fn a_target_has_the_form_that_its_method_asks_for() {
    let head = accept(&with_target("CONNECT", "a.example:443"));
    assert_eq!(head.authority(), b"a.example:443");
    assert_eq!(head.path(), b"");
    assert_eq!(accept(&with_target("OPTIONS", "*")).path(), b"*");
    for (method, target) in [
        ("GET", "*"),
        ("options", "*"),
        ("OPTIONS", "*x"),
        ("GET", "a.example:443"),
        ("GET", "a.example"),
        ("CONNECT", "/"),
        ("CONNECT", "*"),
        ("CONNECT", "a.example"),
        ("CONNECT", "a.example:"),
        ("CONNECT", "http://a.example:80/"),
        ("CONNECT", "u@a.example:443"),
        ("GET", "ftp://a/"),
        ("GET", "http:/a/"),
        ("GET", "http:///p"),
        ("GET", "http://:80/p"),
        ("GET", "http://u@a/"),
        ("GET", "http://u:p@a/"),
        ("GET", "http://a\\@b/"),
        ("GET", "http://a:b/"),
        ("GET", "?q"),
        ("GET", "path"),
    ] {
        refuse(with_target(method, target), 400);
    }
}

#[test]
fn a_target_is_visible_ascii_without_a_fragment() {
    accept(&with_target("GET", "/|\"{}^`<>\\[]%zz//../"));
    refuse(with_target("GET", "/#"), 400);
    refuse(with_target("GET", "/?a#b"), 400);
    refuse(with_target("GET", "/é"), 400);
    for byte in (0..=b' ').chain(0x7f..=0xff) {
        let mut bytes = b"GET /a".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"b HTTP/1.1\r\nHost: h\r\n\r\n");
        refuse(bytes, 400);
    }
}

#[test]
fn host_is_there_exactly_once() {
    refuse("GET / HTTP/1.1\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", 400);
    refuse("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refuse("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400);
    let head = accept("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(head.authority(), b"");
}

#[test]
fn host_is_a_host_and_perhaps_a_port() {
    for host in [
        "a",
        "a.example.",
        "a_b-c~d",
        "127.0.0.1:0",
        "a:65535",
        "a:",
        "[::1]",
        "[::ffff:1.2.3.4]:80",
        "a%2Db",
        "a!$&'()*+,;=b",
        "xn--bcher-kva",
    ] {
        let head = accept(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.authority(), host.as_bytes());
    }
    for host in [
        "",
        ":80",
        "a:65536",
        "a:+1",
        "a:-1",
        "a:8o",
        "a:99999999999999999999",
        "a:80:80",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[a]",
        "[::1%25eth0]",
        "[v1.a]",
        "a b",
        "a, b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a\\b",
        "a%2",
        "a%zz",
        "é",
        "a\tb",
        "\"a\"",
        "<a>",
        "a|b",
        "http://a",
    ] {
        refuse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
}

#[test]
fn a_content_length_is_digits_once() {
    let framing =
        |value: &str| accept(&with_lines(&format!("Content-Length: {value}\r\n"))).framing;
    assert_eq!(framing("0"), Framing::Length(0));
    assert_eq!(framing("42"), Framing::Length(42));
    assert_eq!(framing("0042"), Framing::Length(42));
    assert_eq!(framing("18446744073709551615"), Framing::Length(u64::MAX));
    for value in [
        "",
        "+1",
        "-1",
        "1 2",
        "1,1",
        "42, 42",
        "0x1",
        "1.0",
        "1e3",
        "a",
        "18446744073709551616",
        "99999999999999999999999999",
        "１",
    ] {
        refuse(with_lines(&format!("Content-Length: {value}\r\n")), 400);
    }
    refuse(
        with_lines("Content-Length: 1\r\nContent-Length: 2\r\n"),
        400,
    );
    refuse(
        with_lines("Content-Length: 1\r\ncontent-length: 1\r\n"),
        400,
    );
}

#[test]
fn chunked_alone_is_a_transfer_coding() {
    let with = |value: &str| with_lines(&format!("Transfer-Encoding: {value}\r\n"));
    assert_eq!(accept(&with("chunked")).framing, Framing::Chunked);
    assert_eq!(accept(&with(" \tChunKED\t ")).framing, Framing::Chunked);
    for value in [
        "",
        "identity",
        "gzip",
        "chunked, identity",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "xchunked",
        "chunkedx",
        "chunked;a=b",
        "chunked;",
        "chun ked",
        "\"chunked\"",
        "'chunked'",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked\0",
        "chunked, gzip, x",
        "chunked, gzip, chunked",
        "g(zip, chunked",
        "\u{a0}chunked",
    ] {
        refuse(with(value), 400);
    }
    for value in [
        "gzip, chunked",
        "identity,chunked",
        "gzip;q=1, chunked",
        "x, y ,CHUNKED",
    ] {
        refuse(with(value), 501);
    }
    let twice = |first: &str, second: &str| {
        with_lines(&format!(
            "Transfer-Encoding: {first}\r\ntransfer-encoding: {second}\r\n"
        ))
    };
    refuse(twice("chunked", "chunked"), 400);
    refuse(twice("chunked", "identity"), 400);
    refuse(twice("gzip", "chunked"), 501);
    refuse(
        with_lines("Transfer_Encoding: x\r\nTransfer-Encoding : chunked\r\n"),
        400,
    );
}

#[test]
fn a_transfer_coding_is_never_with_a_length_or_in_http_1_0() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
    ] {
        refuse(with_lines(lines), 400);
    }
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    refuse(
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        400,
    );
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

#[test]
fn a_connection_is_kept_unless_somebody_says_otherwise() {
    let keep_alive = |version: &str, lines: &str| {
        accept(&format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n")).keep_alive
    };
    assert!(keep_alive("1.1", ""));
    assert!(!keep_alive("1.0", ""));
    assert!(!keep_alive("1.1", "Connection: close\r\n"));
    assert!(!keep_alive("1.1", "Connection: x,\tCLOSE ,y\r\n"));
    assert!(!keep_alive(
        "1.1",
        "Connection: keep-alive\r\nconnection: close\r\n"
    ));
    assert!(keep_alive("1.1", "Connection: closed, upgrade\r\n"));
    assert!(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("1.0", "Connection: keep-alive, close\r\n"));
    assert!(!keep_alive("1.0", "Keep-Alive: timeout=5\r\n"));
}
