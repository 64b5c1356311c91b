//! Limits of a route: how many requests it takes in a time, and how many at once.

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::wait;

/// A route with these limits, beside one without.
fn limited(origin: &Origin, limits: &str) -> Config {
    let keys = format!("match = {{ path = \"/limited\" }}\nupstream = \"only\"\n{limits}");
    config::to(origin.address).route("limited", &keys)
}

#[track_caller]
fn refused(answer: &Message, policy: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.field("ratelimit-policy"), Some(policy));
    let seconds = answer.field("retry-after").expect("a Retry-After");
    let name = policy.split(';').next().unwrap_or_default();
    let told = format!("{name};r=0;t={seconds}");
    assert_eq!(answer.field("ratelimit"), Some(&*told));
}

#[tokio::test]
async fn what_comes_too_early_gets_429_and_is_told_when_to_come_again() {
    let origin = origin::answering("well").await;
    let limit = "rate_limit = [{ rate = \"60/h\", burst = 3 }]";
    let proxy = proxy::start(&limited(&origin, limit).http2_too()).await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    // Workers and protocols have one bucket.
    assert_eq!(proxy.get("/limited").await.status, 200);
    assert_eq!(http2.get("/limited/x").await.status, 200);
    assert_eq!(proxy.get("/limited").await.status, 200);
    for answer in [proxy.get("/limited").await, http2.get("/limited").await] {
        refused(&answer, "\"limit-1\";q=60;w=3600");
        let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((50..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(
        proxy.get("/").await.status,
        200,
        "another route is another thing"
    );
    assert_eq!(origin.n_requests(), 4);
    let status = proxy.status().await;
    let limit = &status["routes"]["limited"]["rate_limits"][0];
    assert_eq!(
        (&limit["rate"], &limit["refused"]),
        (&"60/h".into(), &2.into())
    );
    proxy
        .counted("what was refused", |metrics| {
            let of = [("route", "limited"), ("reason", "rate_limited")];
            metrics.sum("tidegate_errors_total", &of) == 2.0
                && metrics.sum("tidegate_requests_total", &[("code", "429")]) == 2.0
        })
        .await;
}

#[tokio::test]
async fn after_its_time_there_is_one_again() {
    let origin = origin::answering("well").await;
    let limit = "rate_limit = [{ rate = \"5/s\", burst = 1 }]";
    let proxy = proxy::start(&limited(&origin, limit)).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/limited").await.status, 200);
    let mut n_refused = 0;
    wait::until("another one", async || {
        let answer = client.get("/limited").await;
        n_refused += usize::from(answer.status == 429);
        answer.status == 200
    })
    .await;
    assert!(n_refused > 0);
}

#[tokio::test]
async fn each_key_has_its_own_and_who_brings_none_shares_one() {
    let origin = origin::answering("well").await;
    let limit = "rate_limit = [{ rate = \"1/h\", keys = [\"header:x-api-key\"] }]";
    let proxy = proxy::start(&limited(&origin, limit)).await;
    let with = |key: &str| ask::get("/limited").field("x-api-key", key);
    for key in ["a", "b", "c"] {
        assert_eq!(proxy.ask(&with(key)).await.status, 200);
        refused(&proxy.ask(&with(key)).await, "\"limit-1\";q=1;w=3600");
    }
    assert_eq!(proxy.get("/limited").await.status, 200);
    assert_eq!(proxy.get("/limited").await.status, 429);
    let status = proxy.status().await;
    assert_eq!(status["routes"]["limited"]["rate_limits"][0]["n_keys"], 4);
}

#[tokio::test]
async fn the_client_is_whom_trusted_proxies_say_it_is() {
    let origin = origin::answering("well").await;
    let limit = "rate_limit = [{ rate = \"1/h\", keys = [\"client_ip\"] }]";
    let config = limited(&origin, limit).http("trusted_proxies = [\"127.0.0.1\"]");
    let proxy = proxy::start(&config).await;
    let from = |client: &str| ask::get("/limited").field("x-forwarded-for", client);
    for client in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(proxy.ask(&from(client)).await.status, 200);
        assert_eq!(proxy.ask(&from(client)).await.status, 429);
    }
}

#[tokio::test]
async fn of_several_limits_the_first_without_a_token_refuses() {
    let origin = origin::answering("well").await;
    let limits =
        "rate_limit = [{ rate = \"1/h\", keys = [\"header:x-user\"] }, { rate = \"2/d\" }]";
    let proxy = proxy::start(&limited(&origin, limits)).await;
    let of = |user: &str| ask::get("/limited").field("x-user", user);
    assert_eq!(proxy.ask(&of("a")).await.status, 200);
    refused(&proxy.ask(&of("a")).await, "\"limit-1\";q=1;w=3600");
    assert_eq!(proxy.ask(&of("b")).await.status, 200);
    refused(&proxy.ask(&of("c")).await, "\"limit-2\";q=2;w=86400");
}

#[tokio::test]
async fn a_reload_fills_no_bucket_that_is_the_same() {
    let origin = origin::answering("well").await;
    let limit = "rate_limit = [{ rate = \"1/h\" }]";
    let proxy = proxy::start(&limited(&origin, limit)).await;
    assert_eq!(proxy.get("/limited").await.status, 200);
    proxy
        .reload(&limited(
            &origin,
            &format!("{limit}\ntimeouts.body = \"9s\""),
        ))
        .await;
    assert_eq!(proxy.get("/limited").await.status, 429);
    proxy
        .reload(&limited(&origin, "rate_limit = [{ rate = \"2/h\" }]"))
        .await;
    assert_eq!(proxy.get("/limited").await.status, 200);
}

#[tokio::test]
async fn a_route_that_answers_by_itself_has_its_limits_too() {
    let config = config::new().route(
        "page",
        "respond = { body = \"page\" }\nrate_limit = [{ rate = \"1/h\" }]",
    );
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/").await.text(), "page");
    assert_eq!(proxy.get("/").await.status, 429);
}

#[tokio::test]
async fn requests_at_once_are_limited_by_route_and_not_by_what_is_behind_it() {
    let origin = origin::held("held").await;
    let proxy = proxy::start(&limited(&origin, "limits.requests = 2")).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = proxy.connect().await;
        client.wire.send(ask::get("/limited").http1()).await;
        assert_eq!(client.answer("GET").await.text(), "held");
        held.push(client);
    }
    let rewritten = "limits.requests = 2\nrewrite = { path = \"/hold\" }";
    proxy.reload(&limited(&origin, rewritten)).await;
    for client in &mut held {
        client.wire.send(ask::get("/limited").http1()).await;
    }
    origin.received(4).await;
    let refused = proxy.get("/limited").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(proxy.get("/").await.status, 200, "the upstream takes more");
    let used = async || {
        let status = proxy.status().await;
        status["routes"]["limited"]["limits"]["requests"]["used"].clone()
    };
    assert_eq!(used().await, 2);
    held.iter().for_each(|_| origin.release());
    for client in &mut held {
        assert_eq!(client.answer("GET").await.text(), "held");
    }
    wait::until("none is under way", async || used().await == 0).await;
    proxy
        .counted("what was refused", |metrics| {
            let of = [("route", "limited"), ("reason", "overflow")];
            metrics.sum("tidegate_errors_total", &of) == 1.0
        })
        .await;
}
