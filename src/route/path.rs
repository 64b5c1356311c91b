//! Paths: patterns as written in a route, and the path of a request in its plain form.
//!
//! A request is forwarded with its path as it was sent, but its route is chosen by the plain form:
//! what most servers behind would take the path for. Otherwise `/%61dmin`, `//admin` or
//! `/x/../admin` would pass by the route `/admin` and still be answered as `/admin`. The plain form
//! decodes percent-encoded unreserved characters, writes other percent-encodings in upper case
//! (RFC 3986, section 6.2.2), removes `.` and `..` segments (section 5.2.4) and takes repeated
//! slashes as one. It leaves `%2F` encoded: that is no separator.
//!
//! What a server may do beyond that (path parameters behind `;`, backslashes, encoded slashes, case)
//! is unknown here: a route divides traffic, it does not guard a door.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Captures, Regex, RegexBuilder};

/// The most segments that a prefix may have, so that finding one takes a bounded number of steps.
pub(in crate::route) const MAX_SEGMENTS: usize = 32;
/// Paths up to this size become plain on the stack.
const STACK_BYTES: usize = 1024;
/// The largest size of a compiled regular expression: thousands of them must fit into memory.
const REGEX_BYTES: usize = 1 << 20;

/// The paths that a route takes.
#[derive(Clone, Debug)]
pub(in crate::route) enum PathPattern {
    /// This path and no other.
    Exact(String),
    /// This path and all below it; without the slash at its end, and at least one segment.
    Prefix(String),
    /// Every path that matches as a whole.
    Regex(FullRegex),
    /// Any path.
    Any,
}

impl PathPattern {
    /// Reads an exact path.
    pub(in crate::route) fn exact(text: &str) -> Result<Self, String> {
        check(text)?;
        Ok(Self::Exact(text.to_owned()))
    }

    /// Reads a prefix; with or without a slash at its end it is the same.
    pub(in crate::route) fn prefix(text: &str) -> Result<Self, String> {
        check(text)?;
        let prefix = text.strip_suffix('/').unwrap_or(text);
        if prefix.is_empty() {
            return Ok(Self::Any);
        }
        if prefix.bytes().filter(|&byte| byte == b'/').count() > MAX_SEGMENTS {
            return Err(format!("a prefix has at most {MAX_SEGMENTS} segments"));
        }
        Ok(Self::Prefix(prefix.to_owned()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(formatter, "path {path}"),
            Self::Prefix(prefix) => write!(formatter, "path {prefix}/"),
            Self::Regex(regex) => write!(formatter, "path matching {}", regex.text()),
            Self::Any => formatter.write_str("any path"),
        }
    }
}

/// A regular expression that must match the whole of a text, in time linear in its length.
///
/// It works on bytes: classes such as `\w` are ASCII, and `.` is any byte.
#[derive(Clone, Debug)]
pub(crate) struct FullRegex {
    text: String,
    regex: Regex,
}

impl PartialEq for FullRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for FullRegex {}

impl FullRegex {
    /// Compiles a pattern; `^` at its beginning and `$` at its end are allowed and change nothing.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .unicode(false)
                .size_limit(REGEX_BYTES)
                .build()
                .map_err(|error| fault(&error))
        };
        // Alone first: `a)|(b` must not become valid by what is written around it.
        compile(text)?;
        Ok(Self {
            text: text.to_owned(),
            regex: compile(&format!(r"\A(?:{text})\z"))?,
        })
    }

    /// The pattern as it was written.
    pub(in crate::route) fn text(&self) -> &str {
        &self.text
    }

    /// The number of the group of this name or number, if there is one; 0 is the whole match.
    pub(in crate::route) fn group(&self, name: &str) -> Option<usize> {
        match name.parse::<usize>() {
            Ok(number) => (number < self.regex.captures_len()).then_some(number),
            Err(_) => self
                .regex
                .capture_names()
                .position(|other| other == Some(name)),
        }
    }

    /// What the groups caught, when the whole text matches.
    pub(in crate::route) fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.regex.captures(text)
    }

    /// True when the whole text matches.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

/// What is wrong with a regular expression, in one line. The library shows the expression on lines
/// of its own, and points into it; what is wrong stands on the last.
fn fault(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Refuses a text that no plain path could ever equal.
pub(in crate::route) fn check(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("a path begins with `/`".to_owned());
    }
    if let Some(bad) = text
        .chars()
        .find(|&c| !c.is_ascii_graphic() || c == '?' || c == '#')
    {
        return Err(format!("`{}` cannot stand in a path", bad.escape_default()));
    }
    let mut plain = String::new();
    with_plain(text.as_bytes(), |bytes| {
        plain.push_str(&String::from_utf8_lossy(bytes));
    });
    if plain != text {
        return Err(format!("write it in its plain form, `{plain}`"));
    }
    Ok(())
}

/// Gives the plain form of a request's path to `then`.
pub(in crate::route) fn with_plain<R>(path: &[u8], then: impl FnOnce(&[u8]) -> R) -> R {
    if is_plain(path) {
        return then(path);
    }
    if path.len() <= STACK_BYTES {
        let mut buffer = [0; STACK_BYTES];
        let n_bytes = make_plain(path, &mut buffer);
        return then(&buffer[..n_bytes]);
    }
    let mut buffer = vec![0; path.len()];
    let n_bytes = make_plain(path, &mut buffer);
    then(&buffer[..n_bytes])
}

/// The plain form of a request's path, for whoever keeps it.
pub(crate) fn plain(path: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let mut plain = vec![0; path.len()];
    let n_bytes = make_plain(path, &mut plain);
    plain.truncate(n_bytes);
    Cow::Owned(plain)
}

/// True when a path surely is in its plain form; `/.x` is too, but is not seen to be.
pub(in crate::route) fn is_plain(path: &[u8]) -> bool {
    if memchr::memchr(b'%', path).is_some() || path.first() != Some(&b'/') {
        return path.first() != Some(&b'/');
    }
    memchr::memchr_iter(b'/', path).all(|at| !matches!(path.get(at + 1), Some(b'/' | b'.')))
}

/// Writes the plain form of a path that begins with a slash; it is never longer than the path.
fn make_plain(path: &[u8], out: &mut [u8]) -> usize {
    let mut n_out = 0;
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let start = n_out;
        out[n_out] = b'/';
        n_out += 1;
        n_out += decode(segment, &mut out[n_out..]);
        match &out[start + 1..n_out] {
            b"" | b"." => n_out = start,
            b".." => n_out = memchr::memrchr(b'/', &out[..start]).unwrap_or(0),
            _ => continue,
        }
        // A directory's own slash stays: `/a/`, `/a/.` and `/a/b/..` are all `/a/`.
        if is_last {
            out[n_out] = b'/';
            n_out += 1;
        }
    }
    n_out
}

/// Decodes the unreserved characters of a segment and writes the other encodings in upper case.
fn decode(segment: &[u8], out: &mut [u8]) -> usize {
    let mut n_out = 0;
    let mut rest = segment;
    while let [first, tail @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(h), Some(l)) = (hex(*high), hex(*low))
        {
            rest = after;
            let byte = h << 4 | l;
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out[n_out] = byte;
                n_out += 1;
            } else {
                out[n_out] = b'%';
                out[n_out + 1] = high.to_ascii_uppercase();
                out[n_out + 2] = low.to_ascii_uppercase();
                n_out += 3;
            }
        } else {
            out[n_out] = *first;
            n_out += 1;
            rest = tail;
        }
    }
    n_out
}

fn hex(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use crate::route::path::{FullRegex, PathPattern, with_plain};

    fn plain(path: &str) -> String {
        with_plain(path.as_bytes(), |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    }

    #[test]
    fn a_path_that_a_server_would_take_for_another_becomes_the_other() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/%61dmin", "/admin"),
            ("/a%2fb%7e", "/a%2Fb~"),
            ("/a%zz%4", "/a%zz%4"),
            ("//a///b//", "/a/b/"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/../../a", "/a"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/..", "/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a/.../..b", "/a/.../..b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(plain(path), expected, "{path}");
        }
        let long = format!("/{}/%61", "x".repeat(3000));
        assert_eq!(plain(&long), format!("/{}/a", "x".repeat(3000)));
    }

    proptest! {
        #[test]
        fn the_plain_form_is_its_own_plain_form(path in "/([a./]|%2e|%61|%2F|%c3){0,40}") {
            let once = plain(&path);
            prop_assert!(once.starts_with('/'));
            prop_assert!(once.len() <= path.len());
            prop_assert_eq!(plain(&once), once);
        }

        #[test]
        fn any_bytes_have_a_plain_form(path in proptest::collection::vec(0_u8..=255, 0..2000)) {
            let n_bytes = with_plain(&path, <[u8]>::len);
            prop_assert!(n_bytes <= path.len());
        }
    }

    #[test]
    fn a_pattern_that_no_plain_path_equals_is_refused_with_its_plain_form() {
        for text in [
            "", "a", "/a b", "/a?b", "/a#b", "/é", "/a//b", "/a/../b", "/%61", "/%2f",
        ] {
            assert!(PathPattern::exact(text).is_err(), "{text}");
            assert!(PathPattern::prefix(text).is_err(), "{text}");
        }
        assert_eq!(
            PathPattern::exact("/%61/./b").map(|_| ()),
            Err("write it in its plain form, `/a/b`".to_owned())
        );
        assert!(PathPattern::prefix(&"/a".repeat(33)).is_err());
        assert!(PathPattern::prefix(&"/a".repeat(32)).is_ok());
    }

    #[test]
    fn a_regular_expression_matches_the_whole_or_not_at_all() {
        let regex = FullRegex::new("^/v[0-9]+|/w$").unwrap();
        assert!(regex.is_match(b"/v12"));
        assert!(regex.is_match(b"/w"));
        assert!(!regex.is_match(b"/v12/x"));
        assert!(!regex.is_match(b"/x/w"));
        for text in ["(", "a)|(b", "(?=a)", r"(a)\1", "a{9999999}"] {
            assert!(FullRegex::new(text).is_err(), "{text}");
        }
        for (text, fault) in [
            ("(", "unclosed group"),
            ("a)|(b\n(", "unopened group"),
            (
                "a{9999999}",
                "Compiled regex exceeds size limit of 1048576 bytes.",
            ),
        ] {
            assert_eq!(FullRegex::new(text), Err(fault.to_owned()), "{text}");
        }
    }
}
