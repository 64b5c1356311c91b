//! The admin listener: probes, what is live, why a request goes where it goes, and who may ask.

use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::command;
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

const TOKEN: &str = "correct-horse-battery";

#[tokio::test]
async fn it_lives_and_is_ready() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    for path in ["/livez", "/healthz", "/readyz"] {
        assert_eq!(proxy.get_admin(path).await.status, 200, "{path}");
    }
    let verbose = proxy.get_admin("/readyz?verbose").await.text();
    assert!(verbose.contains("[+]"), "{verbose}");
    assert!(!verbose.contains("[-]"), "{verbose}");
}

#[tokio::test]
async fn the_status_tells_what_is_live() {
    let pair = Pair::start().await;
    let config = pair.split([95, 5], "");
    let proxy = proxy::start(&config).await;
    for _ in 0..100 {
        proxy.get("/").await;
    }
    let status = proxy.status().await;
    assert_eq!(status["generation"], 1);
    assert_eq!(status["ready"], true);
    let sha256 = status["config_sha256"].as_str().expect("a hash");
    assert_eq!(sha256.len(), 64);
    assert!(status["applied_at"].is_string(), "{status}");
    let canary = &status["routes"]["shop"]["variants"]["canary"];
    assert_eq!(canary["upstream"], "canary");
    assert_eq!(canary["weight"], 5);
    assert_eq!(canary["share"], 0.05);
    assert_eq!(canary["state"], "on");
    assert_eq!(canary["endpoints"]["available"], 1);
    assert_eq!(canary["endpoints"]["total"], 1);
    assert_eq!(canary["in_flight"], 0);
    assert_eq!(canary["tunnels"], 0);
    assert_eq!(canary["drained"], false);
    let listener = &status["listeners"]["http"];
    assert_eq!(listener["address"], proxy.http().to_string());
}

#[tokio::test]
async fn a_verbose_status_tells_what_rates_and_latencies_are_computed_of() {
    let origin = origin::answering("hello").await;
    let refusing = origin::refusing();
    let variants = [("a", 1, origin.address), ("b", 1, refusing.address)];
    let config = config::split("on_unavailable = \"error\"", &variants);
    let config = config.section("[metrics]\nbuckets = [0.5, 30.0]");
    let proxy = proxy::start(&config).await;
    for _ in 0..10 {
        proxy.get("/").await;
    }
    let short = proxy.status().await;
    assert!(short["latency_bounds_seconds"].is_null(), "{short}");
    let variant = |status: &Value, name: &str| status["routes"]["shop"]["variants"][name].clone();
    assert!(variant(&short, "a")["detail"].is_null(), "{short}");
    let mut long = Value::Null;
    let number = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{value} is no number"))
    };
    let requests = |long: &Value, name: &str| number(&variant(long, name)["requests"]);
    wait::until("the end of ten requests", async || {
        long = proxy.get_admin("/api/v1/status?verbose").await.json();
        requests(&long, "a") + requests(&long, "b") == 10
    })
    .await;
    assert_eq!(
        long["latency_bounds_seconds"],
        serde_json::json!([0.5, 30.0])
    );
    let [a, b] = ["a", "b"].map(|name| variant(&long, name));
    let (n_a, n_b) = (requests(&long, "a"), requests(&long, "b"));
    assert!((3..=7).contains(&n_a), "{n_a}");
    assert_eq!(a["failures"], 0);
    assert_eq!(
        a["detail"]["selections"],
        serde_json::json!({ "draw": n_a })
    );
    let latency = &a["detail"]["response_headers"];
    assert_eq!(latency["counts"], serde_json::json!([n_a, 0, 0]));
    let sum = latency["sum_seconds"].as_f64();
    assert!(sum > Some(0.0) && sum < Some(0.5 * 10.0), "{a}");
    assert_eq!(number(&b["failures"]), n_b);
    assert_eq!(number(&b["failures_by_proxy"]), n_b);
    let errors = b["detail"]["errors"].as_object().expect("reasons");
    let n_errors: u64 = errors.values().map(number).sum();
    assert_eq!(n_errors, n_b, "{b}");
    let started = long["started_at"].as_str().expect("a time");
    assert!(
        started <= long["applied_at"].as_str().expect("a time"),
        "{long}"
    );
}

#[tokio::test]
async fn a_variant_is_drained_when_it_has_no_weight_and_nothing_runs_on_it() {
    let held = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.released().await;
            conversation.ok(b"done").await;
        }
    })
    .await;
    let other = origin::answering("other").await;
    let split = |weights: [u32; 2]| {
        let [old, new] = weights;
        config::split(
            "",
            &[("old", old, held.address), ("new", new, other.address)],
        )
    };
    let proxy = proxy::start(&split([1, 0])).await;
    let mut client = proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    held.received(1).await;
    proxy.reload(&split([0, 1])).await;
    let old = async || proxy.status().await["routes"]["shop"]["variants"]["old"].clone();
    let before = old().await;
    assert_eq!(
        (&before["in_flight"], &before["drained"]),
        (&1.into(), &false.into())
    );
    held.release();
    assert_eq!(client.answer("GET").await.text(), "done");
    wait::until("the end of the draining", async || {
        let now = old().await;
        now["in_flight"] == 0 && now["drained"] == true
    })
    .await;
}

#[tokio::test]
async fn the_effective_configuration_has_every_default_and_no_secret() {
    let origin = origin::answering("hello").await;
    let admin = format!("address = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"");
    let proxy = proxy::start(&config::to(origin.address).admin(&admin)).await;
    let answer = proxy
        .ask_admin(with_token(ask::get("/api/v1/config")))
        .await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(!text.contains(TOKEN), "{text}");
    assert!(text.contains(&origin.address.to_string()), "{text}");
    let config = answer.json();
    assert!(config.is_object(), "{config}");
    assert!(text.contains("first_byte"), "{text}");
}

#[tokio::test]
async fn it_explains_why_a_request_goes_where_it_goes() {
    let pair = Pair::start().await;
    let keys = "match = { hosts = [\"shop.test\"] }\nsticky = { keys = [\"header:u\"] }\n\
                force = { header = \"x-variant\" }";
    let proxy = proxy::start(&pair.split([50, 50], keys)).await;
    let explain = async |query: &str| {
        let path = format!("/api/v1/explain?url=http://shop.test/cart{query}");
        proxy.get_admin(&path).await.json()
    };
    for n in 0..20 {
        let user = n.to_string();
        let got = proxy
            .ask(&ask::get("/cart").host("shop.test").field("u", user.clone()))
            .await;
        for query in [format!("&key={user}"), format!("&header=u:%20{user}")] {
            let explained = explain(&query).await;
            assert_eq!(explained["route"], "shop");
            assert_eq!(explained["variant"], got.text(), "{explained}");
            assert_eq!(explained["reason"], "hash");
            let flips = &explained["variants"][0]["flips_at"];
            let flips = flips.as_f64().expect("a share");
            assert!((0.0..=1.0).contains(&flips), "{explained}");
        }
    }
    let forced = explain("&header=x-variant:%20canary").await;
    assert_eq!(
        (&forced["variant"], &forced["reason"]),
        (&"canary".into(), &"forced".into())
    );
    let path = "/api/v1/explain?url=http://other.test/";
    assert!(proxy.get_admin(path).await.json()["route"].is_null());
    assert_eq!(proxy.get_admin("/api/v1/explain").await.status, 400);
    // Asking is not using.
    assert_eq!(pair.stable.n_requests() + pair.canary.n_requests(), 20);
}

#[tokio::test]
async fn what_it_does_not_know_is_404_and_a_wrong_method_405() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let status = async |ask: Ask| proxy.ask_admin(ask).await.status;
    assert_eq!(status(ask::get("/api/v1/nothing")).await, 404);
    assert_eq!(status(ask::get("/")).await, 404);
    assert_eq!(status(ask::get("/api/v1/config/reload")).await, 405);
    for path in ["/metrics", "/readyz", "/api/v1/status", "/api/v1/config"] {
        assert_eq!(status(ask::post(path, "")).await, 405, "{path}");
    }
    assert_eq!(status(ask::method("HEAD", "/livez")).await, 200);
}

fn with_token(ask: Ask) -> Ask {
    ask.field("authorization", format!("Bearer {TOKEN}"))
}

async fn start_with_token(address: &str) -> Proxy {
    let origin = origin::answering("hello").await;
    let admin = format!("address = \"{address}\"\ntoken = \"{TOKEN}\"");
    proxy::start(&config::to(origin.address).admin(&admin)).await
}

#[tokio::test]
async fn off_loopback_a_token_is_required_for_all_but_the_probes() {
    let proxy = start_with_token("0.0.0.0:0").await;
    let admin = SocketAddr::from(([127, 0, 0, 1], proxy.admin().port()));
    let host = admin.to_string();
    for path in ["/metrics", "/api/v1/status", "/api/v1/config"] {
        let ask = ask::get(path).host(&host);
        let refused = client::once(admin, &ask).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.field("www-authenticate").is_some());
        let wrong = ask.clone().field("authorization", "Bearer wrong-horse");
        assert_eq!(client::once(admin, &wrong).await.status, 401, "{path}");
        assert_eq!(client::once(admin, &with_token(ask)).await.status, 200);
    }
    let reload = ask::post("/api/v1/config/reload", "").host(&host);
    assert_eq!(client::once(admin, &reload).await.status, 401);
    assert_eq!(client::once(admin, &with_token(reload)).await.status, 200);
    for path in ["/livez", "/readyz"] {
        let ask = ask::get(path).host(&host);
        assert_eq!(client::once(admin, &ask).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn off_loopback_without_a_token_it_does_not_start() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).admin("address = \"0.0.0.0:0\"");
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, config.text()).expect("a file");
    let file = file.to_str().expect("a path");
    let output = command::run(&["run", "--config", file]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("token"), "{output:?}");
}

#[tokio::test]
async fn no_web_page_reaches_it_through_a_browser_on_this_machine() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let admin = proxy.admin();
    let own = admin.to_string();
    for path in ["/api/v1/status", "/metrics"] {
        // A name that was made to point here.
        for host in ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test"] {
            let answer = client::once(admin, &ask::get(path).host(host)).await;
            assert!(
                matches!(answer.status, 403 | 421),
                "{host}: {}",
                answer.head
            );
        }
        let named = ask::get(path).host(format!("localhost:{}", admin.port()));
        assert_eq!(client::once(admin, &named).await.status, 200);
    }
    // A page that sends without being able to read.
    for foreign in ["http://evil.test", "null"] {
        let ask = ask::post("/api/v1/config/reload", "")
            .host(&own)
            .field("origin", foreign);
        assert_eq!(client::once(admin, &ask).await.status, 403, "{foreign}");
    }
    let same = ask::post("/api/v1/config/reload", "")
        .host(&own)
        .field("origin", format!("http://{own}"));
    assert_eq!(client::once(admin, &same).await.status, 200);
}
