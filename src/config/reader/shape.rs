//! What a value may be, as the code that reads it tells while it reads.
//!
//! Reading is asking: for a key, for a whole number in a range, for one of a few words. Whoever
//! listens to all that is asked while every kind of value is read once knows what a configuration may
//! look like, and that cannot differ from what is read.

/// What a value may be: anything of what is told here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// True where anything may be: what is read is kept as it is.
    pub(crate) is_anything: bool,
    /// True for one of `true` and `false`.
    pub(crate) is_boolean: bool,
    /// A number.
    pub(crate) number: Option<Number>,
    /// A text.
    pub(crate) text: Option<Text>,
    /// A list of such values.
    pub(crate) list: Option<Box<Shape>>,
    /// A table with these keys, in the order in which they are read.
    pub(crate) keys: Option<Vec<Key>>,
    /// A table with any keys.
    pub(crate) map: Option<Map>,
}

/// A number, which a text from the environment may stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Any.
    Any,
    /// A whole one from the first to the last.
    Whole(u64, u64),
    /// One greater than this.
    Above(f64),
    /// One from the first to the last.
    Between(f64, f64),
}

/// A text: one of the words, or what matches one of the patterns; any, where there is neither.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// What people are told that it is; empty where the words tell.
    pub(crate) what: String,
    /// The words.
    pub(crate) words: Vec<String>,
    /// Regular expressions for the whole of it.
    pub(crate) patterns: Vec<String>,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: String,
    /// True when it must be there.
    pub(crate) is_required: bool,
    /// True when it was there.
    pub(crate) is_present: bool,
    /// What its value may be.
    pub(crate) shape: Shape,
}

/// A table with any keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    /// The regular expression that a key matches from its beginning to its end, if there is one.
    pub(crate) pattern: Option<&'static str>,
    /// What each value may be.
    pub(crate) value: Box<Shape>,
}

impl Shape {
    /// What each value of a list may be, which it is from now on.
    pub(crate) fn item(&mut self) -> &mut Self {
        self.list.get_or_insert_default()
    }

    /// What each value of a table with any keys may be, which it is from now on.
    pub(crate) fn any(&mut self) -> &mut Self {
        &mut self.map.get_or_insert_default().value
    }

    /// The key of a table, which it is from now on.
    pub(crate) fn key(&mut self, name: &str) -> &mut Key {
        let keys = self.keys.get_or_insert_default();
        let n = keys.iter().position(|key| key.name == name);
        let n = n.unwrap_or_else(|| {
            keys.push(Key {
                name: name.to_owned(),
                is_required: false,
                is_present: false,
                shape: Self::default(),
            });
            keys.len() - 1
        });
        &mut keys[n]
    }

    /// Adds a text; `what` says of which kind.
    pub(crate) fn add_text(&mut self, what: &str) -> &mut Text {
        let text = self.text.get_or_insert_default();
        if text.what.is_empty() {
            text.what = what.to_owned();
        }
        text
    }

    /// True when nobody has told what it is.
    #[cfg(test)]
    pub(crate) fn is_unknown(&self) -> bool {
        let Self {
            is_anything,
            is_boolean,
            number,
            text,
            list,
            keys,
            map,
        } = self;
        !is_anything
            && !is_boolean
            && number.is_none()
            && text.is_none()
            && list.is_none()
            && keys.is_none()
            && map.is_none()
    }
}

impl Text {
    /// Adds words that it may be.
    pub(crate) fn add_words(&mut self, words: impl IntoIterator<Item = String>) {
        for word in words {
            if !self.words.contains(&word) {
                self.words.push(word);
            }
        }
    }

    /// Adds a regular expression of which it may match one.
    pub(crate) fn add_pattern(&mut self, pattern: impl Into<String>) {
        let pattern = pattern.into();
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
    }
}
