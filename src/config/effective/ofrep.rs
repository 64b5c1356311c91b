//! Who may evaluate flags from elsewhere, as one would write it.

use serde_json::{Value, json};

use crate::config::effective::{all, moment, object, recognised};
use crate::config::ofrep::{OfrepConfig, OfrepScope, OfrepToken};
use crate::config::rate_limit;
use crate::config::unit::write_size;

/// The section that says it.
pub(in crate::config::effective) fn of(config: &OfrepConfig) -> Value {
    let rate = config.rate.as_ref();
    let rate = rate.map(|rate| json!({ "rate": rate_limit::write(rate), "burst": rate.burst }));
    let tokens = (!config.tokens.is_empty()).then(|| all(&config.tokens, token));
    object([
        ("allowed_origins", json!(config.allowed_origins)),
        ("max_body", json!(write_size(config.max_body))),
        ("rate_limit", rate.into()),
        (
            "anonymous",
            json!(config.anonymous.map_or("none", OfrepScope::name)),
        ),
        ("stream", json!(config.stream)),
        ("tokens", tokens.into()),
    ])
}

fn token(token: &OfrepToken) -> Value {
    object([
        ("scope", json!(token.scope.name())),
        ("secret", recognised(&token.secret)),
        ("expires", token.expires.map(moment).into()),
    ])
}
