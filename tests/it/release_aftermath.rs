//! What becomes of a release after its promotion, with the real binary and real requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::config;
use crate::support::journal;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

const RELEASE: &str = r#"
[release.shop-2]
route = "shop"
stable = "stable"
candidate = "canary"
[release.shop-2.strategy]
rollback_window = "1h"
steps = [{ weight = 100, bake = "1s" }]
[release.shop-2.strategy.analysis]
warmup = "0s"
[release.shop-2.strategy.check.hard-stop]
kind = "absolute"
bad = ["5xx"]
max = 0.25
"#;

async fn share(proxy: &Proxy) -> f64 {
    let status = proxy.status().await;
    let share = &status["routes"]["shop"]["variants"]["canary"]["share"];
    share
        .as_f64()
        .unwrap_or_else(|| panic!("no share: {status}"))
}

#[tokio::test]
async fn a_hard_stop_takes_back_what_turns_bad_after_its_promotion() {
    let is_bad = Arc::new(AtomicBool::new(false));
    let bad = Arc::clone(&is_bad);
    let candidate = origin::serving(move |mut conversation| {
        let bad = Arc::clone(&bad);
        async move {
            while conversation.request().await.is_some() {
                if bad.load(Ordering::Relaxed) {
                    let broken = "HTTP/1.1 500 Broken\r\ncontent-length: 3\r\n\r\nbad";
                    conversation.send(broken).await;
                } else {
                    conversation.ok(b"candidate").await;
                }
            }
        }
    })
    .await;
    let stable = origin::answering("stable").await;
    let config = config::new()
        .upstream("stable", &[stable.address])
        .upstream("canary", &[candidate.address])
        .split_route("shop", "", &[("stable", 100), ("canary", 0)])
        .section(RELEASE);
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    wait::until("the promotion", async || {
        client.get("/").await;
        journal::actions(proxy.dir())
            .iter()
            .any(|action| action == "release.promote")
    })
    .await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.text(), "candidate");
    }
    is_bad.store(true, Ordering::Relaxed);
    wait::until("stable has everything back", async || {
        client.get("/").await;
        share(&proxy).await == 0.0
    })
    .await;
    assert_eq!(client.get("/").await.text(), "stable");
    let last = journal::actions(proxy.dir()).pop();
    assert_eq!(last.as_deref(), Some("release.rollback"));
}
