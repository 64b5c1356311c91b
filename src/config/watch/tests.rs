//! Real files, real events; the only waiting is for the change itself.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::config::sources::Sources;
use crate::config::watch::armed::Armed;
use crate::config::watch::signal::Signal;
use crate::config::watch::{Change, ChangeKind, Watcher};

/// How long a machine under load may take; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    folder: tempfile::TempDir,
    file: PathBuf,
    watcher: Watcher,
    changes: Receiver<Change>,
}

/// A folder `c` with the file `c/f`, arranged by `arrange`, and a watcher on it.
fn scene(arrange: impl FnOnce(&Path)) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c/f");
    fs::create_dir(folder.path().join("c")).unwrap();
    arrange(folder.path());
    let (watcher, changes) = Watcher::start(Sources::of(file.clone()));
    Scene {
        folder,
        file,
        watcher,
        changes,
    }
}

fn plain() -> Scene {
    scene(|root| fs::write(root.join("c/f"), "one").unwrap())
}

fn both(file: &Path, other: &Path) -> Sources {
    let mut sources = Sources::of(file.to_path_buf());
    sources.add_file(other.to_path_buf());
    sources
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn change(&mut self) -> ChangeKind {
        let change = timeout(PATIENCE, self.changes.recv()).await;
        change.expect("a change is told").unwrap().kind
    }

    /// Waits until a change is told after which the file reads so; says how that one was noticed.
    async fn reads(&mut self, content: &str) -> ChangeKind {
        loop {
            let kind = self.change().await;
            if fs::read_to_string(&self.file).is_ok_and(|read| read == content) {
                return kind;
            }
        }
    }
}

#[tokio::test]
async fn a_write_in_place_is_told_when_the_file_is_closed() {
    let mut scene = plain();
    fs::write(&scene.file, "two").unwrap();
    assert_eq!(scene.reads("two").await, ChangeKind::Complete);
    fs::write(&scene.file, "three").unwrap();
    assert_eq!(scene.reads("three").await, ChangeKind::Complete);
}

#[tokio::test]
async fn a_move_over_the_file_is_told_at_once_again_and_again() {
    let mut scene = plain();
    for content in ["two", "three", "four"] {
        let elsewhere = scene.path("new");
        fs::write(&elsewhere, content).unwrap();
        fs::rename(&elsewhere, &scene.file).unwrap();
        assert_eq!(scene.reads(content).await, ChangeKind::Complete);
    }
}

#[tokio::test]
async fn an_editors_save_is_told_at_once() {
    let mut scene = plain();
    for content in ["two", "three"] {
        let backup = scene.path("c/f~");
        let new = scene.path("c/.f.new");
        fs::write(&new, content).unwrap();
        fs::rename(&scene.file, &backup).unwrap();
        fs::rename(&new, &scene.file).unwrap();
        assert_eq!(scene.reads(content).await, ChangeKind::Complete);
    }
}

/// Does what Kubernetes does when a ConfigMap changes.
fn swap(root: &Path, number: u32, content: &str) {
    let name = format!("..{number}");
    fs::create_dir(root.join("c").join(&name)).unwrap();
    fs::write(root.join("c").join(&name).join("f"), content).unwrap();
    symlink(&name, root.join("c/..data_tmp")).unwrap();
    fs::rename(root.join("c/..data_tmp"), root.join("c/..data")).unwrap();
    if number != 1 {
        fs::remove_dir_all(root.join(format!("c/..{}", number - 1))).unwrap();
    }
}

#[tokio::test]
async fn a_swapped_data_link_is_told_at_once_again_and_again() {
    let mut scene = scene(|root| {
        swap(root, 1, "one");
        symlink("..data/f", root.join("c/f")).unwrap();
    });
    for (number, content) in [(2, "two"), (3, "three"), (4, "four")] {
        let root = scene.folder.path().to_path_buf();
        swap(&root, number, content);
        assert_eq!(scene.reads(content).await, ChangeKind::Complete);
    }
}

#[tokio::test]
async fn a_new_link_in_the_place_of_an_old_one_is_told_at_once() {
    let mut scene = scene(|root| {
        fs::write(root.join("one"), "one").unwrap();
        fs::write(root.join("two"), "two").unwrap();
        symlink("../one", root.join("c/f")).unwrap();
    });
    fs::remove_file(&scene.file).unwrap();
    symlink("../two", &scene.file).unwrap();
    assert_eq!(scene.reads("two").await, ChangeKind::Complete);
    fs::write(scene.path("two"), "three").unwrap();
    assert_eq!(scene.reads("three").await, ChangeKind::Complete);
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_is_told() {
    let mut scene = plain();
    fs::remove_file(&scene.file).unwrap();
    assert_eq!(scene.change().await, ChangeKind::Settled);
    fs::write(&scene.file, "two").unwrap();
    scene.reads("two").await;
}

#[tokio::test]
async fn a_folder_that_is_deleted_and_made_again_is_told() {
    let mut scene = plain();
    for content in ["two", "three"] {
        fs::remove_dir_all(scene.path("c")).unwrap();
        scene.change().await;
        fs::create_dir(scene.path("c")).unwrap();
        fs::write(&scene.file, content).unwrap();
        scene.reads(content).await;
    }
    fs::write(&scene.file, "four").unwrap();
    scene.reads("four").await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_told_at_once() {
    let mut scene = plain();
    for (content, old) in [("two", "old2"), ("three", "old3")] {
        fs::create_dir(scene.path("new")).unwrap();
        fs::write(scene.path("new/f"), content).unwrap();
        fs::rename(scene.path("c"), scene.path(old)).unwrap();
        fs::rename(scene.path("new"), scene.path("c")).unwrap();
        assert_eq!(scene.reads(content).await, ChangeKind::Complete);
    }
    fs::write(&scene.file, "four").unwrap();
    scene.reads("four").await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_told_after_quiet() {
    let mut scene = plain();
    // Held open: nothing says that this is complete.
    let mut file = File::create(&scene.file).unwrap();
    file.write_all(b"half").unwrap();
    file.write_all(b" and half").unwrap();
    assert_eq!(scene.change().await, ChangeKind::Settled);
    assert_eq!(fs::read_to_string(&scene.file).unwrap(), "half and half");
    drop(file);
    assert_eq!(scene.change().await, ChangeKind::Complete);
}

#[tokio::test]
async fn a_file_that_is_complete_waits_for_one_that_is_being_written() {
    let mut scene = plain();
    let key = scene.path("c/key");
    scene.watcher.set_sources(both(&scene.file, &key));
    scene.change().await;
    let mut file = File::create(&scene.file).unwrap();
    file.write_all(b"half").unwrap();
    fs::write(&key, "one").unwrap();
    file.write_all(b" and half").unwrap();
    assert_eq!(scene.reads("half and half").await, ChangeKind::Settled);
}

#[tokio::test]
async fn what_happens_to_other_files_is_not_told() {
    let mut scene = plain();
    fs::write(scene.path("c/log"), "line").unwrap();
    fs::rename(scene.path("c/log"), scene.path("c/log.1")).unwrap();
    fs::write(&scene.file, "two").unwrap();
    // The first change that is told is the file's own.
    assert_eq!(scene.change().await, ChangeKind::Complete);
    assert_eq!(fs::read_to_string(&scene.file).unwrap(), "two");
}

#[tokio::test]
async fn files_can_be_replaced_at_run_time() {
    let mut scene = plain();
    let other = scene.path("key");
    fs::write(&other, "one").unwrap();
    scene.watcher.set_sources(both(&scene.file, &other));
    // They may have changed since they were read.
    scene.change().await;
    fs::write(&other, "two").unwrap();
    while scene.change().await != ChangeKind::Complete {}
}

#[tokio::test]
async fn a_watcher_that_is_dropped_ends() {
    let Scene {
        watcher,
        mut changes,
        ..
    } = plain();
    drop(watcher);
    assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn where_the_system_tells_nothing_looking_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    fs::write(&file, "one").unwrap();
    let signal = Arc::<Signal>::default();
    let armed = Armed::polling(Arc::clone(&signal));
    let poll = Duration::from_millis(10);
    let (_watcher, mut changes) =
        Watcher::start_with(Sources::of(file.clone()), armed, signal, poll);
    for content in ["another", "yet another"] {
        fs::write(&file, content).unwrap();
        let change = timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        assert_eq!(change.kind, ChangeKind::Polled);
    }
}
