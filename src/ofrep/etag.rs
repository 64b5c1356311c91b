//! Entity tags of answers: what an answer is, in a word (RFC 9110, section 8.8.3).
//!
//! A tag is the hash of the very bytes, so it says the same of two answers only if they are the
//! same, whatever has changed meanwhile that does not show in them; and it differs where a context
//! of the same person has other answers.

use std::fmt::Write as _;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

/// Bytes of the hash that a tag shows: 128 bits, by which no two answers meet.
const BYTES: usize = 16;

/// The tag of a body, with its quotes.
pub(in crate::ofrep) fn of(body: &[u8]) -> String {
    let mut tag = String::with_capacity(2 * BYTES + 2);
    tag.push('"');
    for byte in &Sha256::digest(body)[..BYTES] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// True when a request has the answer of this tag already: its `If-None-Match` is `*`, or a list in
/// which the tag stands, by the weak comparison (RFC 9110, section 13.1.2). What cannot be read is as
/// if it were not there: then the answer is sent once more.
pub(in crate::ofrep) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers.get_all(IF_NONE_MATCH).into_iter();
    let mut texts = fields.filter_map(|field| HeaderValue::to_str(field).ok());
    texts.any(|text| text.trim() == "*" || stands_in(text, tag))
}

fn stands_in(list: &str, tag: &str) -> bool {
    let mut rest = list;
    loop {
        // RFC 9110, section 5.6.1.2: empty elements are left out.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let quoted = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(end) = quoted.strip_prefix('"').and_then(|opaque| opaque.find('"')) else {
            return false;
        };
        // The quotes are part of it; a comma may be, too.
        let (found, after) = quoted.split_at(end + 2);
        if found == tag {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_NONE_MATCH;

    use crate::ofrep::etag::{is_known, of};

    #[track_caller]
    fn check(fields: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IF_NONE_MATCH, field.parse().unwrap());
        }
        assert_eq!(is_known(&headers, "\"a,b\""), expected, "{fields:?}");
    }

    #[test]
    fn a_tag_is_the_hash_of_the_bytes() {
        // printf '{}' | sha256sum | head -c 32
        assert_eq!(of(b"{}"), "\"44136fa355b3678a1146ad16f7e8649e\"");
        assert_ne!(of(b"{}"), of(b"{ }"));
    }

    #[test]
    fn an_answer_is_known_by_its_tag_in_a_list_or_by_a_star() {
        check(&["\"a,b\""], true);
        check(&["W/\"a,b\""], true);
        check(&["*"], true);
        check(&[" * "], true);
        check(&["\"x\", \"a,b\""], true);
        check(&["\"x\" ,, W/\"a,b\",\"y\""], true);
        check(&["\"x\"", "\"a,b\""], true);
    }

    #[test]
    fn an_answer_is_not_known_by_anything_else() {
        check(&[], false);
        check(&[""], false);
        check(&["\"x\""], false);
        check(&["a,b"], false);
        check(&["\"a,b"], false);
        check(&["\"a\", b\""], false);
        check(&["\"x\", \"a\""], false);
    }
}
