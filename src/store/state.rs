//! The state: what the records fold to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::OUTBOX;
use crate::store::record::Record;

/// The value of a key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The number of the record that wrote it.
    pub revision: u64,
}

/// All keys with their values.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub(in crate::store) struct State {
    entries: BTreeMap<String, Entry>,
}

impl State {
    /// Goes one record further: its changes in their order, then its event.
    pub(in crate::store) fn apply(&mut self, record: &Record) {
        for change in &record.changes {
            match &change.value {
                Some(value) => self.put(change.key.clone(), value.clone(), record.seq),
                None => {
                    self.entries.remove(&change.key);
                }
            }
        }
        if let Some(event) = &record.event {
            self.put(format!("{OUTBOX}{}", record.id), event.clone(), record.seq);
        }
    }

    fn put(&mut self, key: String, value: Value, revision: u64) {
        self.entries.insert(key, Entry { value, revision });
    }

    /// What a key has.
    pub(in crate::store) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// What begins with `prefix`, in the order of the keys.
    pub(in crate::store) fn list(&self, prefix: &str) -> Vec<(String, Entry)> {
        let from = self.entries.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect()
    }
}
