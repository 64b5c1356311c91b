//! Mirrors: whatever becomes of copies, requests and their variants do not notice.

use std::net::SocketAddr;

use crate::mirror::{beside, resulted};
use crate::support::ask;
use crate::support::config;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// A proxy whose requests are answered, with copies for this address.
async fn copying(mirror: SocketAddr, keys: &str) -> (Origin, Proxy) {
    let stable = origin::echo().await;
    let proxy = proxy::start(&beside(stable.address, mirror, keys)).await;
    (stable, proxy)
}

/// Requests on one connection are answered, one after the other.
async fn answers(proxy: &Proxy, n: usize) {
    let mut client = proxy.connect().await;
    for _ in 0..n {
        let body = vec![b'a'; 512 << 10];
        let answer = client
            .ask(&ask::method("PUT", "/").body(body.clone()))
            .await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body);
    }
}

/// Copies of large bodies, which may take longer than any of these tests.
const KEYS: &str = ", methods = [\"PUT\"], body = \"1MiB\", timeout = \"5m\"";

/// All requests are answered while all of their copies hang.
async fn delays_nobody(mirror: SocketAddr) -> (Origin, Proxy) {
    let (stable, proxy) = copying(mirror, KEYS).await;
    answers(&proxy, 5).await;
    wait::until("copies that hang", async || {
        proxy.status().await["routes"]["shop"]["mirror"]["in_flight"] == 5
    })
    .await;
    (stable, proxy)
}

#[tokio::test]
async fn a_mirror_that_never_answers_delays_nobody() {
    let silent = origin::silent().await;
    delays_nobody(silent.address).await;
}

#[tokio::test]
async fn a_mirror_that_reads_nothing_delays_nobody() {
    let deaf =
        origin::serving(|mut conversation| async move { conversation.released().await }).await;
    delays_nobody(deaf.address).await;
}

#[tokio::test]
async fn a_mirror_whose_answer_never_ends_delays_nobody() {
    let endless = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation
                .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
                .await;
        }
    })
    .await;
    delays_nobody(endless.address).await;
}

#[tokio::test]
async fn a_mirror_that_cannot_be_reached_delays_nobody() {
    let unreachable = origin::unreachable();
    let (_stable, proxy) = copying(unreachable.address, KEYS).await;
    answers(&proxy, 5).await;
    // The upstream's own time to connect is over first.
    resulted(&proxy, "error", 5).await;
}

#[tokio::test]
async fn a_copy_has_a_time_of_its_own() {
    let silent = origin::silent().await;
    let (_stable, proxy) = copying(silent.address, ", timeout = \"100ms\"").await;
    for _ in 0..3 {
        proxy.get("/").await;
    }
    resulted(&proxy, "timeout", 3).await;
    silent.all_closed().await;
}

#[tokio::test]
async fn a_mirror_that_refuses_or_breaks_off_or_talks_nonsense_is_an_error_of_its_own() {
    let refusing = origin::refusing();
    let (_stable, proxy) = copying(refusing.address, KEYS).await;
    answers(&proxy, 3).await;
    resulted(&proxy, "error", 3).await;
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let broken = origin::raw_then_close(bytes).await;
        let (_stable, proxy) = copying(broken.address, KEYS).await;
        answers(&proxy, 2).await;
        resulted(&proxy, "error", 2).await;
    }
}

#[tokio::test]
async fn no_more_copies_are_under_way_than_there_may_be() {
    let held = origin::held("held").await;
    let keys = ", concurrent = 2, timeout = \"30s\"";
    let (_stable, proxy) = copying(held.address, keys).await;
    // On connections of their own, so that both workers have some.
    for _ in 0..2 {
        assert_eq!(proxy.get("/hold").await.status, 200);
    }
    held.received(2).await;
    for _ in 0..6 {
        assert_eq!(proxy.get("/hold").await.status, 200);
    }
    resulted(&proxy, "dropped_cap", 6).await;
    let status = proxy.status().await;
    assert_eq!(status["routes"]["shop"]["mirror"]["in_flight"], 2);
    held.release();
    held.release();
    resulted(&proxy, "sent", 2).await;
    proxy.get("/").await;
    resulted(&proxy, "sent", 3).await;
    assert_eq!(held.n_requests(), 3);
}

#[tokio::test]
async fn what_becomes_of_copies_is_not_charged_to_their_variant() {
    let stable = origin::answering("stable").await;
    let broken = origin::raw("HTTP/1.1 500 Broken\r\ncontent-length: 6\r\n\r\nbroken").await;
    let refusing = origin::refusing();
    for canary in [broken.address, refusing.address] {
        let keys = "mirror = { variant = \"canary\" }\nforce = { header = \"x-variant\" }";
        let config = config::new()
            .upstream("stable", &[stable.address])
            .upstream_with(
                "canary",
                &[canary],
                "outlier = { failures = 1, on = [\"connect\", \"5xx\"] }",
            )
            .split_route("shop", keys, &[("stable", 1), ("canary", 0)]);
        let proxy = proxy::start(&config).await;
        for _ in 0..5 {
            assert_eq!(proxy.get("/").await.text(), "stable");
        }
        let result = if canary == broken.address {
            "sent"
        } else {
            "error"
        };
        resulted(&proxy, result, 5).await;
        let status = proxy.status().await;
        let of_route = &status["routes"]["shop"];
        let variant = &of_route["variants"]["canary"];
        assert_eq!(variant["requests"], 0, "{variant}");
        assert_eq!(variant["failures"], 0, "{variant}");
        assert_eq!(variant["in_flight"], 0, "{variant}");
        // Nor is an endpoint left alone for what it did to copies.
        assert_eq!(variant["endpoints"]["available"], 1, "{variant}");
        assert_eq!(of_route["variants"]["stable"]["requests"], 5);
        let metrics = proxy.metrics().await;
        let labels = [("route", "shop"), ("variant", "canary")];
        for name in [
            "tidegate_requests_total",
            "tidegate_errors_total",
            "tidegate_selections_total",
            "tidegate_upstream_attempts_total",
            "tidegate_request_duration_seconds_count",
        ] {
            assert_eq!(metrics.sum(name, &labels), 0.0, "{name}");
        }
        let labels = [
            ("variant", "canary"),
            ("upstream", "canary"),
            ("result", result),
        ];
        assert_eq!(metrics.sum("tidegate_mirror_requests_total", &labels), 5.0);
        let n_timed = metrics.sum("tidegate_mirror_duration_seconds_count", &labels[..2]);
        assert_eq!(n_timed, if result == "sent" { 5.0 } else { 0.0 });
    }
}

#[tokio::test]
async fn copies_take_nothing_of_what_an_upstream_may_be_given() {
    let stable = origin::answering("stable").await;
    let canary = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            if request.field("x-tidegate-mirror").is_some() {
                conversation.released().await;
            }
            conversation.ok(b"canary").await;
        }
    })
    .await;
    let keys = "mirror = { variant = \"canary\", timeout = \"5m\" }\n\
                force = { header = \"x-variant\" }";
    let limits = "limits = { connections = 1, requests = 1, pending = 1 }";
    let config = config::new()
        .upstream("stable", &[stable.address])
        .upstream_with("canary", &[canary.address], limits)
        .split_route("shop", keys, &[("stable", 1), ("canary", 0)]);
    let proxy = proxy::start(&config).await;
    for n in 1..=3 {
        proxy.get("/").await;
        canary.received(2 * n - 1).await;
        // While all of the copies hang.
        let forced = ask::get("/").field("x-variant", "canary");
        assert_eq!(proxy.ask(&forced).await.text(), "canary");
    }
    let status = proxy.status().await;
    assert_eq!(status["routes"]["shop"]["mirror"]["in_flight"], 3);
}

#[tokio::test]
async fn where_no_endpoint_may_be_used_there_is_no_copy() {
    let ill = origin::raw("HTTP/1.1 500 Ill\r\ncontent-length: 3\r\n\r\nill").await;
    let stable = origin::answering("stable").await;
    let config = beside(stable.address, ill.address, "").upstream_keys(
        "next",
        "health = { path = \"/healthz\", interval = \"1m\", unhealthy = 1 }",
    );
    let proxy = proxy::start(&config).await;
    wait::until("a check", async || {
        proxy.status().await["upstreams"]["next"]["endpoints"][0]["available"] == false
    })
    .await;
    assert_eq!(proxy.get("/").await.text(), "stable");
    resulted(&proxy, "dropped_unavailable", 1).await;
    assert!(
        ill.requests()
            .iter()
            .all(|request| request.target() == "/healthz")
    );
}

#[tokio::test]
async fn copies_share_a_connection_one_after_the_other_and_none_with_requests() {
    let pair = origin::answering("both").await;
    let stable = origin::answering("stable").await;
    let config = beside(stable.address, pair.address, "").route(
        "other",
        "match = { path = \"/other\" }\nupstream = \"next\"",
    );
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client.get("/other").await;
    for n in 1..=3 {
        client.get("/").await;
        resulted(&proxy, "sent", n).await;
    }
    client.get("/other").await;
    assert_eq!(pair.n_requests(), 5);
    assert_eq!(pair.n_connections(), 2);
}

#[tokio::test]
async fn a_copy_on_a_connection_that_had_been_closed_is_sent_again() {
    let closing = origin::serving(|mut conversation| async move {
        if conversation.request().await.is_some() {
            conversation.ok(b"one").await;
            // It ends with the next request, and without an answer to it.
            conversation.request_head().await;
        }
    })
    .await;
    let (_stable, proxy) = copying(closing.address, "").await;
    let mut client = proxy.connect().await;
    for n in 1..=3 {
        client.get("/").await;
        resulted(&proxy, "sent", n).await;
    }
    let results = proxy.status().await["routes"]["shop"]["mirror"]["results"].clone();
    assert_eq!(results["error"], 0, "{results}");
}

#[tokio::test]
async fn requests_under_load_are_answered_while_their_copies_hang() {
    let silent = origin::silent().await;
    let keys = ", concurrent = 8, timeout = \"300ms\"";
    let (_stable, proxy) = copying(silent.address, keys).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = proxy.connect().await;
        clients.spawn(async move {
            for _ in 0..100 {
                assert_eq!(client.get("/").await.status, 200);
            }
        });
    }
    clients.join_all().await;
    wait::until("the end of all copies", async || {
        let mirror = proxy.status().await["routes"]["shop"]["mirror"].clone();
        let results = mirror["results"].as_object().expect("results").clone();
        let n: u64 = results.values().filter_map(serde_json::Value::as_u64).sum();
        n == 800 && mirror["in_flight"] == 0
    })
    .await;
}
