//! Problems: what is wrong with a configuration, and where.
//!
//! All of them are collected, so that one look at the list mends the file. Their order is that of
//! the file.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::sources::Sources;

/// One thing that is wrong with a configuration.
///
/// Its text is `tidegate.toml:14:12 route.shop.split.canary.weight: -5 is not …`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The file, as it was named to tidegate.
    pub file: PathBuf,
    /// The line, from 1; 0 when the problem is with the file and with no place in it.
    pub line: usize,
    /// The column in characters, from 1; 0 when there is no line.
    pub column: usize,
    /// The dotted key, such as `route.shop.match.path`; empty when no key is to blame.
    pub key: String,
    /// What is wrong: a clause without a full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if self.line != 0 {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(formatter, " {}", self.key)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// All problems of one configuration, in the order of the file; at least one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Problems {
    problems: Vec<Problem>,
    #[serde(skip)]
    sources: Sources,
}

impl Problems {
    /// Makes a list of one problem that is with the file as a whole.
    pub fn of_file(file: PathBuf, message: String) -> Self {
        Self::of(Problem {
            file,
            line: 0,
            column: 0,
            key: String::new(),
            message,
        })
    }

    /// Makes a list of one problem.
    pub(crate) fn of(problem: Problem) -> Self {
        Self {
            sources: Sources::of(problem.file.clone()),
            problems: vec![problem],
        }
    }

    /// Makes a list of problems that are in order, and says where they are from; `None` when there
    /// is none.
    pub(crate) fn new(problems: Vec<Problem>, sources: Sources) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { problems, sources })
    }

    /// Says what the refused configuration was read from.
    pub(crate) fn with_sources(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// What the refused configuration was read from: when it changes, it is worth another look.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The problems.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// The problems as a list of their own.
    pub fn into_vec(self) -> Vec<Problem> {
        self.problems
    }
}

impl fmt::Display for Problems {
    /// One problem a line, without an end of line after the last.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n != 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Where the lines of a text start, to tell line and column of a byte quickly.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// Finds the lines of a text.
    pub(crate) fn new(text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Self { starts }
    }

    /// Line and column, both from 1, of the byte at `offset` of the same text; the column counts
    /// characters.
    pub(crate) fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        // An offset within a character counts as that character's.
        let column = 1 + text.as_bytes()[start..offset]
            .iter()
            .filter(|&&byte| byte & 0xC0 != 0x80)
            .count();
        (line, column)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::problem::{Lines, Problem, Problems};

    #[test]
    fn a_position_counts_characters_from_one() {
        let text = "ab\nzwölf = 1\n";
        let lines = Lines::new(text);
        assert_eq!(lines.position(text, 0), (1, 1));
        assert_eq!(lines.position(text, 2), (1, 3));
        assert_eq!(lines.position(text, 3), (2, 1));
        assert_eq!(lines.position(text, 9), (2, 6));
        assert_eq!(lines.position(text, 14), (3, 1));
        assert_eq!(lines.position(text, 99), (3, 1));
        assert_eq!(Lines::new("").position("", 0), (1, 1));
    }

    #[test]
    fn a_problem_reads_as_a_line_that_editors_can_jump_to() {
        let mut problem = Problem {
            file: PathBuf::from("tidegate.toml"),
            line: 14,
            column: 12,
            key: String::from("route.shop.split.canary.weight"),
            message: String::from("-5 is not a whole number from 0 to 1000000"),
        };
        assert_eq!(
            problem.to_string(),
            "tidegate.toml:14:12 route.shop.split.canary.weight: \
             -5 is not a whole number from 0 to 1000000"
        );
        problem.key.clear();
        assert_eq!(
            problem.to_string(),
            "tidegate.toml:14:12: -5 is not a whole number from 0 to 1000000"
        );
        let problems = Problems::of_file(PathBuf::from("a.toml"), String::from("cannot be read"));
        assert_eq!(problems.to_string(), "a.toml: cannot be read");
    }
}
