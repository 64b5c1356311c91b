//! A crash in the middle of a write, at every byte of it.

use std::fs::{OpenOptions, read, write};

use serde_json::json;

use crate::store::tests::{everything, files, open, open_whole, put, settings, write as fill};
use crate::store::{Condition, Opened, verify};

#[tokio::test]
async fn a_crash_at_any_byte_of_the_last_write_loses_that_write_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 3).await;
    let before = open_whole(&settings);
    let expected = everything(&before);
    let head = before.head();
    before.close();
    let n_whole = read(&files(&settings, "audit-")[0]).unwrap().len();
    let store = open_whole(&settings);
    store.commit(put("key/0", json!("last"))).await.unwrap();
    store.close();
    let segment = files(&settings, "audit-").remove(0);
    let all = read(&segment).unwrap();
    assert!(n_whole + 100 < all.len());

    for cut in n_whole..all.len() {
        write(&segment, &all[..cut]).unwrap();
        let verified = verify(&settings.path, None).unwrap();
        assert_eq!(
            (verified.head.clone(), verified.torn),
            (head.clone(), (cut - n_whole) as u64)
        );
        let Opened { store, condition } = open(&settings);
        let bytes = (cut - n_whole) as u64;
        let torn = if bytes == 0 {
            Condition::Whole
        } else {
            Condition::Torn { bytes }
        };
        assert_eq!(condition, torn);
        assert_eq!(everything(&store), expected);
        assert_eq!(store.head(), head);
        store.close();
        assert_eq!(read(&segment).unwrap(), &all[..n_whole], "cut at {cut}");
    }
}

#[tokio::test]
async fn pages_that_were_never_written_are_a_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 3).await;
    let segment = files(&settings, "audit-").remove(0);
    let whole = read(&segment).unwrap();
    for tail in [
        &b"\0\0\0\0"[..],
        b"{\"v\":1,\0\0\0\0\"}\n",
        b"\0\0}\n\0\0\0\n\0",
        b"{\0}\n{\"v\"",
    ] {
        write(&segment, [&whole, tail].concat()).unwrap();
        let Opened { store, condition } = open(&settings);
        let bytes = tail.len() as u64;
        assert_eq!(condition, Condition::Torn { bytes });
        store.close();
        assert_eq!(read(&segment).unwrap(), whole);
    }
}

#[tokio::test]
async fn commits_go_on_after_a_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 3).await;
    let segment = files(&settings, "audit-").remove(0);
    let length = read(&segment).unwrap().len() as u64;
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(length - 5).unwrap();

    let Opened { store, condition } = open(&settings);
    assert!(matches!(condition, Condition::Torn { .. }), "{condition:?}");
    let committed = store.commit(put("a", json!(1))).await.unwrap();
    assert_eq!(committed.seq, 3);
    store.close();

    assert_eq!(verify(&settings.path, None).unwrap().n_records, 3);
    assert_eq!(everything(&open_whole(&settings)), everything(&store));
}

#[tokio::test]
async fn a_first_write_that_was_torn_leaves_a_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 1).await;
    let segment = files(&settings, "audit-").remove(0);
    for length in [40, 0] {
        let text = read(&segment).unwrap_or_default();
        write(&segment, &text[..length.min(text.len())]).unwrap();
        let Opened { store, condition } = open(&settings);
        assert!(
            matches!(condition, Condition::Torn { .. } | Condition::New),
            "{condition:?}"
        );
        assert_eq!(everything(&store), []);
        store.close();
    }
    fill(&settings, 2).await;
    assert_eq!(verify(&settings.path, None).unwrap().n_records, 2);
}
