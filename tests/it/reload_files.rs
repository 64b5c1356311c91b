//! Every way in which a configuration file is changed is seen, without anybody asking for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// Starts a proxy with everything on stable; the change puts everything on canary, and later one
/// puts it back, so that a watch that died with the first change is found.
async fn seen(change: impl Fn(&Path, &str)) {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    for turn in 0..4 {
        let (weights, expected) = [([0, 1], "canary"), ([1, 0], "stable")][turn % 2];
        change(&proxy.file(), &pair.split(weights, "").text());
        answers(&proxy, expected).await;
    }
}

async fn answers(proxy: &Proxy, expected: &str) {
    wait::until("the change of the file", async || {
        proxy.get("/").await.text() == expected
    })
    .await;
}

#[tokio::test]
async fn a_write_in_place_is_seen() {
    seen(|file, text| fs::write(file, text).expect("a write")).await;
}

#[tokio::test]
async fn a_file_that_is_moved_over_is_seen() {
    seen(|file, text| proxy::replace(file, text)).await;
}

#[tokio::test]
async fn a_file_that_is_moved_over_from_elsewhere_is_seen() {
    let elsewhere = TempDir::new().expect("a directory");
    seen(|file, text| {
        let other = elsewhere.path().join("other.toml");
        fs::write(&other, text).expect("a file");
        fs::rename(other, file).expect("a rename");
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_keeps_a_backup_is_seen() {
    seen(|file, text| {
        let backup = file.with_extension("toml~");
        fs::rename(file, &backup).expect("a rename");
        fs::write(file, text).expect("a file");
        fs::remove_file(backup).expect("a removal");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_is_seen() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    for turn in 0..4 {
        let (weights, expected) = [([0, 1], "canary"), ([1, 0], "stable")][turn % 2];
        fs::remove_file(proxy.file()).expect("a removal");
        // Without a file the old one goes on.
        for _ in 0..20 {
            assert_eq!(proxy.get("/").await.status, 200);
        }
        fs::write(proxy.file(), pair.split(weights, "").text()).expect("a file");
        answers(&proxy, expected).await;
    }
}

#[tokio::test]
async fn a_truncated_write_keeps_the_old_configuration() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    let generation = proxy.generation().await;
    let text = pair.split([0, 1], "").text();
    let middle = text.find("[route.shop.split]").expect("a split") + 25;
    for part in ["", &text[..middle]] {
        let rejected = [("result", "rejected")];
        let reloads = "tidegate_config_reloads_total";
        let before = proxy.metrics().await.sum(reloads, &rejected);
        fs::write(proxy.file(), part).expect("a write");
        proxy
            .counted("the refusal", |metrics| {
                metrics.sum(reloads, &rejected) > before
            })
            .await;
        assert_eq!(proxy.generation().await, generation);
        assert_eq!(proxy.get("/").await.text(), "stable");
    }
    fs::write(proxy.file(), text).expect("a write");
    answers(&proxy, "canary").await;
}

#[tokio::test]
async fn a_swap_of_a_kubernetes_volume_is_seen() {
    let pair = Pair::start().await;
    let dir = TempDir::new().expect("a directory");
    let volume = |dir: &Path, n: usize, text: &str| {
        let data = format!("..data-{n}");
        fs::create_dir(dir.join(&data)).expect("a directory");
        fs::write(dir.join(&data).join("tidegate.toml"), text).expect("a file");
        symlink(&data, dir.join("..data_tmp")).expect("a link");
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("a rename");
        if let Some(last) = n.checked_sub(1) {
            fs::remove_dir_all(dir.join(format!("..data-{last}"))).expect("a removal");
        }
    };
    volume(dir.path(), 0, &pair.split([1, 0], "").text());
    symlink("..data/tidegate.toml", dir.path().join("tidegate.toml")).expect("a link");
    let proxy = proxy::start_within(dir).await;
    for turn in 1..5 {
        let (weights, expected) = [([1, 0], "stable"), ([0, 1], "canary")][turn % 2];
        volume(proxy.dir(), turn, &pair.split(weights, "").text());
        answers(&proxy, expected).await;
    }
}

#[tokio::test]
async fn a_link_to_a_link_that_changes_is_seen() {
    let pair = Pair::start().await;
    let dir = TempDir::new().expect("a directory");
    let files = dir.path().join("files");
    let hop = dir.path().join("hop");
    for dir in [&files, &hop] {
        fs::create_dir(dir).expect("a directory");
    }
    fs::write(files.join("stable"), pair.split([1, 0], "").text()).expect("a file");
    fs::write(files.join("canary"), pair.split([0, 1], "").text()).expect("a file");
    symlink("../files/stable", hop.join("current")).expect("a link");
    symlink("hop/current", dir.path().join("tidegate.toml")).expect("a link");
    let proxy = proxy::start_within(dir).await;
    for turn in 1..5 {
        let to = ["stable", "canary"][turn % 2];
        symlink(format!("../files/{to}"), hop.join("next")).expect("a link");
        fs::rename(hop.join("next"), hop.join("current")).expect("a rename");
        answers(&proxy, to).await;
    }
    // And what the last link leads to is written to in place.
    fs::write(files.join("stable"), pair.split([0, 1], "").text()).expect("a write");
    answers(&proxy, "canary").await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_seen() {
    let pair = Pair::start().await;
    let dir = TempDir::new().expect("a directory");
    let fill = |name: &Path, text: &str| {
        fs::create_dir(name).expect("a directory");
        fs::write(name.join("tidegate.toml"), text).expect("a file");
    };
    let current = dir.path().join("current");
    fill(&current, &pair.split([1, 0], "").text());
    symlink("current/tidegate.toml", dir.path().join("tidegate.toml")).expect("a link");
    let proxy = proxy::start_within(dir).await;
    for turn in 1..3 {
        let (weights, expected) = [([1, 0], "stable"), ([0, 1], "canary")][turn % 2];
        let next = proxy.dir().join("next");
        fill(&next, &pair.split(weights, "").text());
        fs::rename(&current, proxy.dir().join(format!("old{turn}"))).expect("a rename");
        fs::rename(&next, &current).expect("a rename");
        answers(&proxy, expected).await;
    }
}

#[tokio::test]
async fn the_same_bytes_in_a_new_file_are_not_a_change() {
    let pair = Pair::start().await;
    let config = pair.split([1, 0], "");
    let proxy = proxy::start(&config).await;
    let generation = proxy.generation().await;
    for _ in 0..5 {
        proxy::replace(&proxy.file(), config.text());
    }
    // What comes after it is seen after it.
    proxy::replace(&proxy.file(), pair.split([0, 1], "").text());
    answers(&proxy, "canary").await;
    assert_eq!(proxy.generation().await, generation + 1);
}
