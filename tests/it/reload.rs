//! Reloads: whole or not at all, and nobody notices.

use rustix::process::Signal;

use crate::support::ask;
use crate::support::command;
use crate::support::config;
use crate::support::message::End;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::secure;

#[tokio::test]
async fn an_open_connection_sees_new_weights_with_its_next_request() {
    let pair = Pair::start().await;
    let secure = secure::start(&pair.split([1, 0], "")).await;
    let mut http1 = secure.proxy.connect().await;
    let http2 = secure.http2().await;
    for turn in 0..6 {
        let (weights, expected) = [([1, 0], "stable"), ([0, 1], "canary")][turn % 2];
        let config = pair.split(weights, "");
        secure.proxy.reload(&secure::with_https(&config, "")).await;
        assert_eq!(http1.get("/").await.text(), expected);
        assert_eq!(http2.get("/").await.text(), expected);
    }
    // Nor are the connections to the origins given up.
    assert!(pair.stable.n_connections() <= 2);
    assert!(pair.canary.n_connections() <= 2);
}

#[tokio::test]
async fn a_request_sees_one_configuration_from_its_first_byte_to_its_last() {
    let first = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            conversation
                .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nold")
                .await;
            conversation.released().await;
            conversation.send(&request.target()[1..4]).await;
        }
    })
    .await;
    let second = origin::answering("second").await;
    let proxy = proxy::start(&config::to(first.address)).await;
    let mut under_way = proxy.connect().await;
    under_way.wire.send(ask::get("/end").http1()).await;
    first.received(1).await;

    proxy.reload(&config::to(second.address)).await;
    assert_eq!(proxy.get("/").await.text(), "second");
    first.release();
    let answer = under_way.answer("GET").await;
    assert_eq!((answer.text().as_str(), answer.end), ("oldend", End::Clean));
    assert_eq!(under_way.get("/").await.text(), "second");
}

#[tokio::test]
async fn a_route_and_an_upstream_may_go_while_a_request_is_under_way() {
    let held = origin::serving(|mut conversation| async move {
        conversation.request().await;
        conversation.released().await;
        conversation.ok(b"finished").await;
    })
    .await;
    let other = origin::answering("other").await;
    let proxy = proxy::start(&config::to(held.address)).await;
    let mut under_way = proxy.connect().await;
    under_way.wire.send(ask::get("/").http1()).await;
    held.received(1).await;
    let replaced = config::new()
        .upstream("new", &[other.address])
        .route("new", "upstream = \"new\"");
    proxy.reload(&replaced).await;
    held.release();
    assert_eq!(under_way.answer("GET").await.text(), "finished");
    // Its connection is of no use to anyone any more.
    held.all_closed().await;
}

#[tokio::test]
async fn the_same_bytes_change_nothing() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let generation = proxy.generation().await;
    for _ in 0..3 {
        proxy::replace(&proxy.file(), config.text());
        let answer = proxy.ask_reload().await.json();
        assert_eq!(answer["outcome"], "unchanged");
        assert_eq!(answer["generation"], generation);
    }
    assert_eq!(proxy.generation().await, generation);
}

#[tokio::test]
async fn a_reload_is_asked_for_by_signal_or_api_or_command() {
    let origin = origin::answering("hello").await;
    let config = |n| config::to(origin.address).section(&format!("# {n}"));
    let proxy = proxy::start(&config(0)).await;
    let before = proxy.generation().await;
    proxy::replace(&proxy.file(), config(1).text());
    proxy.signal(Signal::HUP);
    proxy.live_after(before).await;

    let before = proxy.generation().await;
    proxy::replace(&proxy.file(), config(2).text());
    let answer = proxy.ask_reload().await.json();
    assert_eq!(answer["generation"], before + 1);

    proxy::replace(&proxy.file(), config(3).text());
    let output = command::run(&["reload", "--admin", &proxy.admin_url()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let generation = proxy.generation().await;
    assert_eq!(generation, before + 2);
    let said = output.stdout.contains(&generation.to_string());
    assert!(said, "{output:?}");
}

#[tokio::test]
async fn a_bad_configuration_keeps_the_old_one_and_says_where_it_is_wrong() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    let before = proxy.generation().await;
    let good = pair.split([0, 1], "").text();
    let bad = good.replace("weight = 1", "weight = -5") + "\n[unknown]\nkey = 1\n";
    proxy::replace(&proxy.file(), &bad);

    let answer = proxy.ask_reload().await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let problems = &answer.json()["problems"];
    let problems = problems.as_array().expect("a list of problems");
    let line = |text: &str| {
        1 + bad
            .lines()
            .position(|line| line.contains(text))
            .expect("it")
    };
    for (text, key) in [("weight = -5", "canary.weight"), ("[unknown]", "unknown")] {
        let named = problems.iter().find(|problem| {
            problem["key"]
                .as_str()
                .is_some_and(|name| name.ends_with(key))
        });
        let named = named.unwrap_or_else(|| panic!("nothing about {key}: {problems:#?}"));
        assert_eq!(named["line"], line(text), "{named}");
        assert!(named["column"].as_u64() >= Some(1), "{named}");
        let file = named["file"].as_str().unwrap_or_default();
        assert!(file.ends_with("tidegate.toml"), "{named}");
    }

    let output = command::run(&["reload", "--admin", &proxy.admin_url()]).await;
    assert_eq!(output.code, 1);
    let place = format!("tidegate.toml:{}:", line("weight = -5"));
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(&place), "{said}");

    assert_eq!(proxy.generation().await, before);
    assert_eq!(proxy.get("/").await.text(), "stable");
    let metrics = proxy.metrics().await;
    assert_eq!(
        metrics.sum("tidegate_config_last_reload_successful", &[]),
        0.0
    );
    let rejected = [("result", "rejected")];
    assert!(metrics.sum("tidegate_config_reloads_total", &rejected) >= 1.0);

    proxy.reload_text(&good).await;
    assert_eq!(proxy.get("/").await.text(), "canary");
    let metrics = proxy.metrics().await;
    assert_eq!(
        metrics.sum("tidegate_config_last_reload_successful", &[]),
        1.0
    );
}

#[tokio::test]
async fn counters_and_connections_survive() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for n in 0..20 {
        proxy
            .reload(&config.clone().section(&format!("# {n}")))
            .await;
        assert_eq!(client.get("/").await.text(), "hello");
    }
    assert_eq!(origin.n_connections(), 1);
    let labels = [("route", "all"), ("code", "200"), ("source", "upstream")];
    proxy
        .counted("all twenty requests", |metrics| {
            metrics.sum("tidegate_requests_total", &labels) == 20.0
        })
        .await;
}
