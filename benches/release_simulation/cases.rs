//! The releases that are simulated.

use tidegate::release::analysis::Users;

use crate::scenario::{At, Scenario, errors, hard_stop, hour, p95};

/// What all rules are asked to judge.
pub(crate) fn compared() -> [(&'static str, Scenario); 8] {
    [
        ("healthy, 1 rps", hour(1.0, half_percent, half_percent)),
        ("healthy, 10 rps", hour(10.0, half_percent, half_percent)),
        ("healthy, 100 rps", hour(100.0, half_percent, half_percent)),
        (
            "healthy, outage of both, 10 rps",
            hour(10.0, outage, outage),
        ),
        ("0.5→0.6 %, 100 rps", hour(100.0, half_percent, |_| 0.006)),
        ("0.5→5 %, 10 rps", hour(10.0, half_percent, |_| 0.05)),
        ("0.5→2 %, 100 rps", hour(100.0, half_percent, |_| 0.02)),
        ("0.5→50 %, 1 rps", hour(1.0, half_percent, |_| 0.5)),
    ]
}

/// Candidates that are as bad as they may be.
pub(crate) fn at_the_margin() -> Vec<(&'static str, Scenario)> {
    let strict = |scenario: Scenario| Scenario {
        check: errors(0.0),
        ..scenario
    };
    vec![
        (
            "0.5→0.625 %, 1 rps",
            strict(hour(1.0, half_percent, |_| 0.00625)),
        ),
        (
            "0.5→0.625 %, 100 rps",
            strict(hour(100.0, half_percent, |_| 0.00625)),
        ),
        ("40→50 %, 10 rps", strict(hour(10.0, |_| 0.4, |_| 0.5))),
        (
            "rates jump from 0.5 to 20 %, weight 1→5→25→50 %, 10 rps",
            Scenario {
                share: |at| [0.01, 0.05, 0.25, 0.5][(at / 900.0) as usize % 4],
                steps: &[0.0, 900.0, 1800.0, 2700.0],
                ..strict(hour(10.0, jumping, |at| 1.25 * jumping(at)))
            },
        ),
        (
            "10→12.5 %, 3 requests a minute, half of them each",
            Scenario {
                share: |_| 0.5,
                ..strict(hour(0.05, |_| 0.1, |_| 0.125))
            },
        ),
    ]
}

/// Few requests, clumps, candidates that turn bad, blue-green.
pub(crate) fn others() -> Vec<(&'static str, Scenario)> {
    vec![
        ("0.5→5 %, 1 rps", hour(1.0, half_percent, |_| 0.05)),
        (
            "0.1→50 %, 10 rps, 1 % on the candidate, ticks of 10 s",
            Scenario {
                share: |_| 0.01,
                tick: 10.0,
                ..hour(10.0, |_| 0.001, |_| 0.5)
            },
        ),
        (
            "A/A over 24 hours, 10 rps",
            Scenario {
                seconds: 86_400.0,
                ..hour(10.0, half_percent, half_percent)
            },
        ),
        (
            "clumps of 5, healthy, 100 rps",
            Scenario {
                clump: 5.0,
                ..hour(100.0, half_percent, half_percent)
            },
        ),
        (
            "clumps of 5, 0.5→2 %, 100 rps",
            Scenario {
                clump: 5.0,
                ..hour(100.0, half_percent, |_| 0.02)
            },
        ),
        (
            "turns bad half an hour into the step of 25 %, 0.5→5 %, 10 rps, ticks of 10 s, from then",
            Scenario {
                onset: 3600.0,
                share: |at| if at < 1800.0 { 0.05 } else { 0.25 },
                steps: &[0.0, 1800.0],
                seconds: 7200.0,
                tick: 10.0,
                ..hour(
                    10.0,
                    half_percent,
                    |at| if at < 3600.0 { 0.005 } else { 0.05 },
                )
            },
        ),
        (
            "turns bad with the step to 25 %, 0.5→5 %, 100 rps, ticks of 1 s, from then",
            Scenario {
                onset: 1800.0,
                share: |at| if at < 1800.0 { 0.05 } else { 0.25 },
                steps: &[0.0, 1800.0],
                seconds: 2400.0,
                tick: 1.0,
                ..hour(
                    100.0,
                    half_percent,
                    |at| if at < 1800.0 { 0.005 } else { 0.05 },
                )
            },
        ),
        (
            "blue-green, everyone on the candidate, healthy, 10 rps",
            Scenario {
                share: |_| 1.0,
                users: Users::AllOnCandidate,
                ..hour(10.0, half_percent, half_percent)
            },
        ),
        (
            "blue-green, 0.5→5 %, 10 rps, ticks of 10 s",
            Scenario {
                share: |_| 1.0,
                users: Users::AllOnCandidate,
                tick: 10.0,
                ..hour(10.0, half_percent, |_| 0.05)
            },
        ),
    ]
}

/// Candidates that are to be proven, or not.
pub(crate) fn proofs() -> Vec<(&'static str, Scenario)> {
    let long = |scenario: Scenario| Scenario {
        seconds: 14_400.0,
        ..scenario
    };
    vec![
        (
            "both 0.5 %, 100 rps",
            long(hour(100.0, half_percent, half_percent)),
        ),
        (
            "both 0.01 %, 10 rps",
            long(hour(10.0, |_| 0.0001, |_| 0.0001)),
        ),
        (
            "both 0.01 %, 1 rps",
            long(hour(1.0, |_| 0.0001, |_| 0.0001)),
        ),
        (
            "0.5→1.5 %, 100 rps",
            long(hour(100.0, half_percent, |_| 0.015)),
        ),
        (
            "0.5→1.0 %, 100 rps: at the margin of proof",
            hour(100.0, half_percent, |_| 0.01),
        ),
    ]
}

/// Candidates that are slower.
pub(crate) fn latencies() -> Vec<(&'static str, Scenario)> {
    let slower = |rps: f64, slower: f64| Scenario {
        slower: Some(slower),
        check: p95(),
        ..hour(rps, half_percent, half_percent)
    };
    vec![
        ("healthy, 100 rps", slower(100.0, 1.0)),
        ("healthy, 10 rps", slower(10.0, 1.0)),
        ("+10 %, 100 rps", slower(100.0, 1.1)),
        ("+20 %, 100 rps", slower(100.0, 1.2)),
        ("+50 %, 10 rps", slower(10.0, 1.5)),
        ("twice, 10 rps", slower(10.0, 2.0)),
    ]
}

/// Candidates that the hard stop looks at, each second.
pub(crate) fn hard_stops() -> Vec<(&'static str, Scenario)> {
    let each_second = |rps: f64, candidate: At| Scenario {
        share: |_| 1.0,
        tick: 1.0,
        seconds: 1800.0,
        check: hard_stop(),
        ..hour(rps, half_percent, candidate)
    };
    vec![
        (
            "0.5 %, 20 requests a second",
            each_second(20.0, half_percent),
        ),
        ("25 %, 5 a second: at its limit", each_second(5.0, |_| 0.25)),
        ("50 %, 1 a second", each_second(1.0, |_| 0.5)),
        ("50 %, 5 a second", each_second(5.0, |_| 0.5)),
        ("50 %, 20 a second", each_second(20.0, |_| 0.5)),
        ("100 %, 1 a second", each_second(1.0, |_| 1.0)),
        (
            "turns to 50 % after 20 minutes, 5 a second, from then",
            Scenario {
                onset: 1200.0,
                ..each_second(5.0, |at| if at < 1200.0 { 0.005 } else { 0.5 })
            },
        ),
    ]
}

/// From 0.5 to 20 % and back, every five minutes.
fn jumping(at: f64) -> f64 {
    if at % 600.0 < 300.0 { 0.005 } else { 0.2 }
}

fn half_percent(_: f64) -> f64 {
    0.005
}

/// Both arms fail 30 % for three minutes.
fn outage(at: f64) -> f64 {
    if (1200.0..1380.0).contains(&at) {
        0.3
    } else {
        0.005
    }
}
