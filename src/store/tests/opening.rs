//! Who may open a store, and what is refused.

use std::env;
use std::fs::{metadata, write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use serde_json::json;

use crate::store::tests::{files, lines, open_whole, put, settings, write as fill};
use crate::store::{CommitError, Condition, OpenError, Opened, Settings, Store};

const FOLDER: &str = "TIDEGATE_TEST_STORE_IN_USE";

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_closes() {
    // This is the second process.
    if let Some(folder) = env::var_os(FOLDER) {
        match Store::open(settings(&PathBuf::from(folder))) {
            Ok(Opened { condition, .. }) => println!("opened: {condition:?}"),
            Err(error) => println!("refused: {error}"),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let second = || {
        let name = "a_second_process_is_refused_until_the_first_closes";
        let output = Command::new(env::current_exe().unwrap())
            .args([
                &format!("store::tests::opening::{name}"),
                "--exact",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let store = open_whole(&settings);
    store.commit(put("a", json!(1))).await.unwrap();

    let said = second();
    let holder = format!("is in use by the process {}", process::id());
    assert!(
        said.contains("refused: ") && said.contains(&holder),
        "{said}"
    );

    store.close();
    let said = second();
    assert!(said.contains("opened: Whole"), "{said}");
    assert_eq!(
        store.commit(put("a", json!(2))).await,
        Err(CommitError::Closed)
    );
    assert_eq!(store.get("a").unwrap().value, json!(1));
    assert!(store.writable().is_err());
}

#[tokio::test]
async fn a_second_opening_in_the_same_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let first = open_whole(&settings);
    let refused = Store::open(settings.clone());
    assert!(
        matches!(refused, Err(OpenError::Held { pid: Some(_), .. })),
        "{refused:?}"
    );
    drop(first);
    open_whole(&settings);
}

#[tokio::test]
async fn a_store_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.snapshot_every = 1;
    fill(&settings, 2).await;
    let store = open_whole(&settings);
    store.note("a", Some(json!(1))).await.unwrap();
    store.close();
    let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&settings.path), 0o700);
    let all = files(&settings, "");
    assert_eq!(all.len(), 5, "{all:?}");
    for path in all {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn the_store_of_another_cluster_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fill(&settings, 2).await;
    let other = Settings {
        cluster: "prod-us".to_owned(),
        ..settings.clone()
    };
    let refused = Store::open(other).unwrap_err();
    assert!(matches!(refused, OpenError::Cluster { .. }));
    assert!(
        refused
            .to_string()
            .contains("`prod-eu`, and this one is `prod-us`"),
        "{refused}"
    );
    open_whole(&settings);
}

#[tokio::test]
async fn a_version_that_is_not_known_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.snapshot_every = 2;
    fill(&settings, 3).await;
    let segment = files(&settings, "audit-").remove(0);
    let text = lines(&settings).join("\n") + "\n";
    let newer = text.clone() + "{\"v\":2,\"seq\":4}\n";
    write(&segment, newer).unwrap();
    let refused = Store::open(settings.clone()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Version { found: 2 }),
        "{refused:?}"
    );
    assert!(
        refused
            .to_string()
            .contains("version 2, and this program knows version 1")
    );
    write(&segment, text).unwrap();

    let name = "snapshot-00000000000000000002.json";
    let snapshot = json!({ "v": 3, "entries": [] });
    crate::store::disk::replace(&settings.path, name, &snapshot).unwrap();
    let refused = Store::open(settings.clone()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Version { found: 3 }),
        "{refused:?}"
    );
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, "").unwrap();
    let refused = Store::open(settings(&file)).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
}

#[test]
fn a_new_store_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, condition } = Store::open(settings(folder.path())).unwrap();
    assert_eq!(condition, Condition::New);
    assert_eq!(store.writable(), Ok(()));
    assert_eq!(store.head().seq, 0);
}
