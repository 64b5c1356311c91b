//! What becomes of the tunnels of a variant that is switched off, as the file says it.

use std::time::Duration;

use crate::config::tests::{config, read, refused};
use crate::config::{OnOff, TunnelsConfig};

#[track_caller]
fn check(keys: &str, on_off: OnOff, spread_ms: u64) {
    let text = format!("[route.r]\nupstream = \"base\"\n{keys}\n");
    let config = config(&text);
    let spread = Duration::from_millis(spread_ms);
    assert_eq!(config.routes["r"].tunnels, TunnelsConfig { on_off, spread });
    // What is written back is read as the same.
    let effective = config.effective();
    let written = toml::to_string(&effective).unwrap();
    assert_eq!(read(&written).unwrap().effective(), effective);
}

#[test]
fn tunnels_are_kept_cut_or_kept_for_a_while() {
    check("", OnOff::Keep, 5_000);
    check("tunnels_on_off = \"keep\"", OnOff::Keep, 5_000);
    let spread = "tunnels_on_off = \"cut\"\ntunnels_spread = \"250ms\"";
    check(spread, OnOff::Cut, 250);
    let none = "tunnels_on_off = \"10m\"\ntunnels_spread = \"0s\"";
    check(none, OnOff::After(Duration::from_secs(600)), 0);
}

#[test]
fn what_is_no_such_thing_is_refused() {
    let what = "\"keep\", \"cut\" or a duration such as \"10m\"";
    for text in ["\"never\"", "\"10\"", "\"0s\"", "\"1000d\"", "true", "10"] {
        refused(
            &format!("[route.r]\nupstream = \"base\"\ntunnels_on_off = {text}\n"),
            &[&format!(
                "3:18 route.r.tunnels_on_off: {text} is not {what}"
            )],
        );
    }
    refused(
        "[route.r]\nupstream = \"base\"\ntunnels_spread = \"2d\"\n",
        &[
            "3:18 route.r.tunnels_spread: \"2d\" is not a duration from 0s to 1d, such as \"250ms\", \
             \"2s\" or \"5m\"",
        ],
    );
}
