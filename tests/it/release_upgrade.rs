//! Releases and binary upgrades: the store goes with the sockets, and back where nobody takes them.

use crate::support::config;
use crate::support::heirs;
use crate::support::journal;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// A release that stays in its first step, with a time of its own to the next.
const RELEASE: &str = r#"
[release."shop-2.0"]
route = "shop"
stable = "stable"
candidate = "canary"
strategy = { analysis = false, steps = [{ weight = 30, for = "1s", gate = "sre" }, { weight = 100, bake = "1s" }] }
[gate.sre]
roles = ["sre"]
"#;

async fn share(proxy: &Proxy) -> f64 {
    let status = proxy.status().await;
    let share = &status["routes"]["shop"]["variants"]["canary"]["share"];
    share
        .as_f64()
        .unwrap_or_else(|| panic!("no share: {status}"))
}

#[tokio::test]
async fn a_successor_goes_on_with_a_release_and_a_failed_upgrade_changes_nothing() {
    let origin = origin::answering("hello").await;
    let config = config::new()
        .upstream("stable", &[origin.address])
        .upstream("canary", &[origin.address])
        .split_route("shop", "", &[("stable", 100), ("canary", 0)])
        .section(RELEASE);
    let proxy = proxy::start(&config).await;
    let heirs = heirs::of(&proxy);
    wait::until("the first step", async || {
        (share(&proxy).await - 0.3).abs() < 1e-9
    })
    .await;

    // A successor that cannot read its file never has the store.
    let text = config.text();
    proxy::replace(&proxy.file(), "nonsense");
    let output = heirs::try_upgrade(&proxy).await;
    assert_ne!(output.code, 0, "{output:?}");
    proxy.reload_text(&text).await;
    assert!((share(&proxy).await - 0.3).abs() < 1e-9);

    let before = journal::records(proxy.dir()).len();
    heirs.upgrade(&proxy).await;
    assert!(
        (share(&proxy).await - 0.3).abs() < 1e-9,
        "from the first request on"
    );
    // It has the store: what the file says now is kept.
    let without = text.replace(RELEASE, "[store]\npath = \"state\"\n");
    proxy.reload_text(&without).await;
    assert!(share(&proxy).await < f64::EPSILON);
    let records = journal::records(proxy.dir());
    assert!(before < records.len());
    let last = records.last().expect("a record");
    assert_eq!(last["action"], "release.cancel");
}
