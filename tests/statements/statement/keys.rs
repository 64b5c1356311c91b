//! Cookies and keys in any head: what tells who is asking is what a plain reading of the same lines
//! finds, asked for as often as one likes.
//!
//! The first line is a key as a configuration has it, the second a target, and the others are
//! fields beside `Host`.

use std::net::{IpAddr, Ipv4Addr};

use tidegate::http1::codec::read_request;
use tidegate::message::{Limits, RequestHead};
use tidegate::split::{HashKey, Key};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let key = str::from_utf8(lines.next().unwrap_or_default());
    let Some(key) = key.ok().and_then(|text| text.parse::<Key>().ok()) else {
        return;
    };
    assert_eq!(key.to_string().parse(), Ok(key.clone()));

    let target = lines.next().unwrap_or_default();
    let fields: Vec<&[u8]> = std::iter::once(&b"Host: h"[..])
        .chain(lines.filter(|line| !line.is_empty()))
        .collect();
    let mut text = [b"GET ", target, b" HTTP/1.1\r\n"].concat();
    for field in &fields {
        text.extend_from_slice(field);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    let mut head = RequestHead::default();
    if read_request(&text, &Limits::default(), &mut head).is_err() {
        return;
    }

    let wanted = match &key {
        Key::Header(name) => values(&fields, name).next(),
        Key::Cookie(name) => cookies(&fields, name).into_iter().next(),
        Key::Query(name) => query(target, name),
        Key::ClientIp => Some(&b"192.0.2.1"[..]),
    };
    // An empty value is none: all who send it would be one user.
    let wanted = wanted.filter(|value| !value.is_empty());
    let copy = head.clone();
    for head in [&head, &head, &copy] {
        let found = key.of(head, CLIENT);
        assert_eq!(found.as_ref().map(HashKey::as_bytes), wanted, "{key}");
    }

    let pairs: Vec<&[u8]> = pairs(&fields).collect();
    assert!(head.cookie_pairs().eq(pairs.iter().copied()));
    // A name each, as far as a head with very many of them stays cheap to ask.
    for pair in pairs.into_iter().take(16) {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        let Ok(name) = str::from_utf8(name.trim_ascii_end()) else {
            continue;
        };
        assert!(head.cookies(name.as_bytes()).eq(cookies(&fields, name)));
        let first = cookies(&fields, name).into_iter().next();
        assert_eq!(head.cookie(name.as_bytes()), first);
    }
}

/// The values of the fields of this name.
fn values<'a>(fields: &'a [&'a [u8]], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter_map(move |field| {
        let colon = field.iter().position(|&byte| byte == b':')?;
        let is_it = field[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| field[colon + 1..].trim_ascii())
    })
}

/// What stands between the semicolons of Cookie fields.
fn pairs<'a>(fields: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    values(fields, "cookie")
        .flat_map(|value| value.split(|&byte| byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// The values of the cookies of this name (RFC 6265, section 5.4).
fn cookies<'a>(fields: &'a [&'a [u8]], name: &str) -> Vec<&'a [u8]> {
    let value = |pair: &'a [u8]| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let is_it = pair[..equals].trim_ascii_end() == name.as_bytes();
        is_it.then(|| pair[equals + 1..].trim_ascii_start())
    };
    pairs(fields).filter_map(value).collect()
}

/// The first value of this name between the question mark and the end of a target.
fn query<'a>(target: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let start = target.iter().position(|&byte| byte == b'?')? + 1;
    target[start..]
        .split(|&byte| byte == b'&')
        .find_map(|pair| match pair.strip_prefix(name.as_bytes())? {
            [] => Some(&b""[..]),
            [b'=', value @ ..] => Some(value),
            _ => None,
        })
}
