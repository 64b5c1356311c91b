//! The key of a flag in a path, and the ticket in a query.

use std::borrow::Cow;

/// What stands before the key.
const BEFORE_KEY: &str = "/ofrep/v1/evaluate/flags/";

/// The key that a path asks for: all that follows, since one provider sends a `/` in a key as it is
/// and the others as `%2F`. What is no text becomes one that no flag is called by.
pub(in crate::ofrep) fn key(path: &str) -> Cow<'_, str> {
    let Some(raw) = path.strip_prefix(BEFORE_KEY) else {
        return Cow::Borrowed("");
    };
    if !raw.contains('%') {
        return Cow::Borrowed(raw);
    }
    match String::from_utf8_lossy(&decoded(raw)) {
        Cow::Borrowed(text) => Cow::Owned(text.to_owned()),
        Cow::Owned(text) => Cow::Owned(text),
    }
}

/// The value of a parameter of a query, as it was sent.
pub(in crate::ofrep) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Undoes percent-encoding (RFC 3986, section 2.1). A `%` that begins nothing stays.
fn decoded(raw: &str) -> Vec<u8> {
    let digit = |at: Option<&u8>| char::from(*at?).to_digit(16);
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2)));
        match pair.filter(|_| byte == b'%') {
            Some((high, low)) => {
                // Two hexadecimal digits are a byte.
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::ofrep::path::{key, parameter};

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        assert_eq!(key(&format!("/ofrep/v1/evaluate/flags/{raw}")), expected);
    }

    #[test]
    fn a_key_is_the_rest_of_the_path_decoded_once() {
        check("new-checkout", "new-checkout");
        check("team/new-checkout", "team/new-checkout");
        check("team%2Fnew-checkout", "team/new-checkout");
        check("team%2fa%20b", "team/a b");
        check("100%25%32%35", "100%25");
        check("gr%C3%BCn", "grün");
        check("a+b", "a+b");
        check("", "");
        check("a/", "a/");
    }

    #[test]
    fn what_is_no_encoding_stays_and_what_is_no_text_fits_no_flag() {
        check("50%", "50%");
        check("50%2", "50%2");
        check("50%zz", "50%zz");
        check("%ff", "\u{fffd}");
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(parameter(Some("a=1&t=2.x&t=3"), "t"), Some("2.x"));
        assert_eq!(parameter(Some("tt=1"), "t"), None);
        assert_eq!(parameter(Some("t"), "t"), None);
        assert_eq!(parameter(None, "t"), None);
    }
}
