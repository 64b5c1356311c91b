//! Listeners that are added, changed and removed by a reload.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// The address of a listener as the status tells it.
async fn address(proxy: &Proxy, listener: &str) -> Option<SocketAddr> {
    let status = proxy.status().await;
    let address = status["listeners"][listener]["address"].as_str()?;
    Some(address.parse().expect("an address"))
}

#[tokio::test]
async fn listeners_are_added_and_removed() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let mut first = proxy.connect().await;

    proxy.reload(&config.clone().listener("second", "")).await;
    let second = address(&proxy, "second").await.expect("a second listener");
    let mut open = client::connect(second).await;
    assert_eq!(open.get("/").await.text(), "hello");
    assert_eq!(first.get("/").await.text(), "hello");
    // The first one stays where it is.
    assert_eq!(address(&proxy, "http").await, Some(proxy.http()));

    proxy.reload(&config).await;
    wait::until("the end of the second listener", async || {
        TcpStream::connect(second).await.is_err()
    })
    .await;
    // Its connections end, once what runs on them is done; others are not touched.
    open.wire.rest().await;
    assert_eq!(first.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_removed_listener_finishes_what_runs() {
    let origin = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.released().await;
            conversation.ok(b"finished").await;
        }
    })
    .await;
    let config = config::to(origin.address);
    let with_second = config.clone().listener("second", "");
    let proxy = proxy::start(&with_second).await;
    let mut under_way = client::connect(proxy.address("second")).await;
    under_way.wire.send(ask::get("/").http1()).await;
    origin.received(1).await;
    proxy.reload(&config.without_listener("second")).await;
    origin.release();
    assert_eq!(under_way.answer("GET").await.text(), "finished");
    under_way.wire.ended().await;
}

#[tokio::test]
async fn a_listener_changes_and_its_connections_stay() {
    let origin = origin::echo().await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.ask(&ask::post("/", "a long body")).await.status, 200);
    let limited = config.http("limits = { body = \"4B\" }");
    proxy.reload(&limited).await;
    assert_eq!(address(&proxy, "http").await, Some(proxy.http()));
    let refused = proxy.ask(&ask::post("/", "a long body")).await;
    assert_eq!(refused.status, 413);
    assert_eq!(client.ask(&ask::post("/", "tiny")).await.status, 200);
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_keeps_the_old_configuration() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    let before = proxy.generation().await;
    let taken = format!("address = \"{}\"", pair.stable.address);
    let config = pair.split([0, 1], "").listener("taken", &taken);
    proxy::replace(&proxy.file(), config.text());
    let answer = proxy.ask_reload().await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("taken"), "{}", answer.text());
    assert_eq!(proxy.generation().await, before);
    assert_eq!(proxy.get("/").await.text(), "stable");
}
