//! How a request's body ends, and whether its connection goes on.

use crate::http1::codec::tests::requests::{accept, refuse, with_lines};
use crate::message::Framing;

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
