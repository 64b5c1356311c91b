//! Evidence: the reference's values, and that nothing is gained under a hypothesis.

use proptest::collection::vec;
use proptest::prelude::{prop_assert, proptest};

use crate::release::analysis::eprocess::{
    EProcess, K, Sequence, better_than_baseline, better_than_limit, share, worse_than_baseline,
    worse_than_limit,
};
use crate::release::analysis::{Arms, Tally};

fn arms(bad: f64, baseline_bad: f64, requests: f64, baseline_requests: f64) -> Arms {
    Arms {
        candidate: Tally { requests, bad },
        baseline: Tally {
            requests: baseline_requests,
            bad: baseline_bad,
        },
    }
}

fn all_in() -> EProcess {
    let mut process = EProcess::default();
    process.bet(1.0);
    process
}

fn after(ticks: &[Arms], phi: f64) -> f64 {
    let mut process = all_in();
    for tick in ticks {
        if let Some(gains) = worse_than_baseline(tick, 1.25, phi) {
            process.multiply(&gains);
        }
    }
    process.ln_e()
}

#[track_caller]
fn check(ticks: &[Arms], phi: f64, expected: f64) {
    let found = after(ticks, phi);
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn evidence_equals_that_of_the_reference() {
    let ticks = [
        arms(0.0, 3.0, 50.0, 950.0),
        arms(2.0, 3.0, 50.0, 950.0),
        arms(4.0, 2.0, 50.0, 950.0),
        arms(5.0, 4.0, 60.0, 940.0),
    ];
    check(&ticks[..1], 1.0, -0.863_270);
    check(&ticks[..2], 1.0, 0.776_404);
    check(&ticks[..3], 1.0, 6.612_767);
    check(&ticks, 1.0, 13.432_681);
    check(&[arms(10.0, 0.0, 300.0, 5700.0)], 1.0, 22.897_559);
    check(&[arms(10.0, 0.0, 300.0, 5700.0)], 5.0, 3.871_407);
}

#[test]
fn an_arm_without_requests_says_nothing() {
    assert_eq!(
        worse_than_baseline(&arms(1.0, 0.0, 1.0, 0.0), 1.25, 1.0),
        None
    );
    assert_eq!(
        better_than_baseline(&arms(0.0, 1.0, 0.0, 1.0), 2.0, 1.0),
        None
    );
    assert_eq!(worse_than_limit(&Tally::default(), 0.25, 1.0), None);
    assert_eq!(better_than_limit(&Tally::default(), 0.25, 1.0), None);
}

#[test]
fn no_share_is_rounded_away_when_one_arm_is_tiny() {
    let gains = worse_than_baseline(&arms(0.0, 0.0, 1e18, 1.0), 1.25, 1.0);
    assert!(gains.unwrap().iter().all(|gain| *gain == 0.0));
    let gains = worse_than_baseline(&arms(1.0, 1.0, 1e18, 1.0), 1.25, 1.0);
    assert!(gains.unwrap().iter().all(|gain| gain.is_finite()));
}

#[test]
fn the_shares_of_all_bets_sum_to_less_than_the_capital() {
    let shares: f64 = (1..100_000).map(share).sum();
    assert!(shares < 1.0 && shares > 0.9999, "{shares}");
}

#[test]
fn a_candidate_that_turns_bad_is_found_although_all_older_bets_are_lost() {
    let mut sequence = Sequence::default();
    let mut once = all_in();
    let gains = |arms| worse_than_baseline(&arms, 1.25, 1.0).unwrap();
    for _ in 0..1000 {
        let healthy = gains(arms(1.0, 19.0, 200.0, 3800.0));
        sequence.take(&healthy, 1.0);
        once.multiply(&healthy);
    }
    let mut n_ticks = 0;
    while sequence.ln_e() < 100_f64.ln() {
        let bad = gains(arms(10.0, 19.0, 200.0, 3800.0));
        sequence.take(&bad, 10.0);
        once.multiply(&bad);
        n_ticks += 1;
    }
    assert!(n_ticks <= 3, "{n_ticks} ticks of ten bad requests");
    assert!(
        once.ln_e() < -5.0,
        "the bets of the start are at {}",
        once.ln_e()
    );
}

/// The mean of the factor for each alternative over all outcomes of one tick.
fn mean(n: u32, m: u32, rate: f64, baseline_rate: f64, phi: f64) -> f64 {
    let mut mean = vec![0.0; K];
    for bad in 0..=n {
        for baseline_bad in 0..=m {
            let chance = binomial(n, bad, rate) * binomial(m, baseline_bad, baseline_rate);
            let counts = [bad, baseline_bad, n, m].map(f64::from);
            let tick = arms(counts[0], counts[1], counts[2], counts[3]);
            let gains = worse_than_baseline(&tick, 1.25, phi).unwrap();
            for (mean, gain) in mean.iter_mut().zip(gains) {
                *mean += chance * gain.exp();
            }
        }
    }
    mean.into_iter().fold(0.0, f64::max)
}

fn binomial(n: u32, k: u32, p: f64) -> f64 {
    let ways = (1..=k).map(|i| f64::from(n - k + i) / f64::from(i));
    ways.product::<f64>() * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
}

#[test]
fn a_tick_at_the_margin_gains_nothing_in_the_mean() {
    for (n, m) in [(1, 1), (3, 20), (12, 4)] {
        for rate in [0.001, 0.1, 0.7] {
            for phi in [1.0, 3.0] {
                let found = mean(n, m, 1.25 * rate, rate, phi);
                assert!(found <= 1.0 + 1e-12, "{n} {m} {rate} {phi}: {found}");
            }
        }
    }
    assert!(
        mean(3, 20, 0.5, 0.1, 1.0) > 1.0,
        "beyond the margin it gains"
    );
}

proptest! {
    #[test]
    fn a_limit_gains_nothing_in_the_mean_on_its_own_side(
        limit in 0.001..0.9_f64, part in 0.01..1.0_f64, n in 1_u32..40,
    ) {
        let rate_below = limit * part;
        let rate_above = limit + (1.0 - limit) * part * 0.999;
        let mut means = vec![[0.0; 2]; K];
        for bad in 0..=n {
            let tally = Tally { requests: f64::from(n), bad: f64::from(bad) };
            let worse = worse_than_limit(&tally, limit, 1.0).unwrap();
            let better = better_than_limit(&tally, limit, 1.0).unwrap();
            for k in 0..K {
                means[k][0] += binomial(n, bad, rate_below) * worse[k].exp();
                means[k][1] += binomial(n, bad, rate_above) * better[k].exp();
            }
        }
        for mean in means {
            prop_assert!(mean[0] <= 1.0 + 1e-9 && mean[1] <= 1.0 + 1e-9, "{:?}", mean);
        }
    }

    #[test]
    fn one_more_bad_request_of_the_candidate_is_never_less_evidence(
        history in vec((0_u32..20, 0_u32..20), 0..20), bad in 0_u32..50,
    ) {
        let mut sequence = Sequence::default();
        for (bad, baseline_bad) in history {
            let tick = arms(f64::from(bad), f64::from(baseline_bad), 100.0, 900.0);
            sequence.take(&worse_than_baseline(&tick, 1.25, 1.0).unwrap(), tick.candidate.bad);
        }
        let with = |bad: u32| {
            let mut sequence = sequence.clone();
            let tick = arms(f64::from(bad), 7.0, 100.0, 900.0);
            sequence.take(&worse_than_baseline(&tick, 1.25, 1.0).unwrap(), tick.candidate.bad);
            sequence.ln_e()
        };
        prop_assert!(with(bad + 1) >= with(bad));
    }

    #[test]
    fn the_order_of_ticks_makes_no_evidence(
        ticks in vec((0_u32..9, 0_u32..9, 1_u32..99, 1_u32..999), 1..20), by in 0_usize..20,
    ) {
        let ticks = ticks.into_iter().map(|(bad, baseline_bad, n, m)| {
            arms(f64::from(bad.min(n)), f64::from(baseline_bad.min(m)), f64::from(n), f64::from(m))
        });
        let mut ticks: Vec<Arms> = ticks.collect();
        let before = after(&ticks, 1.5);
        let by = by % ticks.len();
        ticks.rotate_left(by);
        ticks.reverse();
        let turned = after(&ticks, 1.5);
        prop_assert!((before - turned).abs() < 1e-9, "{} and {}", before, turned);
    }

    #[test]
    fn evidence_is_always_a_number(
        ticks in vec((0_u32..2, 0_u32..2, 1_u32..3, 1_u32..3), 1..400),
    ) {
        let mut sequence = Sequence::default();
        for (index, (bad, baseline_bad, n, m)) in ticks.into_iter().enumerate() {
            let scale = 10_f64.powi(index as i32 % 12);
            let tick = arms(f64::from(bad), f64::from(baseline_bad), f64::from(n) * scale, f64::from(m));
            if index % 7 == 0 {
                sequence.begin_step();
            }
            sequence.take(&worse_than_baseline(&tick, 1.25, 1.0).unwrap(), tick.candidate.bad);
            prop_assert!(sequence.ln_e().is_finite());
        }
    }
}
