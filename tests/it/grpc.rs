//! gRPC end to end, between a client and a server of grpcio.

use std::path::Path;

use serde_json::Value;

use crate::support::config::{self, Config};
use crate::support::metrics::Metrics;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::script::{self, Peer};
use crate::support::secure::{self, Secure};

const H2: &str = "protocol = \"h2\"";

/// A server of gRPC behind a proxy; nothing where there is no Python for it.
async fn served() -> Option<(Peer, Secure)> {
    served_with("").await
}

/// The same with further keys for the upstream.
async fn served_with(keys: &str) -> Option<(Peer, Secure)> {
    let server = script::serving("grpc_server.py", &["only"]).await?;
    let config = config::to(server.address).upstream_keys("only", &format!("{H2}\n{keys}"));
    let secure = secure::start(&config).await;
    std::fs::write(ca(&secure), &secure.authority.pem).expect("a file");
    Some((server, secure))
}

fn ca(secure: &Secure) -> std::path::PathBuf {
    secure.proxy.dir().join("trusted.pem")
}

/// Makes the calls of a scenario over TLS.
async fn calls(secure: &Secure, scenario: &[&str]) -> Option<String> {
    call_at(
        &secure.proxy.address("https").to_string(),
        Some(&ca(secure)),
        scenario,
    )
    .await
}

async fn call_at(address: &str, ca: Option<&Path>, scenario: &[&str]) -> Option<String> {
    let ca = ca.map_or("-", |file| file.to_str().expect("a path as text"));
    let arguments = [&[address, ca][..], scenario].concat();
    script::run("grpc_client.py", &arguments).await
}

/// Waits until so many calls were counted with this status.
async fn counted(proxy: &Proxy, status: &str, n: f64) {
    let what = format!("{n} calls with status {status}");
    proxy
        .counted(&what, |metrics: &Metrics| {
            let labels = [("grpc_status", status), ("route", "all")];
            metrics.sum("tidegate_grpc_responses_total", &labels) == n
        })
        .await;
}

/// How many requests ended so.
async fn outcomes(proxy: &Proxy, outcome: &str) -> f64 {
    let labels = [("outcome", outcome)];
    let metrics = proxy.metrics().await;
    metrics.sum("tidegate_request_duration_seconds_count", &labels)
}

#[tokio::test]
async fn a_call_passes_with_its_metadata_both_ways() {
    let Some((server, secure)) = served().await else {
        return;
    };
    calls(&secure, &["unary"]).await;
    let events = server.events();
    let began = events.iter().find(|event| event["began"] == "unary");
    let metadata = &began.expect("a call")["metadata"];
    assert_eq!(metadata["x-bytes-bin"], "0001fe");
    assert!(
        metadata["x-user"]
            .as_str()
            .is_some_and(|user| user == "bob")
    );
    assert_eq!(metadata["x-forwarded-proto"], "https");
    counted(&secure.proxy, "0", 1.0).await;
    let metrics = secure.proxy.metrics().await;
    let others = [("grpc_status", "14")];
    assert!(metrics.has("tidegate_grpc_responses_total", &others));
    assert_eq!(outcomes(&secure.proxy, "success").await, 1.0);
}

#[tokio::test]
async fn all_kinds_of_calls_pass() {
    let Some((_server, secure)) = served().await else {
        return;
    };
    for scenario in [
        "client_stream",
        "server_stream",
        "bidi",
        "bidi_unread",
        "big",
    ] {
        calls(&secure, &[scenario]).await;
    }
    counted(&secure.proxy, "0", 5.0).await;
}

#[tokio::test]
async fn calls_pass_without_tls_by_prior_knowledge() {
    let Some(server) = script::serving("grpc_server.py", &["only"]).await else {
        return;
    };
    let config = config::to(server.address)
        .upstream_keys("only", H2)
        .http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    for scenario in ["unary", "bidi"] {
        call_at(&proxy.http().to_string(), None, &[scenario]).await;
    }
}

#[tokio::test]
async fn the_health_service_answers_through_the_proxy() {
    let Some((_server, secure)) = served().await else {
        return;
    };
    calls(&secure, &["health", "test.Echo", "SERVING"]).await;
}

#[tokio::test]
async fn a_status_passes_as_it_is_and_is_counted() {
    let Some((_server, secure)) = served().await else {
        return;
    };
    // Without messages it stands in the head, and after some in the trailers.
    calls(&secure, &["fail", "5", "no such thing: ü 100 %"]).await;
    calls(&secure, &["fail", "13", "broken"]).await;
    calls(&secure, &["fail_late"]).await;
    counted(&secure.proxy, "5", 1.0).await;
    counted(&secure.proxy, "13", 1.0).await;
    counted(&secure.proxy, "15", 1.0).await;
    // Only what is the service's fault counts against its variant.
    assert_eq!(outcomes(&secure.proxy, "success").await, 1.0);
    assert_eq!(outcomes(&secure.proxy, "failure").await, 2.0);
    let metrics = secure.proxy.metrics().await;
    let ok = [("code", "200"), ("source", "upstream")];
    assert_eq!(metrics.sum("tidegate_requests_total", &ok), 3.0);
}

#[tokio::test]
async fn a_caller_that_gives_up_is_seen_by_the_server() {
    let Some((server, secure)) = served().await else {
        return;
    };
    calls(&secure, &["cancel"]).await;
    server
        .tells("a cancelled call", |event| {
            event["ended"] == "hold" && event["cancelled"] == true
        })
        .await;
    calls(&secure, &["deadline"]).await;
    server
        .tells("a call past its deadline", |event| {
            event["ended"] == "hang" && event["cancelled"] == true
        })
        .await;
    // Both sides know the deadline: the caller gives up, or the server says so just before.
    secure
        .proxy
        .counted("both calls", |metrics| {
            let responses = |status| {
                let labels = [("grpc_status", status)];
                metrics.sum("tidegate_grpc_responses_total", &labels)
            };
            let gone = metrics.sum("tidegate_requests_total", &[("code", "499")]);
            gone >= 1.0 && responses("1") >= gone && responses("1") + responses("4") == 2.0
        })
        .await;
}

/// What a refused call was told: its details, and its metadata.
fn told(text: Option<String>) -> (String, Value) {
    let told: Value = serde_json::from_str(&text.expect("a Python")).expect("a line of JSON");
    let details = told["details"].as_str().unwrap_or_default().to_owned();
    (details, told["metadata"].clone())
}

#[tokio::test]
async fn own_answers_are_said_in_the_words_of_grpc() {
    let Some((server, secure)) = served().await else {
        return;
    };
    let gone = origin::refusing();
    let keys = format!("{H2}\ntimeouts = {{ response = \"200ms\" }}");
    let config = config::new()
        .upstream_with("only", &[server.address], &keys)
        .upstream_with("gone", &[gone.address], H2)
        .route(
            "all",
            "upstream = \"only\"\nmatch = { path = \"/test.Echo\" }",
        )
        .route(
            "gone",
            "upstream = \"gone\"\nmatch = { path = \"/gone.Echo\" }",
        );
    secure.proxy.reload(&secure::with_https(&config, "")).await;

    let (details, metadata) = told(calls(&secure, &["refused", "/gone.Echo/Unary", "14"]).await);
    assert_eq!(details, "the upstream could not be reached");
    let status = metadata["proxy-status"].as_str().unwrap_or_default();
    assert_eq!(status, "tidegate; error=connection_refused");

    let (details, _) = told(calls(&secure, &["refused", "/other.Echo/Unary", "12"]).await);
    assert_eq!(details, "no route for this request");

    let (details, _) = told(calls(&secure, &["refused", "/test.Echo/Hang", "4"]).await);
    assert_eq!(details, "the upstream did not answer in time");
    counted(&secure.proxy, "4", 1.0).await;

    // Metrics go on telling what each stands for.
    let metrics = secure.proxy.metrics().await;
    let failed = [("route", "gone"), ("code", "502"), ("source", "proxy")];
    assert_eq!(metrics.sum("tidegate_requests_total", &failed), 1.0);
    let failed = [("route", "all"), ("reason", "response_timeout")];
    assert_eq!(metrics.sum("tidegate_errors_total", &failed), 1.0);
}

#[tokio::test]
async fn calls_are_divided_among_variants_and_each_is_judged_by_its_own() {
    let Some(stable) = script::serving("grpc_server.py", &["stable"]).await else {
        return;
    };
    let Some(canary) = script::serving("grpc_server.py", &["canary"]).await else {
        return;
    };
    let config: Config = config::split(
        "",
        &[("stable", 3, stable.address), ("canary", 1, canary.address)],
    )
    .upstream_keys("stable", H2)
    .upstream_keys("canary", H2)
    .http("protocols = [\"h2\"]");
    let proxy = proxy::start(&config).await;
    let text = call_at(&proxy.http().to_string(), None, &["many", "400"]).await;
    let seen: Value = serde_json::from_str(&text.expect("a Python")).expect("a line of JSON");
    // One connection is one worker's, whose draw is exact to a few.
    let n = seen["canary"].as_u64().expect("calls of the canary");
    assert!((97..=103).contains(&n), "{seen}");
    let metrics = proxy.metrics().await;
    let labels = [("variant", "canary"), ("grpc_status", "0")];
    assert_eq!(
        metrics.sum("tidegate_grpc_responses_total", &labels),
        n as f64
    );
}

#[tokio::test]
async fn the_access_log_tells_what_came_of_a_call() {
    let Some((_server, secure)) = served().await else {
        return;
    };
    calls(&secure, &["fail", "13", "broken"]).await;
    counted(&secure.proxy, "13", 1.0).await;
    let mut line = Value::Null;
    crate::support::wait::until("a line of the access log", async || {
        let text = secure.proxy.process.stdout();
        let Some(last) = text.lines().last() else {
            return false;
        };
        line = serde_json::from_str(last).expect("JSON");
        true
    })
    .await;
    assert_eq!(line["grpc_status"], "13");
    assert_eq!(line["status"], 200);
    assert_eq!(line["protocol"], "HTTP/2.0");
    assert_eq!(line["upstream_protocol"], "HTTP/2.0");
}

#[tokio::test]
async fn a_reload_keeps_a_call_that_is_under_way() {
    let Some((server, secure)) = served_with("timeouts = { idle = \"60s\" }").await else {
        return;
    };
    let scenario = calls(&secure, &["bidi"]);
    let reloading = async {
        server
            .tells("a call that began", |event| event["began"] == "bidi")
            .await;
        for n in 0..20 {
            let keys = format!("{H2}\npool = {{ idle = {} }}", 10 + n);
            let config = config::to(server.address).upstream_keys("only", &keys);
            secure.proxy.reload(&secure::with_https(&config, "")).await;
        }
    };
    tokio::join!(scenario, reloading);
    counted(&secure.proxy, "0", 1.0).await;
    let peers: std::collections::HashSet<String> = server
        .events()
        .iter()
        .filter_map(|event| event["peer"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(peers.len(), 1, "one connection: {peers:?}");
}
