//! Which targets and hosts are read, and as what.

use crate::http1::codec::tests::requests::{accept, refuse, with_target};

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
