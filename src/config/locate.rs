//! Finding where a key stands, for problems that show only when a configuration is put to use: a
//! certificate that does not fit its key, an address that somebody else listens on.
//!
//! That is rare, so no places are kept for it: the texts are read once more when one is asked for.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::config::problem::{Lines, Problem};

/// The texts of a configuration's files, as they were read.
#[derive(Debug, Default)]
pub struct Texts {
    texts: Vec<(PathBuf, String)>,
}

impl Texts {
    /// Keeps the texts of files, in the order in which they were read.
    pub(crate) fn new(texts: Vec<(PathBuf, String)>) -> Self {
        Self { texts }
    }

    /// The files, in the order in which they were read.
    pub(crate) fn into_texts(self) -> Vec<(PathBuf, String)> {
        self.texts
    }

    /// Gives a problem that has a key and no place the place of the key, or of what it would be in;
    /// without any of it in the files, it stays as it is.
    pub fn locate(&self, problem: Problem) -> Problem {
        if problem.line != 0 || problem.key.is_empty() {
            return problem;
        }
        let steps: Vec<&str> = problem.key.split('.').collect();
        let found = self.texts.iter().filter_map(|(file, text)| {
            let (table, _) = DeTable::parse_recoverable(text);
            let (depth, at) = place(table.get_ref(), &steps)?;
            Some((depth, at, file, text))
        });
        // Of equals the last: from behind, that is the first.
        let found: Vec<_> = found.collect();
        let deepest = found.into_iter().rev().max_by_key(|(depth, ..)| *depth);
        let Some((_, at, file, text)) = deepest else {
            return problem;
        };
        let (line, column) = Lines::new(text).position(text, at);
        Problem {
            file: file.clone(),
            line,
            column,
            ..problem
        }
    }
}

/// How deep the steps of a key lead in a table, at least one, and where the last of them stands.
fn place(table: &DeTable<'_>, steps: &[&str]) -> Option<(usize, usize)> {
    let (first, rest) = steps.split_first()?;
    let (key, value) = table.get_key_value(*first)?;
    let deeper = match value.get_ref() {
        DeValue::Table(table) => place(table, rest),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    };
    let (depth, at) = deeper.unwrap_or((0, key.span().start));
    Some((depth + 1, at))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::locate::Texts;
    use crate::config::problem::Problem;

    #[track_caller]
    fn check(key: &str, expected: &str) {
        let texts = [
            ("a.toml", "[listener.http]\naddress = \"127.0.0.1:80\"\n"),
            (
                "b.toml",
                "[listener.https]\n  tls = { certificates = [] }\n",
            ),
        ];
        let texts = texts.map(|(file, text)| (PathBuf::from(file), text.to_owned()));
        let problem = Problem {
            file: PathBuf::from("a.toml"),
            line: 0,
            column: 0,
            key: key.to_owned(),
            message: "is wrong".to_owned(),
        };
        let located = Texts::new(texts.to_vec()).locate(problem);
        assert_eq!(located.to_string(), expected);
    }

    #[test]
    fn a_problem_is_where_its_key_is_or_would_be() {
        check(
            "listener.http.address",
            "a.toml:2:1 listener.http.address: is wrong",
        );
        check(
            "listener.https.tls",
            "b.toml:2:3 listener.https.tls: is wrong",
        );
        check(
            "listener.http.tls",
            "a.toml:1:11 listener.http.tls: is wrong",
        );
        check("listener.more", "a.toml:1:2 listener.more: is wrong");
        check("access_log.output", "a.toml access_log.output: is wrong");
        check("", "a.toml: is wrong");
    }
}
