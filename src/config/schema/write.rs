//! Writing a shape down in the words of JSON Schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::reader::{Key, Number, Shape, Text};

/// What a text has that the environment puts something into: whatever that is, only reading it tells
/// whether it fits.
const ENVIRONMENT: &str = r"\$\{";

/// What is needed to write a shape down.
pub(in crate::config::schema) struct Writing<'s> {
    pub(in crate::config::schema) shape: &'s Shape,
    /// What keys mean, by their places.
    pub(in crate::config::schema) notes: BTreeMap<String, String>,
    /// The defaults of keys, by their places.
    pub(in crate::config::schema) defaults: BTreeMap<String, Value>,
}

impl Writing<'_> {
    /// Writes the root.
    pub(in crate::config::schema) fn root(&self) -> Value {
        let mut root = Map::new();
        root.insert(
            "$schema".into(),
            json!("http://json-schema.org/draft-07/schema#"),
        );
        root.insert("$id".into(), json!("urn:tidegate:configuration"));
        root.insert("title".into(), json!("tidegate"));
        root.insert(
            "description".into(),
            json!("The configuration of tidegate, or a part of it that another file includes."),
        );
        let mut keys = self.keys("", self.shape.keys.as_deref().unwrap_or_default());
        // What is missing here may stand in another file.
        keys.remove("required");
        root.extend(keys);
        Value::Object(root)
    }

    fn key(&self, place: &str, key: &Key) -> Value {
        let mut schema = self.shape(place, &key.shape);
        let mut notes: Vec<String> = self.notes.get(place).cloned().into_iter().collect();
        if let Some(Value::String(what)) = schema.remove("description") {
            notes.push(what);
        }
        let mut result = Map::new();
        if !notes.is_empty() {
            result.insert("description".into(), json!(notes.join("\n\n")));
        }
        result.append(&mut schema);
        if let Some(default) = self.defaults.get(place) {
            result.insert("default".into(), default.clone());
        }
        Value::Object(result)
    }

    /// Writes what a value may be.
    fn shape(&self, place: &str, shape: &Shape) -> Map<String, Value> {
        if shape.is_anything {
            return Map::new();
        }
        let mut any: Vec<Map<String, Value>> = Vec::new();
        let mut is_any_text = false;
        let mut what = None;
        if shape.is_boolean {
            any.push(object([("type", json!("boolean"))]));
        }
        if let Some(number) = shape.number {
            any.push(self::number(number));
        }
        if let Some(text) = &shape.text {
            is_any_text = text.words.is_empty() && text.patterns.is_empty();
            if !text.words.is_empty() {
                any.push(object([("enum", json!(text.words))]));
            }
            what = said(text);
        }
        if is_any_text {
            any.push(object([("type", json!("string"))]));
        } else if shape.number.is_some() || shape.text.is_some() {
            let patterns = shape.text.iter().flat_map(|text| &text.patterns);
            let patterns = patterns.map(|pattern| format!("^({pattern})$"));
            let environment = [ENVIRONMENT.to_owned()];
            let patterns: Vec<String> = patterns.chain(environment).collect();
            any.push(object([
                ("type", json!("string")),
                ("pattern", json!(patterns.join("|"))),
            ]));
        }
        if let Some(item) = &shape.list {
            let items = self.shape(&format!("{place}[]"), item);
            any.push(object([
                ("type", json!("array")),
                ("items", Value::Object(items)),
            ]));
        }
        if let Some(keys) = &shape.keys {
            any.push(self.keys(place, keys));
        }
        if let Some(map) = &shape.map {
            let value = Value::Object(self.shape(&format!("{place}.*"), &map.value));
            any.push(match map.pattern {
                Some(pattern) => object([
                    ("type", json!("object")),
                    (
                        "patternProperties",
                        json!({ format!("^{pattern}$"): value }),
                    ),
                    ("additionalProperties", json!(false)),
                ]),
                None => object([("type", json!("object")), ("additionalProperties", value)]),
            });
        }
        let mut schema = match any.len() {
            1 => any.remove(0),
            _ => object([("anyOf", json!(any))]),
        };
        let note = self
            .notes
            .get(place)
            .filter(|_| place.ends_with(['*', ']']));
        if let Some(what) = note.cloned().or(what) {
            schema.insert("description".into(), json!(what));
        }
        schema
    }

    fn keys(&self, place: &str, keys: &[Key]) -> Map<String, Value> {
        let properties = keys.iter().map(|key| {
            let place = match place {
                "" => key.name.clone(),
                place => format!("{place}.{}", key.name),
            };
            (key.name.clone(), self.key(&place, key))
        });
        let mut schema = object([
            ("type", json!("object")),
            ("properties", Value::Object(properties.collect())),
            ("additionalProperties", json!(false)),
        ]);
        let required = keys.iter().filter(|key| key.is_required);
        let required: Vec<&str> = required.map(|key| key.name.as_str()).collect();
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        schema
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn number(number: Number) -> Map<String, Value> {
    match number {
        Number::Any => object([("type", json!("number"))]),
        Number::Whole(least, most) => object([
            ("type", json!("integer")),
            ("minimum", json!(least)),
            ("maximum", json!(most)),
        ]),
        Number::Above(bound) => object([
            ("type", json!("number")),
            ("exclusiveMinimum", json!(bound)),
        ]),
        Number::Between(least, most) => object([
            ("type", json!("number")),
            ("minimum", json!(least)),
            ("maximum", json!(most)),
        ]),
    }
}

/// What people are told that a text is, as a sentence; nothing where that says nothing.
fn said(text: &Text) -> Option<String> {
    let what = text.what.as_str();
    if matches!(what, "" | "a string" | "a text" | "a path") {
        return None;
    }
    let (first, rest) = what.split_at(what.chars().next()?.len_utf8());
    Some(format!("{}{rest}.", first.to_uppercase()))
}
