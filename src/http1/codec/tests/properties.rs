//! Promises over all bytes, and over all ways to cut them.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::{Index, select};

use crate::http1::codec::tests::generate::{
    chunks, cut, cuts, encode, lines, mutate, mutation, origin_target, scraps, token, value,
};
use crate::http1::codec::{
    Asked, ChunkError, ChunkStep, ChunkedReader, HeadError, HeadScanner, likely_end, read_request,
    read_response,
};
use crate::message::{Limits, RequestHead, ResponseHead};

/// Limits that generated input runs into.
fn tight() -> Limits {
    Limits {
        head_bytes: 160,
        fields: 4,
        uri_bytes: 12,
        body_bytes: None,
    }
}

/// Finds and reads a head in bytes that come in pieces: how long it is, and what it is in one
/// text; `None` when more is wanted.
fn head(
    pieces: &[&[u8]],
    limits: &Limits,
    read: impl Fn(&[u8], &Limits) -> Result<String, HeadError>,
) -> Result<Option<(usize, String)>, HeadError> {
    let mut scanner = HeadScanner::default();
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(piece);
        if let Some(length) = scanner.scan(&bytes, limits)? {
            return Ok(Some((length, read(&bytes[..length], limits)?)));
        }
    }
    Ok(None)
}

fn request(bytes: &[u8], limits: &Limits) -> Result<String, HeadError> {
    let mut head = RequestHead::default();
    read_request(bytes, limits, &mut head)?;
    Ok(format!("{head:?}"))
}

fn response(bytes: &[u8], limits: &Limits) -> Result<String, HeadError> {
    let mut head = ResponseHead::default();
    read_response(bytes, limits, Asked::Other, &mut head)?;
    Ok(format!("{head:?}"))
}

/// Body, trailers and how much of the input was theirs; `None` when more is wanted.
type Decoded = Option<(Vec<u8>, Vec<u8>, usize)>;

fn decode(pieces: &[&[u8]], limits: &Limits) -> Result<Decoded, ChunkError> {
    let mut reader = ChunkedReader::new(limits);
    let mut body = Vec::new();
    let mut done = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (consumed, step) = reader.step(rest)?;
            assert!(consumed <= rest.len());
            done += consumed;
            match step {
                ChunkStep::More => break,
                ChunkStep::Data(range) => body.extend_from_slice(&rest[range]),
                ChunkStep::End => return Ok(Some((body, reader.trailers().to_vec(), done))),
            }
            rest = &rest[consumed..];
        }
    }
    Ok(None)
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![scraps(), vec(any::<u8>(), 0..300)]
}

/// Lines of a head, whose start and end are there more often than chance would have it.
fn head_like() -> impl Strategy<Value = Vec<u8>> {
    let start = select(
        &[
            "",
            "\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "POST /a?b HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
        ][..],
    );
    let end = select(&["", "\r\n", "\r\n\r\nrest"][..]);
    (start, prop_oneof![lines(), scraps()], end, mutation()).prop_map(
        |(start, middle, end, mutation)| {
            let bytes = [start.as_bytes(), &middle, end.as_bytes()].concat();
            mutate(bytes, mutation)
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in noise()) {
        for limits in [Limits::default(), tight()] {
            let _ = HeadScanner::default().scan(&bytes, &limits);
            let _ = read_request(&bytes, &limits, &mut RequestHead::default());
            for asked in [Asked::Head, Asked::Connect, Asked::Other] {
                let _ = read_response(&bytes, &limits, asked, &mut ResponseHead::default());
            }
            let _ = decode(&[&bytes], &limits);
        }
    }

    #[test]
    fn a_head_is_the_same_however_it_is_cut(bytes in head_like(), cuts in cuts()) {
        for limits in [Limits::default(), tight()] {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = head(&[&bytes], &limits, request);
            prop_assert_eq!(&head(&cut(&bytes, &cuts), &limits, request), &whole);
            prop_assert_eq!(&head(&single, &limits, request), &whole);
            let whole = head(&[&bytes], &limits, response);
            prop_assert_eq!(&head(&cut(&bytes, &cuts), &limits, response), &whole);
            prop_assert_eq!(&head(&single, &limits, response), &whole);
        }
    }

    #[test]
    fn a_head_that_is_found_by_its_end_alone_is_the_one_that_is_found_by_its_lines(
        bytes in head_like(),
    ) {
        for limits in [Limits::default(), tight()] {
            let Some(end) = likely_end(&bytes, &limits) else {
                continue;
            };
            for read in [request, response] {
                if let Ok(text) = read(&bytes[..end], &limits) {
                    prop_assert_eq!(head(&[&bytes], &limits, read), Ok(Some((end, text))));
                }
            }
        }
    }

    #[test]
    fn chunks_are_the_same_however_they_are_cut(
        chunks in chunks(),
        extension in select(&["", ";a", ";a=\"b\"", ";a=", " "][..]),
        noise in scraps(),
        keep in any::<Index>(),
        cuts in cuts(),
    ) {
        let mut bytes = encode(&chunks, extension, b"A: b\r\n");
        bytes.truncate(keep.index(bytes.len() * 2));
        bytes.extend_from_slice(&noise);
        for limits in [Limits::default(), tight()] {
            let whole = decode(&[&bytes], &limits);
            prop_assert_eq!(&decode(&cut(&bytes, &cuts), &limits), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&decode(&single, &limits), &whole);
        }
    }

    #[test]
    fn what_is_written_in_chunks_is_read_again(
        chunks in chunks(),
        extension in select(&["", ";a", " ; a = \"b\\\"\""][..]),
        name in token(),
        value in value(),
    ) {
        // A letter before it keeps the name clear of those that are left out.
        let trailers = [b"x-a", name.as_bytes(), b": ", &value, b"\r\n"].concat();
        let bytes = encode(&chunks, extension, &trailers);
        let decoded = decode(&[&bytes], &Limits::default());
        prop_assert_eq!(decoded, Ok(Some((chunks.concat(), trailers, bytes.len()))));
    }

    #[test]
    fn a_valid_head_is_read_as_it_was_written(
        method in token(),
        target in origin_target(),
        fields in vec((token(), value()), 0..8),
        spaces in select(&["", " ", "\t ", "   "][..]),
    ) {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: h:1\r\n").into_bytes();
        for (name, value) in &fields {
            // The same letters keep the name clear of those that mean something.
            bytes.extend([b"x-a", name.as_bytes(), b":", spaces.as_bytes(), value].concat());
            bytes.extend([spaces.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        let mut head = RequestHead::default();
        if method == "CONNECT" {
            return Ok(());
        }
        read_request(&bytes, &Limits::default(), &mut head).unwrap();
        prop_assert_eq!(&head.text, &bytes);
        prop_assert_eq!(head.method(), method.as_bytes());
        prop_assert_eq!(head.authority(), b"h:1");
        let written = [head.path().to_vec(), head.query().map_or(vec![], |query| [b"?", query].concat())].concat();
        prop_assert_eq!(written, target.as_bytes());
        prop_assert_eq!(head.fields.len(), fields.len() + 1);
        for (read, (name, value)) in head.fields().skip(1).zip(&fields) {
            prop_assert_eq!(read.name, [b"x-a", name.as_bytes()].concat());
            prop_assert_eq!(read.value, &value[..]);
        }
    }
}
