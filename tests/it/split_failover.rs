//! A variant that cannot serve: who answers in its place, and who is charged.

use crate::support::ask::{self, Ask};
use crate::support::client::Client;
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy;

const STICKY: &str = "sticky = { keys = [\"header:u\"] }";

fn user(n: u32) -> Ask {
    ask::get("/").field("u", format!("user-{n}"))
}

/// Which variant each of a hundred users gets.
async fn map(client: &mut Client) -> Vec<String> {
    let mut map = Vec::new();
    for n in 0..100 {
        let answer = client.ask(&user(n)).await;
        assert_eq!(answer.status, 200, "user {n}");
        map.push(answer.text());
    }
    map
}

#[tokio::test]
async fn the_runner_up_serves_the_users_of_a_variant_that_refuses_and_nobody_else_moves() {
    let pair = Pair::start().await;
    let third = origin::answering("third").await;
    let refusing = origin::refusing();
    let with = |canary| {
        let variants = [
            ("stable", 40, pair.stable.address),
            ("canary", 30, canary),
            ("third", 30, third.address),
        ];
        config::split(STICKY, &variants)
    };
    let proxy = proxy::start(&with(pair.canary.address)).await;
    let mut client = proxy.connect().await;
    let before = map(&mut client).await;
    assert!(before.iter().any(|variant| variant == "canary"));

    proxy.reload(&with(refusing.address)).await;
    let during = map(&mut client).await;
    for (n, (before, during)) in before.iter().zip(&during).enumerate() {
        assert_ne!(during, "canary");
        assert!(before == "canary" || before == during, "user {n} moved");
    }
    proxy
        .counted("failovers charged to the canary", |metrics| {
            let from = [("route", "shop"), ("from", "canary")];
            let n_canary = before.iter().filter(|variant| *variant == "canary").count();
            let charged = [("route", "shop"), ("variant", "canary"), ("code", "200")];
            metrics.sum("tidegate_failovers_total", &from) >= 1.0
                && metrics.sum("tidegate_requests_total", &charged) == 2.0 * n_canary as f64
        })
        .await;

    proxy.reload(&with(pair.canary.address)).await;
    assert_eq!(map(&mut client).await, before, "everybody is back");
}

#[tokio::test]
async fn a_forced_variant_that_refuses_is_503() {
    let pair = Pair::start().await;
    let refusing = origin::refusing();
    let variants = [
        ("stable", 100, pair.stable.address),
        ("canary", 0, refusing.address),
    ];
    let keys = "force = { header = \"x-variant\" }";
    let proxy = proxy::start(&config::split(keys, &variants)).await;
    let mut client = proxy.connect().await;
    let forced = ask::get("/").field("x-variant", "canary");
    // The first ones find out that nobody listens; from then on it is known.
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(client.ask(&forced).await.status);
    }
    assert!(
        statuses.iter().all(|status| matches!(status, 502 | 503)),
        "{statuses:?}"
    );
    assert_eq!(statuses.last(), Some(&503));
    assert_eq!(client.get("/").await.text(), "stable");
}

#[tokio::test]
async fn a_route_may_answer_503_instead_of_failing_over() {
    let pair = Pair::start().await;
    let refusing = origin::refusing();
    let variants = [
        ("stable", 50, pair.stable.address),
        ("canary", 50, refusing.address),
    ];
    let keys = format!("{STICKY}\non_unavailable = \"error\"");
    let proxy = proxy::start(&config::split(&keys, &variants)).await;
    let mut client = proxy.connect().await;
    let mut statuses = Vec::new();
    for n in 0..60 {
        statuses.push(client.ask(&user(n)).await.status);
    }
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 200 | 502 | 503)),
        "{statuses:?}"
    );
    let n_served = statuses.iter().filter(|status| **status == 200).count();
    assert!((15..=45).contains(&n_served), "{statuses:?}");
    assert!(statuses.contains(&503), "{statuses:?}");
}

#[tokio::test]
async fn a_variant_that_answers_500_keeps_its_users() {
    let bad = origin::raw("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n").await;
    let pair = Pair::start().await;
    let variants = [
        ("stable", 50, pair.stable.address),
        ("canary", 50, bad.address),
    ];
    let proxy = proxy::start(&config::split(STICKY, &variants)).await;
    let mut client = proxy.connect().await;
    let mut first = Vec::new();
    let mut second = Vec::new();
    for statuses in [&mut first, &mut second] {
        for n in 0..60 {
            statuses.push(client.ask(&user(n)).await.status);
        }
    }
    assert_eq!(first, second);
    assert!(first.contains(&500) && first.contains(&200), "{first:?}");
}

#[tokio::test]
async fn a_variant_of_weight_0_takes_over_from_nobody() {
    let pair = Pair::start().await;
    let refusing = origin::refusing();
    let variants = [
        ("stable", 100, refusing.address),
        ("canary", 0, pair.canary.address),
    ];
    let proxy = proxy::start(&config::split(STICKY, &variants)).await;
    let mut client = proxy.connect().await;
    for n in 0..20 {
        let status = client.ask(&user(n)).await.status;
        assert!(matches!(status, 502 | 503), "{status}");
    }
    assert_eq!(pair.canary.n_connections(), 0);
}

#[tokio::test]
async fn a_failure_is_charged_to_the_variant_that_was_chosen() {
    let pair = Pair::start().await;
    let closing = origin::raw_then_close("").await;
    let variants = [
        ("stable", 50, pair.stable.address),
        ("canary", 50, closing.address),
    ];
    let proxy = proxy::start(&config::split(STICKY, &variants)).await;
    let mut client = proxy.connect().await;
    let mut n_failed = 0;
    for n in 0..40 {
        // A POST is sent once and not again.
        let ask = ask::post("/", "body").field("u", format!("user-{n}"));
        let status = client.ask_on(proxy.http(), &ask).await.status;
        n_failed += u32::from(status == 502);
    }
    assert!(n_failed > 0);
    proxy
        .counted("the failures of the canary", |metrics| {
            let labels = |variant| {
                [
                    ("route", "shop"),
                    ("variant", variant),
                    ("code", "502"),
                    ("source", "proxy"),
                ]
            };
            let canary = metrics.sum("tidegate_requests_total", &labels("canary"));
            let stable = metrics.sum("tidegate_requests_total", &labels("stable"));
            canary == f64::from(n_failed) && stable == 0.0
        })
        .await;
}
