//! Active health checks: which endpoints get requests, and what is told of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::config::{self, Config};
use crate::support::http2_origin;
use crate::support::origin::{self, Origin};
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

const OFTEN: &str = "interval = \"20ms\", healthy = 2, unhealthy = 3";

/// An origin whose `/healthz` answers what it is told to; everything else gets its name.
struct Checked {
    origin: Origin,
    status: Arc<AtomicU16>,
    n_checks: Arc<AtomicUsize>,
}

impl Checked {
    async fn start(name: &'static str, status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let n_checks = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (Arc::clone(&status), Arc::clone(&n_checks));
        let origin = origin::serving(move |mut conversation| {
            let (told, counted) = (Arc::clone(&told), Arc::clone(&counted));
            async move {
                while let Some(request) = conversation.request().await {
                    if request.target() == "/healthz?full" {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let status = told.load(Ordering::Relaxed);
                        let head = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
                        conversation.send(head).await;
                    } else {
                        conversation.ok(name.as_bytes()).await;
                    }
                }
            }
        })
        .await;
        Self {
            origin,
            status,
            n_checks,
        }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

/// Both in one upstream, with checks.
fn among(one: &Checked, other: &Checked, keys: &str) -> Config {
    let addresses = [one.origin.address, other.origin.address];
    let health = format!("health = {{ path = \"/healthz?full\", {OFTEN}{keys} }}");
    config::new()
        .upstream_with("only", &addresses, &health)
        .route("all", "upstream = \"only\"")
}

/// What the status says of the health of an endpoint.
async fn health(proxy: &Proxy, endpoint: usize) -> Value {
    proxy.status().await["upstreams"]["only"]["endpoints"][endpoint].clone()
}

async fn becomes(proxy: &Proxy, endpoint: usize, healthy: bool) {
    wait::until("a verdict", async || {
        health(proxy, endpoint).await["health"]["healthy"] == healthy
    })
    .await;
}

/// Who answers ten requests.
async fn answers(proxy: &Proxy) -> Vec<String> {
    let mut client = proxy.connect().await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let answer = client.get("/").await;
        assert_eq!(answer.status, 200);
        answers.push(answer.text());
    }
    answers.sort();
    answers.dedup();
    answers
}

#[tokio::test]
async fn an_endpoint_that_fails_its_checks_gets_no_requests_until_it_passes_them() {
    let (a, b) = (
        Checked::start("a", 200).await,
        Checked::start("b", 503).await,
    );
    let proxy =
        proxy::start(&among(&a, &b, "").upstream_keys("only", "balance = \"round_robin\"")).await;
    becomes(&proxy, 0, true).await;
    // The first answer decides.
    becomes(&proxy, 1, false).await;
    assert_eq!(answers(&proxy).await, ["a"]);
    let told = health(&proxy, 1).await;
    assert_eq!(told["available"], false);
    assert_eq!(told["health"]["error"], "answered 503 Service Unavailable");
    assert!(told["health"]["error_at"].is_string());

    b.answer(204);
    becomes(&proxy, 1, true).await;
    assert_eq!(answers(&proxy).await, ["a", "b"]);
    b.answer(404);
    becomes(&proxy, 1, false).await;
    assert_eq!(answers(&proxy).await, ["a"]);
    proxy
        .counted("checks", |metrics| {
            let of = |result| {
                metrics.sum(
                    "tidegate_health_checks_total",
                    &[("upstream", "only"), ("result", result)],
                )
            };
            of("success") >= 3.0 && of("failure") >= 4.0
        })
        .await;
}

#[tokio::test]
async fn a_check_is_a_get_of_the_path_with_the_host_that_is_set_over_a_connection_of_its_own() {
    let (a, b) = (
        Checked::start("a", 200).await,
        Checked::start("b", 399).await,
    );
    let keys = ", host = \"shop.test\", status = \"399\"";
    let proxy = proxy::start(&among(&a, &b, keys)).await;
    becomes(&proxy, 0, false).await;
    becomes(&proxy, 1, true).await;
    let request = &b.origin.requests()[0];
    assert_eq!(
        (request.method(), request.target()),
        ("GET", "/healthz?full")
    );
    assert_eq!(request.field("host"), Some("shop.test"));
    assert!(
        request
            .field("user-agent")
            .is_some_and(|agent| agent.starts_with("tidegate-health/"))
    );
    drop(proxy);
    b.origin.all_closed().await;
}

#[tokio::test]
async fn a_variant_without_a_healthy_endpoint_fails_over_and_without_another_one_gets_503() {
    let pair = Pair::start().await;
    let sick = Checked::start("sick", 500).await;
    let health = format!("health = {{ path = \"/healthz?full\", {OFTEN} }}");
    let variants = [
        ("stable", 0, pair.stable.address),
        ("canary", 100, sick.origin.address),
    ];
    let with = |stable| {
        let [(name, _, address), canary] = variants;
        config::split("", &[(name, stable, address), canary]).upstream_keys("canary", &health)
    };
    let proxy = proxy::start(&with(0)).await;
    wait::until("503", async || proxy.get("/").await.status == 503).await;
    let unhealthy = proxy.get("/").await;
    assert!(
        unhealthy
            .field("proxy-status")
            .is_some_and(|told| told.contains("destination_unavailable"))
    );
    proxy.reload(&with(1)).await;
    assert_eq!(proxy.get("/").await.text(), "stable");
    sick.answer(200);
    wait::until("the canary", async || proxy.get("/").await.text() == "sick").await;
}

#[tokio::test]
async fn what_is_known_of_health_outlives_reloads_and_ends_with_the_checks() {
    let (a, b) = (
        Checked::start("a", 200).await,
        Checked::start("b", 500).await,
    );
    let proxy = proxy::start(&among(&a, &b, "")).await;
    becomes(&proxy, 1, false).await;
    // Each time it is another check, and it is still unhealthy at once.
    for keys in [
        ", timeout = \"900ms\"",
        ", host = \"x.test\"",
        ", status = \"200-204\"",
    ] {
        proxy.reload(&among(&a, &b, keys)).await;
        assert_eq!(
            health(&proxy, 1).await["health"]["healthy"],
            false,
            "{keys}"
        );
        assert_eq!(answers(&proxy).await, ["a"]);
    }
    let addresses = [a.origin.address, b.origin.address];
    let unchecked = config::new()
        .upstream_with("only", &addresses, "balance = \"round_robin\"")
        .route("all", "upstream = \"only\"");
    proxy.reload(&unchecked).await;
    assert_eq!(health(&proxy, 1).await["health"], Value::Null);
    assert_eq!(answers(&proxy).await, ["a", "b"]);
    let n_checks = a.n_checks.load(Ordering::Relaxed);
    for _ in 0..20 {
        answers(&proxy).await;
    }
    // One may have been under way.
    assert!(a.n_checks.load(Ordering::Relaxed) <= n_checks + 1);
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_is_unhealthy_by_the_time_it_may_take() {
    let silent = origin::silent().await;
    let config = config::to(silent.address).upstream_keys(
        "only",
        "health = { timeout = \"50ms\", interval = \"20ms\" }",
    );
    let proxy = proxy::start(&config).await;
    becomes(&proxy, 0, false).await;
    assert_eq!(
        health(&proxy, 0).await["health"]["error"],
        "no answer in time"
    );
    proxy
        .counted("a check that took too long", |metrics| {
            let labels = [("upstream", "only"), ("result", "timeout")];
            metrics.sum("tidegate_health_checks_total", &labels) >= 1.0
        })
        .await;
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp() {
    let silent = origin::silent().await;
    let refusing = origin::refusing();
    let addresses = [silent.address, refusing.address];
    let config = config::new()
        .upstream_with(
            "only",
            &addresses,
            "health = { kind = \"tcp\", interval = \"20ms\" }",
        )
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    becomes(&proxy, 0, true).await;
    becomes(&proxy, 1, false).await;
    let error = health(&proxy, 1).await["health"]["error"].clone();
    assert!(
        error
            .as_str()
            .is_some_and(|error| error.starts_with("no connection: ")),
        "{error}"
    );
}

#[tokio::test]
async fn an_http2_endpoint_is_asked_by_http2() {
    let origin = http2_origin::answering("hello").await;
    let config = config::to(origin.address).upstream_keys(
        "only",
        "protocol = \"h2\"\nhealth = { path = \"/live\", interval = \"20ms\" }",
    );
    let proxy = proxy::start(&config).await;
    becomes(&proxy, 0, true).await;
    assert_eq!(origin.requests()[0].target(), "/live");
}

#[tokio::test]
async fn grpc_health_is_what_the_service_says() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.whole().await;
        // The name of the service, which is field 1, says what is answered.
        let (status, message): (_, &[u8]) = match turn.request.body.get(7..).unwrap_or_default() {
            b"fit" => ("0", &[0, 0, 0, 0, 2, 8, 1]),
            b"unfit" => ("0", &[0, 0, 0, 0, 2, 8, 2]),
            _ => ("5", &[]),
        };
        turn.head(200, &[("content-type", "application/grpc")]);
        turn.data(message).await;
        turn.trailers(&[("grpc-status", status)]);
    })
    .await;
    for (service, healthy, error) in [
        ("fit", true, None),
        ("unfit", false, Some("the service is not serving")),
        ("unknown", false, Some("answered grpc-status 5")),
    ] {
        let keys = format!("kind = \"grpc\", service = \"{service}\", interval = \"20ms\"");
        let config = config::to(origin.address)
            .upstream_keys("only", &format!("protocol = \"h2\"\nhealth = {{ {keys} }}"));
        let proxy = proxy::start(&config).await;
        becomes(&proxy, 0, healthy).await;
        let told = health(&proxy, 0).await["health"]["error"].clone();
        assert_eq!(told.as_str(), error);
    }
    let request = &origin.requests()[0];
    assert_eq!(request.target(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.field("content-type"), Some("application/grpc"));
}

#[tokio::test]
async fn an_endpoint_that_is_healthy_again_begins_slowly() {
    let (a, b) = (
        Checked::start("a", 200).await,
        Checked::start("b", 500).await,
    );
    let config = among(&a, &b, "").upstream_keys("only", "slow_start = \"1h\"");
    let proxy = proxy::start(&config).await;
    becomes(&proxy, 1, false).await;
    b.answer(200);
    becomes(&proxy, 1, true).await;
    let told = health(&proxy, 1).await;
    assert_eq!(told["slow_start"], 0.1);
    assert_eq!(health(&proxy, 0).await["slow_start"], Value::Null);
    let mut client = proxy.connect().await;
    let mut n_slow = 0;
    for _ in 0..1000 {
        n_slow += u32::from(client.get("/").await.text() == "b");
    }
    // A twentieth; a half would be the whole share.
    assert!((15..120).contains(&n_slow), "{n_slow}");
    // One that is added begins slowly, too, and one that was there does not.
    let new = Checked::start("new", 200).await;
    let addresses = [a.origin.address, new.origin.address];
    let added = config::new()
        .upstream_with("only", &addresses, "slow_start = \"1h\"")
        .route("all", "upstream = \"only\"");
    proxy.reload(&added).await;
    assert_eq!(health(&proxy, 1).await["slow_start"], 0.1);
    assert_eq!(health(&proxy, 0).await["slow_start"], Value::Null);
}
