//! The cookies of a request: what stands between the semicolons of its Cookie fields.
//!
//! A request is asked for a cookie up to five times, by stickiness, forcing and segments. So where
//! they are is found out once, when somebody asks first; only of a head with very many of them the
//! fields are walked each time, so that a client cannot make them take up memory.

use std::cell::{OnceCell, RefCell};

use crate::message::{Known, RequestHead, Span};

/// The most cookies that are kept of a head: more than browsers send to one host, at 2 KiB.
const MOST: usize = 128;

/// Where cookies are, once somebody has asked.
#[derive(Debug, Default)]
pub(in crate::message) struct Cookies {
    found: OnceCell<Found>,
    /// Memory for the next head.
    spare: RefCell<Vec<Cookie>>,
}

#[derive(Debug)]
struct Found {
    /// Those that were found, in their order.
    cookies: Vec<Cookie>,
    /// True when there are more.
    are_more: bool,
}

/// Where a cookie is.
#[derive(Clone, Copy, Debug)]
struct Cookie {
    name: Span,
    value: Span,
}

impl Cookies {
    /// Forgets them and keeps the memory.
    #[inline]
    pub(in crate::message) fn clear(&mut self) {
        if let Some(Found { mut cookies, .. }) = self.found.take() {
            cookies.clear();
            *self.spare.get_mut() = cookies;
        }
    }

    fn of<'c>(&'c self, head: &RequestHead) -> &'c Found {
        self.found.get_or_init(|| {
            let mut cookies = self.spare.take();
            let start = head.text.as_ptr().addr();
            let span = |part: &[u8]| {
                let at = part.as_ptr().addr() - start;
                Span::new(at, at + part.len())
            };
            let mut found = head.cookie_pairs().filter_map(parts);
            let kept = found.by_ref().take(MOST);
            cookies.extend(kept.map(|(name, value)| Cookie {
                name: span(name),
                value: span(value),
            }));
            let are_more = found.next().is_some();
            Found { cookies, are_more }
        })
    }
}

impl Clone for Cookies {
    /// Whoever has another head has to look for itself.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl RequestHead {
    /// The value of the first cookie of this name, over all Cookie fields (RFC 6265, section 5.4).
    pub fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        self.cookies(name).next()
    }

    /// The values of all cookies of this name: browsers send several when paths or domains differ.
    pub fn cookies<'a, 'n>(
        &'a self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let found = self.fields.has(Known::Cookie);
        let found = found.then(|| self.fields.cookies().of(self));
        let (kept, are_more) = found.map_or((&[][..], false), |found| {
            (&found.cookies[..], found.are_more)
        });
        let kept = kept.iter().filter_map(move |cookie| {
            let is_it = cookie.name.len() == name.len() && cookie.name.of(&self.text) == name;
            is_it.then(|| cookie.value.of(&self.text))
        });
        let walked = are_more.then(|| self.cookie_pairs().filter_map(parts).skip(MOST));
        let of_name = move |(own, value): (&'a [u8], &'a [u8])| (own == name).then_some(value);
        kept.chain(walked.into_iter().flatten().filter_map(of_name))
    }

    /// All cookies as they stand in Cookie fields, with their names, without the space around them.
    pub fn cookie_pairs(&self) -> impl Iterator<Item = &[u8]> {
        Pairs {
            fields: self.known(Known::Cookie),
            rest: b"",
        }
    }
}

/// The name and the value of a pair; what has no equals sign is no cookie.
fn parts(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&pair[..equals], &pair[equals + 1..]);
    Some((name.trim_ascii_end(), value.trim_ascii_start()))
}

/// The pairs in the values of fields; none is empty.
struct Pairs<'a, F> {
    fields: F,
    rest: &'a [u8],
}

impl<'a, F: Iterator<Item = &'a [u8]>> Iterator for Pairs<'a, F> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.rest {
                [] => self.rest = self.fields.next()?,
                [b';', rest @ ..] => self.rest = rest,
                [first, rest @ ..] if first.is_ascii_whitespace() => self.rest = rest,
                _ => break,
            }
        }
        let end = memchr::memchr(b';', self.rest).unwrap_or(self.rest.len());
        let (pair, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(pair.trim_ascii_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert_eq, proptest};

    use crate::message::RequestHead;
    use crate::message::cookies::MOST;

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        for (name, value) in fields {
            head.append_field(name.as_bytes(), value.as_bytes());
        }
        head
    }

    #[test]
    fn a_cookie_is_found_in_any_of_several_fields() {
        let head = head(&[("Cookie", "a=1; b=2"), ("cookie", "c = 3;a=4")]);
        assert_eq!(head.cookie(b"a"), Some(&b"1"[..]));
        assert_eq!(head.cookie(b"c"), Some(&b"3"[..]));
        assert_eq!(head.cookies(b"a").count(), 2);
        assert_eq!(head.cookie(b"d"), None);
        let pairs: Vec<_> = head.cookie_pairs().collect();
        assert_eq!(pairs, [&b"a=1"[..], b"b=2", b"c = 3", b"a=4"]);
    }

    #[test]
    fn a_cookie_has_the_whole_name_and_an_equals_sign() {
        let head = head(&[("Cookie", ";; ab=1; a; a b=2;a\t=\t3 4 ; a=")]);
        let values: Vec<_> = head.cookies(b"a").collect();
        assert_eq!(values, [&b"3 4"[..], b""]);
    }

    #[test]
    fn a_cookie_behind_very_many_is_found() {
        let many = "b=1; ".repeat(MOST);
        let head = head(&[("Cookie", &format!("a=1; {many}a=2")), ("Cookie", "a=3")]);
        let values: Vec<_> = head.cookies(b"a").collect();
        assert_eq!(values, [b"1", b"2", b"3"]);
        assert_eq!(head.cookies(b"b").count(), MOST);
    }

    #[test]
    fn a_head_that_changes_forgets_where_its_cookies_were() {
        let mut head = head(&[("Cookie", "a=1")]);
        assert_eq!(head.cookie(b"a"), Some(&b"1"[..]));
        head.append_field(b"Cookie", b"b=2");
        assert_eq!(head.cookie(b"b"), Some(&b"2"[..]));
        let text = head.text.clone();
        head.fields.remove(&text, b"cookie");
        assert_eq!(head.cookie(b"a"), None);
        head.append_field(b"Cookie", b"a=3");
        assert_eq!(head.clone().cookie(b"a"), Some(&b"3"[..]));
        head.clear();
        head.append_field(b"Cookie", b"a=4");
        assert_eq!(head.cookie(b"a"), Some(&b"4"[..]));
    }

    proptest! {
        #[test]
        fn cookies_are_what_stands_between_semicolons(
            fields in vec("[a;= \t]{0,24}", 0..3),
            more in 0_usize..2,
            name in "a{0,2}",
        ) {
            let many = "b=1;".repeat(more * (MOST - 2));
            let mut fields = fields;
            fields.insert(0, many);
            let head = head(&fields.iter().map(|value| ("Cookie", &**value)).collect::<Vec<_>>());
            let pairs = || {
                let pieces = fields.iter().flat_map(|value| value.split(';'));
                pieces.map(str::trim_ascii).filter(|pair| !pair.is_empty())
            };
            let read: Vec<_> = head.cookie_pairs().collect();
            prop_assert_eq!(read, pairs().map(str::as_bytes).collect::<Vec<_>>());
            let values = pairs().filter_map(|pair| {
                let after = pair.strip_prefix(&*name)?.trim_ascii_start();
                Some(after.strip_prefix('=')?.trim_ascii_start().as_bytes())
            });
            let read: Vec<_> = head.cookies(name.as_bytes()).collect();
            prop_assert_eq!(read, values.collect::<Vec<_>>());
        }
    }
}
