//! Problems: what is wrong with a configuration, and where.
//!
//! All of them are collected, so that one look at the list mends the file. Their order is that of
//! the file.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

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
    files: Vec<PathBuf>,
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
            files: vec![problem.file.clone()],
            problems: vec![problem],
        }
    }

    /// Makes a list of problems that are in order; `None` when there is none.
    pub(crate) fn new(problems: Vec<Problem>) -> Option<Self> {
        let files = vec![problems.first()?.file.clone()];
        Some(Self { problems, files })
    }

    /// Says which files the refused configuration names.
    pub(crate) fn with_files(self, files: Vec<PathBuf>) -> Self {
        Self { files, ..self }
    }

    /// The file itself and the files that it names, whether they are there or not: when one of them
    /// changes, it is worth another look.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
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

/// Where the lines of a text start, to tell line and column of a byte quickly.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of a text.
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Self { text, starts }
    }

    /// Line and column, both from 1, of the byte at `offset`; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        // An offset within a character counts as that character's.
        let column = 1 + self.text.as_bytes()[start..offset]
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
        let lines = Lines::new("ab\nzwölf = 1\n");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(2), (1, 3));
        assert_eq!(lines.position(3), (2, 1));
        assert_eq!(lines.position(9), (2, 6));
        assert_eq!(lines.position(14), (3, 1));
        assert_eq!(lines.position(99), (3, 1));
        assert_eq!(Lines::new("").position(0), (1, 1));
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
