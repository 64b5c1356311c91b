//! Reading TOML by hand, with a small vocabulary that collects every problem and goes on.
//!
//! A [`Table`] is asked for its keys one by one; whatever is in it and was not asked for is an
//! unknown key. A [`Value`] is asked to be something; when it is not, that is a problem at its
//! place, and the answer is `None`. So code that reads a section tells the schema by reading it,
//! and one pass finds all that is wrong.

use std::cell::RefCell;
#[cfg(test)]
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::near;
use crate::config::problem::{Lines, Problem};
use crate::config::unit;

/// The longest piece of a file that a message repeats, in characters.
const MAX_SHOWN: usize = 60;
/// The longest name of a listener, an upstream, a route or a variant: it is a label in metrics.
const MAX_NAME: usize = 64;

/// A file that is being read, with what was found wrong so far.
pub(crate) struct Document<'d> {
    file: &'d Path,
    text: &'d str,
    lines: Lines<'d>,
    problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for, with `*` for names: what the schema is.
    #[cfg(test)]
    asked: RefCell<BTreeSet<String>>,
}

impl<'d> Document<'d> {
    /// Begins with a text that came from `file`.
    pub(crate) fn new(file: &'d Path, text: &'d str) -> Self {
        Self {
            file,
            text,
            lines: Lines::new(text),
            problems: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Records a problem at a byte of the text.
    pub(crate) fn problem(&self, at: usize, key: &str, message: impl Into<String>) {
        let (line, column) = self.lines.position(at);
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_path_buf(),
            line,
            column,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// Reads the whole file as a table, the root of all keys.
    pub(crate) fn root<T>(
        &'d self,
        entries: &'d DeTable<'d>,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> T {
        let mut table = Table::new(self, String::new(), 0, entries);
        let result = read(&mut table);
        table.refuse_unknown();
        result
    }

    /// All problems so far, in the order in which they were found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Resolves a path that the file names: relative to the file itself.
    fn resolve(&self, path: &str) -> PathBuf {
        match self.file.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }
}

/// A table that is being read.
pub(crate) struct Table<'d> {
    document: &'d Document<'d>,
    path: String,
    at: usize,
    entries: &'d DeTable<'d>,
    asked: Vec<&'static str>,
}

impl<'d> Table<'d> {
    fn new(document: &'d Document<'d>, path: String, at: usize, entries: &'d DeTable<'d>) -> Self {
        Self {
            document,
            path,
            at,
            entries,
            asked: Vec::new(),
        }
    }

    /// The value of a key, if it is there.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'d>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
            #[cfg(test)]
            self.document
                .asked
                .borrow_mut()
                .insert(join(&without_names(&self.path), key));
        }
        let (name, value) = self.entries.get_key_value(key)?;
        Some(self.value(name, value))
    }

    /// The value of a key that must be there; `what` says what belongs there.
    pub(crate) fn required(&mut self, key: &'static str, what: &str) -> Option<Value<'d>> {
        let value = self.optional(key);
        if value.is_none() {
            let path = join(&self.path, key);
            let message = format!("missing; {what} belongs here");
            self.document.problem(self.at, &path, message);
        }
        value
    }

    /// Sets `target` to what `read` makes of a key's value; without the key it stays as it is.
    pub(crate) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(&Value<'d>) -> Option<T>,
    ) {
        if let Some(result) = self.optional(key).and_then(|value| read(&value)) {
            *target = result;
        }
    }

    /// Reads a key's value as a table, if it is there.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> Option<T> {
        self.optional(key)?.table(read)
    }

    /// Records a problem with the table as a whole.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        self.document.problem(self.at, &self.path, message);
    }

    /// Records that a key is set and may not be.
    pub(crate) fn refuse_key(&mut self, key: &'static str, message: &str) {
        if let Some(value) = self.optional(key) {
            value.refuse_key(message);
        }
    }

    /// Records every key that nobody asked for.
    fn refuse_unknown(&self) {
        for (name, value) in self.entries {
            let name_text: &str = name.get_ref();
            if self.asked.contains(&name_text) {
                continue;
            }
            let value = self.value(name, value);
            let hint = near::nearest(name_text, self.asked.iter().copied())
                .map(|near| format!(", did you mean {near}?"))
                .unwrap_or_default();
            let message = format!("unknown key{hint} (known here: {})", self.asked.join(", "));
            value.refuse_key(message);
        }
    }

    fn value(
        &self,
        name: &'d Spanned<toml::de::DeString<'d>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        Value {
            document: self.document,
            path: join(&self.path, name.get_ref()),
            key_at: name.span().start,
            spanned: value,
        }
    }
}

/// A value that is being read.
#[derive(Clone)]
pub(crate) struct Value<'d> {
    document: &'d Document<'d>,
    path: String,
    key_at: usize,
    spanned: &'d Spanned<DeValue<'d>>,
}

impl<'d> Value<'d> {
    /// Records a problem at the value.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        let at = self.spanned.span().start;
        self.document.problem(at, &self.path, message);
    }

    /// Records a problem at the key.
    pub(crate) fn refuse_key(&self, message: impl Into<String>) {
        self.document.problem(self.key_at, &self.path, message);
    }

    /// Records that the value is not what belongs there.
    pub(crate) fn is_not(&self, what: &str) {
        self.refuse(format!("{} is not {what}", self.shown()));
    }

    /// Reads a table.
    pub(crate) fn table<T>(&self, read: impl FnOnce(&mut Table<'d>) -> T) -> Option<T> {
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            self.is_not("a table");
            return None;
        };
        let mut table = Table::new(self.document, self.path.clone(), self.key_at, entries);
        let result = read(&mut table);
        table.refuse_unknown();
        Some(result)
    }

    /// Reads a table whose keys are names, and each of its values by `read`; a key that is no name
    /// is a problem, and what cannot be read is left out.
    pub(crate) fn names<T>(
        &self,
        mut read: impl FnMut(&'d str, &Value<'d>) -> Option<T>,
    ) -> Vec<(&'d str, T)> {
        self.entries(|name, value| {
            if !is_name(name) {
                value.refuse_key(format!(
                    "{} is not a name of 1 to {MAX_NAME} letters, digits, \"-\" and \"_\"",
                    shorten(&format!("{name:?}"))
                ));
                return None;
            }
            Some((name, read(name, value)?))
        })
    }

    /// Reads a table with any keys, each of its values by `read`; what cannot be read is left out.
    pub(crate) fn entries<T>(
        &self,
        mut read: impl FnMut(&'d str, &Value<'d>) -> Option<T>,
    ) -> Vec<T> {
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            self.is_not("a table");
            return Vec::new();
        };
        let table = Table::new(self.document, self.path.clone(), self.key_at, entries);
        entries
            .iter()
            .filter_map(|(name, value)| read(name.get_ref(), &table.value(name, value)))
            .collect()
    }

    /// True when the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.spanned.get_ref().is_table()
    }

    /// Reads an array, each value of it by `read`; `None` when one of them could not be read.
    pub(crate) fn list<T>(
        &self,
        what: &str,
        mut read: impl FnMut(&Value<'d>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(values) = self.spanned.get_ref() else {
            self.is_not(what);
            return None;
        };
        let results: Vec<Option<T>> = values
            .iter()
            .enumerate()
            .map(|(n, spanned)| {
                read(&Value {
                    document: self.document,
                    path: format!("{}[{n}]", self.path),
                    key_at: spanned.span().start,
                    spanned,
                })
            })
            .collect();
        results.into_iter().collect()
    }

    /// Reads a string.
    pub(crate) fn string(&self) -> Option<&'d str> {
        self.string_that_is("a string")
    }

    /// Reads a string of a special kind: `parse` tells what it means, `what` says what it must be.
    pub(crate) fn parsed<T>(
        &self,
        what: &str,
        parse: impl FnOnce(&'d str) -> Option<T>,
    ) -> Option<T> {
        let result = parse(self.string_that_is(what)?);
        if result.is_none() {
            self.is_not(what);
        }
        result
    }

    /// Reads one of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        self.parsed(&words.join(" or "), |text| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|&(_, choice)| choice)
        })
    }

    /// The boolean that the value is, without a problem when it is none.
    pub(crate) fn as_boolean(&self) -> Option<bool> {
        self.spanned.get_ref().as_bool()
    }

    /// Reads a whole number within a range.
    pub(crate) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = self.spanned.get_ref().as_integer();
        let result = number
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        if result.is_none() {
            self.is_not(&format!(
                "a whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        result
    }

    /// Reads a number greater than zero, whole or not.
    pub(crate) fn positive(&self) -> Option<f64> {
        let result = match self.spanned.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            // Up to 2^53 exactly, and nobody counts further in seconds.
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let result = result.filter(|number: &f64| number.is_finite() && 0.0 < *number);
        if result.is_none() {
            self.is_not("a number greater than 0");
        }
        result
    }

    /// Reads a duration within a range.
    pub(crate) fn duration(&self, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let what = format!(
            "a duration from {} to {}, such as \"250ms\", \"2s\" or \"5m\"",
            unit::write_duration(*range.start()),
            unit::write_duration(*range.end())
        );
        self.parsed(&what, |text| {
            unit::read_duration(text).filter(|duration| range.contains(duration))
        })
    }

    /// Reads a size within a range, in bytes.
    pub(crate) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let what = format!(
            "a size from {} to {}, such as \"512B\", \"64KiB\" or \"1MiB\"",
            unit::write_size(*range.start()),
            unit::write_size(*range.end())
        );
        self.parsed(&what, |text| {
            unit::read_size(text).filter(|size| range.contains(size))
        })
    }

    /// Reads a path, relative to the file that names it.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.parsed("a path", |text| {
            (!text.is_empty() && !text.contains('\0')).then(|| self.document.resolve(text))
        })
    }

    /// Reads a string that no message may repeat.
    pub(crate) fn secret(&self) -> Option<&'d str> {
        let result = self.spanned.get_ref().as_str();
        if result.is_none() {
            self.refuse("the value is not a string");
        }
        result
    }

    /// The value as a message repeats it.
    pub(crate) fn shown(&self) -> String {
        match self.spanned.get_ref() {
            DeValue::Array(_) => String::from("an array"),
            DeValue::Table(_) => String::from("a table"),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                shorten(self.document.text.get(self.spanned.span()).unwrap_or("it"))
            }
        }
    }

    fn string_that_is(&self, what: &str) -> Option<&'d str> {
        let result = self.spanned.get_ref().as_str();
        if result.is_none() {
            self.is_not(what);
        }
        result
    }
}

/// True for what may be the name of a listener, an upstream, a route or a variant.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Appends a key to a dotted path, with quotes where TOML wants them.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let key = if bare {
        key.to_owned()
    } else {
        shorten(&format!("{key:?}"))
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// The first line of a text, cut where it is long.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.char_indices().nth(MAX_SHOWN).map(|(at, _)| at);
    match cut {
        Some(at) => format!("{}…", &line[..at]),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// A path with `*` in the place of each name and without indexes, as the schema has it.
#[cfg(test)]
pub(crate) fn without_names(path: &str) -> String {
    let mut parts: Vec<&str> = path
        .split('.')
        .map(|part| part.split('[').next().unwrap_or_default())
        .collect();
    if let [section, name, rest @ ..] = parts.as_mut_slice()
        && ["listener", "upstream", "route"].contains(section)
    {
        *name = "*";
        if let ["split", variant, ..] = rest {
            *variant = "*";
        }
    }
    parts.join(".")
}
