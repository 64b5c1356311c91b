//! The keys in which two effective configurations differ.

use serde::Serialize;
use serde_json::{Map, Value};

/// A key with its values before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The dotted key: of a thing as a whole, such as `upstream.shop-v3`, or in it.
    pub key: String,
    /// What it was; absent when it is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What it would be; absent when it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// Finds all keys in which two configurations differ.
pub(in crate::config::plan) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let empty = Map::new();
    let entries = |value: &Value| value.as_object().unwrap_or(&empty).clone();
    let (old, new) = (entries(old), entries(new));
    for section in union(&old, &new) {
        let absent = Value::Object(Map::new());
        let old = old.get(section).unwrap_or(&absent);
        let new = new.get(section).unwrap_or(&absent);
        // A section is always there, and only what is in it comes and goes.
        compare(section, Some(old), Some(new), &mut changes);
    }
    changes
}

fn compare(key: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for step in union(old, new) {
                let key = format!("{key}.{}", quoted(step));
                compare(&key, old.get(step), new.get(step), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new)))
            if old.len() == new.len() && old.iter().any(Value::is_object) =>
        {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{key}[{n}]"), Some(old), Some(new), changes);
            }
        }
        (old, new) if old == new => {}
        (old, new) => changes.push(Change {
            key: key.to_owned(),
            old: old.cloned(),
            new: new.cloned(),
        }),
    }
}

/// The keys of both: those of the new one in their order, and those that are gone behind the one
/// that they stood behind.
fn union<'m>(old: &'m Map<String, Value>, new: &'m Map<String, Value>) -> Vec<&'m str> {
    let mut keys: Vec<&str> = new.keys().map(String::as_str).collect();
    let mut place = 0;
    for key in old.keys() {
        match keys.iter().position(|known| known == key) {
            Some(known) => place = known + 1,
            None => {
                keys.insert(place, key);
                place += 1;
            }
        }
    }
    keys
}

/// A step of a key, in quotes where TOML wants them.
pub(in crate::config::plan) fn quoted(step: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !step.is_empty() && step.bytes().all(plain) {
        step.to_owned()
    } else {
        format!("{step:?}")
    }
}
