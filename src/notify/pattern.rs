//! Patterns of kinds of events: `release.held`, `release.*`, `*`.

use std::fmt;

use thiserror::Error;

/// Which kinds of events are meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pattern {
    /// Every kind.
    All,
    /// The kinds that begin with this, which ends with a dot.
    Below(String),
    /// This kind.
    Exactly(String),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a kind of event such as release.held, nor a pattern such as release.* or *")]
pub struct PatternError;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::All);
        }
        let is_word = |word: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !word.is_empty() && word.chars().all(fits)
        };
        let words = text.strip_suffix(".*").unwrap_or(text);
        if !words.split('.').all(is_word) {
            return Err(PatternError);
        }
        Ok(match text.strip_suffix('*') {
            Some(start) => Self::Below(start.to_owned()),
            None => Self::Exactly(text.to_owned()),
        })
    }

    /// Whether a kind is meant.
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(start) => kind.starts_with(start),
            Self::Exactly(exactly) => kind == exactly,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("*"),
            Self::Below(start) => write!(formatter, "{start}*"),
            Self::Exactly(kind) => formatter.write_str(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::notify::pattern::{Pattern, PatternError};

    #[test]
    fn a_pattern_means_its_kinds_and_is_written_as_it_was_read() {
        #[track_caller]
        fn check(text: &str, meant: &[&str], others: &[&str]) {
            let pattern = Pattern::parse(text).unwrap();
            assert!(meant.iter().all(|kind| pattern.matches(kind)), "{text}");
            assert!(!others.iter().any(|kind| pattern.matches(kind)), "{text}");
            assert_eq!(pattern.to_string(), text);
        }
        check("*", &["release.held", "audit.anchor"], &[]);
        check(
            "release.*",
            &["release.held"],
            &["release", "releases.held"],
        );
        check("release.held", &["release.held"], &["release.held_up"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", ".", "release.", "release*", "*.held", "Release", "a..b", "a.*.b", ".*",
        ] {
            assert_eq!(Pattern::parse(text), Err(PatternError), "{text}");
        }
    }
}
