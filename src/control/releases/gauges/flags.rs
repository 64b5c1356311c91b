//! Gauges of flags.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::control::Live;
use crate::control::releases::gauges::since_1970;
use crate::flag::{Runtime, Settings, Stale, Use, judge};
use crate::release::flags::target;
use crate::release::overlay::Owner;
use crate::telemetry::FlagLive;

/// The causes for which a flag can be stale.
const CAUSES: [&str; 3] = ["expired", "one_answer", "unused"];

/// What is shown of all flags.
pub(in crate::control::releases::gauges) fn shown(
    live: &Live,
    uses: &BTreeMap<String, Use>,
    now: SystemTime,
) -> Vec<FlagLive> {
    let config = &live.config.flags;
    let settings = Settings {
        unused_after: config.unused_after,
        constant_after: config.constant_after,
    };
    let none = Runtime::default();
    let flags = config.specs.iter().map(|(name, spec)| {
        let seen = uses.get(name);
        let stale = judge(spec, seen, now, settings);
        let runtime = live.overlay.flags.get(name).unwrap_or(&none);
        let last = seen.and_then(Use::last_evaluated);
        FlagLive {
            name: name.clone(),
            is_killed: runtime.killed,
            is_overridden: runtime.enabled.is_some()
                || runtime.serve.is_some()
                || is_left(live, name),
            is_expired: stale
                .iter()
                .any(|cause| matches!(cause, Stale::Expired { .. })),
            stale: CAUSES
                .iter()
                .map(|&name| (name, stale.iter().any(|cause| cause.name() == name)))
                .collect(),
            last_evaluated: last.map(since_1970),
        }
    });
    flags.collect()
}

/// Whether a release that has ended left what it serves.
fn is_left(live: &Live, name: &str) -> bool {
    let ramp = live.overlay.routes.get(&target(name));
    ramp.is_some_and(|ramp| matches!(ramp.owner, Owner::Person(_)))
}
