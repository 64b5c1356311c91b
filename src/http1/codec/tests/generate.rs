//! Generated input: heads and bodies that are mostly right, and mostly wrong.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

use crate::http1::codec::{write_chunk_head, write_last_chunk};

/// Scraps of HTTP that say something to a parser, and arbitrary bytes between them.
pub(crate) fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop_oneof![
        6 => select(&[
            "GET", "POST", " ", "/", "*", "http://a", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 204\r\n", "HTTP/2.0", "Host: a\r\n", "Host:", "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Connection: close\r\n", "\r\n",
            "\r\n\r\n", "\r", "\n", "\t", ":", ";", ";a=\"", "\"", "=", "\\", "0\r\n", "1\r\na\r\n", "5", "a", "A: b\r\n",
            "0", "ffffffffffffffff\r\n", "#", "[::1]", ",", "\0", "GET / HTTP/1.1\r\nHost: a\r\n",
        ][..])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(scrap, 0..24).prop_map(|scraps| scraps.concat())
}

/// Where to cut: any number of places, in order.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..12)
}

/// Cuts bytes into pieces at these places.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut start = 0;
    places
        .into_iter()
        .map(|end| &bytes[std::mem::replace(&mut start, end)..end])
        .collect()
}

/// A token of the kind that field names are.
pub(crate) fn token() -> impl Strategy<Value = String> {
    vec(
        select(&b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCXYZ"[..]),
        1..12,
    )
    .prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

/// A value: what may stand in one, without white space around it.
pub(crate) fn value() -> impl Strategy<Value = Vec<u8>> {
    let inner =
        prop_oneof![8 => b'!'..=b'~', 1 => Just(b' '), 1 => Just(b'\t'), 1 => 0x80..=u8::MAX];
    vec(inner, 0..20).prop_map(|bytes| bytes.trim_ascii().to_vec())
}

/// A path, perhaps with a query, of characters that are in RFC 3986.
pub(crate) fn origin_target() -> impl Strategy<Value = String> {
    let chars = select(&b"abcXYZ019-._~!$&'()*+,;=:@/%?"[..]);
    vec(chars, 0..20).prop_map(|bytes| format!("/{}", String::from_utf8(bytes).unwrap()))
}

/// A body, in the pieces that become its chunks.
pub(crate) fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 1..300), 0..6)
}

/// Writes chunks, with an extension after each size.
pub(crate) fn encode(chunks: &[Vec<u8>], extension: &str, trailers: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks {
        write_chunk_head(&mut out, chunk.len());
        let end = out.len() - 2;
        out.splice(end..end, extension.bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    write_last_chunk(&mut out, trailers);
    out
}

/// Field lines that frame, name hosts or keep connections, and others; rightly and wrongly.
pub(crate) fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => (token(), value()).prop_map(|(name, value)| [name.as_bytes(), b": ", &value].concat()),
        1 => (token(), value()).prop_map(|(name, value)| [name.as_bytes(), b":", &value, b" \t"].concat()),
        1 => select(&[
            "Connection: close", "Connection: keep-alive, x", "Content-Length: 5", "Content-Length: 05",
            "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Set-Cookie: a=b", "set-cookie: c=d",
            "Host: again", " folded", "A : b", "Empty:", "TE: trailers", "Expect: 100-continue",
        ][..])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(line, 0..5).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|line| [&line[..], b"\r\n"].concat())
            .collect()
    })
}

/// How a body is announced, and the body as it is then written.
pub(crate) fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let extension = select(&["", ";a", ";a=b", " ;a=\"b c\""][..]);
    let trailers = select(&["", "X-Sum: 1\r\n", "Bad : 1\r\n"][..]);
    prop_oneof![
        2 => Just((String::new(), Vec::new())),
        3 => vec(any::<u8>(), 0..200)
            .prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body)),
        3 => (chunks(), extension, trailers).prop_map(|(chunks, extension, trailers)| (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            encode(&chunks, extension, trailers.as_bytes()),
        )),
    ]
}

/// Something done to a message: nothing mostly, or a byte changed, taken or added.
pub(crate) fn mutation() -> impl Strategy<Value = Option<(Index, u8, u8)>> {
    let byte = prop_oneof![
        select(&b" \t\r\n\0:;,\"/?#@[]%0195aAzZ\x7f\x80"[..]),
        any::<u8>()
    ];
    prop_oneof![
        2 => Just(None),
        1 => (any::<Index>(), 0..3_u8, byte).prop_map(Some),
    ]
}

/// Does it.
pub(crate) fn mutate(mut bytes: Vec<u8>, mutation: Option<(Index, u8, u8)>) -> Vec<u8> {
    if let (Some((index, kind, byte)), false) = (mutation, bytes.is_empty()) {
        let at = index.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}
