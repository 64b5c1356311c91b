//! What becomes of a release after its promotion.

use std::time::Duration;

use tempfile::TempDir;

use crate::release::analysis::{Bad, Check, Kind, OnFail};
use crate::release::command::Command;
use crate::release::hold::Reason;
use crate::release::reconcile::File;
use crate::release::state::{Phase, State};
use crate::release::step::Endpoints;
use crate::release::tests::controller::{Instance, wished};
use crate::release::tests::fixture::{spec, weights};
use crate::store::ActorKind;

/// A file with a release that has a hard stop besides, and a window of ten minutes.
fn stoppable(on_fail: OnFail) -> File {
    let mut file = wished();
    let spec = file.releases.get_mut("r").unwrap();
    spec.strategy.rollback_window = Duration::from_secs(600);
    let stop = Check {
        kind: Kind::Absolute {
            bad: [Bad::ServerError].into(),
            max: 0.25,
            alpha: 0.001,
        },
        on_fail,
        dry_run: false,
        required: false,
    };
    let checks = &mut spec.strategy.analysis.checks;
    checks.insert("hard-stop".into(), stop);
    file
}

/// An instance whose release is promoted, so many seconds ago.
async fn promoted(folder: &TempDir, file: File, seconds: u64) -> Instance {
    let mut instance = Instance::start(folder.path(), file, 0).await;
    instance.until(|state| state.phase == Phase::Promoted).await;
    for _ in 0..seconds {
        instance.tick().await;
    }
    instance
}

fn is_over(state: &State) -> bool {
    state.phase == Phase::RolledBack
}

#[tokio::test]
async fn a_hard_stop_takes_a_promoted_release_back_within_seconds() {
    let folder = TempDir::new().unwrap();
    let mut instance = promoted(&folder, stoppable(OnFail::Rollback), 500).await;
    instance.bad = 0.9;
    let turned = instance.seconds;
    instance.until(is_over).await;
    assert!(
        instance.seconds - turned <= 5,
        "{}",
        instance.seconds - turned
    );
    assert_eq!(instance.served()["v2"], 0);
    let state = instance.state();
    let cause = state.cause.unwrap();
    assert!(
        cause.starts_with("the check `hard-stop` failed after the promotion"),
        "{cause}"
    );
    assert!(state.first_bad_at.is_some());
    let last = instance.records().pop().unwrap();
    assert_eq!(last.action, "release.rollback");
    assert_eq!(last.actor.kind, ActorKind::Controller);
    assert_eq!(last.event.unwrap()["kind"], "release.rolled_back");
    assert_eq!(last.evidence.unwrap()["verdict"]["check"], "hard-stop");
}

#[tokio::test]
async fn nothing_is_compared_after_a_promotion() {
    let folder = TempDir::new().unwrap();
    let mut instance = promoted(&folder, stoppable(OnFail::Rollback), 1).await;
    // Bad enough for a comparison, and not for a hard stop.
    instance.bad = 0.1;
    for _ in 0..100 {
        instance.tick().await;
    }
    assert_eq!(instance.state().phase, Phase::Promoted);
    assert_eq!(instance.state().alarm, None);
}

#[tokio::test]
async fn nobody_looks_when_the_window_is_over_or_there_is_no_hard_stop() {
    for file in [stoppable(OnFail::Rollback), wished()] {
        let has_stop = file.releases["r"].strategy.analysis.checks.len() > 1;
        let folder = TempDir::new().unwrap();
        let mut instance = promoted(&folder, file, 1).await;
        instance.seconds += if has_stop { 600 } else { 0 };
        instance.bad = 1.0;
        for _ in 0..20 {
            instance.tick().await;
        }
        assert_eq!(instance.state().phase, Phase::Promoted);
    }
}

#[tokio::test]
async fn where_stable_cannot_take_over_somebody_is_called_once() {
    let folder = TempDir::new().unwrap();
    let mut instance = promoted(&folder, stoppable(OnFail::Rollback), 1).await;
    instance.stable = Endpoints {
        available: 0,
        total: 2,
    };
    instance.bad = 0.9;
    instance.until(|state| state.alarm.is_some()).await;
    let alarm = instance.state().alarm.unwrap();
    assert!(
        alarm.ends_with("`v1` cannot take over: 0 of 2 endpoints are available"),
        "{alarm}"
    );
    // From here on it is a person's, also when stable is there again.
    instance.stable.available = 2;
    for _ in 0..20 {
        instance.tick().await;
    }
    assert_eq!(instance.state().phase, Phase::Promoted);
    let records = instance.records();
    let told = records
        .iter()
        .filter(|record| record.action == "release.alarm");
    let events: Vec<_> = told.filter_map(|record| record.event.as_ref()).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["kind"], "release.alarm");
    assert_eq!(events[0]["severity"], "critical");
    instance.command(&Command::Rollback(false)).await.unwrap();
    assert_eq!(instance.state().alarm, None);
}

#[tokio::test]
async fn a_check_that_is_told_to_hold_calls_somebody() {
    let folder = TempDir::new().unwrap();
    let mut instance = promoted(&folder, stoppable(OnFail::Hold), 1).await;
    instance.bad = 0.9;
    instance.until(|state| state.alarm.is_some()).await;
    assert_eq!(instance.state().phase, Phase::Promoted);
    assert_eq!(instance.served()["v2"], 10_000);
}

#[tokio::test]
async fn what_was_passed_over_before_the_promotion_takes_nothing_back() {
    let folder = TempDir::new().unwrap();
    let mut file = stoppable(OnFail::Hold);
    let spec = file.releases.get_mut("r").unwrap();
    for check in spec.strategy.analysis.checks.values_mut() {
        check.on_fail = OnFail::Hold;
    }
    let mut instance = Instance::start(folder.path(), file, 0).await;
    instance.until(|state| state.step == Some(1)).await;
    instance.bad = 0.9;
    instance.until(|state| !state.holds.is_empty()).await;
    for _ in 0..5 {
        instance.tick().await;
    }
    instance.bad = 0.0;
    instance.command(&Command::Promote).await.unwrap();
    for _ in 0..20 {
        instance.tick().await;
    }
    let state = instance.state();
    assert_eq!((state.phase, state.alarm), (Phase::Promoted, None));
}

#[tokio::test]
async fn the_next_release_does_not_begin_with_what_the_last_one_has_replaced() {
    let folder = TempDir::new().unwrap();
    let mut file = wished();
    file.releases.insert("s".into(), spec("s", "v1", "v3"));
    let weights = file.weights.get_mut("shop").unwrap();
    weights.insert("v3".into(), 0);
    let first = promoted(&folder, file.clone(), 1).await;
    let seconds = first.seconds;
    first.ledger.store().close();
    drop(first);
    let mut instance = Instance::start(folder.path(), file.clone(), seconds).await;
    let state = |instance: &Instance| instance.ledger.read().known.releases["s"].clone();
    for _ in 0..10 {
        instance.tick().await;
    }
    let waits = state(&instance);
    assert_eq!(waits.phase, Phase::Pending);
    let mut holds = waits.holds.iter();
    assert!(holds.any(|hold| hold.reason == Reason::StableIdle && hold.detail.contains("v2")));
    assert_eq!(instance.served()["v2"], 10_000);
    // What it begins with may be said anew, as it has moved nothing.
    let seconds = instance.seconds;
    instance.ledger.store().close();
    drop(instance);
    file.releases.insert("s".into(), spec("s", "v2", "v3"));
    let mut instance = Instance::start(folder.path(), file, seconds).await;
    instance.tick().await;
    let waits = state(&instance);
    assert_eq!((waits.spec.stable.as_str(), waits.conflict), ("v2", None));
    let mut holds = waits.holds.iter();
    assert!(holds.all(|hold| hold.reason != Reason::StableIdle));
}

#[tokio::test]
async fn nobody_looks_once_the_route_is_divided_otherwise() {
    let folder = TempDir::new().unwrap();
    let mut instance = promoted(&folder, stoppable(OnFail::Rollback), 1).await;
    let half = weights(&[("v1", 50), ("v2", 50)]);
    let cause = instance.cause();
    instance
        .desk
        .set_weights("shop", Some(&half), None, None, &cause)
        .await
        .unwrap();
    instance.bad = 0.9;
    for _ in 0..20 {
        instance.tick().await;
    }
    assert_eq!(instance.state().phase, Phase::Promoted);
}
