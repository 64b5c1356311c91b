//! Reading TOML by hand, with a small vocabulary that collects every problem and goes on.
//!
//! A [`Table`] is asked for its keys one by one; whatever is in it and was not asked for is an
//! unknown key. A [`Value`] is asked to be something; when it is not, that is a problem at its
//! place, and the answer is `None`. So one pass finds all that is wrong, and the code that reads a
//! section tells by reading it what a section may be: whoever listens learns the [`Shape`].

mod document;
mod environment;
mod json;
mod merge;
mod page;
mod secret;
mod shape;
mod trail;
mod value;

use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;

use serde_spanned::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::near;
use crate::config::reader::trail::Trail;

pub(crate) use document::{Disk, Document, MAX_FILES};
pub(crate) use environment::expand;
pub(crate) use merge::{merge, shift};
pub(crate) use shape::{Key, Number, Shape, Text};
pub(crate) use value::{Value, is_id};

/// The longest piece of a file that a message repeats, in characters.
const MAX_SHOWN: usize = 60;

/// Room for the keys of most tables.
const KEYS: usize = 24;

/// A table that is being read.
pub(crate) struct Table<'d> {
    document: &'d Document,
    /// The way to it; the root has none.
    trail: Option<Rc<Trail<'d>>>,
    at: usize,
    entries: &'d DeTable<'d>,
    /// The keys that were asked for, in that order; some more than once.
    asked: Vec<&'static str>,
}

impl<'d> Table<'d> {
    fn new(
        document: &'d Document,
        trail: Option<Rc<Trail<'d>>>,
        at: usize,
        entries: &'d DeTable<'d>,
    ) -> Self {
        Self {
            document,
            trail,
            at,
            entries,
            asked: Vec::with_capacity(KEYS),
        }
    }

    /// The value of a key, if it is there.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        let found = self.entries.get_key_value(key);
        self.tell(|shape| shape.key(key).is_present |= found.is_some());
        let (name, value) = found?;
        let trail = Trail::key(self.trail.as_ref(), name.get_ref());
        Some(self.value(trail, name, value))
    }

    /// The value of a key that must be there; `what` says what belongs there.
    pub(crate) fn required(&mut self, key: &'static str, what: &str) -> Option<Value<'d>> {
        self.requires(key);
        self.needed(key, what)
    }

    /// Tells that a key must always be there.
    pub(crate) fn requires(&self, key: &'static str) {
        self.tell(|shape| shape.key(key).is_required = true);
    }

    /// The value of a key that must be there because of what else is there; `what` says what belongs
    /// there.
    pub(crate) fn needed(&mut self, key: &'static str, what: &str) -> Option<Value<'d>> {
        let value = self.optional(key);
        if value.is_none() {
            let path = Trail::key(self.trail.as_ref(), key).text();
            let message = format!("missing; {what} belongs here");
            self.document.problem(self.at, &path, message);
        }
        value
    }

    /// Reads a key that may be missing; the outer `None` is a problem, the inner one is absence.
    pub(crate) fn maybe<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'d>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.optional(key) {
            Some(value) => read(&value).map(Some),
            None => Some(None),
        }
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

    /// A path that is meant relative to the file in which the table begins.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.document.resolve(self.at, path)
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
            let trail = Trail::key(self.trail.as_ref(), name_text);
            let value = self.value(trail, name, value);
            let hint = near::nearest(name_text, self.asked.iter().copied())
                .map(|near| format!(", did you mean {near}?"))
                .unwrap_or_default();
            let mut known = self.asked.clone();
            let mut seen = HashSet::new();
            known.retain(|key| seen.insert(*key));
            let message = format!("unknown key{hint} (known here: {})", known.join(", "));
            value.refuse_key(message);
        }
    }

    /// A value of the table, at the end of `trail`.
    fn value(
        &self,
        trail: Trail<'d>,
        name: &'d Spanned<DeString<'d>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        Value {
            document: self.document,
            trail,
            key_at: name.span().start,
            spanned: value,
        }
    }

    /// Tells what the table may be.
    fn tell(&self, tell: impl FnOnce(&mut Shape)) {
        self.document.tell(self.trail.as_deref(), tell);
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
