//! The schema: it has every key, allows what is read, and refuses what is refused for its kind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use crate::config::reader::Shape;
use crate::config::schema::{self, FORMS, MINIMAL, uncommented};
use crate::config::tests::{BASE, checked};

static SCHEMA: LazyLock<Value> = LazyLock::new(crate::config::schema);

/// Texts that are refused for the kind of a value or a key that does not exist.
const REFUSED: &str = include_str!("../../../tests/vectors/refused.toml");

/// Whether a regular expression matches; each is made once.
fn is_match(pattern: &str, text: &str) -> bool {
    static MADE: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if !made.contains_key(pattern) {
        made.insert(pattern.to_owned(), Regex::new(pattern).unwrap());
    }
    made[pattern].is_match(text)
}

/// What a text is to the schema.
fn instance(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    json(&toml::Value::Table(table))
}

/// A value as JSON has it; a date is a text.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| (key.clone(), json(value)));
            Value::Object(entries.collect())
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_) => serde_json::to_value(value).unwrap(),
    }
}

/// Holds that the schema allows a text.
#[track_caller]
pub(in crate::config::tests) fn allows(text: &str) {
    let wrong = wrong(&SCHEMA, &instance(text), "");
    assert!(
        wrong.is_none(),
        "this is read, and the schema refuses {}: if the value may be written in more than one way, \
         let each be read in src/config/schema/forms.toml\n{text}",
        wrong.unwrap_or_default()
    );
}

/// Where a value is not what a schema says; an independent reading of the part of draft-07 that is
/// used here.
fn wrong(schema: &Value, value: &Value, place: &str) -> Option<String> {
    let Value::Object(schema) = schema else {
        panic!("{place}: {schema}");
    };
    let fails = |keyword: &str| Some(format!("{place} by {keyword}"));
    for (keyword, rule) in schema {
        let is_fine = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "default" => true,
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("{other}"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|n| rule.as_f64().unwrap() <= n),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "exclusiveMinimum" => value.as_f64().is_none_or(|n| rule.as_f64().unwrap() < n),
            "pattern" => {
                let pattern = rule.as_str().unwrap();
                value.as_str().is_none_or(|text| is_match(pattern, text))
            }
            "required" => {
                let mut keys = rule.as_array().unwrap().iter();
                keys.all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                for (n, item) in items {
                    if let Some(wrong) = wrong(rule, item, &format!("{place}[{n}]")) {
                        return Some(wrong);
                    }
                }
                true
            }
            "anyOf" => {
                let mut any = rule.as_array().unwrap().iter();
                any.any(|rule| wrong(rule, value, place).is_none())
            }
            // Together with the next.
            "properties" | "patternProperties" => true,
            "additionalProperties" => {
                let entries = value.as_object().into_iter().flatten();
                for (key, value) in entries {
                    let named = schema.get("properties").and_then(|named| named.get(key));
                    let matched = schema.get("patternProperties").and_then(|patterns| {
                        let (pattern, rule) = patterns.as_object().unwrap().iter().next().unwrap();
                        is_match(pattern, key).then_some(rule)
                    });
                    let place = format!("{place}.{key}");
                    match named.or(matched).unwrap_or(rule) {
                        Value::Bool(false) => return Some(format!("{place}, which is unknown")),
                        rule => {
                            if let Some(wrong) = wrong(rule, value, &place) {
                                return Some(wrong);
                            }
                        }
                    }
                }
                true
            }
            other => panic!("the schema has {other}"),
        };
        if !is_fine {
            return fails(keyword);
        }
    }
    None
}

/// Collects what is missing of the keys in a shape.
fn missing(shape: &Shape, place: &str, found: &mut Vec<String>) {
    for key in shape.keys.iter().flatten() {
        let place = format!("{place}.{}", key.name);
        if !key.is_present {
            found.push(format!(
                "{} is read, and is not in the reference, config/tidegate.toml",
                &place[1..]
            ));
        } else if key.shape.is_unknown() {
            found.push(format!(
                "{} is not in the schema: nobody asks what it is while the reference is read",
                &place[1..]
            ));
        }
        missing(&key.shape, &place, found);
    }
    let item = shape.list.iter().map(|item| (&**item, "[]"));
    let value = shape.map.iter().map(|map| (&*map.value, ".*"));
    for (shape, step) in item.chain(value) {
        let place = format!("{place}{step}");
        if shape.is_unknown() {
            found.push(format!(
                "{} is not in the schema: none is read; let one be in src/config/schema/forms.toml",
                &place[1..]
            ));
        }
        missing(shape, &place, found);
    }
}

#[test]
fn every_key_that_is_read_is_in_the_reference_and_in_the_schema() {
    let mut found = Vec::new();
    missing(&schema::shape(), "", &mut found);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    // A key that is not read is a problem.
    for text in [&uncommented(), FORMS] {
        let checked = checked(text);
        assert!(checked.config.is_ok(), "{}", checked.config.unwrap_err());
    }
}

#[test]
fn what_is_required_alone_is_a_configuration() {
    crate::config::tests::read(MINIMAL).unwrap();
}

#[test]
fn the_schema_beside_the_examples_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tidegate.schema.json");
    let written = fs::read_to_string(path).unwrap_or_default();
    let expected = format!("{}\n", serde_json::to_string_pretty(&*SCHEMA).unwrap());
    assert!(
        written == expected,
        "config/tidegate.schema.json is not what is read now; write it anew: \
         cargo run -- config schema > config/tidegate.schema.json"
    );
}

#[test]
fn what_is_refused_for_its_kind_is_refused_by_the_schema() {
    let refused: Value = toml::from_str(REFUSED).unwrap();
    let texts = refused["texts"].as_array().unwrap();
    for text in texts {
        let text = text.as_str().unwrap();
        let instance = instance(text);
        assert!(wrong(&SCHEMA, &instance, "").is_some(), "{text}");
        assert!(checked(&format!("{text}{BASE}")).config.is_err(), "{text}");
    }
    assert!(25 < texts.len());
}

#[test]
fn the_environment_may_stand_for_anything() {
    for text in [
        "[runtime]\nworkers = \"${NUMBER:-1}\"\n",
        "[access_log]\nsample = \"${NOBODY:-0.5}\"\nformat = \"${NOBODY:-json}\"\n",
        "[shutdown]\ntimeout = \"${NOBODY:-1m}\"\n",
    ] {
        crate::config::tests::config(text);
    }
}

#[test]
fn defaults_and_descriptions_are_those_of_the_reference() {
    let at = |pointer: &str| SCHEMA.pointer(pointer).unwrap_or(&Value::Null);
    let listener = "/properties/listener/patternProperties/^[A-Za-z0-9_-]{1,64}$/properties";
    let idle = at(&format!("{listener}/timeouts/properties/idle"));
    assert_eq!(idle["default"], "75s");
    assert_eq!(
        idle["description"],
        "Between two requests on one connection.\n\n\
         A duration from 1ms to 400d, such as \"250ms\", \"2s\" or \"5m\"."
    );
    // It depends on whether there is tls.
    assert!(at(&format!("{listener}/protocols"))["default"].is_null());
    let workers = at("/properties/runtime/properties/workers");
    assert_eq!(workers["anyOf"][0]["maximum"], 1024);
    assert_eq!(workers["default"], 0);
}

#[test]
fn what_is_a_default_can_be_left_out() {
    let config = crate::config::tests::config(
        "[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\ntimeouts = { idle = \"1s\" }\n",
    );
    let upstream = &config.effective()["upstream"]["a"];
    assert_eq!(
        crate::config::without_defaults("upstream.a", upstream),
        serde_json::json!({ "endpoints": ["127.0.0.1:1"], "timeouts": { "idle": "1s" } })
    );
    let balance = &upstream["balance"];
    assert_eq!(
        crate::config::without_defaults("upstream.a.balance", balance),
        *balance
    );
}
