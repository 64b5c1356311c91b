//! A disk that takes no more: the kernel refuses to let a file grow (RLIMIT_FSIZE), which needs no
//! privilege and fails the real write, after a part of it is written.
//!
//! The limit is one of the whole process, so these tests run in a process of their own, which has
//! learnt to ignore the signal that comes with it from the shell that started it.

use std::env;
use std::fs::{hard_link, read};
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::json;

use crate::store::tests::{
    at, draft, everything, files, lines, open, open_whole, put, settings, write as fill,
};
use crate::store::{Commit, CommitError, Condition, Opened, Order, Query, Settings, verify};

const ALONE: &str = "TIDEGATE_TEST_STORE_DISK";

/// Whether this is the process of its own for the test `name`; if it is not, runs that.
#[track_caller]
fn is_alone(name: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args([
            &format!("store::tests::disk::{name}"),
            "--exact",
            "--nocapture",
        ])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Lets no file grow beyond `bytes`.
fn limit(bytes: Option<u64>) {
    let new = Rlimit {
        current: bytes,
        maximum: None,
    };
    setrlimit(Resource::Fsize, new).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_durable_and_never_what_leads_to_stable() {
    if !is_alone("a_full_disk_refuses_what_is_durable_and_never_what_leads_to_stable") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let store = open_whole(&settings);
    store.commit(put("weight", json!(50))).await.unwrap();
    let head = store.head();
    let segment = files(&settings, "audit-").remove(0);
    let before = read(&segment).unwrap();

    limit(Some(before.len() as u64 + 100));
    let refused = store
        .commit(put("weight", json!(100)).expect("weight", 1))
        .await;
    assert!(
        matches!(refused, Err(CommitError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.get("weight").unwrap().value, json!(50));
    assert_eq!(*store.watch().borrow(), 1);
    assert!(store.writable().unwrap_err().contains("File too large"));
    assert_eq!(read(&segment).unwrap(), before);

    let abort = put("weight", json!(0)).expect("weight", 1).toward_stable();
    let aborted = store.commit(abort.clone()).await.unwrap();
    assert_eq!(aborted.seq, 2);
    assert_eq!(store.get("weight").unwrap().value, json!(0));
    assert_eq!(*store.watch().borrow(), 2);
    assert_eq!((store.head(), store.n_unwritten()), (head, 1));
    // Its condition holds as ever.
    let again = store.commit(abort).await;
    assert!(
        matches!(again, Err(CommitError::Conflict { found: 2, .. })),
        "{again:?}"
    );
    let phase = put("phase", json!("aborted"))
        .event(json!("aborted"))
        .toward_stable();
    let told = store.commit(phase).await.unwrap();
    let refused = store
        .commit(put("weight", json!(1)).expect("weight", 2))
        .await;
    assert!(
        matches!(refused, Err(CommitError::Unavailable(_))),
        "{refused:?}"
    );
    // What is not on the disk is in the history all the same.
    let newest = Query {
        order: Order::Newest,
        ..Query::default()
    };
    let records = store.records(&newest).unwrap();
    let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [3, 2, 1]);
    assert_eq!(records[0].id, told.id);
    assert_eq!(verify(&settings.path, None).unwrap().n_records, 1);

    limit(None);
    let committed = store
        .commit(put("weight", json!(1)).expect("weight", 2))
        .await
        .unwrap();
    assert_eq!(committed.seq, 4);
    assert_eq!(store.writable(), Ok(()));
    assert_eq!((store.head().seq, store.n_unwritten()), (4, 0));
    store.close();
    assert_eq!(lines(&settings).len(), 4);
    assert_eq!(verify(&settings.path, None).unwrap().head, store.head());
    let again = open_whole(&settings);
    assert_eq!(everything(&again), everything(&store));
}

#[tokio::test]
async fn what_could_not_be_written_is_written_once_the_disk_takes_it() {
    if !is_alone("what_could_not_be_written_is_written_once_the_disk_takes_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    // Each record begins a segment, and makes a snapshot due.
    settings.segment_records = 1;
    settings.snapshot_every = 1;
    settings.segments_kept = 3;
    let store = open_whole(&settings);
    store.commit(put("a", json!(0))).await.unwrap();
    limit(Some(10));
    for number in 1..=5 {
        let commit = Commit::new(at(number), draft("release.abort", "x"));
        store
            .commit(commit.put("a", json!(number)).toward_stable())
            .await
            .unwrap();
    }
    let refused = store.note("n", Some(json!("more than ten bytes"))).await;
    assert!(
        matches!(refused, Err(CommitError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(store.noted("n").is_some());
    assert_eq!(store.n_unwritten(), 5);
    // A process that ended now would have lost these five, and nothing else.
    let copy = copy(&settings);
    let other = open_whole(&copy);
    assert_eq!(other.get("a").unwrap().value, json!(0));
    other.close();

    limit(None);
    // It looks every second; this is the next one.
    let thread = store.shared.retrying().unwrap();
    thread.thread().unpark();
    thread.join().unwrap();
    assert_eq!(store.writable(), Ok(()));
    assert_eq!(store.n_unwritten(), 0);
    assert_eq!(verify(&settings.path, None).unwrap().head, store.head());
    store.note("m", Some(json!(1))).await.unwrap();
    store.close();
    let again = open_whole(&settings);
    assert_eq!(everything(&again), everything(&store));
    assert_eq!(again.noted("n"), store.noted("n"));
    assert_eq!(again.head().seq, 6);
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_and_writes_later_what_it_found() {
    if !is_alone("a_store_opens_on_a_full_disk_and_writes_later_what_it_found") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 3).await;
    let segment = files(&settings, "audit-").remove(0);
    let edited = String::from_utf8(read(&segment).unwrap()).unwrap();
    std::fs::write(&segment, edited.replacen("ana@", "bob@", 1)).unwrap();
    limit(Some(10));
    let Opened { store, condition } = open(&settings);
    assert!(
        matches!(condition, Condition::Broken { seq: 1, .. }),
        "{condition:?}"
    );
    assert!(store.writable().is_err());
    assert_eq!(store.n_unwritten(), 1);
    assert!(store.get("key/0").is_some());
    limit(None);
    store.commit(put("a", json!(1))).await.unwrap();
    assert_eq!(store.head().seq, 5);
    store.close();
    assert_eq!(lines(&settings).len(), 5);
}

/// A copy of a store's files, as they are.
fn copy(settings: &Settings) -> Settings {
    let copy = Settings {
        path: settings.path.with_extension("copy"),
        ..settings.clone()
    };
    crate::store::disk::create_folder(&copy.path).unwrap();
    for path in files(settings, "audit-") {
        hard_link(&path, copy.path.join(path.file_name().unwrap())).unwrap();
    }
    copy
}
