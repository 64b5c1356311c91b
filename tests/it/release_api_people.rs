//! What people decide about releases by the admin API, and what they are told where it cannot be kept.

use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary_upgrade::{hang, start_copy};
use crate::release_api::{RELEASE, SLOW, config, has_share, start, why};
use crate::support::heirs;
use crate::support::proxy::{self, Proxy, replace};
use crate::support::staff::{get, is_done, is_problem, send, token};
use crate::support::wait;

const ID: &str = "/releases/shop-2.0";

async fn ask(proxy: &Proxy, name: &str, command: &str, body: Value) -> Value {
    let path = format!("{ID}/{command}");
    is_done(&send(proxy, name, "POST", &path, &body).await, 200)
}

async fn is_refused(proxy: &Proxy, name: &str, command: &str, expected: (u16, &str)) -> Value {
    let path = format!("{ID}/{command}");
    let answer = send(proxy, name, "POST", &path, &why("because")).await;
    is_problem(&answer, expected.0, expected.1)
}

async fn release(proxy: &Proxy) -> Value {
    get(proxy, "vera", ID).await.json()
}

#[tokio::test]
async fn a_window_that_is_over_is_passed_by_force() {
    let strategy = SLOW.replace(", gate = \"sre\"", "").replace(
        "[strategy.slow]",
        "[strategy.slow]\nrollback_window = \"0s\"",
    );
    let (proxy, _origins) = start(&format!("{strategy}{RELEASE}")).await;
    ask(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    ask(&proxy, "zoe", "promote", why("all is well")).await;
    has_share(&proxy, 100.0).await;
    let over = is_refused(&proxy, "otto", "rollback", (409, "refused")).await;
    let detail = over["detail"].as_str().expect("words");
    assert!(detail.contains("window"), "{detail}");
    let forced = json!({ "reason": "it burns", "force": true });
    let back = ask(&proxy, "otto", "rollback", forced).await;
    assert_eq!(back["release"]["phase"], "rolled_back");
    has_share(&proxy, 0.0).await;
}

#[tokio::test]
async fn a_gate_that_asks_for_two_is_passed_by_two_and_not_by_one_twice() {
    let sections = SLOW
        .replacen("for = \"1h\"", "for = \"1s\", require = \"not-failed\"", 1)
        .replacen(
            "{ weight = 10, for = \"1s\", require = \"not-failed\" }",
            "{ weight = 10, for = \"1s\", require = \"not-failed\", gate = \"two\" }",
            1,
        );
    let gate = "[gate.two]\nroles = [\"sre\"]\napprovals = 2\n";
    let second = token("sara", &["sre"]);
    let (proxy, _origins) = start(&format!("{sections}{RELEASE}{gate}{second}")).await;
    ask(&proxy, "otto", "start", json!({})).await;
    let gate = async || {
        let gates = get(&proxy, "vera", "/gates").await.json();
        let gates = gates["gates"].as_array().cloned().unwrap_or_default();
        gates.into_iter().find(|gate| gate["name"] == "two")
    };
    wait::until("the gate is asked", async || {
        let asked = gate().await;
        asked.is_some_and(|gate| gate["is_next"] == true && gate["asked_at"].is_string())
    })
    .await;
    for _ in 0..2 {
        let path = format!("{ID}/gates/two/approve");
        let answer = send(&proxy, "sven", "POST", &path, &why("p95 is flat")).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
        let seen = gate().await.expect("the gate");
        assert_eq!(
            (&seen["have"], &seen["need"]),
            (&json!(1), &json!(2)),
            "{seen}"
        );
    }
    assert_eq!(release(&proxy).await["step"], 1);
    ask(&proxy, "sara", "gates/two/approve", why("errors are, too")).await;
    has_share(&proxy, 50.0).await;
}

/// Starts a release, and gives the candidate more in the file than it does.
async fn conflicting() -> (Proxy, String) {
    let (config, origins) = config(&format!("{SLOW}{RELEASE}")).await;
    // They are not asked anything.
    drop(origins);
    let proxy = proxy::start(&config).await;
    ask(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    let more = config
        .text()
        .replace("\"stable\", weight = 100", "\"stable\", weight = 60")
        .replace("\"canary\", weight = 0", "\"canary\", weight = 40");
    assert_ne!(more, config.text());
    replace(&proxy.file(), &more);
    conflict(&proxy, true).await;
    has_share(&proxy, 10.0).await;
    (proxy, more)
}

async fn reload(proxy: &Proxy, text: &str) {
    replace(&proxy.file(), text);
    let answer = send(proxy, "otto", "POST", "/config/reload", &json!({})).await;
    is_done(&answer, 200);
}

async fn conflict(proxy: &Proxy, is_there: bool) {
    wait::until("the conflict", async || {
        let holds = release(proxy).await["holds"].to_string();
        holds.contains("config_conflict") == is_there
    })
    .await;
}

#[tokio::test]
async fn what_the_file_asks_for_is_accepted() {
    let (proxy, text) = conflicting().await;
    ask(&proxy, "otto", "accept-file", why("it is meant so")).await;
    conflict(&proxy, false).await;
    // It is no wish any more, whatever else changes.
    reload(&proxy, &format!("{text}\n# more")).await;
    conflict(&proxy, false).await;
    has_share(&proxy, 10.0).await;
    is_refused(&proxy, "otto", "accept-file", (409, "refused")).await;
}

#[tokio::test]
async fn what_runs_is_kept_against_the_file() {
    let (proxy, text) = conflicting().await;
    let kept = ask(&proxy, "otto", "keep", why("it goes on")).await;
    assert!(kept["release"]["conflict"].is_null(), "{kept}");
    conflict(&proxy, false).await;
    reload(&proxy, &format!("{text}\n# more")).await;
    conflict(&proxy, false).await;
    has_share(&proxy, 10.0).await;
    is_refused(&proxy, "otto", "keep", (409, "refused")).await;
}

/// Bounds how large files may be that a proxy writes: beyond, the disk is full for it.
fn let_files_have(proxy: &Proxy, bytes: Option<u64>) {
    let pid = i32::try_from(proxy.process.id()).expect("a process");
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Pid::from_raw(pid), Resource::Fsize, limit).expect("a limit");
}

#[tokio::test]
async fn with_a_disk_that_is_full_nothing_goes_forward_and_back_it_goes() {
    let (config, _origins) = config(&format!("{SLOW}{RELEASE}")).await;
    let dir = TempDir::new().expect("a directory");
    let proxy = proxy::start_as(dir, &config, |command, _| {
        // A file that has grown too large is an error then, and no end.
        let mut env = Command::new("env");
        env.arg("--ignore-signal=XFSZ")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => env.env(name, value),
                None => env.env_remove(name),
            };
        }
        *command = env;
    })
    .await;
    ask(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    let_files_have(&proxy, Some(0));
    let refused = is_refused(&proxy, "otto", "skip", (503, "store_unavailable")).await;
    assert!(refused["detail"].is_string(), "{refused}");
    let status = get(&proxy, "vera", "/status").await.json();
    assert!(status["store"]["error"].is_string(), "{status}");
    let aborted = ask(&proxy, "otto", "abort", why("not with this disk")).await;
    assert_eq!(aborted["release"]["phase"], "aborted");
    has_share(&proxy, 0.0).await;
    let_files_have(&proxy, None);
    wait::until("the disk takes writes again", async || {
        let path = format!("{ID}/retry");
        let retried = send(&proxy, "otto", "POST", &path, &why("mended")).await;
        assert!(matches!(retried.status, 200 | 503), "{}", retried.text());
        retried.status == 200
    })
    .await;
    has_share(&proxy, 10.0).await;
}

#[tokio::test]
async fn while_another_process_takes_over_nothing_can_be_decided() {
    let upgrade = "[upgrade]\ntimeout = \"2s\"\n";
    let (config, _origins) = config(&format!("{SLOW}{RELEASE}{upgrade}")).await;
    let proxy = start_copy(&config).await;
    let mut heirs = heirs::of(&proxy);
    hang(&proxy, &mut heirs).await;
    is_refused(&proxy, "otto", "pause", (503, "store_closed")).await;
    // It can be read all the same.
    assert_eq!(release(&proxy).await["phase"], "pending");
    wait::until("the store is open again", async || {
        let path = format!("{ID}/pause");
        let paused = send(&proxy, "otto", "POST", &path, &why("lunch")).await;
        assert!(matches!(paused.status, 200 | 503), "{}", paused.text());
        paused.status == 200
    })
    .await;
}
