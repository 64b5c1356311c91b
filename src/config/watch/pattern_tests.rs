//! Patterns that are watched: real files, real events.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::config::pattern::{Pattern, Target};
use crate::config::sources::Sources;
use crate::config::watch::armed::Armed;
use crate::config::watch::signal::Signal;
use crate::config::watch::{Change, ChangeKind, Watcher};

/// How long a machine under load may take; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    _guard: tempfile::TempDir,
    root: PathBuf,
    pattern: Pattern,
    _watcher: Watcher,
    changes: Receiver<Change>,
}

/// A watcher on a pattern in a folder that `arrange` fills.
fn scene(pattern: &str, arrange: impl FnOnce(&Path)) -> Scene {
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().to_path_buf();
    arrange(&root);
    let Ok(Target::Files(pattern)) = Target::parse(&root, pattern) else {
        panic!("{pattern} is no pattern");
    };
    let mut sources = Sources::default();
    sources.add_pattern(pattern.clone());
    let (watcher, changes) = Watcher::start(sources);
    Scene {
        _guard: guard,
        root,
        pattern,
        _watcher: watcher,
        changes,
    }
}

impl Scene {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap();
    }

    async fn change(&mut self) -> ChangeKind {
        let change = timeout(PATIENCE, self.changes.recv()).await;
        change.expect("a change is told").unwrap().kind
    }

    /// What the files that match hold, one after the other.
    fn text(&self) -> String {
        let files = self.pattern.look().unwrap().files;
        let texts = files
            .iter()
            .map(|file| fs::read_to_string(&file.at).unwrap_or_default());
        texts.collect()
    }

    /// Waits until a change is told after which they hold this; says how that one was noticed.
    async fn reads(&mut self, text: &str) -> ChangeKind {
        loop {
            let kind = self.change().await;
            if self.text() == text {
                return kind;
            }
        }
    }
}

fn folder(root: &Path) {
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("d/a.toml"), "a").unwrap();
}

#[tokio::test]
async fn a_file_that_begins_to_match_is_told_at_once() {
    let mut scene = scene("d/*.toml", folder);
    scene.write("d/b.toml", "b");
    assert_eq!(scene.reads("ab").await, ChangeKind::Complete);
    scene.write("d/c.new", "c");
    fs::rename(scene.root.join("d/c.new"), scene.root.join("d/c.toml")).unwrap();
    assert_eq!(scene.reads("abc").await, ChangeKind::Complete);
    scene.write("d/b.toml", "B");
    assert_eq!(scene.reads("aBc").await, ChangeKind::Complete);
}

#[tokio::test]
async fn a_file_that_goes_is_told() {
    let mut scene = scene("d/*.toml", folder);
    fs::remove_file(scene.root.join("d/a.toml")).unwrap();
    assert_eq!(scene.reads("").await, ChangeKind::Settled);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_awaited() {
    let mut scene = scene("d/*/f?", |_| {});
    fs::create_dir_all(scene.root.join("d/x")).unwrap();
    scene.write("d/x/f1", "1");
    scene.reads("1").await;
    fs::create_dir(scene.root.join("d/y")).unwrap();
    scene.write("d/y/f1", "2");
    scene.reads("12").await;
    fs::remove_dir_all(scene.root.join("d/x")).unwrap();
    scene.reads("2").await;
    fs::remove_dir_all(scene.root.join("d")).unwrap();
    scene.reads("").await;
    folder(&scene.root);
    fs::create_dir_all(scene.root.join("d/z")).unwrap();
    scene.write("d/z/f1", "3");
    scene.reads("3").await;
}

#[tokio::test]
async fn what_does_not_match_is_not_told() {
    let mut scene = scene("d/*.toml", folder);
    scene.write("d/a.toml~", "backup");
    scene.write("d/.a.toml.swp", "hidden");
    fs::rename(scene.root.join("d/a.toml~"), scene.root.join("d/b.toml~")).unwrap();
    scene.write("d/b.toml", "b");
    // The first change that is told is that of the file that matches.
    assert_eq!(scene.change().await, ChangeKind::Complete);
    assert_eq!(scene.text(), "ab");
}

#[tokio::test]
async fn a_swapped_volume_is_told_at_once_with_all_of_its_files() {
    let volume = |root: &Path, number: u32, names: &[&str]| {
        let data = root.join(format!("d/..{number}"));
        fs::create_dir_all(&data).unwrap();
        for name in names {
            fs::write(data.join(name), &name[..1]).unwrap();
        }
        symlink(format!("..{number}"), root.join("d/..data_tmp")).unwrap();
        fs::rename(root.join("d/..data_tmp"), root.join("d/..data")).unwrap();
        for name in names {
            let link = root.join("d").join(name);
            if !link.is_symlink() {
                symlink(format!("..data/{name}"), link).unwrap();
            }
        }
    };
    let mut scene = scene("d/*.toml", |root| volume(root, 1, &["a.toml", "b.toml"]));
    volume(&scene.root, 2, &["a.toml", "c.toml", "d.toml"]);
    // Whether the links are made and removed yet or not: that of b is not.
    assert_eq!(scene.change().await, ChangeKind::Complete);
    assert_eq!(scene.text(), "acd");
    fs::remove_file(scene.root.join("d/b.toml")).unwrap();
    assert_eq!(scene.text(), "acd");
    fs::write(scene.root.join("d/..2/a.toml"), "A").unwrap();
    scene.reads("Acd").await;
    volume(&scene.root, 3, &["c.toml"]);
    scene.reads("c").await;
}

#[tokio::test]
async fn where_the_system_tells_nothing_looking_finds_what_matches() {
    let guard = tempfile::tempdir().unwrap();
    let Ok(Target::Files(pattern)) = Target::parse(guard.path(), "*.toml") else {
        panic!("a pattern");
    };
    let mut sources = Sources::default();
    sources.add_pattern(pattern);
    let signal = Arc::<Signal>::default();
    let armed = Armed::polling(Arc::clone(&signal));
    let poll = Duration::from_millis(10);
    let (_watcher, mut changes) = Watcher::start_with(sources, armed, signal, poll);
    let file = guard.path().join("a.toml");
    let mut polled = async || {
        let change = timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        assert_eq!(change.kind, ChangeKind::Polled);
    };
    fs::write(&file, "one").unwrap();
    polled().await;
    fs::remove_file(&file).unwrap();
    polled().await;
}
