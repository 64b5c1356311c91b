//! What variants are judged by: each request that nobody forced, once, by what it says of the variant
//! that was chosen for it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::conversation::Conversation;
use crate::support::http2;
use crate::support::http2_origin;
use crate::support::metrics::Metrics;
use crate::support::origin::{self, Origin};
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::tunnel;

const JUDGED: &str = "tidegate_variant_judged_requests_total";

/// All classes.
const CLASSES: [&str; 9] = [
    "ok",
    "client_error",
    "server_error",
    "timeout",
    "reset",
    "grpc",
    "unavailable",
    "client_closed",
    "excused",
];

/// Does what the path says.
async fn obey(mut conversation: Conversation) {
    while let Some(request) = conversation.request().await {
        match request.target() {
            "/silent" => {}
            "/held" => {
                conversation.released().await;
                conversation.ok(b"late").await;
            }
            "/cut" => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut";
                conversation.send(head).await;
                return;
            }
            "/reset" => return conversation.reset(),
            "/nonsense" => {
                conversation.send("HTTP/9.9 what\r\n\r\n").await;
                return;
            }
            status => {
                let status = status.trim_start_matches('/');
                let head = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
                conversation.send(head).await;
            }
        }
    }
}

/// All users are the canary's, and testers may name either variant.
fn all_to(canary: &Origin, stable: &Origin) -> Config {
    let variants = [("canary", 1, canary.address), ("stable", 0, stable.address)];
    let keys = "force = { header = \"x-variant\" }\nsticky = { keys = [\"header:u\"] }";
    let config = config::split(keys, &variants);
    config.upstream_keys("canary", "timeouts.response = \"1s\"")
}

/// How many requests of a variant are of each class; those of which there are none are left out.
fn classes<'a>(metrics: &Metrics, variant: &str) -> BTreeMap<&'a str, f64> {
    let counts = CLASSES.map(|class| {
        let labels = [("variant", variant), ("class", class)];
        (class, metrics.sum(JUDGED, &labels))
    });
    counts.into_iter().filter(|(_, n)| *n > 0.0).collect()
}

/// Waits until a variant has so many requests of each class, and no others.
async fn judged(proxy: &Proxy, variant: &str, expected: &[(&str, f64)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let what = format!("{expected:?} of {variant}");
    let are = |metrics: &Metrics| classes(metrics, variant) == expected;
    proxy.counted(&what, are).await;
    all_are_judged(&proxy.metrics().await);
}

/// Holds that a variant's classes are all of its requests that ended and were not forced.
fn all_are_judged(metrics: &Metrics) {
    for variant in ["canary", "stable"] {
        let requests = |more: &[(&str, &str)]| {
            let labels = [&[("variant", variant)], more].concat();
            metrics.sum("tidegate_requests_total", &labels)
        };
        let unforced = requests(&[]) - requests(&[("selection", "forced")]);
        let judged = metrics.sum(JUDGED, &[("variant", variant)]);
        assert_eq!(judged, unforced, "{variant}: {}", metrics.text);
    }
}

fn by(user: u32, path: &str) -> Ask {
    ask::get(path).field("u", format!("user-{user}"))
}

#[tokio::test]
async fn each_end_is_of_the_class_that_it_says() {
    let (canary, stable) = (
        origin::serving(obey).await,
        origin::answering("stable").await,
    );
    let proxy = proxy::start(&all_to(&canary, &stable)).await;
    let ends = [
        ("/200", 200, "ok"),
        ("/302", 302, "ok"),
        ("/404", 404, "client_error"),
        ("/500", 500, "server_error"),
        ("/503", 503, "server_error"),
        ("/504", 504, "timeout"),
        ("/silent", 504, "timeout"),
        ("/reset", 502, "server_error"),
        ("/nonsense", 502, "server_error"),
        ("/cut", 200, "reset"),
    ];
    let mut expected = BTreeMap::new();
    for (user, (path, status, class)) in ends.into_iter().enumerate() {
        let answer = proxy.ask(&by(user as u32, path)).await;
        assert_eq!(answer.status, status, "{path}");
        *expected.entry(class).or_insert(0.0) += 1.0;
        let expected: Vec<_> = expected.iter().map(|(&class, &n)| (class, n)).collect();
        judged(&proxy, "canary", &expected).await;
    }
    assert_eq!(classes(&proxy.metrics().await, "stable"), BTreeMap::new());
}

#[tokio::test]
async fn a_forced_request_is_not_judged() {
    let (canary, stable) = (
        origin::serving(obey).await,
        origin::answering("stable").await,
    );
    let proxy = proxy::start(&all_to(&canary, &stable)).await;
    for path in ["/200", "/500", "/cut"] {
        for variant in ["canary", "stable"] {
            let ask = by(1, path).field("x-variant", variant);
            proxy.ask(&ask).await;
        }
    }
    proxy.ask(&by(1, "/200")).await;
    judged(&proxy, "canary", &[("ok", 1.0)]).await;
    let all = proxy.metrics().await.sum("tidegate_requests_total", &[]);
    assert_eq!(all, 7.0);
    // They are shown with the others where nobody is judged.
    let name = "tidegate_response_headers_seconds_count";
    let of_canary = [("variant", "canary"), ("outcome", "success")];
    assert_eq!(proxy.metrics().await.sum(name, &of_canary), 2.0);
}

#[tokio::test]
async fn who_goes_away_and_what_the_proxy_refuses_says_nothing_bad() {
    let (canary, stable) = (
        origin::serving(obey).await,
        origin::answering("stable").await,
    );
    let keys = "limits = { body = \"1KiB\" }\ntimeouts.half_closed = \"10ms\"";
    let proxy = proxy::start(&all_to(&canary, &stable).http(keys)).await;
    let mut client = proxy.connect().await;
    client.wire.send(by(1, "/held").http1()).await;
    canary.received(1).await;
    drop(client);
    judged(&proxy, "canary", &[("client_closed", 1.0)]).await;
    let large = ask::post("/200", vec![b'x'; 2_000]);
    assert_eq!(proxy.ask(&large).await.status, 413);
    judged(
        &proxy,
        "canary",
        &[("client_closed", 1.0), ("excused", 1.0)],
    )
    .await;
    canary.release();
}

#[tokio::test]
async fn a_call_of_grpc_is_judged_by_its_own_status() {
    let canary = http2_origin::serving(|mut turn| async move {
        turn.whole().await;
        let target = turn.request.target().to_owned();
        let status = target.trim_start_matches('/');
        let fields = [
            ("content-type", "application/grpc"),
            ("grpc-status", status),
        ];
        turn.only_head(200, &fields);
    })
    .await;
    let stable = origin::answering("stable").await;
    let config = all_to(&canary, &stable).upstream_keys("canary", "protocol = \"h2\"");
    let proxy = proxy::start(&config.http2_too()).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    // Well, no such thing, and twice the service's fault.
    for status in ["/0", "/5", "/13", "/14"] {
        let call = ask::post(status, "x").field("content-type", "application/grpc");
        assert_eq!(client.ask(&call).await.status, 200);
    }
    judged(&proxy, "canary", &[("ok", 2.0), ("grpc", 2.0)]).await;
}

#[tokio::test]
async fn a_request_that_another_variant_answered_is_charged_to_its_own() {
    for (path, class) in [
        ("/503", "server_error"),
        ("/reset", "server_error"),
        ("/silent", "timeout"),
    ] {
        let (canary, stable) = (
            origin::serving(obey).await,
            origin::answering("stable").await,
        );
        let retry = "timeouts.response = \"200ms\"\n\
                     retry = { on = [\"503\", \"reset\", \"timeout\"], other_variant = \"idempotent\" }";
        let config = config::new()
            .upstream_with("canary", &[canary.address], retry)
            .upstream("stable", &[stable.address])
            .split_route("shop", "", &[("canary", 1_000_000), ("stable", 1)]);
        let proxy = proxy::start(&config).await;
        // Of two one at most is the stable's own.
        for _ in 0..2 {
            assert_eq!(proxy.get(path).await.text(), "stable", "{path}");
        }
        let n = canary.n_requests() as f64;
        assert!(n >= 1.0, "{path}");
        judged(&proxy, "canary", &[(class, n)]).await;
    }
}

#[tokio::test]
async fn a_retry_that_its_own_variant_answered_well_is_well() {
    let (canary, other) = (origin::serving(obey).await, origin::answering("well").await);
    let endpoints = [canary.address, other.address];
    let retry = "balance = \"round_robin\"\nretry = { on = [\"503\"] }";
    let config = config::new()
        .upstream_with("canary", &endpoints, retry)
        .split_route("shop", "", &[("canary", 1)]);
    let proxy = proxy::start(&config).await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/503").await.text(), "well");
    }
    assert!(canary.n_requests() >= 1);
    judged(&proxy, "canary", &[("ok", 4.0)]).await;
}

#[tokio::test]
async fn what_another_variant_stood_in_for_is_neither_well_nor_fast() {
    let pair = Pair::start().await;
    let refusing = origin::refusing();
    let variants = [
        ("canary", 1_000_000, refusing.address),
        ("stable", 1, pair.stable.address),
    ];
    let proxy = proxy::start(&config::split(
        "sticky = { keys = [\"header:u\"] }",
        &variants,
    ))
    .await;
    for user in 0..5 {
        assert_eq!(proxy.ask(&by(user, "/")).await.text(), "stable");
    }
    judged(&proxy, "canary", &[("unavailable", 5.0)]).await;
    let detail = detail(&proxy, "canary").await;
    assert_eq!(sum(&detail["judged"]["latency"]), 0, "{detail}");
    assert_eq!(sum(&detail["response_headers"]["counts"]), 5, "{detail}");
}

#[tokio::test]
async fn a_websocket_is_judged_by_its_handshake() {
    let (canary, stable) = (origin::websocket().await, origin::answering("stable").await);
    let proxy = proxy::start(&all_to(&canary, &stable)).await;
    let mut client = tunnel::http1(&proxy).await;
    judged(&proxy, "canary", &[("ok", 1.0)]).await;
    let running = |metrics: &Metrics| {
        let of = [("variant", "canary")];
        let names = ["tidegate_requests_in_flight", "tidegate_tunnels_open"];
        names.map(|name| metrics.sum(name, &of))
    };
    assert_eq!(running(&proxy.metrics().await), [0.0, 1.0]);
    client.wire.send("hello").await;
    drop(client);
    proxy
        .counted("the end of a tunnel", |metrics| {
            running(metrics) == [0.0, 0.0]
        })
        .await;
    judged(&proxy, "canary", &[("ok", 1.0)]).await;
}

/// What the verbose status says of a variant.
async fn detail(proxy: &Proxy, variant: &str) -> Value {
    let status = proxy.get_admin("/api/v1/status?verbose").await.json();
    status["routes"]["shop"]["variants"][variant]["detail"].clone()
}

/// The sum of a list of counts.
fn sum(counts: &Value) -> u64 {
    let counts = counts.as_array().expect("counts").iter();
    counts.map(|count| count.as_u64().expect("a count")).sum()
}

#[tokio::test]
async fn a_user_stays_in_one_slice_and_users_are_in_many() {
    let (canary, stable) = (
        origin::serving(obey).await,
        origin::answering("stable").await,
    );
    let proxy = proxy::start(&all_to(&canary, &stable)).await;
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        client.ask(&by(1, "/404")).await;
    }
    for user in 0..100 {
        client.ask(&by(user, "/200")).await;
    }
    judged(&proxy, "canary", &[("ok", 100.0), ("client_error", 20.0)]).await;
    let status = proxy.get_admin("/api/v1/status?verbose").await.json();
    let bounds = status["judged_bounds_seconds"].as_array().expect("bounds");
    let judged = &status["routes"]["shop"]["variants"]["canary"]["detail"]["judged"];
    assert_eq!(
        judged["classes"],
        serde_json::json!({ "ok": 100, "client_error": 20 })
    );
    assert_eq!(
        judged["latency"].as_array().map(Vec::len),
        Some(bounds.len() + 1)
    );
    assert_eq!(sum(&judged["latency"]), 120);
    let slices = judged["slices"].as_array().expect("slices");
    assert_eq!(slices.len(), 16);
    let of = |class: &str| -> Vec<u64> {
        let counts = slices.iter().map(|slice| slice[class].as_u64());
        counts.flatten().collect()
    };
    assert_eq!(of("client_error"), [20]);
    assert!(of("ok").len() > 10, "{judged}");
    assert_eq!(of("ok").iter().sum::<u64>(), 100);
}
