//! The mirror of a route, as one would write it.

use serde_json::{Value, json};

use crate::config::effective::{duration, object, size};
use crate::config::mirror::MirrorConfig;

/// What is copied, and where to.
pub(in crate::config::effective) fn of(config: &MirrorConfig) -> Value {
    let upstream = config.variant.is_none().then_some(&config.upstream);
    let compare = config.compare.as_ref().map(|compare| {
        let names = compare.headers.iter();
        let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
        json!({ "headers": names.collect::<Vec<_>>(), "body": compare.body })
    });
    object([
        ("variant", json!(config.variant)),
        ("upstream", json!(upstream)),
        ("percent", json!(config.percent)),
        ("methods", json!(config.methods)),
        ("timeout", duration(config.timeout)),
        ("concurrent", json!(config.concurrent)),
        ("body", size(config.body_bytes)),
        ("compare", compare.unwrap_or(json!(false))),
    ])
}
