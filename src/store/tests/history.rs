//! Rotation, retention and snapshots, and what can be read of the history.

use std::fs::{metadata, read, remove_file, write};

use proptest::prelude::{any, proptest};
use proptest::test_runner::Config;
use serde_json::json;
use tokio::runtime::Builder;

use crate::store::tests::{at, draft, everything, files, open_whole, put, settings, write as fill};
use crate::store::{Broken, Commit, Order, Query, Record, Settings, Store, verify};

#[tokio::test]
async fn a_full_segment_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.segment_records = 4;
    fill(&settings, 10).await;
    let names = files(&settings, "audit-");
    let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(
        names,
        [
            "audit-00000000000000000001.jsonl",
            "audit-00000000000000000005.jsonl",
            "audit-00000000000000000009.jsonl"
        ]
    );
    assert_eq!(verify(&settings.path, None).unwrap().n_records, 10);

    let mut by_size = settings.clone();
    by_size.path = folder.path().join("by-size");
    by_size.segment_records = u64::MAX;
    by_size.segment_bytes = 1000;
    fill(&by_size, 10).await;
    let segments = files(&by_size, "audit-");
    assert!(segments.len() > 2, "{segments:?}");
    for segment in segments {
        assert!(metadata(&segment).unwrap().len() < 2000);
    }
}

#[tokio::test]
async fn old_segments_go_away_and_the_rest_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.segment_records = 3;
    settings.segments_kept = 2;
    settings.snapshot_every = 5;
    fill(&settings, 8).await;
    let early = verify(&settings.path, None).unwrap();
    // One snapshot does not do: two must have what goes away.
    assert_eq!((early.first, early.n_snapshots), (1, 1));

    let mut whole = settings.clone();
    whole.path = folder.path().join("whole");
    whole.segments_kept = usize::MAX;
    fill(&whole, 40).await;
    let store = open_whole(&settings);
    store.close();
    remove_all(&settings);
    fill(&settings, 40).await;

    let verified = verify(&settings.path, None).unwrap();
    assert!(verified.first > 30, "{verified:?}");
    assert!(verified.n_records < 10, "{verified:?}");
    assert_eq!(files(&settings, "snapshot-").len(), 2);
    let store = open_whole(&settings);
    let without_ids = |store: &Store| -> Vec<_> {
        let entries = store.list("key/");
        entries.into_iter().chain(store.list("x")).collect()
    };
    assert_eq!(without_ids(&store), without_ids(&open_whole(&whole)));
    let anchor = "5:".to_owned() + &"0".repeat(64);
    let found = verify(&settings.path, Some(&anchor.parse().unwrap()));
    assert!(matches!(found, Err(Broken::Retired { .. })), "{found:?}");
    let anchor = store.head();
    assert!(verify(&settings.path, Some(&anchor)).unwrap().anchored);
}

fn remove_all(settings: &Settings) {
    for path in files(settings, "") {
        remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_made_up_for_by_the_records() {
    for n_damaged in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        settings.snapshot_every = 4;
        fill(&settings, 10).await;
        let store = open_whole(&settings);
        let expected = everything(&store);
        store.close();
        let snapshots = files(&settings, "snapshot-");
        assert_eq!(snapshots.len(), 2);
        for path in &snapshots[2 - n_damaged..] {
            let mut bytes = read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            write(path, bytes).unwrap();
        }
        let found = verify(&settings.path, None);
        assert!(
            matches!(found, Err(Broken::DamagedSnapshot { .. })),
            "{found:?}"
        );
        let store = open_whole(&settings);
        assert_eq!(everything(&store), expected);
        store.close();
        // What is of no use is gone.
        assert_eq!(
            verify(&settings.path, None).unwrap().n_snapshots,
            2 - n_damaged
        );
    }
}

#[tokio::test]
async fn a_snapshot_that_was_edited_and_hashed_again_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.snapshot_every = 4;
    fill(&settings, 10).await;
    let path = files(&settings, "snapshot-").remove(1);
    let mut object = crate::store::disk::read_whole(&path).unwrap();
    object.as_object_mut().unwrap().remove("hash");
    object["entries"]["key/0"]["value"]["number"] = json!(7777);
    let name = path.file_name().unwrap().to_str().unwrap();
    crate::store::disk::replace(&settings.path, name, &object).unwrap();
    let found = verify(&settings.path, None);
    assert!(
        matches!(found, Err(Broken::Snapshot { seq: 8, .. })),
        "{found:?}"
    );
}

proptest! {
    #![proptest_config(Config { cases: 12, ..Config::default() })]
    #[test]
    fn snapshot_and_suffix_equal_the_whole(
        n_records in 1_u64..40,
        snapshot_every in 1_u64..12,
        keeps_newest in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        settings.segment_records = 5;
        settings.snapshot_every = snapshot_every;
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(fill(&settings, n_records));
        let store = open_whole(&settings);
        let with_snapshots = everything(&store);
        store.close();
        let snapshots = files(&settings, "snapshot-");
        if keeps_newest && snapshots.len() == 2 {
            remove_file(&snapshots[0]).unwrap();
        } else {
            snapshots.iter().for_each(|path| remove_file(path).unwrap());
        }
        let store = open_whole(&settings);
        assert_eq!(everything(&store), with_snapshots);
    }
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn a_query_gets_what_it_asks_for_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.segment_records = 4;
    let store = open_whole(&settings);
    for number in 1..=20_u64 {
        let action = if number % 2 == 0 {
            "release.abort"
        } else {
            "release.advance"
        };
        let mut draft = draft(action, &format!("r{}", number % 3));
        if number % 5 == 0 {
            draft.actor.id = "bob".to_owned();
            draft.object.kind = "route".to_owned();
        }
        store.commit(Commit::new(at(number), draft)).await.unwrap();
    }
    #[track_caller]
    fn check(store: &Store, query: &Query, expected: &[u64]) {
        assert_eq!(seqs(&store.records(query).unwrap()), expected, "{query:?}");
        let newest = Query {
            order: Order::Newest,
            ..query.clone()
        };
        let found = seqs(&store.records(&newest).unwrap());
        if expected.len() < query.limit {
            let reversed: Vec<u64> = expected.iter().rev().copied().collect();
            assert_eq!(found, reversed, "{newest:?}");
        }
        assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
    }
    let all = Query::default();
    let numbers: Vec<u64> = (1..=20).collect();
    check(&store, &all, &numbers);
    check(
        &store,
        &Query {
            since: Some(4),
            until: Some(9),
            ..all.clone()
        },
        &[4, 5, 6, 7, 8, 9],
    );
    check(
        &store,
        &Query {
            limit: 3,
            ..all.clone()
        },
        &[1, 2, 3],
    );
    check(
        &store,
        &Query {
            limit: 0,
            ..all.clone()
        },
        &[],
    );
    check(
        &store,
        &Query {
            actor: Some("bob".to_owned()),
            ..all.clone()
        },
        &[5, 10, 15, 20],
    );
    check(
        &store,
        &Query {
            object_kind: Some("route".to_owned()),
            ..all.clone()
        },
        &[5, 10, 15, 20],
    );
    let of_r1 = Query {
        object_id: Some("r1".to_owned()),
        ..all.clone()
    };
    check(&store, &of_r1, &[1, 4, 7, 10, 13, 16, 19]);
    let aborts = Query {
        action: Some("release.ab".to_owned()),
        ..of_r1
    };
    check(&store, &aborts, &[4, 10, 16]);
    check(
        &store,
        &Query {
            not_before: Some(at(18)),
            ..all.clone()
        },
        &[18, 19, 20],
    );
    check(
        &store,
        &Query {
            not_after: Some(at(2)),
            ..all.clone()
        },
        &[1, 2],
    );
    let last = Query {
        order: Order::Newest,
        limit: 6,
        until: Some(18),
        ..all
    };
    assert_eq!(
        seqs(&store.records(&last).unwrap()),
        [18, 17, 16, 15, 14, 13]
    );
}

#[tokio::test]
async fn an_answer_has_a_bound_in_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_whole(&settings(folder.path()));
    for number in 0..20 {
        let text = number
            .to_string()
            .repeat(900_000 / number.to_string().len());
        store.commit(put("a", json!(text))).await.unwrap();
    }
    for order in [Order::Oldest, Order::Newest] {
        let query = Query {
            order,
            ..Query::default()
        };
        let records = store.records(&query).unwrap();
        assert!((15..20).contains(&records.len()), "{}", records.len());
        let first = if order == Order::Oldest { 1 } else { 20 };
        assert_eq!(records[0].seq, first);
    }
}
