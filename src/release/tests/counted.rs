//! What is counted of releases, and what the journal says of deployments.

use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::release::command::Command;
use crate::release::dora::{Journal, Stage};
use crate::release::gate::{Answer, Vote};
use crate::release::readiness::{Exception, Passed};
use crate::release::reconcile::{Change, Effect, File};
use crate::release::role::Roles;
use crate::release::state::{Origin, Phase, State};
use crate::release::tally::{AtGate, By, Counts, Kept, Tally};
use crate::release::tests::controller::{Instance, wished};
use crate::release::tests::fixture::{later, spec, start};
use crate::store::{ActorKind, CommitError, Committed};

fn n(counts: &Counts, to: Phase, by: By) -> u64 {
    let key = ("shop".to_owned(), to, by);
    counts.transitions.get(&key).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_transition_is_counted_once_by_who_led_to_it() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.step == Some(1)).await;
    instance.command(&Command::Abort).await.unwrap();
    assert!(instance.command(&Command::Abort).await.is_err());
    instance.command(&Command::Retry).await.unwrap();
    instance.until(|state| state.step == Some(1)).await;
    instance.bad = 0.2;
    instance.until(|state| state.phase == Phase::Aborted).await;
    let counts = instance.ledger.counts();
    assert_eq!(n(&counts, Phase::Pending, By::File), 1);
    assert_eq!(n(&counts, Phase::Pending, By::Operator), 1);
    // Each attempt took two steps.
    assert_eq!(n(&counts, Phase::Progressing, By::Controller), 4);
    assert_eq!(n(&counts, Phase::Aborted, By::Operator), 1);
    assert_eq!(n(&counts, Phase::Aborted, By::Analysis), 1);
    assert_eq!(counts.transitions.values().sum::<u64>(), 8);
    for (_, to, by) in counts.transitions.keys() {
        assert!(By::possible(*to).contains(by), "{to} {by:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_was_first_with_is_a_conflict_and_no_transition() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    let page = instance.ledger.read();
    instance.until(|state| state.step == Some(0)).await;
    let before = instance.ledger.counts();
    let mut state = instance.state();
    state.end(Phase::Aborted, "because".into(), later(1));
    let change = Change {
        action: "release.abort",
        reason: "because".into(),
        effect: Effect::Release(Box::new(state), None),
    };
    let cause = instance.cause();
    let refused = instance.ledger.write(&page, &change, cause).await;
    assert!(matches!(refused, Err(CommitError::Conflict { .. })));
    let after = instance.ledger.counts();
    assert_eq!(after.transitions, before.transitions);
    assert_eq!(after.commits[&Kept::Done], before.commits[&Kept::Done]);
    assert_eq!(after.commits[&Kept::Conflict], 1);
}

fn state() -> State {
    let spec = spec("r", "v1", "v2");
    State::new(spec, Origin::Api, "ana".into(), start())
}

fn kept() -> Result<Committed, CommitError> {
    Ok(Committed {
        seq: 1,
        id: "1".into(),
        revision: 1,
    })
}

#[test]
fn what_is_said_at_a_gate_is_counted_by_its_answer() {
    let tally = Tally::default();
    let mut before = state();
    let vote = |answer| Vote {
        gate: "sre".into(),
        spec_hash: "f".into(),
        actor: "ben".into(),
        mail: None,
        roles: Roles::every(),
        answer,
        reason: "because".into(),
        at: later(1),
    };
    for answer in [Answer::Approve, Answer::Approve, Answer::Reject] {
        let mut after = before.clone();
        after.votes.push(vote(answer));
        tally
            .release(Some(&before), &after, ActorKind::Token, None)
            .end(&kept());
        before = after;
    }
    let mut after = before.clone();
    after.review.add(Exception {
        passed: Passed::Gate("sre".into()),
        actor: "ben".into(),
        reason: "because".into(),
        at: later(2),
        spec_hash: None,
    });
    tally
        .release(Some(&before), &after, ActorKind::Token, None)
        .end(&kept());
    // What nobody said anything by is no answer.
    tally
        .release(Some(&after), &after, ActorKind::Token, None)
        .end(&kept());
    let counts = tally.read();
    let of = |said| counts.approvals.get(&("sre".to_owned(), said)).copied();
    assert_eq!(of(AtGate::Approved), Some(2));
    assert_eq!(of(AtGate::Rejected), Some(1));
    assert_eq!(of(AtGate::Passed), Some(1));
    assert!(counts.transitions.is_empty());
    assert_eq!(counts.commits[&Kept::Done], 5);
}

#[test]
fn what_nobody_waits_for_any_more_is_counted_all_the_same() {
    let tally = Tally::default();
    drop(tally.release(None, &state(), ActorKind::Token, None));
    let counts = tally.read();
    assert_eq!(n(&counts, Phase::Pending, By::Operator), 1);
    assert_eq!(counts.commits[&Kept::Done], 1);
}

fn with_commit_time(at: SystemTime) -> File {
    let mut file = wished();
    for spec in file.releases.values_mut() {
        spec.commit_time = Some(at);
    }
    file
}

#[tokio::test]
async fn deployments_are_read_off_the_journal_bit_by_bit_and_after_a_restart() {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let folder = TempDir::new().unwrap();
    let committed = start().checked_sub(Duration::from_secs(3600)).unwrap();
    let mut instance = Instance::start(folder.path(), with_commit_time(committed), 0).await;
    let store = instance.ledger.store().clone();
    let mut journal = Journal::default();
    instance.until(|state| state.step == Some(1)).await;
    journal.follow(&store, later(instance.seconds)).unwrap();
    let none = journal.figures(&[], MONTH, later(instance.seconds));
    assert_eq!((none.deployments, none.lead_time), (0, None));

    instance.until(|state| state.phase == Phase::Promoted).await;
    let promoted = instance.seconds;
    let now = later(promoted + 1);
    journal.follow(&store, now).unwrap();
    let one = journal.figures(&[], MONTH, now);
    assert_eq!((one.deployments, one.failed), (1, 0));
    let lead_time = one.lead_time.unwrap();
    assert_eq!(lead_time.p50_seconds, 3600.0 + promoted as f64);

    instance.seconds += 10;
    instance.command(&Command::Rollback(true)).await.unwrap();
    let now = later(instance.seconds + 1);
    journal.follow(&store, now).unwrap();
    // Whoever reads the same again learns nothing new.
    journal.follow(&store, now).unwrap();
    let failed = journal.figures(&[], MONTH, now);
    assert_eq!((failed.deployments, failed.failed), (1, 1));
    assert_eq!(failed.change_failure_rate, Some(1.0));
    let stages: Vec<Stage> = journal.transitions().iter().map(|one| one.to).collect();
    assert_eq!(
        stages,
        [
            Stage::Partial,
            Stage::Full,
            Stage::Promoted,
            Stage::RolledBack
        ]
    );
    let causes = journal.transitions().iter().map(|one| one.cause.as_str());
    let causes: Vec<&str> = causes.collect();
    assert_eq!(
        causes,
        ["controller", "controller", "controller", "operator"]
    );

    let mut anew = Journal::default();
    anew.follow(&store, now).unwrap();
    assert_eq!(anew.transitions(), journal.transitions());
    // What lies further back than anybody asks is forgotten.
    let later = now + Duration::from_secs(91 * 24 * 60 * 60);
    journal.follow(&store, later).unwrap();
    assert!(journal.transitions().is_empty());
}
