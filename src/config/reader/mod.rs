//! Reading TOML by hand, with a small vocabulary that collects every problem and goes on.
//!
//! A [`Table`] is asked for its keys one by one; whatever is in it and was not asked for is an
//! unknown key. A [`Value`] is asked to be something; when it is not, that is a problem at its
//! place, and the answer is `None`. So code that reads a section tells the schema by reading it,
//! and one pass finds all that is wrong.

mod environment;
mod secret;
mod trail;
mod value;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::near;
use crate::config::problem::{Lines, Problem};
use crate::config::reader::trail::Trail;

pub(crate) use environment::expand;
pub(crate) use value::Value;

/// The longest piece of a file that a message repeats, in characters.
const MAX_SHOWN: usize = 60;

/// Whether the files that a configuration names are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disk {
    /// They are read.
    Read,
    /// They are taken to be there and right.
    #[cfg(test)]
    Ignore,
}

/// A file that is being read, with what was found wrong so far.
pub(crate) struct Document<'d> {
    file: &'d Path,
    text: &'d str,
    lines: Lines<'d>,
    disk: Disk,
    found: RefCell<Found>,
    /// Every key that was asked for, with `*` for names: what the schema is.
    #[cfg(test)]
    asked: RefCell<BTreeSet<String>>,
}

/// What was found while a document was read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is wrong with it, in the order of the file.
    pub(crate) problems: Vec<Problem>,
    /// What is not wrong, but hardly meant; in the order of the file.
    pub(crate) warnings: Vec<Problem>,
    /// The files that hold secrets, and the SHA-256 of each that could be read.
    pub(crate) secrets: Vec<(PathBuf, Option<[u8; 32]>)>,
    /// Where the environment could not be put in: whatever else is said of these values follows.
    unexpanded: BTreeSet<usize>,
}

impl<'d> Document<'d> {
    /// Begins with a text that came from `file`.
    pub(crate) fn new(file: &'d Path, text: &'d str, disk: Disk) -> Self {
        Self {
            file,
            text,
            lines: Lines::new(text),
            disk,
            found: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Records a problem at a byte of the text.
    pub(crate) fn problem(&self, at: usize, key: &str, message: impl Into<String>) {
        let problem = self.at(at, key, message.into());
        let mut found = self.found.borrow_mut();
        if !found.unexpanded.contains(&at) {
            found.problems.push(problem);
        }
    }

    /// Records that the environment could not be put into a value.
    fn unexpanded(&self, at: usize, key: &str, message: String) {
        self.problem(at, key, message);
        self.found.borrow_mut().unexpanded.insert(at);
    }

    /// Records a warning at a byte of the text.
    pub(crate) fn warning(&self, at: usize, key: &str, message: impl Into<String>) {
        let warning = self.at(at, key, message.into());
        self.found.borrow_mut().warnings.push(warning);
    }

    /// Reads the whole file as a table, the root of all keys.
    pub(crate) fn root<T>(
        &'d self,
        entries: &'d DeTable<'d>,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> T {
        let mut table = Table::new(self, None, 0, entries);
        let result = read(&mut table);
        table.refuse_unknown();
        result
    }

    /// True while nothing is wrong.
    pub(crate) fn is_fine(&self) -> bool {
        self.found.borrow().problems.is_empty()
    }

    /// All that was found.
    pub(crate) fn into_found(self) -> Found {
        let mut found = self.found.into_inner();
        // Stable sorts: at one place, what was found first comes first.
        found.problems.sort_by_key(|it| (it.line, it.column));
        found.warnings.sort_by_key(|it| (it.line, it.column));
        found
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    fn at(&self, at: usize, key: &str, message: String) -> Problem {
        let (line, column) = self.lines.position(at);
        Problem {
            file: self.file.to_path_buf(),
            line,
            column,
            key: key.to_owned(),
            message,
        }
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
    /// The way to it; the root has none.
    trail: Option<Rc<Trail<'d>>>,
    at: usize,
    entries: &'d DeTable<'d>,
    asked: Vec<&'static str>,
}

impl<'d> Table<'d> {
    fn new(
        document: &'d Document<'d>,
        trail: Option<Rc<Trail<'d>>>,
        at: usize,
        entries: &'d DeTable<'d>,
    ) -> Self {
        Self {
            document,
            trail,
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
                .insert(without_names(&Trail::key(self.trail.as_ref(), key).text()));
        }
        let (name, value) = self.entries.get_key_value(key)?;
        Some(self.value(name, value))
    }

    /// The value of a key that must be there; `what` says what belongs there.
    pub(crate) fn required(&mut self, key: &'static str, what: &str) -> Option<Value<'d>> {
        let value = self.optional(key);
        if value.is_none() {
            let path = Trail::key(self.trail.as_ref(), key).text();
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
        let path = self.trail.as_ref().map(|trail| trail.text());
        self.document
            .problem(self.at, &path.unwrap_or_default(), message);
    }

    /// True while nothing is wrong with the whole document.
    pub(crate) fn is_fine(&self) -> bool {
        self.document.is_fine()
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
            trail: Trail::key(self.trail.as_ref(), name.get_ref()),
            key_at: name.span().start,
            spanned: value,
        }
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
        if let ["split", name, ..]
        | ["match", "headers" | "query", name, ..]
        | [
            "request_headers" | "response_headers",
            "set" | "add",
            name,
            ..,
        ] = rest
        {
            *name = "*";
        }
    }
    parts.join(".")
}
