//! The breaker: an upstream that fails too large a share of its requests is left alone for a while.

use serde_json::Value;

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// Answers 500, but for paths below `/well`.
async fn broken() -> Origin {
    origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            if request.target().starts_with("/well") {
                conversation.ok(b"well").await;
            } else {
                conversation
                    .send("HTTP/1.1 500 Broken\r\ncontent-length: 6\r\n\r\nbroken")
                    .await;
            }
        }
    })
    .await
}

fn with(origin: &Origin, breaker: &str) -> Config {
    config::new()
        .upstream_with("only", &[origin.address], &format!("breaker = {breaker}"))
        .route("all", "upstream = \"only\"")
}

/// What the status says of the breaker.
async fn breaker(proxy: &Proxy) -> Value {
    proxy.status().await["upstreams"]["only"]["breaker"].clone()
}

#[tokio::test]
async fn an_upstream_that_fails_too_much_gets_no_more_requests_and_clients_a_503() {
    let origin = broken().await;
    let config = with(
        &origin,
        "{ percent = 50, requests = 10, open = \"5m\", max_open = \"5m\" }",
    );
    let proxy = proxy::start(&config).await;
    assert_eq!(breaker(&proxy).await["state"], "closed");
    let mut client = proxy.connect().await;
    for _ in 0..5 {
        assert_eq!(client.get("/well").await.status, 200);
    }
    // Five of ten are half of them.
    for n in 0..5 {
        assert_eq!(client.get("/").await.status, 500, "{n}");
    }
    let refused = client.get("/well").await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.field("proxy-status"),
        Some("tidegate; error=destination_unavailable")
    );
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((290..=300).contains(&seconds), "{seconds}");
    assert_eq!(origin.n_requests(), 10);
    let state = breaker(&proxy).await;
    assert_eq!(state["state"], "open");
    assert!(state["until"].is_string());
    proxy
        .counted("the breaker", |metrics| {
            let of = |state| [("upstream", "only"), ("state", state)];
            metrics.sum("tidegate_breaker_state", &of("open")) == 1.0
                && metrics.sum("tidegate_breaker_state", &of("closed")) == 0.0
                && metrics.sum("tidegate_breaker_opened_total", &[("upstream", "only")]) == 1.0
                && metrics.sum("tidegate_errors_total", &[("reason", "breaker_open")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn after_its_time_requests_on_trial_decide_whether_it_closes() {
    let origin = broken().await;
    let config = with(&origin, "{ requests = 2, open = \"300ms\", trials = 2 }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.status, 500);
    }
    assert_eq!(client.get("/well").await.status, 503);
    // The first one that is let through fails, and it is open again.
    wait::until("a request on trial", async || {
        client.get("/").await.status == 500
    })
    .await;
    assert_eq!(client.get("/well").await.status, 503);
    assert_eq!(origin.n_requests(), 3);
    wait::until("another one on trial", async || {
        client.get("/well").await.status == 200
    })
    .await;
    assert_eq!(breaker(&proxy).await["state"], "half_open");
    assert_eq!(client.get("/well").await.status, 200);
    assert_eq!(breaker(&proxy).await["state"], "closed");
    for _ in 0..10 {
        assert_eq!(client.get("/well").await.status, 200);
    }
}

#[tokio::test]
async fn a_request_on_trial_whose_client_leaves_makes_room_for_another() {
    let held = origin::serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            match request.target() {
                "/ill" => return conversation.reset(),
                "/hold" => conversation.released().await,
                _ => {}
            }
            conversation.ok(b"well").await;
        }
    })
    .await;
    let config = with(&held, "{ requests = 1, open = \"100ms\", trials = 1 }");
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/ill").await.status, 502);
    // It is refused while the breaker is open, and held once it is let through.
    let leaving = loop {
        let mut client = proxy.connect().await;
        client.wire.send(ask::get("/hold").http1()).await;
        tokio::select! {
            answer = client.answer("GET") => assert_eq!(answer.status, 503),
            () = held.received(2) => break client,
        }
    };
    assert_eq!(proxy.get("/").await.status, 503, "one is enough");
    drop(leaving);
    wait::until("another one on trial", async || {
        proxy.get("/").await.status == 200
    })
    .await;
    assert_eq!(breaker(&proxy).await["state"], "closed");
}

#[tokio::test]
async fn no_other_variant_serves_for_one_whose_breaker_is_open() {
    let (good, broken) = (origin::answering("good").await, broken().await);
    let config = config::new()
        .upstream_with(
            "canary",
            &[broken.address],
            "breaker = { requests = 1, open = \"5m\", max_open = \"5m\" }",
        )
        .upstream("stable", &[good.address])
        .split_route("shop", "", &[("canary", 1), ("stable", 1)]);
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(client.get("/").await.status);
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 500).count(), 1);
    // Failures are failures of the canary, and are seen: its share of requests stays its own.
    let refused = statuses.iter().filter(|&&status| status == 503).count();
    assert!((17..=21).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_breaker_that_is_taken_away_lets_everything_through_again() {
    let origin = broken().await;
    let proxy = proxy::start(&with(
        &origin,
        "{ requests = 1, open = \"5m\", max_open = \"5m\" }",
    ))
    .await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.status, 500);
    assert_eq!(client.get("/well").await.status, 503);
    proxy
        .reload(&with(
            &origin,
            "{ requests = 100, open = \"5m\", max_open = \"5m\" }",
        ))
        .await;
    assert_eq!(client.get("/well").await.status, 503, "it is open still");
    proxy.reload(&config::to(origin.address)).await;
    assert_eq!(client.get("/well").await.status, 200);
    assert_eq!(breaker(&proxy).await, Value::Null);
}
