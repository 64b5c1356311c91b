//! The command line, as people and scripts use it.

use std::fs;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::command::{self, Output};
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::wait;

/// Writes a file and gives its directory and path.
fn file(text: &str) -> (TempDir, String) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a path").to_owned();
    (dir, path)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {output:?}"))
}

#[tokio::test]
async fn a_good_file_passes_the_check() {
    let pair = Pair::start().await;
    let (_dir, path) = file(&pair.split([95, 5], "").text());
    for command in ["check", "validate"] {
        let output = command::run(&[command, &path]).await;
        assert_eq!(output.code, 0, "{output:?}");
    }
    let output = command::run(&["check", "--json", &path]).await;
    assert_eq!(json(&output)["ok"], true);
}

#[tokio::test]
async fn a_bad_file_fails_the_check_with_every_problem() {
    let pair = Pair::start().await;
    let text = pair.split([95, 5], "").text();
    let text = text
        .replace("weight = 95", "weight = 0")
        .replace("weight = 5", "weight = 0");
    let text = text.replace("workers = 2", "workers = \"two\"") + "\n[listner.http]\n";
    let (_dir, path) = file(&text);
    let output = command::run(&["check", &path]).await;
    assert_eq!(output.code, 1, "{output:?}");
    for key in ["runtime.workers", "listner", "route.shop"] {
        assert!(output.stdout.contains(key), "{key}: {}", output.stdout);
    }
    let line = 1 + text
        .lines()
        .position(|line| line.contains("workers"))
        .expect("it");
    let place = format!("tidegate.toml:{line}:11 runtime.workers");
    assert!(output.stdout.contains(&place), "{place}: {}", output.stdout);

    let output = command::run(&["check", "--json", &path]).await;
    assert_eq!(output.code, 1, "{output:?}");
    let problems = json(&output)["problems"].clone();
    assert!(
        problems
            .as_array()
            .is_some_and(|problems| problems.len() >= 3)
    );
}

#[tokio::test]
async fn a_warning_fails_the_check_only_when_it_is_strict() {
    let pair = Pair::start().await;
    let text = pair.split([95, 5], "").text();
    let (_dir, path) = file(&format!(
        "{text}\n[upstream.spare]\nendpoints = [\"127.0.0.1:9\"]\n"
    ));
    let output = command::run(&["check", &path]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let warning = "upstream.spare: warning: no route leads here";
    assert!(output.stdout.contains(warning), "{output:?}");
    assert!(output.stdout.ends_with(" OK, 1 warning\n"), "{output:?}");
    let output = command::run(&["check", "--strict", "--json", &path]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(json(&output)["warnings"][0]["key"], "upstream.spare");
}

#[tokio::test]
async fn what_is_not_understood_ends_with_2() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["run", "--nonsense"],
        &["check", "a", "b"],
    ] {
        let output = command::run(arguments).await;
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn it_knows_its_version() {
    let output = command::run(&["--version"]).await;
    assert_eq!(output.code, 0);
    assert!(output.stdout.starts_with("tidegate 0."), "{output:?}");
}

#[tokio::test]
async fn status_is_a_table_or_the_answer_of_the_api() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([95, 5], "")).await;
    let admin = proxy.admin_url();
    let output = command::run(&["status", "--admin", &admin]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let canary = output.stdout.lines().find(|line| line.contains("canary"));
    let canary = canary.unwrap_or_else(|| panic!("{output:?}"));
    assert!(canary.contains("shop") && canary.contains('5'), "{canary}");
    let output = command::run(&["status", "--json", "--admin", &admin]).await;
    assert_eq!(json(&output)["generation"], 1);
}

#[tokio::test]
async fn health_is_asked_by_exit_code() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let config = config.shutdown("delay = \"10m\"\nspread = \"0s\"\ntimeout = \"20m\"");
    let proxy = proxy::start(&config).await;
    let admin = proxy.admin_url();
    let healthy = command::run(&["healthcheck", "--admin", &admin]).await;
    assert_eq!(healthy.code, 0, "{healthy:?}");
    proxy.signal(Signal::TERM);
    wait::until("that it is not ready", async || {
        proxy.get_admin("/readyz").await.status == 503
    })
    .await;
    let output = command::run(&["healthcheck", "--admin", &admin]).await;
    assert_eq!(output.code, 1, "{output:?}");
}

#[tokio::test]
async fn who_is_not_there_is_said_to_be_so() {
    let refusing = origin::refusing();
    let admin = format!("http://{}", refusing.address);
    for command in ["status", "reload", "healthcheck"] {
        let output = command::run(&[command, "--admin", &admin]).await;
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.stderr.contains(&refusing.address.to_string()),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn a_token_comes_from_a_file() {
    let origin = origin::answering("hello").await;
    let admin = "address = \"127.0.0.1:0\"\ntoken = \"correct-horse-battery\"";
    let proxy = proxy::start(&config::to(origin.address).admin(admin)).await;
    let url = proxy.admin_url();
    let without = command::run(&["status", "--admin", &url]).await;
    assert_eq!(without.code, 1, "{without:?}");
    let token = proxy.dir().join("token");
    fs::write(&token, "correct-horse-battery\n").expect("a file");
    let token = token.to_str().expect("a path");
    let with = command::run(&["status", "--admin", &url, "--token-file", token]).await;
    assert_eq!(with.code, 0, "{with:?}");
}

#[tokio::test]
async fn a_request_is_explained_by_an_instance() {
    let pair = Pair::start().await;
    let keys = "sticky = { keys = [\"header:u\"] }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    let url = "http://edge.test/";
    let admin = proxy.admin_url();
    let output = command::run(&["explain", "--admin", &admin, "--key", "7", url]).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("stable"), "{output:?}");
    let arguments = ["explain", "--json", "--admin", &admin, "--key", "7", url];
    let explained = json(&command::run(&arguments).await);
    assert_eq!(explained["variant"], "stable");
}

#[tokio::test]
async fn the_demo_of_weights_shows_both_variants_in_plain_lines_until_it_is_interrupted() {
    let mut demo = command::start(&["demo", "--weights"]);
    wait::until("traffic on both variants after an edit", async || {
        if let Some(exit) = demo.process.try_exit() {
            panic!("the demo ended by itself: {exit:?}");
        }
        let shown = demo.process.stdout();
        let before = shown.contains("of 95.0 %") && shown.contains("of 5.0 %");
        let after = shown.split_once("file edited to 50/50: live");
        let has_share = |line: &str| {
            let canary = line.split("canary ").nth(1).unwrap_or_default();
            canary.starts_with(|first: char| first.is_ascii_digit())
        };
        before && after.is_some_and(|(_, after)| after.lines().any(has_share))
    })
    .await;
    assert!(
        !demo.process.stdout().contains('\u{1b}'),
        "no terminal, no escapes"
    );
    demo.process.signal(Signal::INT);
    let exit = demo.process.exit().await;
    assert_eq!(exit.code, Some(0), "{}", demo.process.stderr());
    let shown = demo.process.stdout();
    let sum = shown.lines().find(|line| line.contains(" requests in "));
    let sum = sum.unwrap_or_else(|| panic!("no last line: {shown}"));
    assert!(sum.ends_with(", 0 failed"), "{sum}");
}
