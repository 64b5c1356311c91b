//! Patterns of route names: every route, one, or all that begin alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which routes a freeze concerns: `*`, `shop` or `shop-*`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// Every route.
    Every,
    /// The route of that name.
    Name(String),
    /// Every route whose name begins so.
    Prefix(String),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing in it.
    #[error("a pattern of routes is \"*\", a name or a beginning such as \"shop-*\", never empty")]
    Empty,
    /// A star is somewhere else than at the end.
    #[error(
        "{text:?} has a star before its end: a pattern is \"*\", a name or a beginning such as \"shop-*\""
    )]
    Star {
        /// The text.
        text: String,
    },
}

impl Pattern {
    /// Whether the route of this name is meant.
    pub fn matches(&self, route: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Name(name) => name == route,
            Self::Prefix(prefix) => route.starts_with(prefix.as_str()),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (name, starred) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if name.contains('*') {
            let text = text.to_owned();
            return Err(PatternError::Star { text });
        }
        match (name.is_empty(), starred) {
            (true, true) => Ok(Self::Every),
            (true, false) => Err(PatternError::Empty),
            (false, true) => Ok(Self::Prefix(name.to_owned())),
            (false, false) => Ok(Self::Name(name.to_owned())),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::release::freeze::pattern::{Pattern, PatternError};

    #[track_caller]
    fn check(pattern: &str, route: &str, expected: bool) {
        let read: Pattern = pattern.parse().unwrap();
        assert_eq!(read.matches(route), expected, "{pattern} {route}");
        assert_eq!(read.to_string(), pattern);
    }

    #[test]
    fn a_pattern_is_every_route_one_or_a_beginning() {
        check("*", "shop", true);
        check("shop", "shop", true);
        check("shop", "shop-eu", false);
        check("shop-*", "shop-eu", true);
        check("shop-*", "shop", false);
        check("shop-*", "shop-", true);
    }

    #[test]
    fn a_star_elsewhere_is_refused() {
        let star = |text: &str| text.parse::<Pattern>();
        assert!(matches!(star("*-eu"), Err(PatternError::Star { .. })));
        assert!(matches!(star("a*b*"), Err(PatternError::Star { .. })));
        assert!(matches!(star("**"), Err(PatternError::Star { .. })));
        assert_eq!(star(""), Err(PatternError::Empty));
    }
}
