//! Forced variants: testers name the one that they want.

use crate::support::ask;
use crate::support::client;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

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

/// A proxy whose testers may name the variant only past these guards.
async fn guarded(pair: &Pair, guards: &str) -> Proxy {
    let keys = format!("force = {{ header = \"x-variant\", cookie = \"variant\", {guards} }}");
    proxy::start(&pair.split([100, 0], &keys)).await
}

#[tokio::test]
async fn only_who_knows_the_secret_forces_and_nobody_behind_learns_it() {
    let pair = Pair::start().await;
    let proxy = guarded(&pair, "secret = \"open-sesame\"").await;
    let mut client = proxy.connect().await;
    let asks = |value: &str| {
        [
            ask::get("/").field("X-Variant", value),
            ask::get("/").field("cookie", format!("a=b; variant={value}")),
        ]
    };
    for ask in asks("canary:open-sesame") {
        assert_eq!(client.ask(&ask).await.text(), "canary", "{ask:?}");
    }
    for ask in [asks("canary"), asks("canary:sesame")].concat() {
        assert_eq!(client.ask(&ask).await.text(), "stable", "{ask:?}");
    }
    let in_query = ask::get("/?variant=canary:open-sesame");
    assert_eq!(client.ask(&in_query).await.text(), "stable");
    for request in [pair.stable.requests(), pair.canary.requests()].concat() {
        assert_eq!(request.field("x-variant"), None, "{request:?}");
        let cookie = request.field("cookie").unwrap_or("a=b");
        assert_eq!(cookie, "a=b");
    }
    proxy
        .counted("four attempts that were not heeded", |metrics| {
            let labels = [("route", "shop"), ("reason", "bad_secret")];
            metrics.sum("tidegate_forced_rejected_total", &labels) == 4.0
        })
        .await;
}

#[tokio::test]
async fn only_trusted_clients_force() {
    let pair = Pair::start().await;
    let proxy = guarded(&pair, "trusted = [\"127.0.0.7/32\"]").await;
    let ask = ask::get("/").field("x-variant", "canary");
    let mut inside = client::connect_from("127.0.0.7", proxy.http()).await;
    assert_eq!(inside.ask(&ask).await.text(), "canary");
    let mut outside = client::connect_from("127.0.0.8", proxy.http()).await;
    assert_eq!(outside.ask(&ask).await.text(), "stable");
    // Nobody is believed who says that he is somebody else.
    let claims = ask.clone().field("x-forwarded-for", "127.0.0.7");
    assert_eq!(outside.ask(&claims).await.text(), "stable");
    // Without a secret the header says nothing that upstreams may not know.
    let forwarded = pair.canary.request();
    assert_eq!(forwarded.field("x-variant"), Some("canary"));
    proxy
        .counted("two attempts that were not heeded", |metrics| {
            let labels = [("route", "shop"), ("reason", "untrusted")];
            metrics.sum("tidegate_forced_rejected_total", &labels) == 2.0
        })
        .await;
}

#[tokio::test]
async fn no_log_has_the_secret() {
    let pair = Pair::start().await;
    for format in ["json", "combined"] {
        let keys =
            "force = { header = \"x-variant\", cookie = \"variant\", secret = \"open-sesame\" }";
        let log =
            format!("[access_log]\noutput = \"access.log\"\nformat = \"{format}\"\nredact = []");
        let proxy = proxy::start(&pair.split([100, 0], keys).section(&log)).await;
        let ask = ask::get("/").field("x-variant", "canary:open-sesame");
        let ask = ask.field("cookie", "variant=canary:open-sesame");
        assert_eq!(proxy.ask(&ask).await.text(), "canary");
        let file = proxy.dir().join("access.log");
        let mut written = String::new();
        wait::until("a line", async || {
            written = std::fs::read_to_string(&file).unwrap_or_default();
            written.ends_with('\n')
        })
        .await;
        assert!(!written.contains("sesame"), "{written}");
        let config = proxy.get_admin("/api/v1/config").await.text();
        assert!(!config.contains("sesame"), "{config}");
    }
}
