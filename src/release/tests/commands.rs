//! What people may ask of a release.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::{any, prop_assert, proptest};

use crate::release::command::{Command, Context, Refusal, obey};
use crate::release::gate::{Gate, OnTimeout};
use crate::release::hold::Reason;
use crate::release::percent::Percent;
use crate::release::role::Roles;
use crate::release::state::{Origin, Phase, State};
use crate::release::step::{Endpoints, GateSeen};
use crate::release::tests::fixture::{later, spec, start};

fn context(holds: &[Reason]) -> Context {
    Context {
        actor: "ana".into(),
        roles: Roles::every(),
        reason: "it was looked at".into(),
        holds: holds.to_vec(),
        gates: Vec::new(),
        configured: BTreeMap::new(),
        now: later(100),
        stable: Endpoints {
            available: 1,
            total: 1,
        },
        wished: None,
        file_weights: BTreeMap::new(),
    }
}

fn in_step(step: usize) -> State {
    let mut state = State::new(spec("r", "v1", "v2"), Origin::File, "file".into(), start());
    let weight = state.spec.strategy.weight(step);
    state.enter(step, weight, start());
    state
}

fn ended(phase: Phase) -> State {
    let mut state = in_step(3);
    state.end(phase, "so".into(), start());
    state
}

#[test]
fn skipping_passes_over_the_analysis_and_nothing_else() {
    let state = in_step(1);
    let next = obey(
        &Command::Skip,
        &state,
        &context(&[Reason::InsufficientData]),
    )
    .unwrap();
    assert_eq!((next.step, next.skipped.len()), (Some(2), 1));
    for reason in [
        Reason::StopTheLine,
        Reason::FlagKilled,
        Reason::Freeze("xmas".into()),
        Reason::StateLost,
    ] {
        let refused = obey(
            &Command::Skip,
            &state,
            &context(std::slice::from_ref(&reason)),
        );
        assert_eq!(refused, Err(Refusal::Held(vec![reason])));
    }
}

#[test]
fn promoting_asks_every_gate_that_is_left() {
    let mut asked = context(&[]);
    asked.gates = vec![("sre".into(), GateSeen::Waiting("1 of 2".into()))];
    let refused = obey(&Command::Promote, &in_step(1), &asked);
    assert_eq!(refused, Err(Refusal::GateClosed("sre".into())));
    asked.gates = vec![("sre".into(), GateSeen::Open)];
    let next = obey(&Command::Promote, &in_step(1), &asked).unwrap();
    assert_eq!((next.phase, next.weight), (Phase::Promoted, Percent::ALL));
    assert_eq!(next.skipped.len(), 1, "it did not take every step");
}

#[test]
fn a_promoted_release_is_rolled_back_within_its_window_or_by_force() {
    let state = ended(Phase::Promoted);
    let next = obey(&Command::Rollback(false), &state, &context(&[])).unwrap();
    assert_eq!(
        (next.phase, next.weight),
        (Phase::RolledBack, Percent::NONE)
    );
    let mut late = context(&[]);
    late.now = later(3600);
    assert_eq!(
        obey(&Command::Rollback(false), &state, &late),
        Err(Refusal::WindowOver)
    );
    assert!(obey(&Command::Rollback(true), &state, &late).is_ok());
    let mut down = context(&[]);
    down.stable.available = 0;
    assert!(obey(&Command::Rollback(false), &state, &down).is_err());
    assert!(obey(&Command::Rollback(true), &state, &down).is_ok());
}

#[test]
fn a_retry_begins_anew_and_forgets_what_was_seen() {
    let mut state = ended(Phase::Aborted);
    state.first_bad_at = Some(start());
    let next = obey(&Command::Retry, &state, &context(&[])).unwrap();
    assert_eq!(
        (next.phase, next.attempt, next.step),
        (Phase::Pending, 2, None)
    );
    assert_eq!((next.first_bad_at, next.started_at), (None, None));
    assert!(obey(&Command::Retry, &in_step(1), &context(&[])).is_err());
}

#[test]
fn a_no_at_a_gate_ends_the_release() {
    let mut state = in_step(1);
    state.spec.strategy.steps[1].gate = Some("sre".into());
    let mut asked = context(&[]);
    let gate = Gate {
        name: "sre".into(),
        roles: Vec::new(),
        approvals: 1,
        distinct_from_author: false,
        expires: Duration::from_secs(3600),
        on_timeout: OnTimeout::Hold,
        criteria: Vec::new(),
    };
    asked.configured.insert("sre".into(), gate);
    let next = obey(&Command::Reject("sre".into()), &state, &asked).unwrap();
    assert_eq!(next.phase, Phase::Aborted);
    let next = obey(&Command::Approve("sre".into()), &state, &asked).unwrap();
    assert_eq!((next.phase, next.votes.len()), (Phase::Progressing, 1));
    let refused = obey(&Command::Approve("cab".into()), &state, &asked);
    assert_eq!(refused, Err(Refusal::NoSuchGate("cab".into())));
}

proptest! {
    #[test]
    fn toward_stable_is_possible_whatever_holds(
        step in proptest::option::of(0usize..4),
        which in any::<[bool; 8]>(),
    ) {
        let all = [
            Reason::StopTheLine,
            Reason::Freeze("xmas".into()),
            Reason::Approval("sre".into()),
            Reason::StateLost,
            Reason::StoreUnavailable,
            Reason::MetricsDown,
            Reason::ConfigConflict,
            Reason::Manual,
        ];
        let chosen = all.into_iter().zip(which).filter(|(_, chosen)| *chosen);
        let holds: Vec<Reason> = chosen.map(|(reason, _)| reason).collect();
        let state = match step {
            Some(step) => in_step(step),
            None => State::new(spec("r", "v1", "v2"), Origin::File, "file".into(), start()),
        };
        let next = obey(&Command::Abort, &state, &context(&holds)).unwrap();
        prop_assert!(next.phase == Phase::Aborted && next.weight == Percent::NONE);
        let back = obey(&Command::Rollback(true), &ended(Phase::Promoted), &context(&holds)).unwrap();
        prop_assert!(back.phase == Phase::RolledBack && back.weight == Percent::NONE);
    }
}
