//! Upstreams: which endpoint gets a request, connections that are used again, and what is said
//! when nobody can answer.

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure;
use crate::support::wait;

/// How often a race is run.
const TIMES: usize = 200;

/// All endpoints in one upstream, with further keys.
fn among(origins: &[Origin], keys: &str) -> Config {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    config::new()
        .upstream_with("only", &addresses, keys)
        .route("all", "upstream = \"only\"")
}

async fn three() -> [Origin; 3] {
    [
        origin::answering("a").await,
        origin::answering("b").await,
        origin::answering("c").await,
    ]
}

#[tokio::test]
async fn a_connection_to_an_endpoint_is_used_again() {
    let origin = origin::echo().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for n in 0..100 {
        let body = n.to_string();
        assert_eq!(client.ask(&ask::post("/", body.clone())).await.text(), body);
    }
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_endpoint_will_close_is_not_used_again() {
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let origin = origin::raw(head).await;
        let proxy = proxy::start(&config::to(origin.address)).await;
        let mut client = proxy.connect().await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.status, 200);
        }
        assert_eq!(origin.n_connections(), 10, "{head}");
    }
}

#[tokio::test]
async fn a_pool_may_keep_nothing() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).upstream_keys("only", "pool = { idle = 0 }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "hello");
    }
    assert_eq!(origin.n_connections(), 10);
}

#[tokio::test]
async fn an_endpoint_that_closes_after_each_answer_is_never_seen() {
    let origin = origin::serving(|mut conversation| async move {
        if conversation.request().await.is_some() {
            // It says nothing of closing.
            conversation.ok(b"hello").await;
        }
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for n in 0..TIMES {
        let answer = client.get("/").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello"),
            "{n}"
        );
    }
}

/// Answers the first request of each connection; closes or resets it when the second one is there.
async fn stale(by_reset: bool) -> Origin {
    origin::serving(move |mut conversation| async move {
        if conversation.request().await.is_some() {
            conversation.ok(b"hello").await;
            conversation.request().await;
            if by_reset {
                conversation.reset();
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_request_on_a_connection_that_just_closed_is_sent_again() {
    for by_reset in [false, true] {
        let origin = stale(by_reset).await;
        let proxy = proxy::start(&config::to(origin.address)).await;
        let mut client = proxy.connect().await;
        for n in 0..TIMES {
            let method = ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"][n % 5];
            let answer = client.ask(&ask::method(method, "/")).await;
            assert_eq!(answer.status, 200, "{method} {n}, reset: {by_reset}");
        }
    }
}

/// Answers the first request of each connection with its own body; closes when the second one is
/// there.
async fn stale_echo() -> Origin {
    origin::serving(|mut conversation| async move {
        if let Some(request) = conversation.request().await {
            conversation.ok(&request.body).await;
            conversation.request().await;
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_with_its_small_body() {
    let origin = stale_echo().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for n in 0..TIMES / 4 {
        let body = format!("body {n}");
        let answer = client
            .ask(&ask::method("PUT", "/").body(body.clone()))
            .await;
        assert_eq!((answer.status, answer.text()), (200, body));
    }
}

#[tokio::test]
async fn an_idempotent_request_of_http2_is_sent_again_with_its_small_body() {
    let origin = stale_echo().await;
    let secure = secure::start(&config::to(origin.address)).await;
    let client = secure.http2().await;
    for n in 0..TIMES / 4 {
        let body = format!("body {n}");
        let answer = client
            .ask(&ask::method("PUT", "/").body(body.clone()))
            .await;
        assert_eq!((answer.status, answer.text()), (200, body));
    }
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_never_sent_twice() {
    let origin = stale(false).await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for n in 0..TIMES {
        let ask = ask::post(&format!("/{n}"), "body");
        let answer = client.ask_on(proxy.http(), &ask).await;
        assert!(matches!(answer.status, 200 | 502), "{}", answer.status);
    }
    for n in 0..TIMES {
        let target = format!("/{n}");
        let requests = origin.requests();
        let times = requests
            .iter()
            .filter(|received| received.target() == target)
            .count();
        assert_eq!(times, 1, "{target}");
    }
}

#[tokio::test]
async fn a_fresh_connection_that_closes_without_an_answer_is_502() {
    let origin = origin::raw_then_close("").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status, 502);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains("connection_terminated"), "{}", answer.head);
}

#[tokio::test]
async fn round_robin_takes_turns() {
    let origins = three().await;
    let proxy = proxy::start(&among(&origins, "balance = \"round_robin\"")).await;
    let mut client = proxy.connect().await;
    for _ in 0..30 {
        assert_eq!(client.get("/").await.status, 200);
    }
    for origin in &origins {
        assert_eq!(origin.n_requests(), 10);
    }
}

#[tokio::test]
async fn the_endpoint_with_fewer_requests_gets_the_next() {
    let origins = [origin::held("a").await, origin::held("b").await];
    let secure = secure::start(&among(&origins, "balance = \"least_request\"")).await;
    // One connection is one worker, whatever is counted where.
    let client = secure.http2().await;
    let hold = ask::get("/hold");
    let holding = client.ask(&hold);
    let asking = async {
        wait::until("the held request", async || {
            origins.iter().any(|origin| origin.n_requests() == 1)
        })
        .await;
        let free = usize::from(origins[0].n_requests() == 1);
        for _ in 0..20 {
            let expected = ["a", "b"][free];
            assert_eq!(client.get("/").await.text(), expected);
        }
        origins[1 - free].release();
    };
    let (held, ()) = tokio::join!(holding, asking);
    assert_eq!(held.status, 200);
}

#[tokio::test]
async fn another_endpoint_is_tried_when_one_refuses() {
    let origin = origin::echo().await;
    let refusing = [origin::refusing(), origin::refusing()];
    let addresses = [refusing[0].address, origin.address, refusing[1].address];
    for balance in ["round_robin", "least_request"] {
        let config = config::new()
            .upstream_with("only", &addresses, &format!("balance = \"{balance}\""))
            .route("all", "upstream = \"only\"");
        let proxy = proxy::start(&config).await;
        for n in 0..30 {
            // It was never sent, so that it does not matter that it is not idempotent.
            let answer = proxy.ask(&ask::post("/", "body")).await;
            assert_eq!(answer.text(), "body", "{balance} {n}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn when_nobody_can_answer_the_client_is_told_so_without_addresses() {
    let refusing = origin::refusing();
    let proxy = proxy::start(&config::to(refusing.address)).await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let answer = proxy.get("/").await;
        let status = answer.field("proxy-status").expect("a Proxy-Status");
        let error = match answer.status {
            502 => "connection_refused",
            503 => "destination_unavailable",
            other => panic!("{other}: {}", answer.head),
        };
        assert_eq!(status, format!("tidegate; error={error}"));
        let all = format!("{}{}", answer.head, answer.text());
        let port = refusing.address.port().to_string();
        assert!(!all.contains("127.0.0.1") && !all.contains(&port), "{all}");
        statuses.push(answer.status);
    }
    assert_eq!(statuses.first(), Some(&502), "{statuses:?}");
}

#[tokio::test]
async fn an_endpoint_that_comes_back_is_used_again() {
    let origin = origin::answering("hello").await;
    let address = origin.address;
    let proxy = proxy::start(&config::to(address)).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    origin.stop().await;
    for _ in 0..5 {
        assert!(matches!(proxy.get("/").await.status, 502 | 503));
    }
    let _back = origin::answering_at(address, "back").await;
    wait::until("the endpoint's return", async || {
        proxy.get("/").await.text() == "back"
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_the_proxy_itself_is_as_the_client_likes_it() {
    let refusing = origin::refusing();
    let proxy = proxy::start(&config::to(refusing.address)).await;
    let kind = |answer: &Message| answer.field("content-type").unwrap_or_default().to_owned();
    let json = proxy
        .ask(&ask::get("/").field("accept", "application/json"))
        .await;
    assert_eq!(kind(&json), "application/problem+json");
    assert_eq!(json.json()["status"], json.status);
    let text = proxy.ask(&ask::get("/").field("accept", "text/html")).await;
    assert!(kind(&text).starts_with("text/plain"), "{}", text.head);
    let head = proxy.ask(&ask::method("HEAD", "/")).await;
    assert!(matches!(head.status, 502 | 503), "{}", head.head);
}

#[tokio::test]
async fn every_attempt_is_counted_the_last_one_too() {
    let fine = origin::answering("hello").await;
    let closing = origin::serving(|mut conversation| async move {
        conversation.request().await;
    })
    .await;
    // Whoever refuses is left alone for a while, so there are two for each request.
    let refusing = || [origin::refusing().address, origin::refusing().address];
    let route = |path: &str| {
        format!(
            "match = {{ path = \"{path}\" }}\nupstream = \"{}\"",
            &path[1..]
        )
    };
    let config = config::new()
        .upstream("fine", &[fine.address])
        .upstream("closing", &[closing.address])
        .upstream("none", &refusing())
        .upstream("nobody", &refusing())
        .route("fine", &route("/fine"))
        .route("closing", &route("/closing"))
        .route("none", &route("/none"))
        .route("nobody", &route("/nobody"));
    let secure = secure::start(&config).await;
    let proxy = &secure.proxy;
    let http2 = secure.http2().await;
    // By both ways through the house.
    assert_eq!(proxy.get("/fine").await.status, 200);
    assert_eq!(http2.get("/fine").await.status, 200);
    assert_eq!(proxy.get("/closing").await.status, 502);
    assert_eq!(http2.get("/closing").await.status, 502);
    assert_eq!(proxy.get("/none").await.status, 502);
    assert_eq!(http2.get("/nobody").await.status, 502);
    proxy
        .counted("every attempt and every retry", |metrics| {
            let attempts = |route, result| {
                let labels = [("route", route), ("result", result)];
                metrics.sum("tidegate_upstream_attempts_total", &labels)
            };
            let retries = [("cause", "connect"), ("result", "failure")];
            attempts("fine", "success") == 2.0
                && attempts("closing", "reset") == 2.0
                && attempts("none", "connect_failure") == 2.0
                && attempts("nobody", "connect_failure") == 2.0
                && metrics.sum("tidegate_retries_total", &retries) == 2.0
                && metrics.sum("tidegate_upstream_attempts_total", &[]) == 8.0
        })
        .await;
}
