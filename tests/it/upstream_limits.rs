//! Limits of an upstream: what is beyond them is refused, or waits, and nothing else is touched.

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

fn limited(origin: &Origin, limits: &str) -> Config {
    config::new()
        .upstream_with("only", &[origin.address], &format!("limits = {limits}"))
        .route("all", "upstream = \"only\"")
}

/// Sends requests that are held, each on a connection of its own.
async fn hold(proxy: &Proxy, origin: &Origin, n: usize) -> Vec<Client> {
    let before = origin.n_requests();
    let mut clients = Vec::new();
    for _ in 0..n {
        let mut client = proxy.connect().await;
        client.wire.send(ask::get("/hold").http1()).await;
        clients.push(client);
    }
    origin.received(before + n).await;
    clients
}

/// What the status says is used of a limit.
async fn used(proxy: &Proxy, limit: &str) -> u64 {
    let status = proxy.status().await;
    status["upstreams"]["only"]["limits"][limit]["used"]
        .as_u64()
        .unwrap_or_else(|| panic!("{status}"))
}

async fn overflowed(proxy: &Proxy, limit: &str, n: f64) {
    proxy
        .counted("what is beyond", |metrics| {
            let of = [("upstream", "only"), ("limit", limit)];
            metrics.sum("tidegate_upstream_overflows_total", &of) == n
                && metrics.sum("tidegate_errors_total", &[("reason", "overflow")]) == n
        })
        .await;
}

#[tokio::test]
async fn requests_beyond_their_limit_get_503_at_once_and_may_come_again() {
    let origin = origin::held("held").await;
    let proxy = proxy::start(&limited(&origin, "{ requests = 3 }")).await;
    let mut held = hold(&proxy, &origin, 3).await;
    assert_eq!(used(&proxy, "requests").await, 3);
    for _ in 0..5 {
        let refused = proxy.get("/").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("retry-after"), Some("1"));
        assert_eq!(
            refused.field("proxy-status"),
            Some("tidegate; error=connection_limit_reached")
        );
    }
    overflowed(&proxy, "requests", 5.0).await;
    assert_eq!(origin.n_requests(), 3);
    held.iter().for_each(|_| origin.release());
    for client in &mut held {
        assert_eq!(client.answer("GET").await.text(), "held");
    }
    wait::until("none is under way", async || {
        used(&proxy, "requests").await == 0
    })
    .await;
    assert_eq!(proxy.get("/").await.status, 200);
    // Who leaves halfway makes room, too.
    drop(hold(&proxy, &origin, 3).await);
    wait::until("none is under way", async || {
        used(&proxy, "requests").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_requests_holds_for_streams_of_http2_as_well() {
    let origin = origin::held("held").await;
    let config = limited(&origin, "{ requests = 2 }").http2_too();
    let proxy = proxy::start(&config).await;
    let _held = hold(&proxy, &origin, 2).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    assert_eq!(client.ask(&ask::get("/")).await.status, 503);
    overflowed(&proxy, "requests", 1.0).await;
}

#[tokio::test]
async fn there_are_never_more_connections_than_their_limit_and_all_requests_are_answered() {
    let origin = origin::held("held").await;
    let keys = "limits = { connections = 2, pending = 100 }\ntimeouts.connect = \"1m\"";
    let config = config::new()
        .upstream_with("only", &[origin.address], keys)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(proxy.connect().await);
    }
    for client in &mut clients {
        client.wire.send(ask::get("/hold").http1()).await;
    }
    wait::until("the others wait", async || {
        used(&proxy, "pending").await == 14
    })
    .await;
    assert_eq!((origin.n_requests(), origin.n_connections()), (2, 2));
    clients.iter().for_each(|_| origin.release());
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.text(), "held");
    }
    for _ in 0..20 {
        for client in &mut clients {
            client.wire.send(ask::get("/").http1()).await;
        }
        for client in &mut clients {
            assert_eq!(client.answer("GET").await.text(), "held");
        }
        assert!(used(&proxy, "connections").await <= 2);
    }
}

#[tokio::test]
async fn a_request_waits_for_a_connection_no_longer_than_for_a_new_one() {
    let origin = origin::held("held").await;
    let keys = "limits.connections = 1\ntimeouts.connect = \"200ms\"";
    let config = config::new()
        .upstream_with("only", &[origin.address], keys)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut held = hold(&proxy, &origin, 1).await;
    assert_eq!(proxy.get("/").await.status, 503);
    overflowed(&proxy, "connections", 1.0).await;
    // It is no fault of the endpoint's.
    assert_eq!(
        proxy.status().await["upstreams"]["only"]["endpoints"][0]["available"],
        true
    );
    origin.release();
    assert_eq!(held[0].answer("GET").await.text(), "held");
    assert_eq!(proxy.get("/").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_lies_idle_on_one_worker_is_given_up_for_a_request_on_another() {
    let origin = origin::answering("well").await;
    let keys = "limits.connections = 1\ntimeouts.idle = \"1h\"\ntimeouts.connect = \"1m\"";
    let config = config::new()
        .upstream_with("only", &[origin.address], keys)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    // There are two workers, and connections are shared out among them.
    let mut clients = [proxy.connect().await, proxy.connect().await];
    for _ in 0..20 {
        for client in &mut clients {
            assert_eq!(client.get("/").await.text(), "well");
        }
    }
    wait::until("one is open", async || origin.n_open() == 1).await;
}

#[tokio::test]
async fn requests_that_wait_beyond_their_limit_get_503_at_once() {
    let origin = origin::held("held").await;
    let keys = "limits = { connections = 1, pending = 1 }\ntimeouts.connect = \"1m\"";
    let config = config::new()
        .upstream_with("only", &[origin.address], keys)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut held = hold(&proxy, &origin, 1).await;
    let mut waiting = proxy.connect().await;
    waiting.wire.send(ask::get("/").http1()).await;
    wait::until("it waits", async || used(&proxy, "pending").await == 1).await;
    assert_eq!(proxy.get("/").await.status, 503);
    overflowed(&proxy, "pending", 1.0).await;
    origin.release();
    assert_eq!(held[0].answer("GET").await.text(), "held");
    assert_eq!(waiting.answer("GET").await.text(), "held");
}
