//! What happened, by the command line: the audit trail, events, and what is watched.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::command;
use crate::support::instance::{Instance, SLOW};
use crate::support::journal;
use crate::support::wait;

#[tokio::test]
async fn the_trail_is_read_and_verified_and_what_was_edited_is_found() {
    let it = Instance::start(SLOW).await;
    Instance::done(
        &it.run(&["release", "start", "shop-2", "--reason", "off we go"])
            .await,
    );
    it.is_at(10.0).await;
    let tail = it.run(&["audit", "tail", "-n", "1000"]).await;
    let actions = journal::actions(it.proxy.dir());
    for action in &actions {
        assert!(
            Instance::done(&tail).contains(action.as_str()),
            "{action}: {tail:?}"
        );
    }
    let first = it.run(&["audit", "show", "1"]).await;
    assert!(Instance::done(&first).contains("what     "), "{first:?}");
    let exported = it.run(&["audit", "export"]).await;
    let n_exported = Instance::done(&exported).lines().count();
    assert!(actions.len() <= n_exported, "{exported:?}");
    let verified = it.run(&["audit", "verify"]).await;
    assert!(
        Instance::done(&verified).starts_with("whole: "),
        "{verified:?}"
    );

    let folder = it.proxy.dir().join("state");
    let path = folder.to_str().expect("a path").to_owned();
    let offline = command::run(&["audit", "verify", &path]).await;
    let head = Instance::done(&offline).lines().last().expect("a head");
    let anchor = head.strip_prefix("head ").expect("a head").to_owned();
    let anchored = command::run(&["audit", "verify", "--anchor", &anchor, &path]).await;
    assert!(
        Instance::done(&anchored).contains("the anchor is in its place"),
        "{anchored:?}"
    );

    let journal = fs::read_dir(&folder).expect("a folder");
    let mut names = journal.map(|entry| entry.expect("an entry").path());
    let segment = names.find(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let segment = segment.expect("a segment");
    let text = fs::read_to_string(&segment).expect("a segment");
    fs::write(&segment, text.replacen("off we go", "off we do", 1)).expect("a segment");
    let edited = command::run(&["audit", "verify", "--json", &path]).await;
    assert_eq!(edited.code, 1, "{edited:?}");
    let verdict: Value = serde_json::from_str(&edited.stdout).expect("JSON");
    assert_eq!(verdict["is_whole"], false);
}

#[tokio::test]
async fn what_happens_is_followed() {
    let it = Instance::start(SLOW).await;
    let mut tail = command::start(&["audit", "tail", "-f", "--admin", &it.admin]);
    let mut events = command::start(&["events", "--json", "--admin", &it.admin]);
    let watched = ["release", "get", "-w", "shop-2", "--admin", &it.admin];
    let mut watching = command::start(&watched);
    wait::until("the first look", async || {
        watching.process.stdout().contains("not_started")
    })
    .await;
    Instance::done(
        &it.run(&["release", "start", "shop-2", "--reason", "off we go"])
            .await,
    );
    wait::until("the start, everywhere", async || {
        tail.process.stdout().contains("release.start")
            && events.process.stdout().contains("release.started")
            && watching.process.stdout().contains("[#--] 1/3 10 %")
    })
    .await;
    Instance::done(
        &it.run(&["release", "abort", "shop-2", "--reason", "enough"])
            .await,
    );
    let exit = watching.process.exit().await;
    assert_eq!(
        exit.code,
        Some(0),
        "it is over: {}",
        watching.process.stderr()
    );
    for running in [&mut tail, &mut events] {
        running.process.signal(Signal::INT);
        assert_eq!(running.process.exit().await.code, Some(0));
    }
}
