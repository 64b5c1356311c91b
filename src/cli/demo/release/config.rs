//! The configuration of the demo's release.

use std::net::SocketAddr;

/// The identity of the release.
pub(in crate::cli::demo::release) const RELEASE: &str = "shop-2.0.0";
/// The gate on its way.
pub(in crate::cli::demo::release) const GATE: &str = "go";
/// The share at which the bad candidate turns bad, in percent.
pub(in crate::cli::demo::release) const TURNS_BAD_AT: f64 = 25.0;

/// Writes it for two upstreams: stable, then candidate.
pub(in crate::cli::demo::release) fn text([v1, v2]: [SocketAddr; 2]) -> String {
    format!(
        r#"# Made by `tidegate demo`. Edit it and save: it is obeyed at once.

[listener.http]
address = "127.0.0.1:0"

[upstream.shop-v1]
endpoints = ["{v1}"]

[upstream.shop-v2]
endpoints = ["{v2}"]

[route.shop]
match = {{ path = "/" }}
sticky = {{ keys = ["header:x-user-id"] }}
force = {{ header = "x-variant" }}

[route.shop.split]
stable = {{ upstream = "shop-v1", weight = 100 }}
canary = {{ upstream = "shop-v2", weight = 0 }}

# Where releases stand, and the audit trail.
[store]
path = "state"

[release."{RELEASE}"]
route = "shop"
stable = "stable"
candidate = "canary"
start = "manual"
strategy = "quick"

# Seconds stand where a release for people has minutes.
[strategy.quick]
steps = [
  {{ weight = 1, for = "5s", require = "not-failed" }},
  {{ weight = 5, for = "4s", require = "no-regression" }},
  {{ weight = {TURNS_BAD_AT}, for = "6s", require = "no-regression" }},
  {{ weight = 50, for = "4s", require = "proven", gate = "{GATE}" }},
  {{ weight = 100, bake = "4s", require = "not-failed" }},
]

[strategy.quick.analysis]
interval = "1s"
warmup = "0s"

[strategy.quick.check.errors]
kind = "error_rate"
pass_abs = 0.03

[strategy.quick.check.hard-stop]
kind = "absolute"

[gate.{GATE}]
roles = ["operator"]
criteria = ["verdict>=no-regression"]

[access_log]
output = "off"

[shutdown]
delay = "0s"
spread = "0s"
timeout = "2s"

[admin]
address = "127.0.0.1:0"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::cli::demo::release::config::{GATE, RELEASE, TURNS_BAD_AT, text};
    use crate::config;

    #[test]
    fn the_configuration_is_valid_and_has_what_the_demo_speaks_of() {
        let addresses = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        let text = text(addresses).into_bytes();
        let parsed = config::parse_alone(text, Path::new("tidegate.toml"));
        let (config, warnings) = parsed.unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        let strategy = &config.releases.specs[RELEASE].strategy;
        let weights = (0..strategy.steps.len()).map(|step| strategy.weight(step).percent());
        let weights: Vec<f64> = weights.collect();
        assert_eq!(weights, [1.0, 5.0, TURNS_BAD_AT, 50.0, 100.0]);
        assert_eq!(strategy.gate(Some(3)), Some(GATE));
    }
}
