//! How routes divide their requests: stickiness, forcing, rules and their segments.

use serde_json::{Map, Value, json};

use crate::config::effective::{object, secret};
use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;
use crate::config::unit::write_duration;
use crate::segment::{ConditionSpec, Operand, Takes};
use crate::split::SplitSpec;

/// What keeps users where they are; null when nothing does.
pub(in crate::config::effective) fn sticky(route: &RouteConfig) -> Value {
    let Some(sticky) = &route.split_spec.sticky else {
        return Value::Null;
    };
    let keys: Value = sticky.keys.iter().map(ToString::to_string).collect();
    if let Some(pin) = &sticky.pin {
        return object([
            ("mode", json!("pin")),
            ("keys", keys),
            ("cookie", json!({ "name": pin.cookie.name })),
            ("epoch", json!(pin.epoch)),
            (
                "secret",
                route.secrets.pin.as_ref().map_or(Value::Null, secret),
            ),
            ("unsigned", json!(pin.secret.is_none())),
            ("max_age", pin.cookie.max_age.map(write_duration).into()),
        ]);
    }
    let cookie = sticky.cookie.as_ref().map_or(json!(false), |cookie| {
        object([
            ("name", json!(cookie.name)),
            ("max_age", cookie.max_age.map(write_duration).into()),
        ])
    });
    json!({ "mode": "hash", "keys": keys, "cookie": cookie })
}

/// How a request may name its variant; null when it may not.
pub(in crate::config::effective) fn force(route: &RouteConfig) -> Value {
    let Some(force) = &route.split_spec.force else {
        return Value::Null;
    };
    let trusted = match force.trusted.as_slice() {
        [] => Value::Null,
        networks => networks.iter().map(ToString::to_string).collect(),
    };
    object([
        ("header", json!(force.header)),
        ("cookie", json!(force.cookie)),
        ("query", json!(force.query)),
        ("trusted", trusted),
        (
            "secret",
            route.secrets.force.as_ref().map_or(Value::Null, secret),
        ),
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
