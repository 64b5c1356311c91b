//! Forced variants: testers name the one that they want.

use crate::support::ask;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};

/// A proxy whose testers may name the variant in every way, with these weights.
async fn forced(pair: &Pair, weights: [u32; 2]) -> Proxy {
    let keys = "force = { header = \"x-variant\", cookie = \"variant\", query = \"variant\" }";
    proxy::start(&pair.split(weights, keys)).await
}

#[tokio::test]
async fn a_tester_gets_the_variant_that_he_names_at_weight_0_too() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let mut client = proxy.connect().await;
    for ask in [
        ask::get("/").field("X-Variant", "canary"),
        ask::get("/").field("cookie", "a=b; variant=canary"),
        ask::get("/?a=b&variant=canary"),
    ] {
        assert_eq!(client.ask(&ask).await.text(), "canary", "{ask:?}");
    }
    assert_eq!(client.get("/").await.text(), "stable");
}

#[tokio::test]
async fn a_header_is_stronger_than_a_cookie_and_that_than_the_query() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let mut client = proxy.connect().await;
    let ask = ask::get("/?variant=canary").field("cookie", "variant=stable");
    assert_eq!(client.ask(&ask).await.text(), "stable");
    let ask = ask.field("x-variant", "canary");
    assert_eq!(client.ask(&ask).await.text(), "canary");
}

#[tokio::test]
async fn a_variant_that_nobody_knows_is_ignored_and_counted() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let ask = ask::get("/").field("x-variant", "nonesuch");
    assert_eq!(proxy.ask(&ask).await.text(), "stable");
    proxy
        .counted("what was not heeded", |metrics| {
            metrics.sum("tidegate_forced_rejected_total", &[("route", "shop")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_variant_that_is_off_gets_nobody_at_all() {
    let pair = Pair::start().await;
    let keys = "force = { header = \"x-variant\" }\nsticky = { keys = [\"header:u\"] }";
    let config = pair
        .split([50, 50], keys)
        .variant_keys("canary", "state = \"off\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let users = (0..100).map(|n| ask::get("/").field("u", n.to_string()));
    for user in users {
        assert_eq!(client.ask(&user).await.text(), "stable");
    }
    let forced = ask::get("/").field("x-variant", "canary");
    let status = client.ask(&forced).await.status;
    assert_eq!(pair.canary.n_requests(), 0, "answered {status}");
}

#[tokio::test]
async fn selections_are_counted_by_their_reason() {
    let pair = Pair::start().await;
    let keys = "force = { header = \"x-variant\" }\nsticky = { keys = [\"header:u\"] }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    let mut client = proxy.connect().await;
    client.get("/").await;
    for n in 0..2 {
        client.ask(&ask::get("/").field("u", n.to_string())).await;
    }
    for _ in 0..3 {
        client
            .ask(&ask::get("/").field("x-variant", "canary"))
            .await;
    }
    proxy
        .counted("six requests", |metrics| {
            let requests = |variant, selection| {
                let labels = [
                    ("route", "shop"),
                    ("variant", variant),
                    ("selection", selection),
                    ("code", "200"),
                    ("source", "upstream"),
                ];
                metrics.sum("tidegate_requests_total", &labels)
            };
            requests("stable", "draw") == 1.0
                && requests("stable", "hash") == 2.0
                && requests("canary", "forced") == 3.0
        })
        .await;
}
