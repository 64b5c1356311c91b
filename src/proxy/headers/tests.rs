//! What changes in a head, and what does not.

use std::sync::LazyLock;

use crate::http1::codec::{Asked, read_request, read_response};
use crate::listener::{ForwardedSource, Peer};
use crate::message::{Framing, Limits, RequestHead, ResponseHead, Scheme, Version};
use crate::proxy::Error;
use crate::proxy::headers::{
    RequestEdit, ResponseEdit, Rewritten, asks_for_upgrade, check_request, is_shared,
    write_request, write_response,
};

fn request(lines: &str) -> RequestHead {
    let text = format!("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\n{lines}\r\n");
    let mut head = RequestHead::default();
    read_request(text.as_bytes(), &Limits::default(), &mut head).unwrap();
    head
}

fn peer() -> Peer {
    Peer {
        address: ([192, 0, 2, 7], 40_000).into(),
        local: ([192, 0, 2, 1], 8080).into(),
        scheme: Scheme::Http,
        listener: "http".into(),
        identity: None,
    }
}

fn edited(head: &RequestHead, change: impl FnOnce(&mut RequestEdit<'_>)) -> String {
    let from = peer();
    let mut edit = RequestEdit {
        from: &from,
        trusted: false,
        source: ForwardedSource::XForwardedFor,
        upgrade: None,
        drop_cookies: &[],
        drop_field: None,
        flags: &[],
        request_id: None,
        fields: None,
        rewrite: Rewritten::default(),
    };
    change(&mut edit);
    let mut out = Vec::new();
    write_request(&mut out, head, &edit);
    String::from_utf8(out).unwrap()
}

const OWN: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
    X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 8080\r\nVia: 1.1 tidegate\r\n\r\n";

#[track_caller]
fn check(lines: &str, expected: &str) {
    let whole = format!("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\n{expected}{OWN}");
    assert_eq!(edited(&request(lines), |_| {}), whole);
}

#[test]
fn a_request_has_one_id_whatever_came_in_its_field() {
    let head = request("x-request-id: a\r\nX-REQUEST-ID: b\r\nx-request-ids: c\r\n");
    let text = edited(&head, |edit| {
        edit.request_id = Some((b"x-request-id", b"made"));
    });
    let fields: Vec<&str> = text
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("x-request"))
        .collect();
    assert_eq!(fields, ["x-request-ids: c", "x-request-id: made"]);
    let untouched = edited(&head, |_| {});
    assert!(untouched.contains("x-request-id: a\r\nX-REQUEST-ID: b\r\n"));
}

#[test]
fn what_is_not_ours_goes_on_as_it_came() {
    check(
        "X-Custom: A,b\r\naccept: */*\r\n",
        "X-Custom: A,b\r\naccept: */*\r\n",
    );
}

#[test]
fn fields_of_the_connection_end_here() {
    check(
        "Connection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n\
         Proxy-Connection: close\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\nX: 2\r\n",
        "X: 2\r\n",
    );
}

#[test]
fn a_client_cannot_have_our_fields_dropped_by_naming_them() {
    check(
        "Connection: X-Forwarded-For, Host, Cookie\r\nCookie: a=1\r\n",
        "Cookie: a=1\r\n",
    );
}

#[test]
fn trailers_are_asked_for_if_the_client_asked() {
    check(
        "TE: trailers, deflate\r\nConnection: TE\r\n",
        "Connection: TE\r\nTE: trailers\r\n",
    );
    check("TE: deflate\r\n", "");
}

#[test]
fn nobody_is_believed_about_where_a_request_comes_from() {
    check(
        "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n",
        "",
    );
}

#[test]
fn a_rewritten_target_is_asked_for_with_its_query_and_told_of() {
    let head = request("X-Forwarded-Prefix: /claimed\r\n");
    let rewrite = Rewritten {
        path: Some(b"/x"),
        host: Some(b"shop.internal:81"),
        prefix: Some(b"/a"),
    };
    let text = edited(&head, |edit| edit.rewrite = rewrite);
    assert!(
        text.starts_with("GET /x?b=c HTTP/1.1\r\nHost: shop.internal:81\r\n"),
        "{text}"
    );
    assert!(
        text.contains("X-Forwarded-Host: shop.example\r\n"),
        "{text}"
    );
    assert!(text.contains("X-Forwarded-Prefix: /a\r\n"), "{text}");

    let trusted = edited(&head, |edit| {
        edit.trusted = true;
        edit.rewrite = rewrite;
    });
    assert!(
        trusted.contains("X-Forwarded-Prefix: /claimed, /a\r\n"),
        "{trusted}"
    );
    let kept = edited(&head, |edit| edit.trusted = true);
    assert!(kept.contains("X-Forwarded-Prefix: /claimed\r\n"), "{kept}");
    assert!(!edited(&head, |_| {}).contains("Prefix"));
}

#[test]
fn a_trusted_proxy_is_appended_to() {
    let head = request(
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n",
    );
    let text = edited(&head, |edit| edit.trusted = true);
    assert!(
        text.contains("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n"),
        "{text}"
    );
    assert!(text.contains("X-Forwarded-Proto: https\r\n"), "{text}");
    assert!(!text.contains("X-Forwarded-Proto: http\r\n"), "{text}");
    assert!(text.contains("X-Forwarded-Host: a.example\r\n"), "{text}");
}

#[test]
fn forwarded_is_written_where_it_is_the_source() {
    let head = request("Forwarded: for=203.0.113.9\r\n");
    let text = edited(&head, |edit| {
        edit.trusted = true;
        edit.source = ForwardedSource::Forwarded;
    });
    assert!(
        text.contains(
            "Forwarded: for=203.0.113.9, for=192.0.2.7;proto=http;host=\"shop.example\"\r\n"
        ),
        "{text}"
    );
}

#[test]
fn what_is_between_the_client_and_us_goes_no_further() {
    let head = request("X-Variant: v:s\r\nx-variants: 2\r\nX-VARIANT: v\r\n");
    let text = edited(&head, |edit| edit.drop_field = Some(b"x-variant"));
    assert!(
        text.contains("example\r\nx-variants: 2\r\nX-Forwarded-F"),
        "{text}"
    );
    let head = request("Cookie: a=1; tidegate_id=x; b=2\r\nX: 1\r\nCookie: variant=b:s; c=3\r\n");
    static OURS: LazyLock<[String; 2]> =
        LazyLock::new(|| ["tidegate_id", "variant"].map(str::to_owned));
    let text = edited(&head, |edit| edit.drop_cookies = &*OURS);
    assert!(text.contains("X: 1\r\nCookie: a=1; b=2; c=3\r\n"), "{text}");
    let head = request("Cookie: tidegate_id=x\r\n");
    let text = edited(&head, |edit| edit.drop_cookies = &*OURS);
    assert!(!text.contains("Cookie"), "{text}");
}

#[test]
fn crumbs_of_http2_become_one_cookie() {
    let mut head = request("");
    head.version = Version::Http2;
    head.append_field(b"cookie", b"a=1");
    head.append_field(b"cookie", b"b=2");
    let text = edited(&head, |_| {});
    assert!(text.contains("Cookie: a=1; b=2\r\n"), "{text}");
    assert!(text.contains("Via: 2.0 tidegate\r\n"), "{text}");
}

#[test]
fn an_absolute_target_is_asked_for_in_origin_form() {
    let text = "GET http://other.example/p?q HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    let mut head = RequestHead::default();
    read_request(text.as_bytes(), &Limits::default(), &mut head).unwrap();
    let text = edited(&head, |_| {});
    assert!(
        text.starts_with("GET /p?q HTTP/1.1\r\nHost: other.example\r\n"),
        "{text}"
    );
}

#[test]
fn an_upgrade_is_asked_for_by_both_fields() {
    let asked = |fields: &str| asks_for_upgrade(&request(fields)).map(<[u8]>::to_vec);
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(asked(both), Some(b"websocket".to_vec()));
    assert_eq!(asked("Upgrade: websocket\r\n"), None);
    let text = edited(&request(both), |edit| edit.upgrade = Some(b"websocket"));
    assert!(
        text.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        "{text}"
    );
}

#[test]
fn websocket_alone_is_something_to_upgrade_to_and_no_choice_is() {
    for protocol in [
        "custom/1",
        "h2c",
        "H2",
        "HTTP/2.0",
        "TLS/1.0",
        "h2c, websocket",
        "",
    ] {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
        assert_eq!(asks_for_upgrade(&request(&fields)), None, "{protocol}");
    }
}

#[test]
fn what_has_come_through_twice_is_a_loop() {
    assert!(check_request(&request("Via: 1.1 tidegate\r\n")).is_ok());
    assert!(check_request(&request("Via: 1.1 tidegate, 1.0 fred\r\n")).is_ok());
    let twice = check_request(&request("Via: 1.1 tidegate, 1.1 tidegate\r\n"));
    assert!(matches!(twice, Err(Error::Loop)));
    for other in ["1.1 my-tidegate", "1.1 tidegate.example, 1.1 x (tidegate)"] {
        let passed = request(&format!("Via: 1.1 tidegate, {other}, {other}\r\n"));
        assert!(check_request(&passed).is_ok(), "{other}");
    }
    let noted = check_request(&request("Via: HTTP/1.1  tidegate (a), 2 tidegate\r\n"));
    assert!(matches!(noted, Err(Error::Loop)));
    let unknown = check_request(&request("Expect: 200-maybe\r\n"));
    assert!(matches!(unknown, Err(Error::Expectation)));
}

#[track_caller]
fn check_response(text: &str, asked: Asked, framing: Framing, expected: &str) {
    let mut head = ResponseHead::default();
    let limits = Limits::default();
    read_response(text.as_bytes(), &limits, asked, &mut head).unwrap();
    let mut out = Vec::new();
    let edit = ResponseEdit {
        version: Version::Http11,
        close: false,
        framing,
        set_cookie: None,
        fields: None,
    };
    write_response(&mut out, &head, &edit);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_response_is_framed_anew() {
    check_response(
        "HTTP/1.1 200 Fine\r\nConnection: x-a\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 3\r\n\r\n",
        Asked::Other,
        Framing::Length(3),
        "HTTP/1.1 200 Fine\r\nX-B: 2\r\nContent-Length: 3\r\n\r\n",
    );
    check_response(
        "HTTP/1.0 200 OK\r\nKeep-Alive: 1\r\n\r\n",
        Asked::Other,
        Framing::Chunked,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
}

#[test]
fn the_length_in_an_answer_to_head_is_kept_and_that_in_a_204_is_not() {
    check_response(
        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
        Asked::Head,
        Framing::None,
        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
    );
    check_response(
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        Asked::Other,
        Framing::None,
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
}

#[test]
fn what_a_shared_cache_may_keep_carries_no_identity() {
    for (value, shared) in [
        ("public, max-age=60", true),
        ("S-MaxAge=10", true),
        ("private", false),
        ("no-store", false),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nCache-Control: {value}\r\n\r\n");
        let mut head = ResponseHead::default();
        let limits = Limits::default();
        read_response(text.as_bytes(), &limits, Asked::Other, &mut head).unwrap();
        assert_eq!(is_shared(&head, None), shared, "{value}");
    }
}
