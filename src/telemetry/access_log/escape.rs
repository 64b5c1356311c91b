//! Bytes of clients as text that cannot end a string or a line, nor talk to a terminal.

use std::io::Write;

/// Appends bytes as the inside of a JSON string (RFC 8259, section 7).
///
/// Bytes that are no UTF-8 become U+FFFD, one for each broken sequence. Control characters are
/// escaped, those of C1 and DEL too: some terminals obey them.
pub(crate) fn json(line: &mut Vec<u8>, bytes: &[u8]) {
    // Almost everything is plain ASCII and goes through in one piece.
    if are_plain(bytes) {
        line.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => line.extend_from_slice(b"\\\""),
                '\\' => line.extend_from_slice(b"\\\\"),
                '\n' => line.extend_from_slice(b"\\n"),
                '\r' => line.extend_from_slice(b"\\r"),
                '\t' => line.extend_from_slice(b"\\t"),
                // Line separators too: they end a line for some readers.
                _ if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => {
                    let _ = write!(line, "\\u{:04x}", u32::from(letter));
                }
                _ => line.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// True when all bytes stand in a JSON string as they are: printable ASCII but `"` and `\\`.
///
/// Eight at a time, as one number: the top bit of a byte tells that it is odd. What is carried from a
/// byte to the next can set such bits only above one that is odd itself.
fn are_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let each = |byte: u8| ONES * u64::from(byte);
    let is = |word: u64, byte: u8| {
        let zero = word ^ each(byte);
        zero.wrapping_sub(ONES) & !zero
    };
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().copied().all(is_plain);
    };
    let (words, _) = bytes.as_chunks();
    let odd = words.iter().chain([last]).fold(0, |odd, &word| {
        let word = u64::from_ne_bytes(word);
        let control = word.wrapping_sub(each(b' ')) & !word;
        // DEL, and whatever is beyond ASCII.
        let beyond = word | word.wrapping_add(ONES);
        odd | control | beyond | is(word, b'"') | is(word, b'\\')
    });
    odd & each(0x80) == 0
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Appends bytes as Apache writes them between the quotes of its formats: `\"`, `\\`, C's short
/// escapes, and `\xhh` for all other bytes that are not printable ASCII.
pub(crate) fn apache(line: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x0b => line.extend_from_slice(b"\\v"),
            b' '..=b'~' => line.push(byte),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use crate::telemetry::access_log::escape::{apache, are_plain, is_plain, json};

    fn text(escape: fn(&mut Vec<u8>, &[u8]), bytes: &[u8]) -> String {
        let mut line = Vec::new();
        escape(&mut line, bytes);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn json_escapes_what_could_end_the_string_or_the_line() {
        for (bytes, expected) in [
            (&b"/plain"[..], "/plain"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"\r\n\t", r"\r\n\t"),
            (b"\x00\x1b[2J\x7f", r"\u0000\u001b[2J\u007f"),
            ("é\u{9b}\u{2028}".as_bytes(), r"é\u009b\u2028"),
            (b"a\xff\xfeb", "a\u{fffd}\u{fffd}b"),
            (b"\xe2\x82", "\u{fffd}"),
        ] {
            assert_eq!(text(json, bytes), expected);
        }
    }

    #[test]
    fn apache_escapes_as_apache_does() {
        for (bytes, expected) in [
            (&b"/plain path"[..], "/plain path"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"\x08\n\r\t\x0b", r"\b\n\r\t\v"),
            (b"\x00\x1b\x7f\xff", r"\x00\x1b\x7f\xff"),
            ("é".as_bytes(), r"\xc3\xa9"),
        ] {
            assert_eq!(text(apache, bytes), expected);
        }
    }

    #[test]
    fn one_byte_that_is_not_plain_is_seen_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for n in 0..20 {
                for around in [b' ', b'~', b'!', b'#', b'[', b']'] {
                    let mut bytes = [around; 20];
                    bytes[n] = byte;
                    assert_eq!(are_plain(&bytes), is_plain(byte), "{byte:#x} at {n}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_are_plain_when_each_is(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let low: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f | 0x20).collect();
            for bytes in [bytes, low] {
                let each = bytes.iter().copied().all(is_plain);
                prop_assert_eq!(are_plain(&bytes), each);
            }
        }

        #[test]
        fn any_bytes_make_a_json_string_that_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let quoted = format!("\"{}\"", text(json, &bytes));
            let read: String = serde_json::from_str(&quoted).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
            prop_assert!(quoted.chars().all(|letter| !letter.is_control()));
        }

        #[test]
        fn any_bytes_make_printable_ascii_for_apache(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = text(apache, &bytes);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
