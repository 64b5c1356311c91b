//! Releases by the command line, as people and pipelines use it, on the real binary.

use std::fs;

use serde_json::Value;

use crate::support::instance::{Instance, SLOW, config};
use crate::support::proxy;
use crate::support::terminal;
use crate::support::wait;

/// A release with steps that take no longer than they must.
fn quick() -> String {
    SLOW.replace("1h", "1s")
        .replace(", gate = \"sre\"", "")
        .split("[gate.sre]")
        .next()
        .expect("the beginning")
        .to_owned()
}

#[tokio::test]
async fn a_release_is_started_waited_for_and_followed_by_a_commit() {
    let it = Instance::start(&quick()).await;
    wait::until("the hold", async || {
        let list = it.run(&["release", "ls"]).await;
        let row = Instance::done(&list).lines().nth(1).expect("a release");
        let parts = ["shop-2", "pending", "[---] 0/3 0 %", "not_started"];
        parts.iter().all(|part| row.contains(part))
    })
    .await;
    let started = it.run(&["release", "start", "shop-2"]).await;
    assert!(
        Instance::done(&started).starts_with("shop-2: "),
        "{started:?}"
    );
    let waited = it
        .run(&[
            "release",
            "wait",
            "shop-2",
            "--for",
            "promoted",
            "--timeout",
            "60s",
        ])
        .await;
    let told = Instance::done(&waited);
    assert!(told.contains("shop-2 promoted [###] 3/3 100 %"), "{told}");
    let shown = it.run(&["release", "get", "shop-2"]).await;
    assert!(Instance::done(&shown).contains("promoted"), "{shown:?}");

    let drift = it.run(&["drift", "--exit-code"]).await;
    assert_eq!(drift.code, 1, "{drift:?}");
    assert!(
        drift.stdout.contains("the release shop-2 left it so"),
        "{drift:?}"
    );
    let file = it.proxy.file();
    let file = file.to_str().expect("a path");
    let patch = it.run(&["export", "--patch", file]).await;
    let added = Instance::done(&patch)
        .lines()
        .filter(|line| line.starts_with('+'));
    assert_eq!(added.count(), 3, "the head and both weights: {patch:?}");
    let whole = it.run(&["export", file]).await;
    fs::write(it.proxy.file(), Instance::done(&whole)).expect("a file");
    Instance::done(&it.run(&["reload"]).await);
    Instance::done(&it.run(&["drift", "--exit-code"]).await);
    let nothing = it.run(&["export", "--patch", file]).await;
    assert_eq!(Instance::done(&nothing), "");
}

#[tokio::test]
async fn who_waits_for_a_release_that_is_aborted_is_told_by_exit_code_5() {
    let it = Instance::start(SLOW).await;
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    it.is_at(10.0).await;
    let waiting = it.run(&["release", "wait", "shop-2", "--timeout", "60s"]);
    let aborting = async {
        let aborted = it.run(&["release", "abort", "shop-2", "--reason", "it burns"]);
        Instance::done(&aborted.await).to_owned()
    };
    let (waited, aborted) = tokio::join!(waiting, aborting);
    assert!(aborted.starts_with("shop-2: aborted"), "{aborted}");
    assert!(aborted.contains("it burns"), "{aborted}");
    assert_eq!(waited.code, 5, "{waited:?}");
    assert!(waited.stderr.contains("shop-2 is aborted"), "{waited:?}");
    let again = it
        .run(&["release", "wait", "shop-2", "--for", "ended", "--json"])
        .await;
    assert!(Instance::done(&again).contains("\"aborted\""), "{again:?}");
    let retried = it
        .run(&["release", "retry", "shop-2", "--reason", "mended"])
        .await;
    assert!(Instance::done(&retried).contains("shop-2"), "{retried:?}");
}

#[tokio::test]
async fn who_waits_in_vain_is_told_why_with_exit_code_4() {
    let it = Instance::start(SLOW).await;
    let waited = it
        .run(&["release", "wait", "shop-2", "--timeout", "1500ms"])
        .await;
    assert_eq!(waited.code, 4, "{waited:?}");
    for part in [
        "shop-2 is still pending",
        "not_started",
        "somebody starts it",
    ] {
        assert!(waited.stderr.contains(part), "{part}: {waited:?}");
    }
    let unknown = it
        .run(&["release", "wait", "shop-3", "--timeout", "60s"])
        .await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("shop-3"), "{unknown:?}");
}

#[tokio::test]
async fn what_needs_a_reason_is_not_done_without_one() {
    let it = Instance::start(SLOW).await;
    let aborted = it.run(&["release", "abort", "shop-2"]).await;
    assert_eq!(aborted.code, 2, "{aborted:?}");
    assert!(aborted.stderr.contains("--reason"), "{aborted:?}");
    let phase = it.json(&["release", "get", "shop-2"]).await["phase"].clone();
    assert_eq!(phase, "pending");
}

#[tokio::test]
async fn who_sits_at_a_terminal_is_asked_for_a_reason() {
    let it = Instance::start(SLOW).await;
    let arguments = ["release", "abort", "shop-2", "--admin", &it.admin];
    let mut terminal = terminal::start((100, 20), &arguments, |_| {});
    wait::until("the question", async || terminal.sent().contains("Why? ")).await;
    terminal.press("it burns\n");
    let exit = terminal.exit().await;
    assert_eq!(exit.code, Some(0), "{}", terminal.complaints());
    let release = it.json(&["release", "get", "shop-2"]).await;
    let cause = release["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("it burns"), "{release}");
}

#[tokio::test]
async fn a_release_that_has_changed_since_it_was_looked_at_is_left_alone() {
    let it = Instance::start(SLOW).await;
    let seen = it.json(&["release", "get", "shop-2"]).await["revision"].to_string();
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    let pause = ["release", "pause", "shop-2", "--if-match", &seen];
    let paused = it.run(&pause).await;
    assert_eq!(paused.code, 1, "{paused:?}");
    assert!(paused.stderr.contains("412"), "{paused:?}");
}

#[tokio::test]
async fn a_gate_is_waited_at_and_approved() {
    let sections = SLOW.replacen("1h", "1s", 1);
    let it = Instance::start(&sections).await;
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    wait::until("the gate", async || {
        let why = it.run(&["release", "why", "shop-2"]).await;
        Instance::done(&why).contains("approval:sre")
    })
    .await;
    let gates = it.run(&["gate", "ls"]).await;
    let row = Instance::done(&gates).lines().nth(1).expect("a gate");
    assert!(
        row.contains("shop-2") && row.contains("0 of 1"),
        "{gates:?}"
    );
    let approve = ["gate", "approve", "shop-2", "sre", "--reason", "looks good"];
    Instance::done(&it.run(&approve).await);
    it.is_at(50.0).await;
    let document = it.run(&["release", "doc", "shop-2"]).await;
    let document = Instance::done(&document);
    assert!(document.starts_with("# Release shop-2"), "{document}");
    assert!(document.contains("looks good"), "{document}");
}

#[tokio::test]
async fn the_line_is_stopped_and_let_go_on() {
    let it = Instance::start(SLOW).await;
    Instance::done(&it.run(&["stop-the-line", "show"]).await);
    let on = it
        .run(&["stop-the-line", "on", "--reason", "it burns"])
        .await;
    assert!(Instance::done(&on).contains("it burns"), "{on:?}");
    assert_eq!(it.run(&["stop-the-line", "show"]).await.code, 1);
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    wait::until("the hold", async || {
        let why = it.run(&["release", "why", "shop-2"]).await;
        Instance::done(&why).contains("stop_the_line")
    })
    .await;
    let off = it
        .run(&["stop-the-line", "off", "--reason", "it is out"])
        .await;
    assert_eq!(Instance::done(&off), "not stopped\n");
    it.is_at(10.0).await;
}

#[tokio::test]
async fn a_freeze_closes_a_route_until_it_is_overridden() {
    let freeze = "[freeze.always]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nroutes = [\"*\"]\n\
                  override_roles = [\"release-manager\"]\n";
    let it = Instance::start(&format!("{SLOW}{freeze}")).await;
    let listed = it.run(&["freeze", "ls"]).await;
    assert!(Instance::done(&listed).contains("always"), "{listed:?}");
    let closed = it.run(&["freeze", "check", "shop"]).await;
    assert_eq!(closed.code, 1, "{closed:?}");
    assert!(closed.stdout.contains("always"), "{closed:?}");
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    wait::until("the hold", async || {
        let why = it.run(&["release", "why", "shop-2"]).await;
        Instance::done(&why).contains("freeze:always")
    })
    .await;
    let passing = [
        "freeze",
        "override",
        "always",
        "--release",
        "shop-2",
        "--until",
        "2h",
    ];
    let without = it.run(&passing).await;
    assert_eq!(without.code, 2, "{without:?}");
    let passed = it
        .run(&[&passing[..], &["--reason", "it burns"]].concat())
        .await;
    assert!(Instance::done(&passed).contains("shop-2"), "{passed:?}");
    it.is_at(10.0).await;
}

#[tokio::test]
async fn weights_are_set_for_a_while_and_cleared() {
    let it = Instance::start("[store]\npath = \"state\"\n").await;
    let set = [
        "weights",
        "set",
        "shop",
        "stable=80",
        "canary=20",
        "--expires",
        "2h",
    ];
    let set = it.run(&[&set[..], &["--reason", "a try"]].concat()).await;
    assert!(Instance::done(&set).contains("a try (until "), "{set:?}");
    let share = it.proxy.status().await["routes"]["shop"]["variants"]["canary"]["share"].clone();
    assert_eq!(share, 0.2);
    let unknown = it
        .run(&["weights", "set", "shop", "blue=1", "--reason", "a try"])
        .await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("blue"), "{unknown:?}");
    let cleared = it
        .run(&["weights", "clear", "shop", "--reason", "enough"])
        .await;
    assert!(Instance::done(&cleared).contains("the file"), "{cleared:?}");
    let got = it.json(&["weights", "get", "shop"]).await;
    assert_eq!(got["owner"], "file");
}

#[tokio::test]
async fn a_reload_that_conflicts_with_a_release_ends_with_3() {
    let it = Instance::start(SLOW).await;
    Instance::done(&it.run(&["release", "start", "shop-2"]).await);
    it.is_at(10.0).await;
    let more = config(&it.pair, [50, 50], SLOW);
    proxy::replace(&it.proxy.file(), more.text());
    wait::until("the conflict", async || {
        let reloaded = it.run(&["reload"]).await;
        reloaded.code == 3 && reloaded.stderr.contains("shop-2")
    })
    .await;
    let kept = it
        .run(&["release", "keep", "shop-2", "--reason", "it goes on"])
        .await;
    Instance::done(&kept);
    wait::until("the end of the conflict", async || {
        it.run(&["reload"]).await.code == 0
    })
    .await;
}

#[tokio::test]
async fn a_release_is_made_of_a_file() {
    let sections = SLOW.replace("[release.shop-2]", "[store]\npath = \"state\"\n#");
    let strategy = sections
        .split("[strategy.slow]")
        .nth(1)
        .expect("a strategy");
    let strategy = strategy.split("[gate.sre]").next().expect("a strategy");
    let strategy = strategy.replace(", gate = \"sre\"", "");
    let it = Instance::start("[store]\npath = \"state\"\n").await;
    let text = format!(
        "[release.shop-2]\nroute = \"shop\"\nstable = \"stable\"\ncandidate = \"canary\"\n\
         start = \"manual\"\n[release.shop-2.strategy]{strategy}"
    );
    let file = it.proxy.dir().join("release.toml");
    fs::write(&file, &text).expect("a file");
    let file = file.to_str().expect("a path");
    let started = it
        .run(&["release", "start", file, "--reason", "it is time"])
        .await;
    assert!(
        Instance::done(&started).starts_with("shop-2: "),
        "{started:?}"
    );
    it.is_at(10.0).await;
    let again = it
        .run(&["release", "start", file, "--reason", "it is time"])
        .await;
    assert_eq!(again.code, 1, "{again:?}");
}

#[tokio::test]
async fn json_is_what_the_api_answers() {
    let it = Instance::start(SLOW).await;
    for (arguments, member) in [
        (&["release", "ls"][..], "releases"),
        (&["release", "get", "shop-2"], "phase"),
        (&["release", "why", "shop-2"], "text"),
        (&["release", "analysis", "shop-2"], "alpha"),
        (&["release", "doc", "shop-2"], "markdown"),
        (&["release", "pause", "shop-2"], "release"),
        (&["gate", "ls"], "gates"),
        (&["freeze", "ls"], "freezes"),
        (&["freeze", "check"], "closed"),
        (&["stop-the-line", "show"], "is_stopped"),
        (&["weights", "get"], "routes"),
        (&["audit", "show", "1"], "hash"),
        (&["audit", "verify"], "n_records"),
        (&["dora"], "all"),
        (&["drift"], "has_drifted"),
    ] {
        let answer = it.json(arguments).await;
        assert!(!answer[member].is_null(), "{arguments:?}: {answer}");
        let text = it.run(arguments).await;
        assert!(!Instance::done(&text).is_empty(), "{arguments:?}");
    }
    let arguments = ["release", "get", "shop-3", "--json"];
    let unknown = it.run(&arguments).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let error: Value = serde_json::from_str(&unknown.stdout).expect("JSON");
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains("shop-3")),
        "{error}"
    );
}
