//! Outlier ejection: endpoints that fail one request after another are left alone for a while.

use serde_json::Value;

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

const BROKEN: &str = "HTTP/1.1 500 Broken\r\ncontent-length: 6\r\n\r\nbroken";

/// A good endpoint and this one, which get requests in turns, with an outlier rule.
async fn beside(other: &Origin, rule: &str) -> (Origin, Proxy) {
    let good = origin::answering("good").await;
    let proxy = proxy::start(&among(&good, other, rule)).await;
    (good, proxy)
}

fn among(good: &Origin, other: &Origin, rule: &str) -> Config {
    let keys = format!("balance = \"round_robin\"\n{rule}");
    config::new()
        .upstream_with("only", &[good.address, other.address], &keys)
        .route("all", "upstream = \"only\"")
}

/// What the status says of when an endpoint's ejection ends.
async fn ejected_until(proxy: &Proxy, endpoint: usize) -> Option<String> {
    let status = proxy.status().await;
    match &status["upstreams"]["only"]["endpoints"][endpoint]["ejected_until"] {
        Value::String(until) => Some(until.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_in_a_row_is_left_alone_and_tried_again_later() {
    let broken = origin::raw(BROKEN).await;
    let rule = "outlier = { failures = 3, on = [\"5xx\"], ejection = \"2s\" }";
    let (_good, proxy) = beside(&broken, rule).await;
    // Requests go to both in turns, on each of the two workers: at most six find the broken one.
    let mut client = proxy.connect().await;
    let mut n_broken = 0;
    while ejected_until(&proxy, 1).await.is_none() {
        if client.get("/").await.status == 500 {
            n_broken += 1;
        }
        assert!(n_broken <= 3);
    }
    assert_eq!(n_broken, 3);
    assert_eq!(
        proxy.status().await["upstreams"]["only"]["endpoints"][1]["available"],
        false
    );
    proxy
        .counted("an ejection", |metrics| {
            metrics.sum("tidegate_upstream_ejections_total", &[("upstream", "only")]) == 1.0
        })
        .await;
    let address = broken.address.to_string();
    proxy
        .counted("that it is left alone", |metrics| {
            let of = [("upstream", "only"), ("endpoint", &*address)];
            let name = "tidegate_upstream_endpoint_available";
            metrics.has(name, &of) && metrics.sum(name, &of) == 0.0
        })
        .await;
    wait::until("another try", async || client.get("/").await.status == 500).await;
    // Three more, and it is left alone again.
    wait::until("another ejection", async || {
        client.get("/").await;
        ejected_until(&proxy, 1).await.is_some()
    })
    .await;
    proxy
        .counted("another ejection", |metrics| {
            metrics.sum("tidegate_upstream_ejections_total", &[("upstream", "only")]) == 2.0
        })
        .await;
}

#[tokio::test]
async fn while_one_is_ejected_the_others_get_all_requests() {
    let broken = origin::raw(BROKEN).await;
    let rule = "outlier = { failures = 1, on = [\"5xx\"], ejection = \"5m\" }";
    let (_good, proxy) = beside(&broken, rule).await;
    let mut client = proxy.connect().await;
    wait::until("an ejection", async || {
        client.get("/").await;
        ejected_until(&proxy, 1).await.is_some()
    })
    .await;
    for _ in 0..50 {
        assert_eq!(client.get("/").await.text(), "good");
    }
}

#[tokio::test]
async fn a_5xx_is_no_failure_unless_it_is_said_to_be() {
    let broken = origin::raw(BROKEN).await;
    let (_good, proxy) = beside(&broken, "outlier = { failures = 1 }").await;
    let mut client = proxy.connect().await;
    for n in 0..20 {
        let status = client.get("/").await.status;
        assert!(status == 200 || status == 500, "{n}");
    }
    assert_eq!(ejected_until(&proxy, 1).await, None);
    assert!(broken.n_requests() >= 9);
}

#[tokio::test]
async fn resets_silence_and_refused_connections_count_where_they_are_named() {
    let reset = origin::serving(|mut conversation| async move {
        if conversation.request().await.is_some() {
            conversation.reset();
        }
    })
    .await;
    let silent = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {}
    })
    .await;
    for (origin, kind, other) in [(&reset, "reset", "timeout"), (&silent, "timeout", "reset")] {
        for (named, is_ejected) in [(kind, true), (other, false)] {
            let rule = format!(
                "timeouts.response = \"100ms\"\n\
                 outlier = {{ failures = 2, on = [\"{named}\"], ejection = \"5m\" }}"
            );
            let (_good, proxy) = beside(origin, &rule).await;
            let mut n_failed = 0;
            for _ in 0..12 {
                let status = proxy.get("/").await.status;
                n_failed += u32::from(status != 200);
            }
            assert_eq!(
                ejected_until(&proxy, 1).await.is_some(),
                is_ejected,
                "{kind}, {named}"
            );
            assert_eq!(n_failed == 2, is_ejected, "{kind}, {named}: {n_failed}");
        }
    }
    let refusing = origin::refusing();
    let good = origin::answering("good").await;
    let rule = "balance = \"round_robin\"\noutlier = { failures = 1, ejection = \"5m\" }";
    let config = config::new()
        .upstream_with("only", &[good.address, refusing.address], rule)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    wait::until("an ejection", async || {
        // Nobody sees anything of it.
        assert_eq!(proxy.get("/").await.text(), "good");
        ejected_until(&proxy, 1).await.is_some()
    })
    .await;
}

#[tokio::test]
async fn the_last_endpoint_is_not_given_up_where_nobody_else_may_serve() {
    let broken = origin::raw(BROKEN).await;
    let rule = "outlier = { failures = 1, on = [\"5xx\"], ejection = \"5m\" }";
    let proxy = proxy::start(&config::to(broken.address).upstream_keys("only", rule)).await;
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "broken");
    }
    assert!(ejected_until(&proxy, 0).await.is_some());
    assert_eq!(broken.n_requests(), 20);
}

#[tokio::test]
async fn an_ejected_variant_fails_over_and_who_asks_for_it_by_name_gets_it() {
    let pair = Pair::start().await;
    let broken = origin::raw(BROKEN).await;
    let rule = "outlier = { failures = 2, on = [\"5xx\"], ejection = \"5m\" }";
    let with = |keys: &str| {
        let variants = [
            ("stable", 1, pair.stable.address),
            ("canary", 999, broken.address),
        ];
        let keys = format!("force = {{ header = \"x-variant\" }}\n{keys}");
        config::split(&keys, &variants).upstream_keys("canary", rule)
    };
    let proxy = proxy::start(&with("")).await;
    let mut client = proxy.connect().await;
    wait::until("the stable variant in its place", async || {
        let answers = [client.get("/").await.text(), client.get("/").await.text()];
        answers == ["stable", "stable"]
    })
    .await;
    let forced = ask::get("/").field("x-variant", "canary");
    assert_eq!(client.ask(&forced).await.text(), "broken");
    proxy
        .counted("failovers charged to the canary", |metrics| {
            metrics.sum("tidegate_failovers_total", &[("from", "canary")]) >= 1.0
        })
        .await;
    // Where nobody may serve in its place, it does.
    proxy.reload(&with("on_unavailable = \"error\"")).await;
    let answers = [client.get("/").await.text(), client.get("/").await.text()];
    assert!(answers.contains(&"broken".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn an_ejection_outlives_a_reload_but_not_the_rule() {
    let broken = origin::raw(BROKEN).await;
    let rule = "outlier = { failures = 1, on = [\"5xx\"], ejection = \"5m\" }";
    let (good, proxy) = beside(&broken, rule).await;
    wait::until("an ejection", async || {
        proxy.get("/").await;
        ejected_until(&proxy, 1).await.is_some()
    })
    .await;
    proxy
        .reload(&among(&good, &broken, &rule.replace("5m", "4m")))
        .await;
    assert!(ejected_until(&proxy, 1).await.is_some());
    proxy.reload(&among(&good, &broken, "")).await;
    assert_eq!(ejected_until(&proxy, 1).await, None);
    wait::until("a request", async || proxy.get("/").await.status == 500).await;
}
