//! Notes: what is kept without a history, in one small file that is written anew each time.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::store::batch::{check_depth, check_size};
use crate::store::canonical;
use crate::store::commit::{CommitError, check_key};
use crate::store::disk;
use crate::store::record::VERSION;

const FILE: &str = "progress.json";

/// The most bytes of all notes: they are written as a whole.
const MAX_BYTES: usize = 8 << 20;

/// What was noted.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Notes {
    values: BTreeMap<String, (Value, usize)>,
}

impl Notes {
    /// Reads the notes in `folder`; none where the file is damaged, because nothing depends on them
    /// but time.
    pub(in crate::store) fn read(folder: &Path) -> Result<Self> {
        let mut value = match disk::read_whole(&folder.join(FILE)) {
            Ok(value) => value,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::warn!(folder = %folder.display(), %error, "notes lost");
                return Ok(Self::default());
            }
            Err(error) => return Err(error),
        };
        if value["v"] != VERSION {
            let why = format!("{FILE} has version {}, which is not known", value["v"]);
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
        let mut notes = Self::default();
        if let Value::Object(values) = value["notes"].take() {
            for (key, value) in values {
                let n_bytes = canonical::text(&value).len();
                notes.values.insert(key, (value, n_bytes));
            }
        }
        Ok(notes)
    }

    /// Writes the notes into `folder`.
    pub(in crate::store) fn save(&self, folder: &Path) -> Result<()> {
        let values = self.values.iter();
        let values: Map<String, Value> = values
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect();
        disk::replace(folder, FILE, &json!({"v": VERSION, "notes": values}))
    }

    /// Notes a value, or forgets one.
    pub(in crate::store) fn set(
        &mut self,
        key: &str,
        value: Option<Value>,
    ) -> std::result::Result<(), CommitError> {
        check_key(key)?;
        let Some(value) = value else {
            self.values.remove(key);
            return Ok(());
        };
        check_depth(&value)?;
        let n_bytes = canonical::text(&value).len();
        check_size("the note", n_bytes)?;
        let others = self.values.iter().filter(|(other, _)| *other != key);
        let total = others
            .map(|(key, (_, n_bytes))| key.len() + n_bytes)
            .sum::<usize>();
        let bytes = total + key.len() + n_bytes;
        if bytes > MAX_BYTES {
            return Err(CommitError::TooLarge {
                what: "all notes together",
                bytes,
                max: MAX_BYTES,
            });
        }
        self.values.insert(key.to_owned(), (value, n_bytes));
        Ok(())
    }

    /// Everything that was noted under keys that begin with `prefix`, by key.
    pub(in crate::store) fn list(&self, prefix: &str) -> Vec<(String, Value)> {
        let from = self.values.range(prefix.to_owned()..);
        let under = from.take_while(|(key, _)| key.starts_with(prefix));
        let pairs = under.map(|(key, (value, _))| (key.clone(), value.clone()));
        pairs.collect()
    }

    /// What was noted.
    pub(in crate::store) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }
}
