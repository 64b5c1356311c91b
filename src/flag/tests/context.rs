//! Contexts that come as JSON.

use serde_json::{Map, Value as Json, json};

use crate::flag::tests::{at, known};
use crate::flag::{Context, ContextError, JsonContext};
use crate::segment::{Attribute, Value};

#[test]
fn a_targeting_key_is_a_text() {
    for key in [
        json!(1),
        json!(1.5),
        json!(true),
        json!([]),
        json!(["u"]),
        json!({}),
    ] {
        let object = Map::from_iter([("targetingKey".to_owned(), key.clone())]);
        let refused = JsonContext::new(object, at(0)).unwrap_err();
        assert_eq!(refused, ContextError::TargetingKey, "{key}");
        assert_eq!(refused.to_string(), "`targetingKey` is not a text");
    }
}

#[test]
fn an_empty_targeting_key_is_none() {
    for (context, expected) in [
        (json!({}), None),
        (json!({"targetingKey": null}), None),
        (json!({"targetingKey": ""}), None),
        (json!({"targetingkey": "u"}), None),
        (json!({"targetingKey": " "}), Some(" ")),
        (json!({"targetingKey": "Zoë"}), Some("Zoë")),
    ] {
        let known = known(context.clone());
        let key = known.targeting_key();
        assert_eq!(key.as_deref(), expected.map(str::as_bytes), "{context}");
    }
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let json: Json = serde_json::from_str(r#"{"plan":"a","plan":"b"}"#).unwrap();
    let known = known(json);
    let plan = Attribute::Context("plan".to_owned());
    assert_eq!(known.value(&plan), Some(Value::Text(b"b".into())));
}

#[test]
fn a_flag_is_no_part_of_a_context() {
    let known = known(json!({"flag:a": "on"}));
    assert_eq!(known.value(&Attribute::Flag("a".to_owned())), None);
}

#[test]
fn the_time_is_the_one_that_was_given() {
    let known = JsonContext::new(Map::new(), at(7)).unwrap();
    assert_eq!(known.now(), at(7));
}
