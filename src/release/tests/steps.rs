//! What is decided about a step.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::release::analysis::{OnFail, OnInsufficient, OnMissing};
use crate::release::hold::Reason;
use crate::release::percent::Percent;
use crate::release::state::{Origin, Phase, Said, State};
use crate::release::step::{Endpoints, GateSeen, Judged, Move, Seen, decide};
use crate::release::strategy::{MinHealthy, OnDeadline};
use crate::release::tests::fixture::{fine, later, percent, spec, start};

fn in_step(step: usize) -> State {
    let mut state = State::new(spec("r", "v1", "v2"), Origin::File, "file".into(), start());
    let weight = state.spec.strategy.weight(step);
    state.enter(step, weight, start());
    state
}

#[track_caller]
fn check(state: &State, seen: &Seen, seconds: u64, expected: &Move) {
    assert_eq!(decide(state, seen, later(seconds)).next, *expected);
}

#[track_caller]
fn held(state: &State, seen: &Seen, seconds: u64, reason: &Reason) {
    let decision = decide(state, seen, later(seconds));
    assert_eq!(decision.next, Move::Stay);
    let reasons: Vec<_> = decision.holds.iter().map(|(reason, _)| reason).collect();
    assert!(reasons.contains(&reason), "{reasons:?}");
}

#[test]
fn a_release_starts_when_nothing_holds_it() {
    let state = State::new(spec("r", "v1", "v2"), Origin::File, "file".into(), start());
    check(&state, &fine(start(), Judged::Nothing), 0, &Move::Enter(0));
}

#[test]
fn a_step_takes_its_time_from_when_it_is_obeyed() {
    let state = in_step(1);
    let seen = fine(later(30), Judged::NoRegression);
    check(&state, &seen, 89, &Move::Stay);
    check(&state, &seen, 90, &Move::Enter(2));
    let nobody_obeys = Seen {
        acknowledged: None,
        ..seen
    };
    held(&state, &nobody_obeys, 10_000, &Reason::ReplicaLag);
}

#[test]
fn a_step_asks_for_what_it_says() {
    let (early, late) = (in_step(1), in_step(2));
    check(
        &early,
        &fine(start(), Judged::NoRegression),
        60,
        &Move::Enter(2),
    );
    held(
        &late,
        &fine(start(), Judged::NoRegression),
        60,
        &Reason::InsufficientData,
    );
    check(&late, &fine(start(), Judged::Proven), 60, &Move::Enter(3));
}

#[test]
fn the_last_step_bakes_and_then_promotes() {
    let state = in_step(3);
    assert_eq!((state.phase, state.weight), (Phase::Baking, Percent::ALL));
    check(&state, &fine(start(), Judged::Nothing), 59, &Move::Stay);
    check(&state, &fine(start(), Judged::Nothing), 60, &Move::Promote);
}

#[test]
fn a_failing_candidate_is_aborted_whatever_else_holds() {
    let mut state = in_step(1);
    state.paused = Some(Said {
        by: "ana".into(),
        reason: "lunch".into(),
        at: start(),
    });
    state.state_lost = true;
    let failed = |on_fail| Judged::Failed {
        check: "errors".into(),
        on_fail,
        detail: "5 % of 100".into(),
    };
    let seen = Seen {
        stopped: Some("ana: storm".into()),
        freezes: vec![("xmas".into(), "until January".into())],
        unwritable: Some("no space left".into()),
        acknowledged: None,
        ..fine(start(), failed(OnFail::Rollback))
    };
    let decision = decide(&state, &seen, later(1));
    assert!(matches!(decision.next, Move::Abort(_)), "{decision:?}");
    held(
        &in_step(1),
        &fine(start(), failed(OnFail::Hold)),
        100,
        &Reason::CheckFailed("errors".into()),
    );
}

#[test]
fn a_candidate_without_endpoints_is_given_up_after_a_moment() {
    let state = in_step(1);
    let seen = Seen {
        candidate: Endpoints {
            available: 0,
            total: 2,
        },
        gone_since: Some(later(10)),
        ..fine(start(), Judged::NoRegression)
    };
    let decision = decide(&state, &seen, later(14));
    assert_eq!(
        (decision.next, decision.weight),
        (Move::Stay, Percent::NONE)
    );
    let decision = decide(&state, &seen, later(15));
    assert!(matches!(decision.next, Move::Abort(_)));
    // Before it has users there is nobody to protect.
    held(&in_step(0), &seen, 100, &Reason::CandidateUnhealthy);
}

#[test]
fn a_release_whose_stable_serves_nobody_does_not_start() {
    let mut state = in_step(0);
    state.phase = Phase::Pending;
    state.step = None;
    let seen = Seen {
        idle: Some("v3".into()),
        ..fine(start(), Judged::Nothing)
    };
    held(&state, &seen, 100, &Reason::StableIdle);
    let decision = decide(&state, &fine(start(), Judged::Nothing), later(100));
    assert_eq!(decision.next, Move::Enter(0));
}

#[test]
fn a_half_of_the_candidate_gets_half_of_its_share() {
    let mut state = in_step(1);
    state.spec.strategy.min_healthy = MinHealthy {
        endpoints: 1,
        share: percent(75.0),
    };
    let seen = Seen {
        candidate: Endpoints {
            available: 1,
            total: 2,
        },
        ..fine(start(), Judged::NoRegression)
    };
    let decision = decide(&state, &seen, later(100));
    assert_eq!(decision.weight, percent(2.5));
    held(&state, &seen, 100, &Reason::CandidateUnhealthy);
}

#[test]
fn a_deadline_holds_or_aborts() {
    let mut state = in_step(1);
    state.spec.strategy.deadline = Some(Duration::from_secs(600));
    let seen = fine(start(), Judged::Insufficient("few".into()));
    held(&state, &seen, 600, &Reason::Deadline);
    state.spec.strategy.on_deadline = OnDeadline::Abort;
    check(&state, &seen, 599, &Move::Stay);
    assert!(matches!(
        decide(&state, &seen, later(600)).next,
        Move::Abort(_)
    ));
}

#[test]
fn too_little_for_too_long_leads_where_it_was_told_to() {
    let mut state = in_step(1);
    let seen = fine(start(), Judged::Insufficient("412 of 598".into()));
    held(&state, &seen, 10_000, &Reason::InsufficientData);
    state.spec.strategy.analysis.on_insufficient = OnInsufficient::Rollback;
    check(&state, &seen, 659, &Move::Stay);
    assert!(matches!(
        decide(&state, &seen, later(660)).next,
        Move::Abort(_)
    ));
    state.spec.strategy.analysis.on_insufficient = OnInsufficient::Pass;
    check(&state, &seen, 659, &Move::Stay);
    check(&state, &seen, 660, &Move::Enter(2));
    state.spec.strategy.analysis.on_no_data = OnMissing::Rollback;
    let silent = fine(start(), Judged::NoData("candidate".into()));
    assert!(matches!(
        decide(&state, &silent, later(660)).next,
        Move::Abort(_)
    ));
}

fn judged() -> impl Strategy<Value = Judged> {
    let text = || "numbers".to_owned();
    prop_oneof![
        Just(Judged::Nothing),
        Just(Judged::Proven),
        Just(Judged::NoRegression),
        Just(Judged::Insufficient(text())),
        Just(Judged::NoData(text())),
        Just(Judged::SourceDown(text())),
        Just(Judged::Untrusted(text())),
    ]
}

proptest! {
    #[test]
    fn time_alone_never_makes_unknown_good(judged in judged(), step in 1usize..3, seconds in 0u64..10_000_000) {
        let state = in_step(step);
        let required = [Judged::NoRegression, Judged::Proven];
        let enough = required[step - 1..].contains(&judged);
        let decision = decide(&state, &fine(start(), judged), later(seconds));
        prop_assert_eq!(decision.next == Move::Enter(step + 1), enough && seconds >= 60);
    }

    #[test]
    fn nothing_moves_forward_while_anything_holds(
        judged in judged(),
        step in 0usize..4,
        seconds in 0u64..10_000,
        holding in any::<[bool; 8]>(),
    ) {
        let mut state = in_step(step);
        state.state_lost = holding[0];
        let mut seen = fine(start(), judged);
        seen.stopped = holding[1].then(|| "storm".to_owned());
        seen.freezes.extend(holding[2].then(|| ("xmas".to_owned(), "soon".to_owned())));
        seen.unwritable = holding[3].then(|| "full".to_owned());
        seen.killed = holding[7].then(|| "ana: it burns".to_owned());
        if holding[4] {
            seen.gate = GateSeen::Waiting("1 of 2".into());
        }
        if holding[5] {
            seen.acknowledged = None;
        }
        if holding[6] {
            seen.candidate.available = 0;
        }
        let decision = decide(&state, &seen, later(seconds));
        if holding.contains(&true) {
            prop_assert_eq!(&decision.next, &Move::Stay);
            prop_assert!(!decision.holds.is_empty());
        }
        if decision.next != Move::Stay {
            prop_assert!(decision.holds.is_empty());
        }
    }

    #[test]
    fn the_candidate_never_gets_more_than_its_health_allows(
        step in 0usize..4,
        available in 0usize..10,
        total in 1usize..10,
        least in 0.0f64..100.0,
        cap in proptest::option::of(0u32..=100),
    ) {
        let mut state = in_step(step);
        state.spec.strategy.min_healthy.share = percent(least.floor());
        state.cap = cap.map(|cap| percent(f64::from(cap)));
        let mut seen = fine(start(), Judged::NoRegression);
        seen.candidate = Endpoints { available: available.min(total), total };
        let decision = decide(&state, &seen, later(10));
        let wished = state.spec.strategy.weight(step);
        prop_assert!(decision.weight <= wished);
        prop_assert!(state.cap.is_none_or(|cap| decision.weight <= cap));
        let share = Percent::of(available.min(total) as u64, total as u64);
        if share < percent(least.floor()) || available == 0 {
            prop_assert!(decision.weight <= wished.times(share));
        }
    }
}
