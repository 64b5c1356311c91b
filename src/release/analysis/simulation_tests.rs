//! A short simulation: few false alarms, and quick true ones. The long one is in `benches/`.

use crate::release::analysis::dice::Dice;
use crate::release::analysis::trial::{Trial, errors};
use crate::release::analysis::{Check, Kind, Users, Verdict};

const SEED: u64 = 20_261_126;

/// Releases of an hour with a look each minute: how many failed, and after how many minutes.
fn failures(
    n: u64,
    check: &Check,
    clump: f64,
    rps: f64,
    baseline: f64,
    candidate: f64,
) -> Vec<u32> {
    println!("seed {SEED}");
    let mut failures = Vec::new();
    for run in 0..n {
        let mut dice = Dice::new(SEED + run);
        let mut arm = |rps: f64, rate: f64| {
            let requests = dice.poisson(rps * 60.0);
            let bad = dice.binomial((requests / clump).floor(), rate) * clump;
            (requests as u32, bad as u32)
        };
        let mut trial = Trial::new([("errors", check.clone())]);
        for _ in 0..20 {
            trial.tick((0, 0), arm(rps, baseline));
        }
        trial.step(Users::Divided, 600);
        let failed = (1..=60).find(|_| {
            let verdict = trial.tick(arm(0.05 * rps, candidate), arm(0.95 * rps, baseline));
            matches!(verdict, Verdict::Fail { .. })
        });
        failures.extend(failed);
    }
    failures.sort_unstable();
    failures
}

fn without_a_floor() -> Check {
    let mut check = errors();
    if let Kind::ErrorRate { fail_abs, .. } = &mut check.kind {
        *fail_abs = 0.0;
    }
    check
}

#[test]
fn a_candidate_at_the_margin_fails_no_more_often_than_alpha() {
    let failed = failures(200, &without_a_floor(), 1.0, 2.0, 0.02, 0.025);
    assert!(failed.len() <= 2, "{} of 200 at alpha 1 %", failed.len());
}

#[test]
fn a_candidate_that_fails_ten_times_as_much_is_found_in_minutes() {
    let failed = failures(40, &errors(), 1.0, 10.0, 0.005, 0.05);
    assert_eq!(failed.len(), 40);
    assert!(failed[20] <= 8, "{} minutes in the median", failed[20]);
}

#[test]
fn clumps_roll_nothing_back_and_hide_nothing() {
    let healthy = failures(100, &without_a_floor(), 5.0, 10.0, 0.005, 0.005);
    assert!(healthy.len() <= 1, "{} of 100 healthy ones", healthy.len());
    let bad = failures(20, &errors(), 5.0, 20.0, 0.005, 0.05);
    assert_eq!(bad.len(), 20);
}
