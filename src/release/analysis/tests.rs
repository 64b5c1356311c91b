//! What the analysis says, case by case.

use std::time::Duration;

use crate::release::analysis::trial::{Trial, errors, failed, hard_stop, mismatches, p95};
use crate::release::analysis::{Arm, Check, CheckVerdict, OnFail, Users, Verdict};

const INSUFFICIENT: Verdict = Verdict::Insufficient { missing: 0.0 };

#[test]
fn a_candidate_that_is_worse_fails_and_the_report_says_why() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    let verdict = trial.ticks(2, (300, 14), (5700, 28));
    assert_eq!(verdict, failed("errors", OnFail::Rollback));
    assert_eq!(
        trial.text("errors"),
        "candidate fails 4.7 % of 600 requests, stable 0.49 % of 11,400 requests: evidence 10^11.3, \
         10^2.0 needed"
    );
    let report = trial.check("errors");
    assert_eq!(report.verdict, CheckVerdict::Fail);
    assert!(report.ln_e >= report.ln_e_needed && report.over_floor);
}

#[test]
fn a_rollback_goes_before_a_hold() {
    let held = || Check {
        on_fail: OnFail::Hold,
        ..errors()
    };
    let mut trial = Trial::in_a_step([("a", held())]);
    assert_eq!(trial.tick((300, 30), (5700, 28)), failed("a", OnFail::Hold));
    let mut trial = Trial::in_a_step([("a", held()), ("b", errors())]);
    assert_eq!(
        trial.tick((300, 30), (5700, 28)),
        failed("b", OnFail::Rollback)
    );
}

#[test]
fn what_is_worse_by_less_than_matters_does_not_fail() {
    // 12 against 0 in a hundred thousand each: certain, and 0.012 points.
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.tick((100_000, 12), (100_000, 0));
    let report = trial.check("errors");
    assert!(report.ln_e > report.ln_e_needed && !report.over_floor);
    assert_eq!(
        report.verdict,
        CheckVerdict::Proven,
        "it is far below pass_abs"
    );
    let mut trial = Trial::in_a_step([("errors", errors())]);
    let verdict = trial.ticks(6, (10_000, 49), (200_000, 600));
    assert_eq!(verdict, INSUFFICIENT, "neither fails nor passes");
    let text = trial.text("errors");
    assert!(text.contains("worse, but by less than matters"), "{text}");
}

#[test]
fn too_few_requests_are_counted_for_a_person() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    let verdict = trial.tick((412, 0), (2000, 10));
    assert_eq!(verdict, Verdict::Insufficient { missing: 186.0 });
    assert_eq!(
        trial.text("errors"),
        "insufficient: 412 of 598 requests; candidate fails 0.0 % of 412 requests, stable 0.50 % of \
         2,000 requests"
    );
}

#[test]
fn there_is_no_regression_once_requests_and_time_suffice() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    assert_eq!(trial.ticks(19, (50, 2), (950, 28)), INSUFFICIENT);
    assert_eq!(trial.tick((50, 2), (950, 28)), Verdict::NoRegression);
    // It is not proven; and what speaks against it takes the word back.
    assert_eq!(trial.check("errors").verdict, CheckVerdict::NoRegression);
    assert_eq!(
        trial.tick((50, 40), (950, 28)),
        failed("errors", OnFail::Rollback)
    );
}

#[test]
fn enough_good_requests_are_proof_before_the_time_is_over() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    assert_eq!(trial.ticks(5, (300, 0), (5700, 3)), Verdict::Proven);
    let report = trial.check("errors");
    assert!(report.pass_ln_e >= report.pass_ln_e_needed);
    assert!((report.pass_ln_e_needed - 40_f64.ln()).abs() < 1e-12);
}

#[test]
fn time_alone_proves_nothing() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.tick((100, 0), (1900, 9));
    for _ in 0..2000 {
        let verdict = trial.observe();
        let unknown = matches!(
            verdict,
            Verdict::Insufficient { .. } | Verdict::NoData { .. }
        );
        assert!(unknown, "{verdict:?}");
    }
    trial.now += Duration::from_secs(1_000_000);
    let report = trial.analysis.report(&trial.settings, trial.now);
    assert_eq!(
        report.verdict,
        Verdict::NoData {
            arm: Arm::Candidate
        }
    );
}

#[test]
fn without_a_check_that_passed_nothing_is_proven() {
    let mut none = Trial::in_a_step([]);
    assert_eq!(none.ticks(100, (300, 0), (5700, 0)), INSUFFICIENT);
    let optional = || Check {
        required: false,
        ..errors()
    };
    let mut trial = Trial::in_a_step([("errors", optional())]);
    let verdict = trial.tick((50, 0), (950, 5));
    assert_eq!(verdict, Verdict::Insufficient { missing: 548.0 });
    assert_eq!(trial.ticks(10, (300, 0), (5700, 5)), Verdict::Proven);
}

#[test]
fn a_dry_run_is_shown_and_decides_nothing() {
    let dry = Check {
        dry_run: true,
        ..errors()
    };
    let mut trial = Trial::in_a_step([("dry", dry), ("p95", p95())]);
    let verdict = trial.tick((300, 300), (5700, 28));
    assert!(
        matches!(verdict, Verdict::Insufficient { .. }),
        "{verdict:?}"
    );
    assert_eq!(trial.check("dry").verdict, CheckVerdict::Fail);
    assert!(trial.text("dry").ends_with("a dry run, decides nothing"));
}

#[test]
fn alpha_is_shared_by_the_checks_that_decide_and_compare() {
    let dry = Check {
        dry_run: true,
        ..errors()
    };
    let checks = [
        ("errors", errors()),
        ("p95", p95()),
        ("dry", dry),
        ("stop", hard_stop()),
    ];
    let mut trial = Trial::in_a_step(checks);
    trial.tick((1, 0), (19, 0));
    let needed = |name: &str| trial.check(name).ln_e_needed;
    assert!((needed("errors") - 200_f64.ln()).abs() < 1e-12);
    assert!((needed("p95") - 200_f64.ln()).abs() < 1e-12);
    assert!((needed("stop") - 1000_f64.ln()).abs() < 1e-12);
}

#[test]
fn an_arm_without_requests_is_no_data_and_no_verdict() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    assert_eq!(
        trial.tick((0, 0), (950, 5)),
        Verdict::NoData {
            arm: Arm::Candidate
        }
    );
    trial.tick((50, 0), (950, 5));
    let verdict = trial.ticks(4, (0, 0), (950, 5));
    assert!(
        matches!(verdict, Verdict::Insufficient { .. }),
        "a lull is no silence: {verdict:?}"
    );
    assert_eq!(
        trial.tick((0, 0), (950, 5)),
        Verdict::NoData {
            arm: Arm::Candidate
        }
    );
    trial.tick((50, 0), (0, 0));
    assert_eq!(
        trial.ticks(5, (50, 0), (0, 0)),
        Verdict::NoData { arm: Arm::Baseline }
    );
}

#[test]
fn a_hard_stop_acts_within_seconds_at_small_traffic() {
    let mut trial = Trial::in_a_step([("stop", hard_stop())]);
    trial.second((0, 0));
    let mut seconds = 0;
    while trial.second((5, 2 + seconds % 2)) != failed("stop", OnFail::Rollback) {
        seconds += 1;
    }
    assert!(
        seconds < 20,
        "half of 5 requests a second failed for {seconds} s"
    );
    let mut trial = Trial::in_a_step([("stop", hard_stop())]);
    trial.second((0, 0));
    for _ in 0..2_000 {
        let verdict = trial.second((5, 1));
        assert!(
            !matches!(verdict, Verdict::Fail { .. }),
            "a fifth is allowed"
        );
    }
    assert_eq!(
        trial.text("stop"),
        "candidate fails 20.0 % of 10,000 requests, 25.0 % allowed: shown \
        to be good, evidence 10^27.1, 10^1.3 needed"
    );
}

#[test]
fn latency_is_the_share_that_is_slower_than_a_bound_fixed_before_the_step() {
    let mut trial = Trial::new([("p95", p95())]);
    for _ in 0..10 {
        trial.slow_tick((0, 0), (950, 57));
    }
    trial.step(Users::Divided, 600);
    for _ in 0..5 {
        trial.slow_tick((100, 40), (950, 57));
    }
    let report = trial.check("p95");
    assert_eq!(report.verdict, CheckVerdict::Fail);
    let latency = report.latency.unwrap();
    // Both bounds have 6 % above them; the first that is nearest counts.
    assert_eq!(latency.threshold, 0.1);
    assert!((latency.candidate.unwrap().p95 - 0.375).abs() < 1e-9);
    assert!((latency.baseline.unwrap().p50 - 0.053_191).abs() < 1e-6);
    assert_eq!(
        report.text,
        "candidate is slower than 100 ms in 40.0 % of 500 requests, stable in 6.0 % of 4,750 \
         requests: evidence 10^58.1, 10^2.0 needed"
    );
}

#[test]
fn a_threshold_that_could_not_be_fixed_is_fixed_later() {
    let mut trial = Trial::in_a_step([("p95", p95())]);
    let verdict = trial.slow_tick((50, 40), (950, 57));
    assert!(matches!(verdict, Verdict::Insufficient { .. }));
    assert_eq!(
        trial.text("p95"),
        "insufficient: too few requests to the baseline to tell what is slow"
    );
    trial.slow_tick((50, 40), (950, 57));
    assert_eq!(trial.check("p95").step.candidate.requests, 50.0);
    assert_eq!(
        trial.slow_tick((50, 40), (950, 57)),
        failed("p95", OnFail::Rollback)
    );
}

#[test]
fn evidence_counts_less_when_bad_requests_of_the_baseline_clump() {
    let mut trial = Trial::new([("errors", errors())]);
    for n in 0..20 {
        trial.tick((0, 0), (1000, 50 * (n % 2)));
    }
    trial.step(Users::Divided, 600);
    trial.tick((300, 30), (5700, 142));
    let clumped = trial.check("errors");
    assert!(
        (clumped.phi - 25.0 * 25.0 / 24.375 * 20.0 / 19.0).abs() < 1e-9,
        "{}",
        clumped.phi
    );
    let mut even = Trial::in_a_step([("errors", errors())]);
    even.tick((300, 30), (5700, 142));
    assert!(clumped.ln_e < even.check("errors").ln_e / 5.0);
    assert!(
        clumped
            .text
            .ends_with("bad requests come in clumps, evidence counts 1/27.0")
    );
}

#[test]
fn a_stable_that_differs_from_itself_makes_the_comparison_untrusted() {
    let mut trial = Trial::new([("errors", errors()), ("stop", hard_stop())]);
    trial.settings.aa_guard = true;
    trial.step(Users::Divided, 600);
    trial.second((0, 0));
    trial.sliced_tick((300, 0), (300, 1), (5400, 27));
    let verdict = trial.sliced_tick((300, 30), (300, 30), (5400, 27));
    let check = "errors".to_owned();
    assert_eq!(verdict, Verdict::Untrusted { check });
    assert!(
        trial
            .text("errors")
            .starts_with("stable differs from itself")
    );
    trial.sliced_tick((300, 30), (300, 30), (5400, 27));
    for _ in 0..10 {
        trial.second((100, 100));
    }
    let report = trial.report.as_ref().unwrap();
    assert_eq!(report.verdict, failed("stop", OnFail::Rollback));
    trial.settings.aa_guard = false;
    trial.settings.checks.remove("stop");
    assert_eq!(trial.observe(), failed("errors", OnFail::Rollback));
}

#[test]
fn with_everyone_on_the_candidate_it_is_held_against_what_stable_was() {
    let blue_green = |candidate: (u32, u32)| {
        let mut trial = Trial::new([("errors", errors())]);
        trial.ticks(30, (0, 0), (1000, 10));
        trial.step(Users::AllOnCandidate, 600);
        let verdict = trial.ticks(20, candidate, (0, 0));
        let text = trial.text("errors").to_owned();
        (verdict, text)
    };
    let (verdict, text) = blue_green((1000, 50));
    assert_eq!(verdict, failed("errors", OnFail::Rollback));
    assert!(
        text.contains("stable 1.0 % of 30,000 requests before the step"),
        "{text}"
    );
    // Its pass margin is twice as bad as stable was.
    assert_eq!(blue_green((1000, 10)).0, Verdict::Proven);
    assert_eq!(blue_green((1000, 20)).0, Verdict::NoRegression);
}

#[test]
fn with_everyone_on_the_candidate_and_nothing_known_there_is_no_verdict_but_by_its_limit() {
    let mut trial = Trial::new([("errors", errors())]);
    trial.step(Users::AllOnCandidate, 60);
    assert_eq!(trial.ticks(20, (1000, 10), (0, 0)), INSUFFICIENT);
    let mut trial = Trial::new([("errors", errors())]);
    trial.step(Users::AllOnCandidate, 60);
    assert_eq!(trial.ticks(20, (1000, 1), (0, 0)), Verdict::Proven);
    assert_eq!(
        trial.ticks(5, (0, 0), (0, 0)),
        Verdict::NoData {
            arm: Arm::Candidate
        }
    );
}

#[test]
fn while_requests_are_mirrored_only_mismatches_are_looked_at() {
    let mut trial = Trial::new([("errors", errors()), ("same", mismatches())]);
    trial.step(Users::AllOnStable, 60);
    trial.mirrored_tick((0, 0));
    assert_eq!(trial.observe(), Verdict::NoData { arm: Arm::Mirror });
    let verdict = trial.mirrored_tick((100, 0));
    assert_eq!(verdict, Verdict::Insufficient { missing: 199.0 });
    assert_eq!(trial.check("errors").verdict, CheckVerdict::Idle);
    assert_eq!(trial.mirrored_tick((400, 0)), Verdict::Proven);
    assert_eq!(
        trial.mirrored_tick((400, 90)),
        failed("same", OnFail::Rollback)
    );
    trial.step(Users::Divided, 60);
    trial.tick((50, 0), (950, 5));
    assert_eq!(trial.check("same").verdict, CheckVerdict::Idle);
}
