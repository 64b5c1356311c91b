//! What two looks make of counts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::wire::Status;
use crate::cli::top::interval::{Interval, VariantSeen};
use crate::cli::top::quantile::Quantile;

const SECOND: Duration = Duration::from_secs(1);

/// The counts of a variant.
#[derive(Clone, Copy, Default)]
struct Counts {
    drawn: u64,
    forced: u64,
    requests: u64,
    /// Requests that ended after those above had been read, and before what is below was.
    late: u64,
    failures: u64,
    by_proxy: u64,
    fast: u64,
    slow: u64,
}

fn variant(weight: u32, counts: Counts) -> Value {
    json!({
        "upstream": "u", "weight": weight, "share": f64::from(weight) / 100.0, "state": "on",
        "endpoints": { "available": 1, "total": 2 }, "in_flight": 3, "tunnels": 1,
        "drained": false, "requests": counts.requests, "failures": counts.by_proxy,
        "failures_by_proxy": counts.by_proxy,
        "detail": {
            "failed": counts.failures,
            "selections": { "draw": counts.drawn, "forced": counts.forced },
            "errors": {},
            "response_headers": { "counts": [counts.fast, counts.slow, 0], "sum_seconds": 1.0 },
            "request_duration": { "counts": [counts.requests, counts.late, 0], "sum_seconds": 0.0 },
        },
    })
}

fn status(started_at: &str, [stable, canary]: [Value; 2]) -> Status {
    serde_json::from_value(json!({
        "version": "0.1.0", "generation": 1, "config_sha256": "", "applied_at": "", "ready": true,
        "started_at": started_at, "latency_bounds_seconds": [0.01, 0.1],
        "routes": { "shop": { "variants": { "stable": stable, "canary": canary } } },
        "upstreams": {}, "listeners": {},
    }))
    .unwrap()
}

fn canary(interval: &Interval) -> &VariantSeen {
    let found = interval.variants.iter().find(|v| v.name == "canary");
    found.unwrap()
}

#[test]
fn rates_are_of_the_time_between_and_not_of_all_time() {
    let before = Counts {
        drawn: 1000,
        requests: 1000,
        failures: 900,
        fast: 900,
        ..Counts::default()
    };
    let after = Counts {
        drawn: 1020,
        requests: 1020,
        failures: 905,
        by_proxy: 1,
        fast: 900,
        slow: 20,
        ..Counts::default()
    };
    let rest = variant(95, Counts::default());
    let more = Counts {
        drawn: 80,
        requests: 80,
        fast: 80,
        ..Counts::default()
    };
    let interval = Interval::between(
        &status("a", [rest, variant(5, before)]),
        2 * SECOND,
        &status("a", [variant(95, more), variant(5, after)]),
    );
    let canary = canary(&interval);
    assert_eq!(canary.traffic.requests_per_second, Some(10.0));
    assert_eq!(canary.traffic.failed, Some(0.25));
    assert_eq!(canary.traffic.failed_by_proxy, Some(0.05));
    assert_eq!(canary.actual_share, Some(0.2));
    let Some(Quantile::Within(p50)) = canary.p50_ms else {
        panic!("{canary:?}");
    };
    assert!((10.0..=100.0).contains(&p50), "{p50}");
    assert_eq!(interval.total.requests_per_second, Some(50.0));
    assert_eq!(interval.total.failed, Some(0.05));
    assert_eq!((interval.total.in_flight, interval.total.tunnels), (6, 2));
}

#[test]
fn what_ended_while_an_instance_was_read_makes_no_more_than_all_of_it_fail() {
    let look = |requests, late| Counts {
        requests,
        late,
        failures: requests + late,
        ..Counts::default()
    };
    let rest = variant(95, Counts::default());
    for (before, after) in [((0, 0), (2019, 1)), ((10, 1), (2029, 0))] {
        let before = variant(5, look(before.0, before.1));
        let after = variant(5, look(after.0, after.1));
        let interval = Interval::between(
            &status("a", [rest.clone(), before]),
            SECOND,
            &status("a", [rest.clone(), after]),
        );
        assert_eq!(canary(&interval).traffic.failed, Some(1.0));
        assert_eq!(interval.total.failed, Some(1.0));
    }
}

#[test]
fn who_named_the_variant_does_not_count_for_the_share() {
    let named = Counts {
        forced: 50,
        requests: 60,
        drawn: 10,
        ..Counts::default()
    };
    let drawn = Counts {
        drawn: 90,
        requests: 90,
        ..Counts::default()
    };
    let nothing = Counts::default();
    let interval = Interval::between(
        &status("a", [variant(95, nothing), variant(5, nothing)]),
        SECOND,
        &status("a", [variant(95, drawn), variant(5, named)]),
    );
    assert_eq!(canary(&interval).actual_share, Some(0.1));
    assert_eq!(canary(&interval).traffic.requests_per_second, Some(60.0));
}

#[test]
fn a_first_look_has_no_rates() {
    let counts = Counts {
        requests: 10,
        drawn: 10,
        fast: 10,
        ..Counts::default()
    };
    let seen = status("a", [variant(95, counts), variant(5, counts)]);
    let interval = Interval::first(&seen);
    assert_eq!(interval.took, None);
    let canary = canary(&interval);
    assert_eq!(canary.traffic.requests_per_second, None);
    assert_eq!(canary.p99_ms, None);
    assert_eq!(canary.traffic.in_flight, 3);
}

#[test]
fn an_instance_that_was_started_anew_has_no_rates() {
    let many = Counts {
        requests: 10,
        drawn: 10,
        ..Counts::default()
    };
    let more = Counts {
        requests: 20,
        drawn: 20,
        ..Counts::default()
    };
    let before = status("a", [variant(95, many), variant(5, many)]);
    let after = status("b", [variant(95, more), variant(5, more)]);
    let interval = Interval::between(&before, SECOND, &after);
    assert_eq!(interval, Interval::first(&after));
}

#[test]
fn a_variant_whose_counts_fell_has_no_rates_and_others_do() {
    let many = Counts {
        requests: 10,
        drawn: 10,
        ..Counts::default()
    };
    let none = Counts::default();
    let before = status("a", [variant(95, none), variant(5, many)]);
    let after = status("a", [variant(95, many), variant(5, none)]);
    let interval = Interval::between(&before, SECOND, &after);
    assert_eq!(canary(&interval).traffic.requests_per_second, None);
    assert_eq!(interval.total.requests_per_second, Some(10.0));
}

#[test]
fn a_variant_without_requests_failed_in_no_part() {
    let none = Counts::default();
    let seen = status("a", [variant(95, none), variant(5, none)]);
    let interval = Interval::between(&seen, SECOND, &seen);
    let canary = canary(&interval);
    assert_eq!(canary.traffic.requests_per_second, Some(0.0));
    assert_eq!(canary.traffic.failed, None);
    assert_eq!(canary.actual_share, None);
}

#[test]
fn the_state_is_one_word() {
    let state = |change: &[(&str, Value)]| {
        let mut canary = variant(5, Counts::default());
        for (key, value) in change {
            canary[key] = value.clone();
        }
        let seen = status("a", [variant(95, Counts::default()), canary]);
        let interval = Interval::first(&seen);
        let found = interval.variants.iter().find(|v| v.name == "canary");
        found.unwrap().state
    };
    let down = json!({ "available": 0, "total": 2 });
    assert_eq!(state(&[]), "on");
    assert_eq!(state(&[("endpoints", down.clone())]), "down");
    assert_eq!(
        state(&[("state", "off".into()), ("endpoints", down)]),
        "off"
    );
    assert_eq!(state(&[("weight", 0.into())]), "draining");
    let drained = [("weight", 0.into()), ("drained", true.into())];
    assert_eq!(state(&drained), "drained");
}
