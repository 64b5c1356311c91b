//! Tests of the store as a whole, on real files.
//!
//! A store is closed before it is opened again: the thread that wrote last may have it a moment
//! longer than who waited for the answer.

mod broken;
mod commits;
mod disk;
mod history;
mod opening;
mod torn;

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::store::{
    Actor, ActorKind, Commit, Condition, Draft, Entry, Object, Opened, Settings, Store, Via,
};

/// A moment of the test's own clock.
fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_869_055_511 + milliseconds)
}

fn draft(action: &str, object: &str) -> Draft {
    let actor = Actor::new(ActorKind::User, "ana@example.com", Via::Cli);
    Draft::new(actor, action, Object::new("release", object))
}

/// A commit that puts `value` under `key`.
fn put(key: &str, value: Value) -> Commit {
    Commit::new(at(0), draft("test.put", key)).put(key, value)
}

fn settings(folder: &Path) -> Settings {
    Settings::new(folder.join("state"), "prod-eu", "edge-2")
}

#[track_caller]
fn open(settings: &Settings) -> Opened {
    Store::open(settings.clone()).unwrap()
}

/// Opens a store that must be found whole or new.
#[track_caller]
fn open_whole(settings: &Settings) -> Store {
    let Opened { store, condition } = open(settings);
    assert!(
        matches!(condition, Condition::Whole | Condition::New),
        "{condition:?}"
    );
    store
}

/// Writes a store of `n` records, each of which puts its number under one of three keys.
async fn write(settings: &Settings, n: u64) {
    let store = open_whole(settings);
    for number in 1..=n {
        let key = format!("key/{}", number % 3);
        let commit = put(
            &key,
            json!({ "number": number, "share": 0.1 * number as f64 }),
        );
        store.commit(commit.event(json!(number))).await.unwrap();
    }
    store.close();
}

fn everything(store: &Store) -> Vec<(String, Entry)> {
    store.list("")
}

/// The files of a store whose names begin with `beginning`, in their order.
fn files(settings: &Settings, beginning: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = read_dir(&settings.path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(beginning)
        })
        .collect();
    found.sort();
    found
}

/// The lines of all segments.
fn lines(settings: &Settings) -> Vec<String> {
    let texts = files(settings, "audit-").into_iter().map(read_to_string);
    let texts: Vec<String> = texts.map(Result::unwrap).collect();
    texts.concat().lines().map(str::to_owned).collect()
}
