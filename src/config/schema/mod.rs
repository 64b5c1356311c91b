//! The JSON Schema of the configuration, for editors.
//!
//! Nobody writes it: what values may be is heard from the code that reads them, while it reads one
//! of each kind (see [`Shape`](crate::config::reader::Shape)); what they mean is said in the
//! comments of the reference, and the defaults are those of a configuration that leaves out all it
//! may. What depends on other keys is for `check` to judge.

mod reference;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::de::DeTable;

use crate::config::load::check;
use crate::config::reader::{Disk, Document, Shape};
use crate::config::schema::write::Writing;
use crate::config::sections;

pub(crate) use reference::uncommented;

/// Values that may be written otherwise than the reference does.
pub(crate) const FORMS: &str = include_str!("forms.toml");

/// All that is required, in sections of every kind, so that the rest are defaults.
pub(crate) const MINIMAL: &str = include_str!("minimal.toml");

/// Makes the schema, in the words of JSON Schema draft-07.
pub fn schema() -> Value {
    let shape = shape();
    let writing = Writing {
        notes: own_strategies(reference::notes(&shape)),
        defaults: defaults(&shape),
        shape: &shape,
    };
    writing.root()
}

/// What is left of the value of a dotted key without all that is a default.
pub fn without_defaults(key: &str, value: &Value) -> Value {
    let shape = shape();
    let defaults = defaults(&shape);
    let mut steps = steps(key);
    essential(&shape, &defaults, &mut steps, value).unwrap_or_else(|| value.clone())
}

/// What is left of a value; `None` where that is nothing.
fn essential<'v>(
    shape: &Shape,
    defaults: &BTreeMap<String, Value>,
    steps: &mut Vec<&'v str>,
    value: &'v Value,
) -> Option<Value> {
    let Value::Object(entries) = value else {
        let place = reference::place(shape, steps);
        let default = place.and_then(|place| defaults.get(&place));
        return (default != Some(value)).then(|| value.clone());
    };
    let mut left = Map::new();
    for (key, value) in entries {
        steps.push(key);
        if let Some(value) = essential(shape, defaults, steps, value) {
            left.insert(key.clone(), value);
        }
        steps.pop();
    }
    (!left.is_empty()).then_some(Value::Object(left))
}

/// The steps of a dotted key, of which some may be in quotes.
fn steps(key: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('"').and_then(|it| it.split_once('"'));
        let (step, behind) = match quoted {
            Some((step, behind)) => (step, behind.strip_prefix('.').unwrap_or(behind)),
            None => rest.split_once('.').unwrap_or((rest, "")),
        };
        steps.push(step);
        rest = behind;
    }
    steps
}

/// What a configuration may be.
pub(crate) fn shape() -> Shape {
    let mut shape = [uncommented(), FORMS.to_owned()]
        .into_iter()
        .fold(Shape::default(), heard);
    // A release may have a strategy of its own, which is read as those with a name are.
    let named = shape.key("strategy").shape.any().keys.clone();
    let release = shape.key("release").shape.any();
    release.key("strategy").shape.keys = named;
    shape
}

/// What is said of strategies by their places, said of those that releases have of their own, too.
fn own_strategies<T: Clone>(mut said: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let own: Vec<(String, T)> = said
        .iter()
        .filter_map(|(place, what)| {
            let rest = place.strip_prefix("strategy.*.")?;
            Some((format!("release.*.strategy.{rest}"), what.clone()))
        })
        .collect();
    said.extend(own);
    said
}

/// What is heard while a text is read, besides what was heard before.
fn heard(before: Shape, text: String) -> Shape {
    let document = Document::listening(before);
    if let Some(text) = document.add(PathBuf::new(), text) {
        let (entries, _) = DeTable::parse_recoverable(&text.text);
        let entries = entries.into_inner();
        document.root(&entries, |root| sections::read(root, |_| {}));
    }
    document.into_shape()
}

/// The defaults of all keys that have one, by their places.
fn defaults(shape: &Shape) -> BTreeMap<String, Value> {
    let text = MINIMAL.as_bytes().to_vec();
    let checked = check(text, Path::new(""), Disk::Ignore, &|_| None, |_| {});
    let effective = checked.config.map(|config| config.effective());
    let effective = effective.unwrap_or_default();
    let required: Value = toml::from_str(MINIMAL).unwrap_or_default();
    let mut defaults = BTreeMap::new();
    collect(shape, &mut Vec::new(), &effective, &required, &mut defaults);
    let defaults = defaults.into_iter();
    own_strategies(
        defaults
            .filter_map(|(place, default)| Some((place, default?)))
            .collect(),
    )
}

/// Collects what an object has that another has not; `None` where two of a kind differ.
fn collect<'v>(
    shape: &Shape,
    steps: &mut Vec<&'v str>,
    effective: &'v Value,
    required: &Value,
    defaults: &mut BTreeMap<String, Option<Value>>,
) {
    let Value::Object(entries) = effective else {
        return;
    };
    for (key, value) in entries {
        steps.push(key);
        let given = required.get(key);
        if given.is_none()
            && !value.is_object()
            && let Some(place) = reference::place(shape, steps)
        {
            let default = defaults.entry(place).or_insert_with(|| Some(value.clone()));
            if default.as_ref() != Some(value) {
                *default = None;
            }
        }
        collect(shape, steps, value, given.unwrap_or(&Value::Null), defaults);
        steps.pop();
    }
}
