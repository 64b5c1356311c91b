//! Flags for applications: the protocol of OpenFeature, on the admin listener and on routes.

use serde_json::{Value, json};

use crate::support::ask::{self, Ask};
use crate::support::client::{self, Client};
use crate::support::config::Config;
use crate::support::message::Message;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// The secret of a server, whose hash is in the configuration.
const SECRET: &str = "of-the-backend-0123456789abcdef0123456789";

/// Flags, a token, and a route by which all of it can be asked.
fn flags(pair: &Pair) -> Config {
    pair.split([1, 0], "sticky = { keys = [\"header:u\"] }")
        .route("flags", "match = { path = \"/ofrep\" }\nofrep = true")
        .section(&format!(
            r#"
[ofrep]
allowed_origins = ["https://shop.example"]

[ofrep.tokens.backend]
secret = "{SECRET}"
scope = "server"

[segment.beta]
all = [{{ attr = "plan", op = "eq", value = "beta" }}]

[flag.new-checkout]
type = "boolean"
client_visible = true
owner = "team-shop"
rules = [{{ name = "beta", segment = "beta", serve = "on" }}]
inject = {{ header = "x-flag-new-checkout", routes = ["shop"] }}

[flag.rate]
type = "float"
variants = {{ low = 1, high = 2.5 }}
default_variant = "low"
rules = [{{ split = {{ low = 50, high = 50 }} }}]
"#
        ))
}

fn one(key: &str, context: &Value) -> Ask {
    let path = format!("/ofrep/v1/evaluate/flags/{key}");
    ask::post(&path, json!({ "context": context }).to_string())
        .field("content-type", "application/json")
        .field("authorization", format!("Bearer {SECRET}"))
}

fn all(context: &Value) -> Ask {
    let body = json!({ "context": context }).to_string();
    ask::post("/ofrep/v1/evaluate/flags", body).field("content-type", "application/json")
}

fn beta() -> Value {
    json!({ "targetingKey": "u1", "plan": "beta" })
}

#[tokio::test]
async fn a_flag_is_evaluated_on_the_admin_listener_and_on_a_route_alike() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&flags(&pair)).await;
    for address in [proxy.admin(), proxy.http()] {
        let answer = client::once(address, &one("new-checkout", &beta())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        let told = answer.json();
        assert_eq!(told["key"], "new-checkout");
        assert_eq!(told["value"], true);
        assert_eq!(told["variant"], "on");
        assert_eq!(told["reason"], "TARGETING_MATCH");
        assert_eq!(told["metadata"]["owner"], "team-shop");
        assert_eq!(told["metadata"]["rule"], "beta");

        let answer = client::once(address, &one("rate", &json!({ "targetingKey": "u1" }))).await;
        assert_eq!(answer.json()["reason"], "SPLIT");
        let text = answer.text();
        assert!(text.contains(":1.0,") || text.contains(":2.5,"), "{text}");

        let answer = client::once(address, &one("nothing", &beta())).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["errorCode"], "FLAG_NOT_FOUND");
    }
}

#[tokio::test]
async fn without_a_token_only_what_browsers_may_see_is_told() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&flags(&pair)).await;
    let mut client = proxy.connect().await;
    let told = client.ask(&all(&beta())).await;
    let keys: Vec<_> = told.json()["flags"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|flag| flag["key"].clone())
        .collect();
    assert_eq!(keys, ["new-checkout"]);
    let server = all(&beta()).field("x-api-key", SECRET);
    let told = client.ask(&server).await.json();
    assert_eq!(told["flags"].as_array().map(Vec::len), Some(2));
    let wrong = all(&beta()).field("x-api-key", "wrong");
    assert_eq!(client.ask(&wrong).await.status, 401);
}

/// Asks for all, and again with what came of it.
async fn again(client: &mut Client, context: &Value) -> (Message, u16) {
    let first = client.ask(&all(context)).await;
    let etag = first.field("etag").expect("a tag").to_owned();
    let second = client.ask(&all(context).field("if-none-match", etag)).await;
    (first, second.status)
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again_and_another_context_is_another_answer() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&flags(&pair)).await;
    let mut client = proxy.connect().await;
    let (first, status) = again(&mut client, &beta()).await;
    assert_eq!(status, 304);
    let etag = first.field("etag").expect("a tag").to_owned();
    // The same user, who is no beta user any more.
    let other = all(&json!({ "targetingKey": "u1" })).field("if-none-match", etag);
    let other = client.ask(&other).await;
    assert_eq!(other.status, 200);
    assert_eq!(other.json()["flags"][0]["value"], false);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_and_no_others() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&flags(&pair)).await;
    let mut client = proxy.connect().await;
    let preflight = |origin: &str| {
        ask::method("OPTIONS", "/ofrep/v1/evaluate/flags")
            .field("origin", origin)
            .field("access-control-request-method", "POST")
            .field("access-control-request-headers", "content-type")
    };
    let allowed = client.ask(&preflight("https://shop.example")).await;
    assert_eq!(allowed.status, 204);
    let origin = allowed.field("access-control-allow-origin");
    assert_eq!(origin, Some("https://shop.example"));
    let other = client.ask(&preflight("https://evil.example")).await;
    assert_eq!(other.field("access-control-allow-origin"), None);
    let read = client
        .ask(&all(&beta()).field("origin", "https://shop.example"))
        .await;
    let exposed = read.field("access-control-expose-headers").expect("what");
    assert!(exposed.to_ascii_lowercase().contains("etag"), "{exposed}");
}

async fn change(proxy: &Proxy, verb: &str) {
    let path = format!("/api/v1/flags/new-checkout/{verb}");
    let body = json!({ "reason": "it burns" }).to_string();
    let ask = ask::post(&path, body).field("content-type", "application/json");
    let answer = proxy.ask_admin(ask).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_killed_flag_is_off_in_the_next_evaluation_on_all_workers() {
    let pair = Pair::start().await;
    let config = flags(&pair).section("[flags]\ncontext = { plan = \"cookie:plan\" }");
    let proxy = proxy::start(&config).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(proxy.connect().await);
    }
    let plain = ask::get("/").field("cookie", "plan=beta");
    for (verb, value, variant) in [("kill", false, "off"), ("unkill", true, "on")] {
        change(&proxy, verb).await;
        let before = pair.stable.requests().len();
        for client in &mut clients {
            assert_eq!(client.ask(&plain).await.status, 200);
            let told = client.ask(&one("new-checkout", &beta())).await.json();
            assert_eq!(told["value"], value, "{told}");
        }
        let requests = pair.stable.requests();
        assert_eq!(requests.len() - before, 8);
        for request in &requests[before..] {
            assert_eq!(request.field("x-flag-new-checkout"), Some(variant));
        }
    }
}

#[tokio::test]
async fn who_listens_is_told_of_changes_over_a_route() {
    let pair = Pair::start().await;
    let logged = "[access_log]\nredact = []\n";
    let proxy = proxy::start(&flags(&pair).section(logged)).await;
    let told = proxy.ask(&all(&beta())).await.json();
    let uri = told["eventStreams"][0]["endpoint"]["requestUri"]
        .as_str()
        .expect("where to listen")
        .to_owned();
    let mut listener = proxy.connect().await;
    listener.wire.send(ask::get(&uri).http1()).await;
    let head = listener.wire.head().await.expect("a stream");
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    change(&proxy, "kill").await;
    let mut heard = String::new();
    wait::until("the change is told", async || {
        heard += &String::from_utf8_lossy(&listener.wire.some().await);
        heard.contains("refetchEvaluation")
    })
    .await;
    let told = proxy.ask(&all(&beta())).await.json();
    assert_eq!(told["flags"][0]["value"], false);
    assert_eq!(told["flags"][0]["reason"], "DISABLED");
    assert_eq!(told["flags"][0]["metadata"]["killed"], true);
    // The ticket is for nobody else, whatever is logged.
    drop(listener);
    wait::until("the stream is logged", async || {
        proxy.process.stdout().contains("/ofrep/v1/stream")
    })
    .await;
    let (_, ticket) = uri.split_once('?').expect("a ticket");
    assert!(!proxy.process.stdout().contains(ticket));
}

#[tokio::test]
async fn evaluations_are_counted_with_those_of_the_edge() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&flags(&pair)).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        client.ask(&one("new-checkout", &beta())).await;
    }
    client.ask(&one("nothing", &beta())).await;
    client.get("/").await;
    proxy
        .counted("three by rule, one at the edge, and an error", |metrics| {
            let of = |variant, reason| {
                let labels = [
                    ("flag", "new-checkout"),
                    ("variant", variant),
                    ("reason", reason),
                ];
                metrics.sum("tidegate_flag_evaluations_total", &labels)
            };
            of("on", "targeting_match") == 3.0
                && of("off", "default") == 1.0
                && metrics.sum("tidegate_ofrep_errors_total", &[("code", "FLAG_NOT_FOUND")]) == 1.0
        })
        .await;
}
