//! What a commit does, and that random ones do what a model does.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::store::tests::{at, draft, everything, open_whole, put, settings};
use crate::store::{Commit, CommitError, MAX_RECORD_BYTES, OUTBOX, Query};

#[tokio::test]
async fn state_record_and_event_are_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let store = open_whole(&settings);
    let mut revisions = store.watch();
    let mut draft = draft("release.gate.approve", "checkout-2.4.0");
    draft.reason = Some("p95 flat".to_owned());
    draft.evidence = Some(json!({ "verdict": "proven", "ln_e": 22.897559 }));
    let commit = Commit::new(at(0), draft)
        .put("release/checkout", json!({ "step": 2 }))
        .event(json!({ "to": "baking" }));

    let committed = store.commit(commit).await.unwrap();

    assert_eq!((committed.seq, committed.revision), (1, 1));
    assert_eq!(*revisions.borrow_and_update(), 1);
    let entry = store.get("release/checkout").unwrap();
    assert_eq!((entry.value, entry.revision), (json!({ "step": 2 }), 1));
    let outbox = store.list(OUTBOX);
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].0, format!("{OUTBOX}{}", committed.id));
    assert_eq!(outbox[0].1.value, json!({ "to": "baking" }));
    let records = store.records(&Query::default()).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].id, committed.id);
    assert_eq!(records[0].at, at(0));
    assert_eq!(records[0].reason.as_deref(), Some("p95 flat"));
    assert_eq!(records[0].hash, store.head().hash);
    assert_eq!(records[0].event, Some(json!({ "to": "baking" })));
}

#[tokio::test]
async fn a_commit_whose_condition_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_whole(&settings(folder.path()));
    store
        .commit(put("a", json!(1)).expect("a", 0))
        .await
        .unwrap();
    let head = store.head();

    let refused = store.commit(put("b", json!(2)).expect("a", 0)).await;

    let expected = CommitError::Conflict {
        key: "a".to_owned(),
        expected: 0,
        found: 1,
    };
    assert_eq!(refused, Err(expected));
    assert_eq!(store.get("b"), None);
    assert_eq!(store.head(), head);
    store
        .commit(put("b", json!(2)).expect("a", 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_or_read_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_whole(&settings(folder.path()));
    let large = json!("x".repeat(MAX_RECORD_BYTES));
    let refused = store.commit(put("a", large.clone())).await;
    assert!(
        matches!(refused, Err(CommitError::TooLarge { .. })),
        "{refused:?}"
    );
    let refused = store.note("a", Some(large)).await;
    assert!(
        matches!(refused, Err(CommitError::TooLarge { .. })),
        "{refused:?}"
    );
    for key in ["", "a\nb", &"k".repeat(513)] {
        let refused = store.commit(put(key, json!(1))).await;
        assert!(
            matches!(refused, Err(CommitError::BadKey(_))),
            "{refused:?}"
        );
    }
    let deep = (0..70).fold(json!(1), |value, _| json!([value]));
    let refused = store.commit(put("a", deep.clone())).await;
    assert!(
        matches!(refused, Err(CommitError::Unreadable(_))),
        "{refused:?}"
    );
    let refused = store.commit(put("a", json!(1)).event(deep)).await;
    assert!(
        matches!(refused, Err(CommitError::Unreadable(_))),
        "{refused:?}"
    );
    assert_eq!(store.head().seq, 0);
    assert_eq!(everything(&store), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committers_at_the_same_time_lose_nothing() {
    const EACH: u64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let store = open_whole(&settings);
    let mut committers = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        committers.spawn(async move {
            let mut n_conflicts = 0;
            for _ in 0..EACH {
                loop {
                    let found = store.get("counter");
                    let revision = found.as_ref().map_or(0, |entry| entry.revision);
                    let count = found.map_or(0, |entry| entry.value.as_u64().unwrap());
                    let commit = put("counter", json!(count + 1)).expect("counter", revision);
                    match store.commit(commit).await {
                        Ok(_) => break,
                        Err(CommitError::Conflict { .. }) => n_conflicts += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            n_conflicts
        });
    }
    committers.join_all().await;
    assert_eq!(store.get("counter").unwrap().value, json!(4 * EACH));
    assert_eq!(store.head().seq, 4 * EACH);
    store.close();
    let verified = crate::store::verify(&settings.path, None).unwrap();
    assert_eq!(verified.n_records, 4 * EACH);
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_whole(&settings(folder.path()));
    let mut revisions = store.watch();
    {
        let commit = store.commit(put("a", json!(1)));
        tokio::pin!(commit);
        // It is begun, and dropped at once or in the middle.
        let _begun = tokio::time::timeout(std::time::Duration::ZERO, commit).await;
    }
    revisions.wait_for(|revision| *revision == 1).await.unwrap();
    assert_eq!(store.get("a").unwrap().value, json!(1));
}

#[tokio::test]
async fn notes_survive_a_restart_and_have_no_history() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let store = open_whole(&settings);
    let progress = json!({ "evidence": [0.1, -0.863_270_f64, 1e300] });
    store
        .note("analysis/checkout", Some(progress.clone()))
        .await
        .unwrap();
    store.note("analysis/other", Some(json!(1))).await.unwrap();
    store.note("analysis/other", None).await.unwrap();
    assert_eq!(store.head().seq, 0);
    store.close();
    assert_eq!(store.note("a", None).await, Err(CommitError::Closed));

    let store = open_whole(&settings);
    assert_eq!(store.noted("analysis/checkout"), Some(progress));
    assert_eq!(store.noted("analysis/other"), None);
}

/// One step of a random sequence.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        expect: Vec<(usize, Guess)>,
        changes: Vec<(usize, Option<Value>)>,
        has_event: bool,
    },
    Restart,
}

/// A revision that somebody expects.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Right,
    Absent,
    Off(u64),
}

const KEYS: [&str; 4] = ["a", "a/b", "route/\u{1f600}", "z"];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(|text| json!({ "text": text, "list": [1.0, -0.0, 1e21] })),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let guess = prop_oneof![
        4 => Just(Guess::Right),
        1 => Just(Guess::Absent),
        1 => (1_u64..5).prop_map(Guess::Off)
    ];
    let commit = (
        vec((0..KEYS.len(), guess), 0..3),
        vec((0..KEYS.len(), proptest::option::of(value())), 0..4),
        any::<bool>(),
    );
    let commit = commit.prop_map(|(expect, changes, has_event)| Step::Commit {
        expect,
        changes,
        has_event,
    });
    prop_oneof![8 => commit, 1 => Just(Step::Restart)]
}

/// What a value becomes by being written: `1.0` and `1` are one number.
fn as_written(value: &Value) -> Value {
    serde_json::from_str(&crate::store::canonical::text(value)).unwrap()
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]
    #[test]
    fn random_commits_and_restarts_do_what_a_model_does(
        steps in vec(step(), 1..40),
        snapshot_every in 1_u64..8,
        segment_records in 1_u64..6,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        settings.snapshot_every = snapshot_every;
        settings.segment_records = segment_records;
        settings.segments_kept = 2;
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut store = open_whole(&settings);
        let mut model: BTreeMap<String, (Value, u64)> = BTreeMap::new();
        let mut seq = 0;
        for step in steps {
            let Step::Commit { expect, changes, has_event } = step else {
                store.close();
                crate::store::verify(&settings.path, Some(&store.head())).unwrap();
                store = open_whole(&settings);
                continue;
            };
            let mut commit = Commit::new(at(seq), draft("test", "x"));
            let mut conflict = None;
            for (key, guess) in expect {
                let right = model.get(KEYS[key]).map_or(0, |(_, revision)| *revision);
                let revision = match guess {
                    Guess::Right => right,
                    Guess::Absent => 0,
                    Guess::Off(by) => right + by,
                };
                if revision != right && conflict.is_none() {
                    conflict = Some((KEYS[key].to_owned(), revision, right));
                }
                commit = commit.expect(KEYS[key], revision);
            }
            for (key, value) in &changes {
                commit = match value {
                    Some(value) => commit.put(KEYS[*key], value.clone()),
                    None => commit.delete(KEYS[*key]),
                };
            }
            if has_event {
                commit = commit.event(json!(seq));
            }
            match (runtime.block_on(store.commit(commit)), conflict) {
                (Err(CommitError::Conflict { key, expected, found }), Some(conflict)) => {
                    assert_eq!((key, expected, found), conflict);
                }
                (Ok(committed), None) => {
                    seq += 1;
                    assert_eq!(committed.seq, seq);
                    for (key, value) in &changes {
                        match value {
                            Some(value) => model.insert(KEYS[*key].to_owned(), (as_written(value), seq)),
                            None => model.remove(KEYS[*key]),
                        };
                    }
                    if has_event {
                        model.insert(format!("{OUTBOX}{}", committed.id), (json!(seq - 1), seq));
                    }
                }
                (outcome, conflict) => panic!("{outcome:?}, expected {conflict:?}"),
            }
            let found = everything(&store).into_iter();
            let found: BTreeMap<_, _> =
                found.map(|(key, entry)| (key, (entry.value, entry.revision))).collect();
            assert_eq!(found, model);
        }
        store.close();
        let again = open_whole(&settings);
        assert_eq!(everything(&again), everything(&store));
    }
}
