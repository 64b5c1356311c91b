//! What happens to an analysis in its life: gaps, restarts, steps, changes of its settings.

use std::time::Duration;

use crate::release::analysis::trial::{
    TICK, Trial, check, counters, errors, failed, hard_stop, p95,
};
use crate::release::analysis::{
    Analysis, Baseline, Kind, OnFail, Restart, Seen, SettingsError, Users, Verdict,
};

const INSUFFICIENT: Verdict = Verdict::Insufficient { missing: 0.0 };

#[test]
fn a_source_that_is_down_freezes_the_evidence_and_the_gap_is_skipped() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.ticks(3, (50, 2), (950, 5));
    let before = trial.check("errors").clone();
    let verdict = trial.source_down("503 from prometheus");
    let why = "503 from prometheus".to_owned();
    assert_eq!(verdict, Verdict::SourceDown { why });
    assert_eq!(
        trial.tick((5000, 5000), (950, 5)),
        Verdict::Insufficient { missing: 448.0 }
    );
    let after = trial.check("errors");
    assert_eq!((after.ln_e, after.step), (before.ln_e, before.step));
    trial.tick((50, 2), (950, 5));
    assert_eq!(trial.check("errors").step.candidate.requests, 200.0);
}

#[test]
fn counters_that_are_not_numbers_are_a_source_that_is_down() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.reading.candidate.requests = f64::NAN;
    let why = "a counter of the candidate is not a number".to_owned();
    assert_eq!(trial.observe(), Verdict::SourceDown { why });
}

#[test]
fn a_tick_in_which_counters_began_anew_is_skipped() {
    for resets_baseline in [false, true] {
        let mut trial = Trial::in_a_step([("errors", errors())]);
        trial.ticks(3, (50, 2), (950, 5));
        let before = trial.check("errors").clone();
        if resets_baseline {
            trial.reading.baseline = counters();
        } else {
            trial.reading.candidate = counters();
        }
        trial.tick((40, 40), (950, 5));
        let after = trial.check("errors");
        assert_eq!((after.ln_e, after.step), (before.ln_e, before.step));
        trial.tick((50, 2), (950, 5));
        let later = trial.check("errors");
        assert!(later.ln_e > before.ln_e);
        assert_eq!(later.step.candidate.requests, 200.0);
    }
}

#[test]
fn the_open_tick_can_be_discarded_after_a_restart() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.ticks(3, (50, 2), (950, 5));
    let before = trial.check("errors").ln_e;
    trial.analysis.discard_open_tick();
    trial.tick((5000, 5000), (95_000, 5));
    assert_eq!(trial.check("errors").ln_e, before);
}

#[test]
fn the_warm_up_counts_for_nobody_but_the_hard_stop() {
    let mut trial = Trial::new([("errors", errors()), ("stop", hard_stop())]);
    trial.settings.warmup = 2 * TICK;
    trial.step(Users::Divided, 600);
    trial.second((0, 0));
    trial.ticks(2, (300, 300), (5700, 28));
    assert_eq!(trial.check("errors").step.candidate.requests, 0.0);
    assert_eq!(trial.second((20, 20)), failed("stop", OnFail::Rollback));
    let mut trial = Trial::new([("errors", errors())]);
    trial.settings.warmup = 2 * TICK;
    trial.step(Users::Divided, 600);
    trial.ticks(2, (300, 300), (5700, 28));
    assert_eq!(
        trial.tick((300, 30), (5700, 28)),
        failed("errors", OnFail::Rollback)
    );
}

#[test]
fn evidence_against_goes_on_over_steps_and_proof_begins_anew() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    assert_eq!(trial.ticks(5, (300, 0), (5700, 28)), Verdict::Proven);
    trial.step(Users::Divided, 600);
    let verdict = trial.tick((30, 0), (5700, 28));
    assert_eq!(verdict, Verdict::Insufficient { missing: 568.0 });
    assert_eq!(trial.check("errors").release.candidate.requests, 1530.0);
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.tick((50, 3), (950, 5));
    let before = trial.check("errors").ln_e;
    trial.step(Users::Divided, 600);
    trial.tick((50, 3), (950, 5));
    assert!(trial.check("errors").ln_e > before);
}

#[test]
fn a_changed_check_begins_anew_and_no_other() {
    let mut trial = Trial::in_a_step([("errors", errors()), ("p95", p95()), ("stop", hard_stop())]);
    trial.ticks(3, (50, 2), (950, 5));
    let before = trial.report.clone().unwrap();
    let changed = trial.settings.checks.get_mut("errors").unwrap();
    if let Kind::ErrorRate { fail_ratio, .. } = &mut changed.kind {
        *fail_ratio = 1.5;
    }
    let report = trial
        .analysis
        .watch(&trial.settings, &trial.reading.candidate, trial.now);
    let [errors, p95, stop] = &report.checks[..] else {
        panic!("three checks");
    };
    assert_eq!(errors.restarted, Some(Restart::Settings));
    assert_eq!((errors.ln_e, errors.step.candidate.requests), (0.0, 0.0));
    assert!(
        errors
            .text
            .ends_with("evidence began anew when the check was changed")
    );
    assert_eq!((p95, stop), (&before.checks[1], &before.checks[2]));
}

#[test]
fn a_changed_alpha_keeps_the_evidence() {
    let mut trial = Trial::in_a_step([("errors", errors()), ("stop", hard_stop())]);
    trial.second((0, 0));
    trial.second((9, 3));
    trial.ticks(3, (50, 2), (950, 5));
    let before = trial.report.clone().unwrap();
    trial.settings.alpha = 0.05;
    let stop = trial.settings.checks.get_mut("stop").unwrap();
    if let Kind::Absolute { alpha, .. } = &mut stop.kind {
        *alpha = 0.01;
    }
    trial.now += TICK;
    let after = trial
        .analysis
        .watch(&trial.settings, &trial.reading.candidate, trial.now);
    for (before, after) in before.checks.iter().zip(&after.checks) {
        assert_eq!(after.restarted, None);
        assert!(after.ln_e_needed < before.ln_e_needed);
    }
    assert_eq!(after.checks[0].ln_e, before.checks[0].ln_e);
    assert!(after.checks[1].release.candidate.requests >= 9.0);
}

#[test]
fn another_baseline_begins_comparisons_anew_and_keeps_the_hard_stop() {
    let mut trial = Trial::in_a_step([("errors", errors()), ("stop", hard_stop())]);
    trial.second((0, 0));
    trial.second((9, 3));
    trial.ticks(3, (50, 2), (950, 5));
    let stop = trial.check("stop").clone();
    trial.settings.baseline = Baseline::Variant("v2".to_owned());
    trial.tick((50, 2), (950, 5));
    assert_eq!(trial.check("errors").restarted, Some(Restart::Baseline));
    assert_eq!(trial.check("errors").step.candidate.requests, 0.0);
    assert_eq!(trial.check("stop"), &stop);
}

#[test]
fn other_buckets_begin_latencies_anew_and_keep_errors() {
    let mut trial = Trial::in_a_step([("errors", errors()), ("p95", p95())]);
    trial.ticks(3, (50, 2), (950, 5));
    let errors = trial.check("errors").ln_e;
    trial.reading.bounds = [0.1, 0.2, 0.5].into();
    trial.observe();
    assert_eq!(trial.check("p95").restarted, Some(Restart::Bounds));
    assert_eq!(trial.check("errors").ln_e, errors);
    assert_eq!(trial.check("errors").restarted, None);
}

#[test]
fn before_the_first_step_nothing_is_said() {
    let mut trial = Trial::new([("errors", errors())]);
    assert_eq!(trial.ticks(5, (300, 300), (5700, 28)), INSUFFICIENT);
    let report = trial.report.unwrap();
    assert_eq!((report.since, report.n_ticks), (None, 0));
}

#[test]
fn a_clock_that_jumps_back_stops_nothing() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.tick((50, 0), (950, 5));
    trial.now -= Duration::from_secs(3600);
    assert_eq!(
        trial.tick((300, 30), (5700, 28)),
        failed("errors", OnFail::Rollback)
    );
}

#[test]
fn an_analysis_is_json_that_names_what_it_holds() {
    let mut trial = Trial::in_a_step([("errors", errors())]);
    trial.tick((50, 2), (950, 5));
    let settings = serde_json::to_value(&trial.settings).unwrap();
    assert_eq!(settings["checks"]["errors"]["kind"], "error_rate");
    assert_eq!(settings["checks"]["errors"]["bad"][0], "5xx");
    let report = serde_json::to_value(trial.report.as_ref().unwrap()).unwrap();
    assert_eq!(report["verdict"]["is"], "insufficient");
    assert_eq!(report["checks"][0]["verdict"], "insufficient");
    let read = serde_json::from_value(report).unwrap();
    assert_eq!(trial.report, Some(read));
    let analysis: Analysis = serde_json::from_str(&trial.json()).unwrap();
    assert_eq!(analysis, trial.analysis);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let trial = Trial::new([("errors", errors()), ("stop", hard_stop())]);
    assert_eq!(trial.settings.validate(), Ok(()));
    let wrong = |change: fn(&mut Kind)| {
        let mut settings = trial.settings.clone();
        for check in settings.checks.values_mut() {
            change(&mut check.kind);
        }
        settings.validate().unwrap_err().to_string()
    };
    let error = wrong(|kind| {
        if let Kind::ErrorRate { fail_ratio, .. } = kind {
            *fail_ratio = 0.9;
        }
    });
    assert_eq!(error, "check.errors.fail_ratio: 0.9 is not from 1 to 1000");
    let error = wrong(|kind| {
        if let Kind::Absolute { bad, .. } = kind {
            bad.clear();
        }
    });
    assert_eq!(error, "check.stop.bad: names nothing that is bad");
    let mut settings = trial.settings.clone();
    settings.interval = Duration::ZERO;
    assert_eq!(settings.validate(), Err(SettingsError::NoInterval));
    let nan = check(Kind::Mismatch { max: f64::NAN });
    settings = Trial::new([("same", nan)]).settings;
    assert!(matches!(
        settings.validate(),
        Err(SettingsError::Range { .. })
    ));
}

#[test]
fn settings_that_make_no_sense_are_survived() {
    for value in [0.0, -1.0, 1.0, f64::NAN, f64::INFINITY] {
        let mut absurd = errors();
        if let Kind::ErrorRate {
            fail_ratio,
            fail_abs,
            pass_ratio,
            pass_abs,
            ..
        } = &mut absurd.kind
        {
            (*fail_ratio, *fail_abs, *pass_ratio, *pass_abs) = (value, value, value, value);
        }
        let mut trial = Trial::new([
            ("absurd", absurd),
            ("same", check(Kind::Mismatch { max: value })),
        ]);
        trial.settings.alpha = value;
        trial.step(Users::Divided, 60);
        trial.tick((50, 2), (950, 5));
        trial.step(Users::AllOnCandidate, 60);
        trial.tick((50, 2), (0, 0));
        trial.step(Users::AllOnStable, 60);
        trial.mirrored_tick((50, 2));
        trial.mirrored_tick((50, 2));
        let report = trial.analysis.observe(
            &trial.settings,
            &Seen::Reading(trial.reading.clone()),
            trial.now,
        );
        assert_eq!(report.checks.len(), 2);
    }
}
