//! The command line among other programs: pipes that end early, disks that are full, colours, and
//! JSON for what went wrong.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::command;
use crate::support::config;
use crate::support::origin;
use crate::support::proxy;
use crate::support::tool;

/// Writes a configuration and gives its directory and path.
fn file(text: &str) -> (TempDir, String) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tidegate.toml");
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a path").to_owned();
    (dir, path)
}

/// Runs tidegate with this standard output and gives its exit code and what it complained of.
fn run_into(arguments: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = command::tidegate();
    command.args(arguments).stdin(Stdio::null());
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
    let output = child.expect("a process").wait_with_output();
    let output = output.expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_has_gone_ends_quietly() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let admin = proxy.admin_url();
    let (_dir, path) = file(&config.text());
    for arguments in [
        &["--help"][..],
        &["man"],
        &["completions", "zsh"],
        &["check", &path],
        &["explain", "--config", &path, "/"],
        &["status", "--admin", &admin],
        &["status", "--json", "--admin", &admin],
        &["top", "--once", "--interval", "100ms", "--admin", &admin],
        &["reload", "--admin", &admin],
        &["healthcheck", "--admin", &admin],
        &["demo", "--seconds", "1"],
        &["demo", "--weights", "--seconds", "1"],
    ] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let ended = run_into(arguments, writer);
        assert_eq!(ended, (Some(0), String::new()), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_stands_also_when_nobody_reads_it() {
    let (_dir, path) = file("[listner.http]\n");
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let ended = run_into(&["check", &path], writer);
    assert_eq!(ended.0, Some(1), "{ended:?}");
}

#[test]
fn a_disk_that_is_full_is_a_failure() {
    for arguments in [&["man"][..], &["completions", "fish"]] {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let (code, stderr) = run_into(arguments, full.expect("a device"));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("cannot write"), "{stderr}");
    }
}

#[tokio::test]
async fn a_proxy_outlives_the_readers_of_its_logs() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let logs = dir.path().join("logs");
    tool::run(Command::new("mkfifo").arg(&logs));
    let mut nonblocking = OpenOptions::new();
    nonblocking
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let reader: File = nonblocking.open(&logs).expect("a pipe");
    let config = config::to(origin.address).section("[access_log]\noutput = \"stdout\"");
    std::fs::write(dir.path().join("tidegate.toml"), config.text()).expect("a file");
    let tidegate = command::tidegate();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec \"$0\" \"$@\" > logs 2>&1")
        .arg(tidegate.get_program())
        .args(["run", "--config", "tidegate.toml"])
        .args(["--ready-file", "ready.json"])
        .env("TIDEGATE_LOG", "trace")
        .current_dir(dir.path());
    let mut proxy = proxy::launch(dir, command).await;
    drop(reader);
    for n in 0..20 {
        assert_eq!(proxy.get("/").await.status, 200, "{n}");
        proxy
            .reload(&config.clone().section(&format!("# {n}")))
            .await;
    }
    assert_eq!(proxy.generation().await, 21);
    proxy
        .counted("lines that were dropped", |metrics| {
            metrics.sum("tidegate_access_log_dropped_total", &[]) >= 1.0
        })
        .await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().await.code, Some(0));
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_ask() {
    let (_dir, path) = file("[listner.http]\n");
    let check = async |arguments: &[&str], set: &[(&str, &str)]| {
        let arguments = [&["check", &path], arguments].concat();
        let output = command::run_with(&arguments, |command| {
            command.envs(set.iter().copied());
        })
        .await;
        assert_eq!(output.code, 1, "{output:?}");
        output.stdout.contains('\u{1b}')
    };
    assert!(!check(&[], &[]).await);
    assert!(check(&["--color", "always"], &[]).await);
    assert!(check(&["--color=always"], &[("NO_COLOR", "1")]).await);
    assert!(check(&[], &[("CLICOLOR_FORCE", "1")]).await);
    assert!(!check(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).await);
    assert!(!check(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]).await);
    assert!(!check(&["--json"], &[("CLICOLOR_FORCE", "1")]).await);

    let help = command::run(&["--help", "--color", "always"]).await;
    assert!(help.stdout.contains('\u{1b}'), "{help:?}");
    let help = command::run_with(&["--help", "--color", "never"], |command| {
        command.env("CLICOLOR_FORCE", "1");
    })
    .await;
    assert!(!help.stdout.contains('\u{1b}'), "{help:?}");
}

#[tokio::test]
async fn the_log_of_the_proxy_has_colours_only_when_it_is_told() {
    let origin = origin::answering("hello").await;
    for (option, colours) in [("auto", false), ("always", true)] {
        let dir = TempDir::new().expect("a directory");
        let proxy = proxy::start_as(dir, &config::to(origin.address), |command, _| {
            command.args(["--color", option]);
        })
        .await;
        let log = proxy.process.stderr();
        assert!(log.contains("listening"), "{log}");
        assert_eq!(log.contains('\u{1b}'), colours, "{option}: {log}");
    }
}

#[tokio::test]
async fn what_went_wrong_is_json_too() {
    let refusing = origin::refusing();
    let admin = format!("http://{}", refusing.address);
    let (_dir, path) = file("[listner.http]\n");
    for (arguments, code) in [
        (&["status", "--json", "--admin", &admin][..], 1),
        (&["top", "--json", "--admin", &admin], 1),
        (&["reload", "--json", "--admin", &admin], 1),
        (&["healthcheck", "--json", "--admin", &admin], 1),
        (&["explain", "--json", "--admin", &admin, "/"], 1),
        (&["explain", "--json", "--config", &path, "/"], 1),
        (&["status", "--json", "--admin", "nonsense"], 2),
    ] {
        let output = command::run(arguments).await;
        assert_eq!(output.code, code, "{output:?}");
        assert_eq!(output.stderr, "", "{arguments:?}");
        let said: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        assert!(said["error"].is_string(), "{said}");
        assert!(said["problems"].is_array(), "{said}");
    }
    let offline = command::run(&["explain", "--json", "--config", &path, "/"]).await;
    let said: serde_json::Value = serde_json::from_str(&offline.stdout).expect("JSON");
    assert_eq!(said["problems"][0]["line"], 1, "{said}");
}

#[tokio::test]
async fn a_reload_that_is_refused_tells_every_problem() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let mut file = OpenOptions::new()
        .append(true)
        .open(proxy.file())
        .expect("it");
    file.write_all(b"[listner.http]\n[upstrem.a]\n")
        .expect("a line");
    let admin = proxy.admin_url();
    let output = command::run(&["reload", "--admin", &admin]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(output.stdout, "");
    for key in ["listner", "upstrem", "goes on serving"] {
        assert!(output.stderr.contains(key), "{key}: {output:?}");
    }
    let output = command::run(&["reload", "--json", "--admin", &admin]).await;
    assert_eq!(output.code, 1, "{output:?}");
    let said: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(said["problems"].as_array().map(Vec::len), Some(2), "{said}");
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_4() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let admin = proxy.admin_url();
    proxy.stopped().await;
    for command in ["reload", "status", "healthcheck"] {
        let arguments = [command, "--timeout", "100ms", "--admin", &admin];
        let output = command::run(&arguments).await;
        assert_eq!(output.code, 4, "{output:?}");
        assert!(output.stderr.contains("in time"), "{output:?}");
    }
    proxy.signal(Signal::CONT);
    for time in ["0s", "soon", "5"] {
        let output = command::run(&["status", "--timeout", time, "--admin", &admin]).await;
        assert_eq!(output.code, 2, "{output:?}");
    }
}
