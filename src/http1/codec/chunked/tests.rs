//! What are chunks, and what are none.

use crate::http1::codec::{
    ChunkError, ChunkStep, ChunkedReader, write_chunk_head, write_last_chunk,
};
use crate::message::Limits;

/// Body and trailers; how much of the input was theirs; `None` when more is wanted.
type Outcome = Result<Option<(Vec<u8>, Vec<u8>, usize)>, ChunkError>;

fn decode_with(limits: &Limits, pieces: &[&[u8]]) -> Outcome {
    let mut reader = ChunkedReader::new(limits);
    let mut body = Vec::new();
    let mut done = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (consumed, step) = reader.step(rest)?;
            done += consumed;
            match step {
                ChunkStep::More => {
                    assert_eq!(consumed, rest.len());
                    break;
                }
                ChunkStep::Data(range) => {
                    assert!(!range.is_empty());
                    assert_eq!(consumed, range.end);
                    body.extend_from_slice(&rest[range]);
                }
                ChunkStep::End => {
                    assert_eq!(reader.step(b"more"), Ok((0, ChunkStep::End)));
                    return Ok(Some((body, reader.trailers().to_vec(), done)));
                }
            }
            rest = &rest[consumed..];
        }
    }
    Ok(None)
}

/// Decodes in one piece and byte by byte, which must not differ.
#[track_caller]
fn decode(input: &[u8]) -> Outcome {
    let whole = decode_with(&Limits::default(), &[input]);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode_with(&Limits::default(), &bytes), whole);
    whole
}

#[track_caller]
fn accept(input: &[u8], body: &[u8], trailers: &[u8]) {
    let expected = (body.to_vec(), trailers.to_vec(), input.len());
    assert_eq!(
        decode(input),
        Ok(Some(expected)),
        "{}",
        input.escape_ascii()
    );
}

#[track_caller]
fn refuse(input: &[u8]) {
    let error = decode(input).expect_err(&input.escape_ascii().to_string());
    assert!(matches!(error, ChunkError::Malformed(_)), "{error}");
}

#[test]
fn chunks_become_a_body() {
    accept(b"0\r\n\r\n", b"", b"");
    accept(b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"");
    accept(
        b"2\r\nab\r\n0A\r\n0123456789\r\n000\r\n\r\n",
        b"ab0123456789",
        b"",
    );
    accept(
        b"a\r\n\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n",
        b"\r\n\r\n0\r\n\r\n\n",
        b"",
    );
}

#[test]
fn what_follows_the_body_is_left_alone() {
    let outcome = decode(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(outcome, (b"a".to_vec(), Vec::new(), 11));
}

#[test]
fn a_body_that_is_cut_never_ends() {
    let whole = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(decode(&whole[..end]), Ok(None), "{end}");
    }
}

#[test]
fn a_size_is_hexadecimal_digits_and_nothing_else() {
    for size in [
        "",
        "x",
        "g",
        "0x5",
        "+5",
        "-5",
        " 5",
        "\t5",
        "5 ",
        "5\t",
        "5_0",
        "5h",
        "5,",
        "5.0",
        "\"5\"",
        "12345678901234567",
        "00000000000000005",
        "\u{b}5",
        "5\u{b}",
        "5\0",
    ] {
        refuse(format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes());
    }
    accept(b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", b"");
    // The greatest one is a size like any other: more data is wanted.
    assert_eq!(decode(b"ffffffffffffffff\r\nhello"), Ok(None));
}

#[test]
fn a_line_ends_with_both_of_its_characters() {
    for input in [
        &b"5\nhello\r\n0\r\n\r\n"[..],
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\r\n\rx",
        b"0\r\nA: b\n\r\n",
        b"0\r\nA: b\r\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        refuse(input);
    }
}

#[test]
fn no_other_byte_stands_for_one_of_a_line_end() {
    let input = b"5\r\nhello\r\n0\r\n\r\n";
    let places = (0..input.len()).filter(|&at| matches!(input[at], b'\r' | b'\n'));
    for at in places {
        for byte in (0..=u8::MAX).filter(|&byte| byte != input[at]) {
            let mut input = input.to_vec();
            input[at] = byte;
            refuse(&input);
        }
    }
}

#[test]
fn extensions_are_checked_and_dropped() {
    for extension in [
        ";a",
        ";a=b",
        ";a;b=c",
        " ; a = b ; c",
        "\t;a",
        ";a=\"\"",
        ";a=\"x;y=\\\"z\\\\\"",
        ";a=\"é\t\" ;b",
        ";!#$%&'*+-.^_`|~=1",
    ] {
        let input = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        accept(input.as_bytes(), b"hello", b"");
    }
    for extension in [
        ";",
        ";;",
        ";=b",
        ";a=",
        ";a=;",
        "; ",
        ";a ",
        ";a=b ",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=b\"c\"",
        ";a b",
        ";a=b c",
        ";a=(",
        ";a=\"\\\r\n\"",
        ";a\rb",
        ";a\nb",
        ";a=\"\r\"",
        ";a=\"\n\"",
        ";a\0",
        ";é",
        ";a=é",
        ";a=\"\u{1}\"",
        ";a=\"\u{7f}\"",
        " a",
        " 5",
        ";a=b=c",
    ] {
        refuse(format!("5{extension}\r\nhello\r\n0\r\n\r\n").as_bytes());
    }
}

#[test]
fn what_is_no_body_is_bounded() {
    let long = |n: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(n));
    assert!(decode(long(16_000).as_bytes()).is_ok());
    assert_eq!(decode(long(17_000).as_bytes()), Err(ChunkError::TooLarge));
    // Small ones add up.
    let many = format!("1;{}\r\na\r\n", "x".repeat(100)).repeat(1000) + "0\r\n\r\n";
    assert_eq!(decode(many.as_bytes()), Err(ChunkError::TooLarge));
    // A great body may have as many as it likes, in proportion, and small chunks as such are fine.
    let data = "d".repeat(256);
    let many = format!("100;{}\r\n{data}\r\n", "x".repeat(100)).repeat(1000) + "0\r\n\r\n";
    assert!(decode(many.as_bytes()).is_ok());
    let bytes = "1\r\na\r\n".repeat(50_000) + "0\r\n\r\n";
    assert!(decode(bytes.as_bytes()).is_ok());
}

#[test]
fn trailers_are_kept_but_for_those_that_a_head_decides() {
    accept(
        b"0\r\nGrpc-Status:0\r\nX-Sum:  a b \t\r\nEmpty:\r\n\r\n",
        b"",
        b"Grpc-Status: 0\r\nX-Sum: a b\r\nEmpty: \r\n",
    );
    for name in [
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Connection",
        "Trailer",
        "TE",
        "Upgrade",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Content-Encoding",
        "Content-Type",
        "Content-Range",
        "Cache-Control",
        "Expect",
        "Max-Forwards",
        "Proxy-Authorization",
        "proxy-x",
        "FORWARDED",
        "X-Forwarded-For",
        "Via",
        "If-Match",
        "X-Real-IP",
        "Keep-Alive",
        "Range",
        "Date",
        "Location",
        "Vary",
        "Retry-After",
    ] {
        let input = format!("0\r\nA: 1\r\n{name}: x\r\nB: 2\r\n\r\n");
        accept(input.as_bytes(), b"", b"A: 1\r\nB: 2\r\n");
    }
}

#[test]
fn trailers_are_as_strict_as_a_head() {
    for line in [
        "A",
        "A : b",
        " A: b",
        ": b",
        "A b: c",
        "A: b\r\n c",
        "A: \0",
        "A: \u{1}",
        "A: \u{7f}",
        "A\0: b",
        "É: b",
    ] {
        refuse(format!("0\r\n{line}\r\n\r\n").as_bytes());
    }
}

#[test]
fn trailers_are_bounded() {
    let limits = Limits {
        head_bytes: 14,
        fields: 2,
        ..Limits::default()
    };
    let check = |trailers: &str| {
        let input = format!("0\r\n{trailers}\r\n");
        decode_with(&limits, &[input.as_bytes()]).map(|outcome| outcome.is_some())
    };
    assert_eq!(check("A: b\r\nB: c\r\n"), Ok(true));
    assert_eq!(check("A: b\r\nB: cd\r\n"), Err(ChunkError::TooLarge));
    assert_eq!(check("A:\r\nB:\r\nC:\r\n"), Err(ChunkError::TooLarge));
    // Those that are left out count too.
    assert_eq!(check("te:\r\nte:\r\nte:\r\n"), Err(ChunkError::TooLarge));
}

#[test]
fn an_error_stays() {
    let mut reader = ChunkedReader::new(&Limits::default());
    let error = reader.step(b"x").unwrap_err();
    assert_eq!(reader.step(b"0\r\n\r\n"), Err(error));
    assert_eq!(reader.step(b""), Err(error));
}

#[test]
fn sizes_are_written_without_leading_zeros() {
    for (len, expected) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (0xdead_beef, "deadbeef\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        let mut out = Vec::new();
        write_chunk_head(&mut out, len);
        assert_eq!(out, expected.as_bytes());
    }
    let mut out = Vec::new();
    write_last_chunk(&mut out, b"A: b\r\n");
    assert_eq!(out, b"0\r\nA: b\r\n\r\n");
}
