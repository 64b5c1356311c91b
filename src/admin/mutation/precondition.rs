//! `If-Match`: what a resource has to be for a mutation of it (RFC 9110, section 13.1.1).

use std::fmt::{Display, Formatter};

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderValue};

use crate::admin::fault::{Code, Fault};

/// What a resource is at a time, in a word: an entity tag (RFC 9110, section 8.8.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin) struct Etag {
    is_weak: bool,
    opaque: String,
}

impl Etag {
    /// Makes a strong one of letters, digits and what else may stand between quotes.
    pub(in crate::admin) fn strong(opaque: String) -> Self {
        Self {
            is_weak: false,
            opaque,
        }
    }

    /// It as the value of a field.
    pub(in crate::admin) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.to_string()).ok()
    }

    /// The strong comparison: what is weak equals nothing (RFC 9110, section 8.8.3.2).
    fn is(&self, other: &Self) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }
}

impl Display for Etag {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let weak = if self.is_weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", self.opaque)
    }
}

/// The condition of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin::mutation) enum IfMatch {
    /// There is none.
    Absent,
    /// That there is a resource: `*`.
    Any,
    /// That it is one of these.
    One(Vec<Etag>),
}

impl IfMatch {
    /// Reads that of a request.
    ///
    /// # Errors
    /// When it is neither `*` nor a list of entity tags: to ignore it would be to change what was
    /// not to be changed.
    pub(in crate::admin::mutation) fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let mut tags = Vec::new();
        let mut n_any = 0;
        let mut fields = headers.get_all(IF_MATCH).into_iter().peekable();
        if fields.peek().is_none() {
            return Ok(Self::Absent);
        }
        for field in fields {
            let text = field.to_str().map_err(|_| malformed())?.trim();
            if text == "*" {
                n_any += 1;
            } else {
                list(text, &mut tags).ok_or_else(malformed)?;
            }
        }
        match (n_any, tags.is_empty()) {
            (0, false) => Ok(Self::One(tags)),
            (1, true) => Ok(Self::Any),
            _ => Err(malformed()),
        }
    }

    /// True when a resource that is this now fulfils it.
    pub(in crate::admin::mutation) fn holds_for(&self, current: &Etag) -> bool {
        match self {
            Self::Absent | Self::Any => true,
            Self::One(tags) => tags.iter().any(|tag| tag.is(current)),
        }
    }
}

fn malformed() -> Fault {
    let why =
        "If-Match is neither * nor a list of entity tags such as \"12-0a1b\", with the quotes";
    Fault::new(Code::IfMatchMalformed, why)
}

/// Reads a list of entity tags; `None` when it is none. Empty elements are left out (RFC 9110,
/// section 5.6.1.2).
fn list(text: &str, tags: &mut Vec<Etag>) -> Option<()> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(());
        }
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        // A comma may be a part of a tag, a space not.
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        tags.push(Etag {
            is_weak,
            opaque: opaque.to_owned(),
        });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_MATCH;

    use crate::admin::fault::Code;
    use crate::admin::mutation::precondition::{Etag, IfMatch};

    fn read(fields: &[&str]) -> Result<IfMatch, Code> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IF_MATCH, field.parse().unwrap());
        }
        IfMatch::of(&headers).map_err(|fault| fault.code())
    }

    #[track_caller]
    fn check(fields: &[&str], current: &str, holds: bool) {
        let current = Etag::strong(current.to_owned());
        assert_eq!(
            read(fields).unwrap().holds_for(&current),
            holds,
            "{fields:?}"
        );
    }

    #[test]
    fn it_holds_for_one_of_the_tags_for_all_and_where_there_is_none() {
        check(&[], "7", true);
        check(&["*"], "7", true);
        check(&["\"7\""], "7", true);
        check(&["\"8\""], "7", false);
        check(&["\"6\", \"7\",\"8\""], "7", true);
        check(&["\"6\" ,, \"8\""], "7", false);
        check(&["\"6\"", "\"7\""], "7", true);
        check(&["\"a,b\""], "a,b", true);
        check(&["\"\""], "7", false);
    }

    #[test]
    fn what_is_weak_is_the_same_as_nothing() {
        check(&["W/\"7\""], "7", false);
        check(&["W/\"7\", \"7\""], "7", true);
        let weak = Etag {
            is_weak: true,
            opaque: "7".to_owned(),
        };
        assert!(!read(&["\"7\""]).unwrap().holds_for(&weak));
        assert_eq!(weak.to_string(), "W/\"7\"");
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_not_ignored() {
        for fields in [
            &["7"][..],
            &["\"7"],
            &["7\""],
            &[""],
            &[","],
            &["w/\"7\""],
            &["\"7\" \"8\""],
            &["\"7\", *"],
            &["*", "\"7\""],
            &["*", "*"],
            &["\"a b\""],
        ] {
            assert_eq!(read(fields), Err(Code::IfMatchMalformed), "{fields:?}");
        }
    }
}
