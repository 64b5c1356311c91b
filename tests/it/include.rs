//! A configuration of several files, as a running proxy obeys it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::command;
use crate::support::config;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// A proxy whose file includes `conf.d/*.toml`, and an origin that answers `one`.
struct Scene {
    proxy: Proxy,
    origin: Origin,
}

/// The file, with further sections.
fn main_file(sections: &str) -> String {
    format!(
        "include = [\"conf.d/*.toml\"]\n{}{sections}",
        config::new().text()
    )
}

/// A file with a route for a path of its own.
fn part(name: &str, endpoint: SocketAddr) -> String {
    format!(
        "[upstream.{name}]\nendpoints = [\"{endpoint}\"]\n\
         [route.{name}]\nmatch = {{ path = \"/{name}\" }}\nupstream = \"{name}\"\n"
    )
}

async fn scene(arrange: impl FnOnce(&Path, SocketAddr)) -> Scene {
    let origin = origin::answering("one").await;
    let dir = TempDir::new().expect("a directory");
    arrange(dir.path(), origin.address);
    fs::write(dir.path().join("tidegate.toml"), main_file("")).expect("a file");
    Scene {
        proxy: proxy::start_within(dir).await,
        origin,
    }
}

impl Scene {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.proxy.dir().join(name), text).expect("a file");
    }

    /// Waits until a path has this status.
    async fn answers(&self, path: &str, status: u16) {
        wait::until("the change of the files", async || {
            self.proxy.get(path).await.status == status
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_that_is_put_there_is_live_and_one_that_is_taken_away_is_gone() {
    // Not even the folder is there at first.
    let scene = scene(|_, _| {}).await;
    assert_eq!(scene.proxy.get("/shop").await.status, 404);
    fs::create_dir(scene.proxy.dir().join("conf.d")).expect("a directory");
    for _ in 0..2 {
        scene.write("conf.d/shop.toml", &part("shop", scene.origin.address));
        scene.answers("/shop", 200).await;
        scene.write("conf.d/blog.toml", &part("blog", scene.origin.address));
        scene.answers("/blog", 200).await;
        fs::remove_file(scene.proxy.dir().join("conf.d/shop.toml")).expect("a removal");
        scene.answers("/shop", 404).await;
        assert_eq!(scene.proxy.get("/blog").await.status, 200);
        fs::remove_dir_all(scene.proxy.dir().join("conf.d")).expect("a removal");
        scene.answers("/blog", 404).await;
        fs::create_dir(scene.proxy.dir().join("conf.d")).expect("a directory");
    }
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_is_told_where() {
    let scene = scene(|dir, origin| {
        fs::create_dir(dir.join("conf.d")).expect("a directory");
        fs::write(dir.join("conf.d/shop.toml"), part("shop", origin)).expect("a file");
    })
    .await;
    let generation = scene.proxy.generation().await;
    scene.write("conf.d/blog.toml", "[route.shop]\nupstream = \"shop\"\n");
    let answer = scene.proxy.ask_reload().await;
    assert_eq!(answer.status, 422);
    let problems = answer.json()["problems"].clone();
    assert_eq!(problems[0]["file"], "conf.d/shop.toml");
    assert_eq!(
        (problems[0]["line"].clone(), problems[0]["column"].clone()),
        (3.into(), 8.into())
    );
    assert_eq!(problems[0]["key"], "route.shop");
    assert_eq!(
        problems[0]["message"],
        "stands in conf.d/blog.toml:1:8 already"
    );
    assert_eq!(scene.proxy.generation().await, generation);
    assert_eq!(scene.proxy.get("/shop").await.text(), "one");
    // What is wrong is watched, too.
    scene.write("conf.d/blog.toml", &part("blog", scene.origin.address));
    scene.answers("/blog", 200).await;
}

#[tokio::test]
async fn what_shows_only_when_it_is_put_to_use_is_told_where_it_stands() {
    let scene = scene(|dir, _| fs::create_dir(dir.join("conf.d")).expect("a directory")).await;
    let taken = scene.proxy.admin();
    let text = format!("\n[listener.more]\n  address = \"{taken}\"\n");
    scene.write("conf.d/more.toml", &text);
    let answer = scene.proxy.ask_reload().await;
    assert_eq!(answer.status, 422);
    let problem = answer.json()["problems"][0].clone();
    assert_eq!(problem["file"], "conf.d/more.toml");
    assert_eq!(problem["key"], "listener.more.address");
    assert_eq!(
        (problem["line"].clone(), problem["column"].clone()),
        (3.into(), 3.into())
    );
    let text = "[runtime]\nworkers = 3\n";
    scene.write("tidegate.toml", &main_file("").replace("workers = 2", ""));
    scene.write("conf.d/more.toml", text);
    let problem = scene.proxy.ask_reload().await.json()["problems"][0].clone();
    assert_eq!(problem["file"], "conf.d/more.toml");
    assert_eq!(problem["key"], "runtime.workers");
    assert_eq!(problem["line"], 2);
}

#[tokio::test]
async fn the_hash_is_that_of_all_files_and_the_same_bytes_change_nothing() {
    let scene = scene(|dir, origin| {
        fs::create_dir(dir.join("conf.d")).expect("a directory");
        fs::write(dir.join("conf.d/shop.toml"), part("shop", origin)).expect("a file");
    })
    .await;
    let before = scene.proxy.status().await;
    scene.write("conf.d/shop.toml", &part("shop", scene.origin.address));
    let answer = scene.proxy.ask_reload().await.json();
    assert_eq!(answer["outcome"], "unchanged");
    assert_eq!(
        scene.proxy.status().await["config_sha256"],
        before["config_sha256"]
    );
    scene.write(
        "conf.d/shop.toml",
        &(part("shop", scene.origin.address) + "# more\n"),
    );
    scene.proxy.signal(Signal::HUP);
    scene
        .proxy
        .live_after(before["generation"].as_u64().expect("a number"))
        .await;
    assert_ne!(
        scene.proxy.status().await["config_sha256"],
        before["config_sha256"]
    );
}

#[tokio::test]
async fn a_route_that_goes_from_one_file_of_a_volume_to_another_is_never_gone() {
    let volume = |dir: &Path, number: u32, files: &[(&str, String)]| {
        let data = dir.join(format!("conf.d/..{number}"));
        fs::create_dir_all(&data).expect("a directory");
        for (name, text) in files {
            fs::write(data.join(name), text).expect("a file");
        }
        symlink(format!("..{number}"), dir.join("conf.d/..data_tmp")).expect("a link");
        fs::rename(dir.join("conf.d/..data_tmp"), dir.join("conf.d/..data")).expect("a rename");
        for (name, _) in files {
            let link = dir.join("conf.d").join(name);
            if !link.is_symlink() {
                symlink(format!("..data/{name}"), link).expect("a link");
            }
        }
    };
    let scene = scene(|dir, origin| {
        let both = part("shop", origin) + &part("blog", origin);
        volume(dir, 1, &[("all.toml", both)]);
    })
    .await;
    let generation = scene.proxy.generation().await;
    let origin = scene.origin.address;
    let files = [
        ("all.toml", part("blog", origin)),
        ("more.toml", part("more", origin)),
        ("shop.toml", part("shop", origin)),
    ];
    volume(scene.proxy.dir(), 2, &files);
    wait::until("the change of the volume", async || {
        assert_eq!(scene.proxy.get("/shop").await.status, 200);
        scene.proxy.generation().await > generation
    })
    .await;
    assert_eq!(scene.proxy.get("/more").await.status, 200);
    assert_eq!(scene.proxy.get("/shop").await.status, 200);
}

#[tokio::test]
async fn the_check_shows_the_line_of_the_file_that_is_wrong() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tidegate.toml");
    fs::create_dir(dir.path().join("conf.d")).expect("a directory");
    fs::write(&path, main_file("")).expect("a file");
    let part = dir.path().join("conf.d/shop.toml");
    fs::write(&part, "# shop\n[route.shop]\nupstram = \"shop\"\n").expect("a file");
    let output = command::run(&["check", path.to_str().expect("a path")]).await;
    assert_eq!(output.code, 1, "{output:?}");
    let place = format!(
        "{}:3:1 route.shop.upstram: unknown key, did you mean upstream?",
        part.display()
    );
    assert!(output.stdout.contains(&place), "{}", output.stdout);
    assert!(
        output.stdout.contains(" 3 | upstram = \"shop\"\n"),
        "{}",
        output.stdout
    );
}
