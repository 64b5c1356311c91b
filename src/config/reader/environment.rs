//! The environment in a file: `${NAME}` and `${NAME:-default}` in strings.
//!
//! What stands in the place of a name is put into values only, never into keys, and after the TOML
//! was read: nothing in the environment can change what the file is made of.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::reader::Document;

/// Puts the environment into all strings of a table, which was read from `text`; `variable` knows it.
pub(crate) fn expand(
    document: &Document,
    entries: &mut DeTable<'_>,
    text: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
) {
    if !may_refer(text) {
        return;
    }
    let expansion = Expansion { document, variable };
    expansion.table(None, entries);
}

struct Expansion<'e> {
    document: &'e Document,
    variable: &'e dyn Fn(&str) -> Option<OsString>,
}

/// The way to a value: that of what it is in, if that is not the root, and one more step. It is
/// written out only for a value that has something wrong with it.
#[derive(Clone, Copy)]
struct Way<'w> {
    before: Option<&'w Way<'w>>,
    step: Step<'w>,
}

#[derive(Clone, Copy)]
enum Step<'w> {
    Key(&'w str),
    Index(usize),
}

impl Display for Way<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            before.fmt(formatter)?;
        }
        match self.step {
            Step::Key(key) if self.before.is_none() => formatter.write_str(key),
            Step::Key(key) => write!(formatter, ".{key}"),
            Step::Index(n) => write!(formatter, "[{n}]"),
        }
    }
}

impl Expansion<'_> {
    fn table(&self, before: Option<&Way<'_>>, entries: &mut DeTable<'_>) {
        for (key, value) in entries.iter_mut() {
            let step = Step::Key(key.get_ref());
            self.value(&Way { before, step }, value);
        }
    }

    fn value(&self, way: &Way<'_>, spanned: &mut Spanned<DeValue<'_>>) {
        let at = spanned.span().start;
        match spanned.get_mut() {
            DeValue::String(text) => {
                if text.contains("${") {
                    match self.text(text) {
                        Ok(expanded) => *text = expanded.into(),
                        Err(message) => self.document.unexpanded(at, &way.to_string(), message),
                    }
                }
            }
            DeValue::Array(values) => {
                for (n, value) in values.iter_mut().enumerate() {
                    let step = Step::Index(n);
                    let before = Some(way);
                    self.value(&Way { before, step }, value);
                }
            }
            DeValue::Table(entries) => self.table(Some(way), entries),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    /// A text with the environment put in, or what is wrong with it.
    fn text(&self, text: &str) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                result.push_str(before);
                result.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            result.push_str(&rest[..at]);
            let Some((inside, behind)) = rest[at + 2..].split_once('}') else {
                return Err(String::from(
                    "\"${\" without \"}\"; \"$${\" stands for the text itself",
                ));
            };
            result.push_str(&self.variable(inside)?);
            rest = behind;
        }
        result.push_str(rest);
        Ok(result)
    }

    /// What stands for `NAME` or `NAME:-default`. As in a shell, the default also stands for a
    /// variable that is set to nothing.
    fn variable(&self, inside: &str) -> Result<String, String> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable(name) {
            return Err(format!(
                "{name:?} is no name of an environment variable; ${{NAME}} or ${{NAME:-default}} belongs here"
            ));
        }
        let value = match (self.variable)(name) {
            Some(value) => value
                .into_string()
                .map_err(|_| format!("the environment variable {name} is not UTF-8"))?,
            None if default.is_none() => {
                return Err(format!(
                    "the environment variable {name} is not set, and there is no default (${{{name}:-default}})"
                ));
            }
            None => String::new(),
        };
        let value = match default {
            Some(default) if value.is_empty() => default.to_owned(),
            _ => value,
        };
        let left = &self.document.left;
        let rest = left.get().checked_sub(value.len());
        left.set(rest.ok_or("the environment adds too much")?);
        Ok(value)
    }
}

/// False for a text that has no string with a `$` in it, neither as it is nor as an escape such as
/// `\u0024`: most have none, and their strings need not be looked at one by one.
fn may_refer(text: &str) -> bool {
    let text = text.as_bytes();
    let is_escape = |at: usize| matches!(text.get(at + 1), Some(b'u' | b'U' | b'x'));
    memchr::memchr(b'$', text).is_some() || memchr::memchr_iter(b'\\', text).any(is_escape)
}

/// True for a name that a shell can set (POSIX, XBD section 8.1).
fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
