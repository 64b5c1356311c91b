//! Flags, as one would write them.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::config::effective::{all, duration, moment, object};
use crate::config::flags::FlagsConfig;
use crate::flag::{FlagSpec, FlagValue, Inject, Prerequisite, RuleSpec, Serve};

/// The sections that say it.
pub(in crate::config::effective) fn of(config: &FlagsConfig) -> Map<String, Value> {
    let context = config
        .context
        .iter()
        .map(|(key, attribute)| (key.clone(), json!(attribute.to_string())));
    let flags = json!({
        "context": Value::Object(context.collect()),
        "unused_after": duration(config.unused_after),
        "constant_after": duration(config.constant_after),
    });
    Map::from_iter([
        ("flags".to_owned(), flags),
        ("flag".to_owned(), all(&config.specs, flag)),
    ])
}

fn flag(spec: &FlagSpec) -> Value {
    let mut value = object([
        ("type", json!(spec.kind.name())),
        ("description", json!(spec.description)),
        ("owner", json!(spec.owner)),
        ("tags", json!(spec.tags)),
        ("created", date(spec.created)),
        ("expires", date(spec.expires)),
        ("permanent", json!(spec.permanent)),
        ("enabled", json!(spec.enabled)),
        ("kill_switch", json!(spec.kill_switch)),
        ("client_visible", json!(spec.client_visible)),
        ("variants", all(&spec.variants, FlagValue::to_json)),
        ("off_variant", json!(spec.off_variant)),
        (
            "default_variant",
            match &spec.default {
                Serve::Variant(name) => json!(name),
                // What a file says is one.
                Serve::Split(_) => Value::Null,
            },
        ),
        ("salt", json!(spec.salt)),
    ]);
    if let Value::Object(entries) = &mut value {
        entries.insert(
            "prerequisites".into(),
            spec.prerequisites.iter().map(prerequisite).collect(),
        );
        entries.insert("rules".into(), spec.rules.iter().map(rule).collect());
        if let Some(it) = &spec.inject {
            entries.insert("inject".into(), inject(it));
        }
    }
    value
}

fn prerequisite(prerequisite: &Prerequisite) -> Value {
    json!({ "flag": prerequisite.flag, "variant": prerequisite.variant })
}

fn rule(rule: &RuleSpec) -> Value {
    let segment = rule.segment.as_ref().map(|(name, _)| name.as_str());
    let (mut serve, mut split) = (Value::Null, Value::Null);
    match &rule.serve {
        Serve::Variant(name) => serve = json!(name),
        Serve::Split(weights) => split = json!(weights),
    }
    object([
        ("name", json!(rule.name)),
        ("segment", segment.into()),
        ("serve", serve),
        ("split", split),
        (
            "bucket_by",
            rule.bucket_by.as_ref().map(ToString::to_string).into(),
        ),
        ("salt", json!(rule.salt)),
        ("from", date(rule.from)),
        ("to", date(rule.to)),
    ])
}

fn inject(inject: &Inject) -> Value {
    json!({ "header": inject.header, "routes": inject.routes })
}

fn date(at: Option<SystemTime>) -> Value {
    at.map(moment).into()
}
