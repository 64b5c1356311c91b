//! Histories that somebody has changed: each is found, by `verify` and by the next start.

use std::fs::{read, read_to_string, remove_file, write};

use serde_json::json;

use crate::store::chain;
use crate::store::tests::{
    at, draft, everything, files, lines, open, open_whole, put, settings, write as fill,
};
use crate::store::{
    BROKEN, BROKEN_ACTION, Broken, Commit, Condition, Head, Opened, Order, Query, Record, Settings,
    verify,
};

/// Writes six records, changes the lines, and wants it to be found at the record `seq`.
#[track_caller]
fn check(settings: &Settings, original: &[String], change: impl Fn(&mut Vec<String>), seq: u64) {
    let segment = files(settings, "audit-").remove(0);
    let mut changed = original.to_vec();
    change(&mut changed);
    assert_ne!(changed, original);
    write(
        &segment,
        changed
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
    .unwrap();
    match verify(&settings.path, None) {
        Err(Broken::Record { seq: found, .. }) => assert_eq!(found, seq),
        other => panic!("{other:?}"),
    }
    let Opened { store, condition } = open(settings);
    assert!(
        matches!(condition, Condition::Broken { seq: found, .. } if found == seq),
        "{condition:?}"
    );
    store.close();
}

#[tokio::test]
async fn edited_dropped_swapped_and_repeated_records_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 6).await;
    let original = lines(&settings);
    for index in 0..6 {
        let seq = index as u64 + 1;
        let edit = |lines: &mut Vec<String>| {
            lines[index] = lines[index].replace("ana@example.com", "bob@example.com");
        };
        check(&settings, &original, edit, seq);
        let zero = |lines: &mut Vec<String>| lines[index] = lines[index].replace("0.", "0.\u{30}");
        check(&settings, &original, zero, seq);
        check(&settings, &original, |lines| lines[index].clear(), seq);
        check(
            &settings,
            &original,
            |lines| lines.insert(index, lines[index].clone()),
            seq + 1,
        );
        if index + 1 < 6 {
            check(&settings, &original, |lines| drop(lines.remove(index)), seq);
            check(
                &settings,
                &original,
                |lines| lines.swap(index, index + 1),
                seq,
            );
        }
    }
}

/// A record whose own hash was made again is found by the next one, which holds the old hash.
#[tokio::test]
async fn a_record_that_was_edited_and_hashed_again_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 6).await;
    let original = lines(&settings);
    let anchor = verify(&settings.path, None).unwrap().head;
    let forge = |line: &String| {
        let mut record: Record = serde_json::from_str(line).unwrap();
        record.reason = Some("forged".to_owned());
        chain::line(&mut record).unwrap()
    };
    for index in 0..5 {
        check(
            &settings,
            &original,
            |lines| lines[index] = forge(&lines[index]),
            index as u64 + 2,
        );
    }
    // The last has none behind it: only an anchor tells.
    let segment = files(&settings, "audit-").remove(0);
    let mut forged = original.clone();
    forged[5] = forge(&forged[5]);
    write(&segment, forged.join("\n") + "\n").unwrap();
    assert!(verify(&settings.path, None).is_ok());
    let found = verify(&settings.path, Some(&anchor));
    assert!(
        matches!(found, Err(Broken::OtherHistory { .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn any_byte_that_is_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 3).await;
    let segment = files(&settings, "audit-").remove(0);
    let anchor = verify(&settings.path, None).unwrap().head;
    let original = read(&segment).unwrap();
    for at in 0..original.len() {
        let mut changed = original.clone();
        changed[at] ^= 1;
        write(&segment, &changed).unwrap();
        // Without the last line's end the line is one that was not finished: an anchor tells.
        let found = verify(&settings.path, Some(&anchor));
        assert!(found.is_err(), "byte {at}: {found:?}");
    }
}

#[tokio::test]
async fn an_end_that_is_gone_is_found_by_an_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 6).await;
    let original = lines(&settings);
    let segment = files(&settings, "audit-").remove(0);
    let anchor = verify(&settings.path, None).unwrap().head;
    assert!(verify(&settings.path, Some(&anchor)).unwrap().anchored);
    assert_eq!(anchor.to_string().parse::<Head>(), Ok(anchor.clone()));
    for n_kept in 0..6 {
        let kept: String = original[..n_kept]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        write(&segment, kept).unwrap();
        assert_eq!(
            verify(&settings.path, None).unwrap().n_records,
            n_kept as u64
        );
        match verify(&settings.path, Some(&anchor)) {
            Err(Broken::Truncated { last, .. }) => assert_eq!(last, n_kept as u64),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_end_that_is_gone_is_found_by_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.snapshot_every = 4;
    fill(&settings, 4).await;
    let store = open_whole(&settings);
    let expected = everything(&store);
    store.close();
    let segment = files(&settings, "audit-").remove(0);
    let kept = lines(&settings)[..2].join("\n") + "\n";
    write(&segment, kept).unwrap();

    let found = verify(&settings.path, None);
    assert!(
        matches!(found, Err(Broken::Snapshot { seq: 4, .. })),
        "{found:?}"
    );
    let Opened { store, condition } = open(&settings);
    assert!(
        matches!(condition, Condition::Broken { seq: 3, .. }),
        "{condition:?}"
    );
    assert_eq!(store.head().seq, 5);
    let mut found = everything(&store);
    found.retain(|(key, _)| key != BROKEN);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_break_is_told_until_somebody_settles_it_and_the_last_state_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 6).await;
    let whole = everything(&open_whole(&settings));
    let segment = files(&settings, "audit-").remove(0);
    let edited = read_to_string(&segment)
        .unwrap()
        .replacen("ana@", "bob@", 1);
    write(&segment, edited).unwrap();

    for start in 0..2 {
        let Opened { store, condition } = open(&settings);
        let Condition::Broken { seq: 1, why } = condition else {
            panic!("start {start}: {condition:?}");
        };
        assert!(
            why.contains(".jsonl:1: its text does not have its hash"),
            "{why}"
        );
        let mut found = everything(&store);
        found.retain(|(key, _)| key.starts_with("key/"));
        let mut expected = whole.clone();
        expected.retain(|(key, _)| key.starts_with("key/"));
        assert_eq!(found, expected);
        let told = Query {
            action: Some(BROKEN_ACTION.to_owned()),
            ..Query::default()
        };
        assert_eq!(store.records(&told).unwrap().len(), 1);
        store.commit(put("after", json!(start))).await.unwrap();
        store.close();
    }

    let store = open(&settings).store;
    let revision = store.get(BROKEN).unwrap().revision;
    let settle = Commit::new(at(9), draft("store.accept", "history"));
    store
        .commit(settle.expect(BROKEN, revision).delete(BROKEN))
        .await
        .unwrap();
    store.close();
    open_whole(&settings).close();
    // The history is what it is, though.
    assert!(verify(&settings.path, None).is_err());
}

#[tokio::test]
async fn segments_that_are_gone_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.segment_records = 2;
    fill(&settings, 6).await;
    let segments = files(&settings, "audit-");
    assert_eq!(segments.len(), 3);

    let middle = read(&segments[1]).unwrap();
    remove_file(&segments[1]).unwrap();
    assert!(matches!(
        verify(&settings.path, None),
        Err(Broken::Record { seq: 3, .. })
    ));
    write(&segments[1], &middle).unwrap();
    write(&segments[1], &middle[..middle.len() - 9]).unwrap();
    assert!(matches!(
        verify(&settings.path, None),
        Err(Broken::Record { seq: 4, .. })
    ));
    write(&segments[1], &middle).unwrap();
    assert!(verify(&settings.path, None).is_ok());

    // The first could have been retired: the chain holds, but the state is not whole.
    remove_file(&segments[0]).unwrap();
    assert_eq!(verify(&settings.path, None).unwrap().first, 3);
    let Opened { store, condition } = open(&settings);
    assert!(
        matches!(condition, Condition::Broken { seq: 1, .. }),
        "{condition:?}"
    );
    assert_eq!(store.head().seq, 7);
    let query = Query {
        order: Order::Newest,
        limit: 1,
        ..Query::default()
    };
    assert_eq!(store.records(&query).unwrap()[0].action, BROKEN_ACTION);
}

#[test]
fn a_text_that_is_no_anchor_is_refused() {
    let hash = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    assert!(format!("7:{hash}").parse::<Head>().is_ok());
    for text in [
        "",
        "7",
        "7:",
        "7:abc",
        &format!("+7:{hash}"),
        &format!("x:{hash}"),
    ] {
        assert!(text.parse::<Head>().is_err(), "{text}");
    }
}
