//! A value asked to be something: a number in a range, a duration, one of a few words.

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::near;
use crate::config::reader::trail::Trail;
use crate::config::reader::{Document, Number, Shape, Table, shorten};
use crate::config::unit;
use crate::tls::Inspector;

/// The longest name of a listener, an upstream, a route or a variant: it is a label in metrics.
const MAX_NAME: usize = 64;

/// What matches such a name, and nothing else.
const NAME: &str = "[A-Za-z0-9_-]{1,64}";

/// The longest identity of a release.
const MAX_ID: usize = 128;

/// What matches such an identity, and nothing else.
const ID: &str = "[A-Za-z0-9._+-]{1,128}";

/// A value that is being read.
#[derive(Clone)]
pub(crate) struct Value<'d> {
    pub(in crate::config::reader) document: &'d Document,
    pub(in crate::config::reader) trail: Trail<'d>,
    pub(in crate::config::reader) key_at: usize,
    pub(in crate::config::reader) spanned: &'d Spanned<DeValue<'d>>,
}

impl<'d> Value<'d> {
    /// Records a problem at the value.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        let at = self.spanned.span().start;
        self.document.problem(at, &self.trail.text(), message);
    }

    /// Records a problem at the key.
    pub(crate) fn refuse_key(&self, message: impl Into<String>) {
        self.document
            .problem(self.key_at, &self.trail.text(), message);
    }

    /// Records that the value is allowed, but hardly meant.
    pub(crate) fn warn(&self, message: impl Into<String>) {
        let at = self.spanned.span().start;
        self.document.warning(at, &self.trail.text(), message);
    }

    /// Records that what stands under the key is allowed, but hardly meant.
    pub(crate) fn warn_key(&self, message: impl Into<String>) {
        self.document
            .warning(self.key_at, &self.trail.text(), message);
    }

    /// Records that the value is not what belongs there.
    pub(crate) fn is_not(&self, what: &str) {
        self.refuse(format!("{} is not {what}", self.shown()));
    }

    /// Reads a table.
    pub(crate) fn table<T>(&self, read: impl FnOnce(&mut Table<'d>) -> T) -> Option<T> {
        self.tell(|shape| {
            shape.keys.get_or_insert_default();
        });
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            self.is_not("a table");
            return None;
        };
        let mut table = self.as_table(entries);
        let result = read(&mut table);
        table.refuse_unknown();
        Some(result)
    }

    /// Reads a table that has been read: that nobody asked for a key was told.
    pub(crate) fn table_again<T>(&self, read: impl FnOnce(&mut Table<'d>) -> T) -> Option<T> {
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            return None;
        };
        Some(read(&mut self.as_table(entries)))
    }

    /// Reads a table whose keys are names, and each of its values by `read`; a key that is no name
    /// is a problem, and what cannot be read is left out.
    pub(crate) fn names<T>(
        &self,
        mut read: impl FnMut(&'d str, &Value<'d>) -> Option<T>,
    ) -> Vec<(&'d str, T)> {
        self.tell(|shape| shape.map.get_or_insert_default().pattern = Some(NAME));
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

    /// Reads a table whose keys are identities of releases, as [`Value::names`] does.
    pub(crate) fn ids<T>(
        &self,
        mut read: impl FnMut(&'d str, &Value<'d>) -> Option<T>,
    ) -> Vec<(&'d str, T)> {
        self.tell(|shape| shape.map.get_or_insert_default().pattern = Some(ID));
        self.entries(|id, value| {
            if !is_id(id) {
                value.refuse_key(format!(
                    "{} is not an identity of 1 to {MAX_ID} letters, digits, \"-\", \"_\", \".\" \
                     and \"+\"",
                    shorten(&format!("{id:?}"))
                ));
                return None;
            }
            Some((id, read(id, value)?))
        })
    }

    /// Reads a table with any keys, each of its values by `read`; what cannot be read is left out.
    pub(crate) fn entries<T>(
        &self,
        mut read: impl FnMut(&'d str, &Value<'d>) -> Option<T>,
    ) -> Vec<T> {
        self.tell(|shape| {
            shape.any();
        });
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            self.is_not("a table");
            return Vec::new();
        };
        let table = self.as_table(entries);
        entries
            .iter()
            .filter_map(|(name, value)| {
                let trail = Trail::name(table.trail.as_ref(), name.get_ref());
                read(name.get_ref(), &table.value(trail, name, value))
            })
            .collect()
    }

    /// The value of a key, if this is a table with such a key.
    pub(crate) fn entry(&self, name: &str) -> Option<Value<'d>> {
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            return None;
        };
        let (name, value) = entries.get_key_value(name)?;
        let table = self.as_table(entries);
        let trail = Trail::name(table.trail.as_ref(), name.get_ref());
        Some(table.value(trail, name, value))
    }

    /// The value at a place of a list, if this is a list with such a place.
    pub(crate) fn nth(&self, n: usize) -> Option<Value<'d>> {
        let spanned = self.spanned.get_ref().as_array()?.get(n)?;
        Some(self.item(&Rc::new(self.trail.clone()), n, spanned))
    }

    /// The keys of a table, whatever is wrong with what they stand for; nothing else has any.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'d str> + use<'d> {
        let entries = self.spanned.get_ref().as_table();
        entries
            .into_iter()
            .flatten()
            .map(|(name, _)| &**name.get_ref())
    }

    /// True when the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.spanned.get_ref().is_table()
    }

    /// True when the value is this text.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        self.spanned.get_ref().as_str() == Some(text)
    }

    /// Reads an array, each value of it by `read`; `None` when one of them could not be read.
    pub(crate) fn list<T>(
        &self,
        what: &str,
        mut read: impl FnMut(&Value<'d>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.tell(|shape| {
            shape.item();
        });
        let DeValue::Array(values) = self.spanned.get_ref() else {
            self.is_not(what);
            return None;
        };
        let trail = Rc::new(self.trail.clone());
        let results: Vec<Option<T>> = values
            .iter()
            .enumerate()
            .map(|(n, spanned)| read(&self.item(&trail, n, spanned)))
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
    pub(crate) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        self.may_be(|| choices.iter().map(|(word, _)| (*word).to_owned()));
        let text = self.spanned.get_ref().as_str();
        let found = choices.iter().find(|(word, _)| Some(*word) == text);
        if let Some((_, choice)) = found {
            return Some(choice.clone());
        }
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let near = |text| near::hint(text, choices.iter().map(|(word, _)| *word));
        let hint = text.map(near).unwrap_or_default();
        self.is_not(&format!("{}{hint}", words.join(" or ")));
        None
    }

    /// Tells which words a text may be.
    pub(crate) fn may_be<W: IntoIterator<Item = String>>(&self, words: impl FnOnce() -> W) {
        self.tell(|shape| shape.add_text("").add_words(words()));
    }

    /// Tells how a text looks from its beginning to its end: a regular expression that JSON Schema
    /// and everybody else understands.
    pub(crate) fn looks_like<P: Into<String>>(&self, pattern: impl FnOnce() -> P) {
        self.tell(|shape| shape.add_text("").add_pattern(pattern()));
    }

    /// The boolean that the value is, without a problem when it is none.
    pub(crate) fn as_boolean(&self) -> Option<bool> {
        self.tell(|shape| shape.is_boolean = true);
        self.spanned.get_ref().as_bool()
    }

    /// Reads true or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let result = self.as_boolean();
        if result.is_none() {
            self.is_not("true or false");
        }
        result
    }

    /// Reads a whole number within a range.
    pub(crate) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.tell(|shape| shape.number = Some(Number::Whole(*range.start(), *range.end())));
        let number = match self.spanned.get_ref().as_integer() {
            Some(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            None => self.expanded().and_then(|text| text.parse().ok()),
        };
        let result = number.filter(|number| range.contains(number));
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
        self.tell(|shape| shape.number = Some(Number::Above(0.0)));
        self.number("a number greater than 0", |number| 0.0 < number)
    }

    /// Reads a number within a range.
    pub(crate) fn between(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let (least, most) = (*range.start(), *range.end());
        self.tell(|shape| shape.number = Some(Number::Between(least, most)));
        let what = format!("a number from {least} to {most}");
        self.number(&what, |number| range.contains(&number))
    }

    /// Reads a number from 0 to 1.
    pub(crate) fn share(&self) -> Option<f64> {
        self.between(0.0..=1.0)
    }

    /// Reads a number from 0 to 100.
    pub(crate) fn percent(&self) -> Option<f64> {
        self.between(0.0..=100.0)
    }

    /// Reads a number that is not infinite.
    pub(crate) fn finite(&self) -> Option<f64> {
        self.tell(|shape| shape.number = Some(Number::Any));
        self.number("a number", |_| true)
    }

    /// Reads a date: one of TOML's own, or a text. Whether the text is a date is not looked at.
    pub(crate) fn date_text(&self) -> Option<String> {
        self.tell(|shape| {
            shape.add_text("a date");
        });
        match self.spanned.get_ref() {
            DeValue::Datetime(date) => Some(date.to_string()),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.string_that_is("a date").map(str::to_owned),
        }
    }

    fn number(&self, what: &str, fits: impl FnOnce(f64) -> bool) -> Option<f64> {
        let result = match self.spanned.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            // Up to 2^53 exactly, and nobody counts further.
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::String(_) => self.expanded().and_then(|text| text.parse().ok()),
            DeValue::Integer(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let result = result.filter(|number: &f64| number.is_finite() && fits(*number));
        if result.is_none() {
            self.is_not(what);
        }
        result
    }

    /// Reads a duration within a range.
    pub(crate) fn duration(&self, range: &RangeInclusive<Duration>) -> Option<Duration> {
        self.looks_like(|| unit::pattern(!range.start().is_zero(), &unit::DURATIONS));
        self.measured(
            || {
                format!(
                    "a duration from {} to {}, such as \"250ms\", \"2s\" or \"5m\"",
                    unit::write_duration(*range.start()),
                    unit::write_duration(*range.end())
                )
            },
            |text| unit::read_duration(text).filter(|duration| range.contains(duration)),
        )
    }

    /// Reads a size within a range, in bytes.
    pub(crate) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.looks_like(|| unit::pattern(*range.start() != 0, &unit::SIZES));
        self.measured(
            || {
                format!(
                    "a size from {} to {}, such as \"512B\", \"64KiB\" or \"1MiB\"",
                    unit::write_size(*range.start()),
                    unit::write_size(*range.end())
                )
            },
            |text| unit::read_size(text).filter(|size| range.contains(size)),
        )
    }

    /// Reads a text that `parse` makes a measure of; `what` says what it must be, where somebody is
    /// to read that.
    fn measured<T>(
        &self,
        what: impl Fn() -> String,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.tell(|shape| {
            shape.add_text(&what());
        });
        let result = self.spanned.get_ref().as_str().and_then(parse);
        if result.is_none() {
            self.is_not(&what());
        }
        result
    }

    /// What looks at the certificates of files; nothing where files are not looked at.
    pub(crate) fn inspector(&self) -> Option<&'d Inspector> {
        self.document.inspector()
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
            | DeValue::Datetime(_) => match self.expanded() {
                Some(text) => {
                    let text = shorten(&format!("{text:?}"));
                    format!("{} (here {text})", shorten(self.written()))
                }
                None => shorten(self.written()),
            },
        }
    }

    /// The value as the file has it.
    pub(in crate::config::reader) fn written(&self) -> &'d str {
        let span = self.spanned.span();
        let text = self.document.text_at(span.start);
        text.get(span).unwrap_or("the value")
    }

    /// The text that the value is with the environment put in; `None` where it is no text or
    /// nothing was put in.
    pub(in crate::config::reader) fn expanded(&self) -> Option<&'d str> {
        let text = self.spanned.get_ref().as_str()?;
        self.written().contains("${").then_some(text)
    }

    /// Tells what the value may be.
    pub(in crate::config::reader) fn tell(&self, tell: impl FnOnce(&mut Shape)) {
        self.document.tell(Some(&self.trail), tell);
    }

    /// A value of the list that this is.
    pub(in crate::config::reader) fn item(
        &self,
        trail: &Rc<Trail<'d>>,
        n: usize,
        spanned: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        Value {
            document: self.document,
            trail: Trail::index(trail, n),
            key_at: spanned.span().start,
            spanned,
        }
    }

    pub(in crate::config::reader) fn as_table(&self, entries: &'d DeTable<'d>) -> Table<'d> {
        let trail = Some(Rc::new(self.trail.clone()));
        Table::new(self.document, trail, self.key_at, entries)
    }

    fn string_that_is(&self, what: &str) -> Option<&'d str> {
        self.tell(|shape| {
            shape.add_text(what);
        });
        self.as_string(what)
    }

    fn as_string(&self, what: &str) -> Option<&'d str> {
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

/// True for what may be the identity of a release: names, and what versions are written with.
pub(crate) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(fits)
}
