//! How routes divide their requests: stickiness, forcing, rules and their segments.

use serde_json::{Map, Value, json};

use crate::config::effective::object;
use crate::config::segment::SegmentConfig;
use crate::config::unit::write_duration;
use crate::segment::{ConditionSpec, Operand, Takes};
use crate::split::SplitSpec;

/// What keeps users where they are; null when nothing does.
pub(in crate::config::effective) fn sticky(spec: &SplitSpec) -> Value {
    let Some(sticky) = &spec.sticky else {
        return Value::Null;
    };
    let keys = sticky.keys.iter().map(ToString::to_string);
    let cookie = sticky.cookie.as_ref().map_or(json!(false), |cookie| {
        object([
            ("name", json!(cookie.name)),
            ("max_age", cookie.max_age.map(write_duration).into()),
        ])
    });
    json!({ "keys": keys.collect::<Value>(), "cookie": cookie })
}

/// How a request may name its variant; null when it may not.
pub(in crate::config::effective) fn force(spec: &SplitSpec) -> Value {
    let Some(force) = &spec.force else {
        return Value::Null;
    };
    object([
        ("header", json!(force.header)),
        ("cookie", json!(force.cookie)),
        ("query", json!(force.query)),
    ])
}

/// The rules; null when there are none.
pub(in crate::config::effective) fn rules(spec: &SplitSpec) -> Value {
    if spec.rules.is_empty() {
        return Value::Null;
    }
    let rules = spec.rules.iter().map(|rule| {
        let weights = spec.variants.iter().zip(&rule.weights);
        let weights: Map<String, Value> = weights
            .map(|(variant, weight)| (variant.name.clone(), json!(weight)))
            .collect();
        json!({ "segment": rule.name, "weights": weights })
    });
    rules.collect()
}

/// A segment, always in its long form.
pub(in crate::config::effective) fn segment(segment: &SegmentConfig) -> Value {
    let groups = segment.spec.any.iter().map(|group| {
        let conditions: Value = group.iter().map(condition).collect();
        json!({ "all": conditions })
    });
    json!({ "any": groups.collect::<Value>() })
}

fn condition(condition: &ConditionSpec) -> Value {
    let key = match condition.operator.takes() {
        Takes::Texts => "values",
        Takes::Text | Takes::Moment | Takes::Number | Takes::Presence => "value",
    };
    let operand = match &condition.operand {
        Operand::Text(text) => json!(text),
        Operand::Texts(texts) => json!(texts),
        Operand::Number(number) => json!(number),
        Operand::Presence(presence) => json!(presence),
    };
    object([
        ("attr", json!(condition.attribute.to_string())),
        ("op", json!(condition.operator.name())),
        (key, operand),
    ])
}
