//! Starts with a file that is refused: with the last configuration that was applied, where that is
//! wanted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::command::{self, Output};
use crate::support::config::{self, Config};
use crate::support::origin;
use crate::support::proxy::{self, Proxy, replace};
use crate::support::wait;

const STORE: &str = "[store]\npath = \"kept\"\n";

/// Waits until a copy with this text is kept.
async fn kept(dir: &Path, text: &str) {
    let copy = dir.join("kept/last-good.json");
    let escaped = serde_json::to_string(text).expect("a text");
    wait::until("the copy is kept", async || {
        fs::read_to_string(&copy).is_ok_and(|copy| copy.contains(&escaped))
    })
    .await;
    let mode = fs::metadata(&copy).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it has the secrets of the file");
}

/// A directory where a proxy with this configuration has been, and its file is broken now.
async fn broken(config: &Config) -> TempDir {
    let proxy = proxy::start(config).await;
    kept(proxy.dir(), &config.text()).await;
    let dir = proxy.kill_and_keep().await;
    let nonsense = format!("{}\n[route.web]\nupstream = \"nowhere\"\n", config.text());
    replace(&dir.path().join("tidegate.toml"), nonsense);
    dir
}

fn run_in(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = command::tidegate();
    command
        .args(["run", "--ready-file", "ready.json"])
        .args(arguments)
        .current_dir(dir);
    command
}

/// Runs a proxy that does not start.
async fn refused(dir: &Path, arguments: &[&str]) -> Output {
    let all = [&["run"], arguments].concat();
    let output = command::run_with(&all, |command| {
        command.current_dir(dir);
    })
    .await;
    assert_eq!(output.code, 1, "{output:?}");
    output
}

async fn is_applied(proxy: &Proxy, is_so: f64) {
    proxy
        .counted("whether the file is obeyed", |metrics| {
            metrics.sum("tidegate_config_last_reload_successful", &[]) == is_so
        })
        .await;
}

#[tokio::test]
async fn the_last_good_configuration_serves_until_the_file_is_mended() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section(STORE);
    let dir = broken(&config).await;

    let output = refused(dir.path(), &[]).await;
    assert!(output.stderr.contains("nowhere"), "{output:?}");
    assert!(output.stderr.contains("with --last-good"), "{output:?}");

    let command = run_in(dir.path(), &["--last-good"]);
    let proxy = proxy::launch(dir, command).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    is_applied(&proxy, 0.0).await;
    let status = proxy.status().await;
    let problems = status["last_good"]["problems"].to_string();
    assert!(problems.contains("nowhere"), "{status}");
    let shown = command::run(&["status", "--admin", &proxy.admin_url()]).await;
    assert!(
        shown
            .stdout
            .contains("the last good configuration is obeyed"),
        "{shown:?}"
    );
    assert!(proxy.process.stderr().contains("last good"), "the log");
    let reload = proxy.ask_reload().await;
    assert_eq!(reload.status, 422, "{reload:?}");

    // The very same as before is a change: it is the file's now.
    let generation = proxy.generation().await;
    replace(&proxy.file(), config.text());
    proxy.live_after(generation).await;
    is_applied(&proxy, 1.0).await;
    assert!(proxy.status().await["last_good"].is_null());
    assert_eq!(proxy.get("/").await.text(), "hello");
}

#[tokio::test]
async fn it_has_what_the_file_included_and_can_do_without_all_of_it() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let part = config::to(origin.address).text();
    let root = format!("include = [\"conf.d/*.toml\"]\n{STORE}");
    fs::create_dir(dir.path().join("conf.d")).expect("a directory");
    replace(&dir.path().join("conf.d/web.toml"), &part);
    replace(&dir.path().join("tidegate.toml"), &root);
    let proxy = proxy::start_within(dir).await;
    kept(proxy.dir(), &part).await;
    let dir = proxy.kill_and_keep().await;
    fs::remove_dir_all(dir.path().join("conf.d")).expect("a directory");
    fs::remove_file(dir.path().join("tidegate.toml")).expect("a file");

    // Nobody can tell by a file that is not there where the store is.
    let named = ["--config", "tidegate.toml"];
    let output = refused(dir.path(), &[&named[..], &["--last-good"]].concat()).await;
    let none = "no last good configuration in state: there is none";
    assert!(output.stderr.contains(none), "{output:?}");

    let command = run_in(dir.path(), &[&named[..], &["--last-good=kept"]].concat());
    let proxy = proxy::launch(dir, command).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    let generation = proxy.generation().await;
    fs::create_dir(proxy.dir().join("conf.d")).expect("a directory");
    replace(&proxy.dir().join("conf.d/web.toml"), &part);
    replace(&proxy.file(), &root);
    // It is the same store, named as before: nothing of it needs a restart.
    proxy.live_after(generation).await;
    assert!(proxy.status().await["last_good"].is_null());
}

#[tokio::test]
async fn what_it_names_has_to_be_there_still() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let token = dir.path().join("token");
    fs::write(&token, "secret-secret-secret-secret-secret").expect("a file");
    let config = config::to(origin.address)
        .section(STORE)
        .admin(&format!("token = {{ file = \"{}\" }}", token.display()));
    let broken = broken(&config).await;
    fs::remove_file(&token).expect("a file");
    let output = refused(broken.path(), &["--last-good"]).await;
    let neither = "nor can the last good configuration be used";
    assert!(output.stderr.contains(neither), "{output:?}");
    assert!(output.stderr.contains("token"), "{output:?}");
}

#[tokio::test]
async fn what_was_refused_while_it_ran_is_not_kept() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section(STORE);
    let proxy = proxy::start(&config).await;
    let text = config.text();
    kept(proxy.dir(), &text).await;
    let second = format!("{text}\n# the second");
    proxy.reload_text(&second).await;
    kept(proxy.dir(), &second).await;
    let generation = proxy.generation().await;
    replace(&proxy.file(), format!("{second}\n[nonsense]"));
    assert_eq!(proxy.ask_reload().await.status, 422);
    assert_eq!(proxy.generation().await, generation);
    kept(proxy.dir(), &second).await;
}
