//! What holds of the analysis whatever happens.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use crate::release::analysis::trial::{Count, Trial, counters, errors, hard_stop, mismatches, p95};
use crate::release::analysis::{Analysis, Check, CheckVerdict, Users, Verdict};

/// Something that happens to a release.
#[derive(Clone, Debug)]
enum Event {
    Tick(Count, Count),
    Slow(Count, Count),
    Mirrored(Count),
    Second(Count),
    SourceDown,
    CandidateReset,
    BaselineReset,
    Step(Users, u64),
}

fn count(most: u32) -> impl Strategy<Value = Count> {
    (0..most).prop_flat_map(|requests| {
        let bad = prop_oneof![Just(0), 0..=requests / 20 + 1, 0..=requests];
        bad.prop_map(move |bad| (requests, bad.min(requests)))
    })
}

fn event() -> impl Strategy<Value = Event> {
    let users = prop_oneof![
        6 => Just(Users::Divided),
        1 => Just(Users::AllOnCandidate),
        1 => Just(Users::AllOnStable),
    ];
    prop_oneof![
        8 => (count(900), count(9000)).prop_map(|(candidate, baseline)| Event::Tick(candidate, baseline)),
        4 => (count(900), count(9000)).prop_map(|(candidate, baseline)| Event::Slow(candidate, baseline)),
        3 => count(400).prop_map(Event::Mirrored),
        3 => count(20).prop_map(Event::Second),
        1 => Just(Event::SourceDown),
        1 => Just(Event::CandidateReset),
        1 => Just(Event::BaselineReset),
        2 => (users, 0_u64..300).prop_map(|(users, at_least)| Event::Step(users, at_least)),
    ]
}

fn happen(trial: &mut Trial, event: &Event) {
    match *event {
        Event::Tick(candidate, baseline) => {
            trial.tick(candidate, baseline);
        }
        Event::Slow(candidate, baseline) => {
            trial.slow_tick(candidate, baseline);
        }
        Event::Mirrored(count) => {
            trial.mirrored_tick(count);
        }
        Event::Second(count) => {
            trial.second(count);
        }
        Event::SourceDown => {
            trial.source_down("no answer");
        }
        Event::CandidateReset => trial.reading.candidate = counters(),
        Event::BaselineReset => trial.reading.baseline = counters(),
        Event::Step(users, at_least) => trial.step(users, at_least),
    }
}

fn all_checks() -> [(&'static str, Check); 4] {
    [
        ("errors", errors()),
        ("p95", p95()),
        ("same", mismatches()),
        ("stop", hard_stop()),
    ]
}

fn dry(check: Check) -> Check {
    Check {
        dry_run: true,
        ..check
    }
}

/// Each case is a whole release.
const N_CASES: u32 = 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(N_CASES))]

    #[test]
    fn an_analysis_that_was_written_and_read_goes_on_to_the_bit(
        before in vec(event(), 0..25), after in vec(event(), 1..25),
    ) {
        let mut trial = Trial::new(all_checks());
        for event in &before {
            happen(&mut trial, event);
        }
        let json = trial.json();
        let mut resumed = Trial::new(all_checks());
        resumed.analysis = serde_json::from_str::<Analysis>(&json).unwrap();
        (resumed.reading, resumed.now) = (trial.reading.clone(), trial.now);
        prop_assert_eq!(&resumed.json(), &json);
        for event in &after {
            happen(&mut trial, event);
            happen(&mut resumed, event);
            prop_assert_eq!(&resumed.analysis, &trial.analysis);
            if !matches!(event, Event::CandidateReset | Event::BaselineReset | Event::Step(..)) {
                prop_assert_eq!(&resumed.report, &trial.report);
            }
        }
    }

    #[test]
    fn a_gap_or_a_reset_moves_no_evidence(
        before in vec(event(), 1..25), candidate in count(900), happens in 0..3_u8,
    ) {
        let mut trial = Trial::in_a_step(all_checks());
        for event in &before {
            happen(&mut trial, event);
        }
        trial.tick((1000, 10), (9000, 90));
        match happens {
            0 => trial.reading.candidate = counters(),
            1 => trial.reading.baseline = counters(),
            _ => {
                trial.source_down("no answer");
            }
        }
        let known = trial.analysis.report(&trial.settings, trial.now);
        trial.tick(candidate, (900, 9));
        let after = trial.report.clone().unwrap();
        for (before, after) in known.checks.iter().zip(&after.checks) {
            prop_assert_eq!(before.ln_e.to_bits(), after.ln_e.to_bits());
            prop_assert_eq!(before.pass_ln_e.to_bits(), after.pass_ln_e.to_bits());
            prop_assert_eq!(before.release, after.release);
        }
    }

    #[test]
    fn dry_runs_never_decide(events in vec(event(), 1..40)) {
        let mut without = Trial::new([("errors", errors())]);
        let with = [("errors", errors()), ("z-p95", dry(p95())), ("a-same", dry(mismatches())), ("stop", dry(hard_stop()))];
        let mut with = Trial::new(with);
        for event in &events {
            happen(&mut without, event);
            happen(&mut with, event);
            let verdicts = [&without, &with].map(|trial| trial.report.as_ref().map(|report| &report.verdict));
            prop_assert_eq!(verdicts[0], verdicts[1]);
        }
    }

    #[test]
    fn nothing_is_good_but_by_checks_that_are(events in vec(event(), 1..40), aa_guard in 0..2_u8) {
        let mut trial = Trial::new(all_checks());
        trial.settings.aa_guard = aa_guard == 1;
        for event in &events {
            happen(&mut trial, event);
            let Some(report) = &trial.report else {
                continue;
            };
            let verdicts: Vec<CheckVerdict> = report.checks.iter().map(|check| check.verdict).collect();
            let any = |verdict| verdicts.contains(&verdict);
            let shaky = any(CheckVerdict::Insufficient) || any(CheckVerdict::Untrusted) || any(CheckVerdict::Fail);
            match &report.verdict {
                Verdict::Proven => {
                    prop_assert!(!shaky && !any(CheckVerdict::NoRegression) && any(CheckVerdict::Proven));
                }
                Verdict::NoRegression => prop_assert!(!shaky && any(CheckVerdict::NoRegression)),
                Verdict::Fail { check, .. } => {
                    let failed = report.checks.iter().find(|report| report.name == *check).unwrap();
                    prop_assert!(failed.ln_e >= failed.ln_e_needed && failed.over_floor);
                }
                Verdict::Insufficient { missing } => prop_assert!(missing.is_finite() && *missing >= 0.0),
                Verdict::NoData { .. } | Verdict::SourceDown { .. } | Verdict::Untrusted { .. } => {}
            }
            for check in &report.checks {
                prop_assert!(check.ln_e.is_finite() && check.pass_ln_e.is_finite(), "{:?}", check);
                prop_assert!(check.verdict != CheckVerdict::Proven || check.step.candidate.requests > 0.0);
            }
        }
    }

    #[test]
    fn time_never_makes_a_verdict_better_than_no_regression(events in vec(event(), 1..30), later in 1_u64..10_000_000) {
        let mut trial = Trial::new(all_checks());
        for event in &events {
            happen(&mut trial, event);
        }
        let now = trial.analysis.report(&trial.settings, trial.now);
        let then = trial.now + std::time::Duration::from_secs(later);
        let then = trial.analysis.report(&trial.settings, then);
        for (now, then) in now.checks.iter().zip(&then.checks) {
            let enough = now.step.candidate.requests >= now.needed_requests;
            let ripened = now.verdict == CheckVerdict::Insufficient
                && then.verdict == CheckVerdict::NoRegression && enough;
            prop_assert!(now.verdict == then.verdict || ripened, "{:?} {:?}", now, then);
        }
    }
}
