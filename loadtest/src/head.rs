//! Just enough of HTTP/1.1 heads: where one ends, and what a field says.
//!
//! This is no codec: both ends of the load test are ours, and the proxy between them is what is
//! under test. Whatever is not understood is reported, never guessed at.

/// The length of the head that begins `bytes`, with its empty line, once all of it is there.
pub fn length(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The value of the first field called `name` (any case).
pub fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// The digits as a number; `None` when there is anything but digits, or none.
pub fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use crate::head::{field, length, number};

    const HEAD: &[u8] = b"GET /200 HTTP/1.1\r\nHost: a\r\nContent-Length:  12 \r\n\r\nrest";

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(length(HEAD), Some(HEAD.len() - 4));
        assert_eq!(length(&HEAD[..HEAD.len() - 5]), None);
    }

    #[test]
    fn a_field_is_found_in_any_case_and_trimmed() {
        assert_eq!(field(HEAD, b"content-length"), Some(&b"12"[..]));
        assert_eq!(field(HEAD, b"hos"), None);
        assert_eq!(field(HEAD, b"x-group"), None);
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(number(b"12"), Some(12));
        assert_eq!(number(b"+12"), None);
        assert_eq!(number(b""), None);
    }
}
