//! Flags at the edge: upstreams are told of them by a header, and routes divide by them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::ask::{self, Ask};
use crate::support::config::Config;
use crate::support::metrics::Metrics;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::wait;

/// Half of everybody has it on, beta users all; upstreams of `shop` are told by a header.
const CHECKOUT: &str = r#"
[segment.beta]
all = [{ attr = "plan", op = "eq", value = "beta" }]

[flags]
context = { plan = "cookie:plan" }

[flag.new-checkout]
type = "boolean"
inject = { header = "X-Flag-New-Checkout", routes = ["shop"] }
rules = [
  { name = "beta", segment = "beta", serve = "on" },
  { name = "ramp", split = { on = 50, off = 50 } },
]
"#;

/// The route is all stable's, but who has the flag gets canary.
const RULE: &str = r#"
[segment.with-checkout]
all = [{ attr = "flag:new-checkout", op = "eq", value = "on" }]

[[route.shop.rule]]
segment = "with-checkout"
weights = { canary = 1 }
"#;

fn told(pair: &Pair) -> Config {
    pair.split([1, 0], "sticky = { keys = [\"header:u\"], cookie = true }")
        .section(CHECKOUT)
}

fn user(n: u32) -> Ask {
    ask::get("/").field("u", n.to_string())
}

const HEADER: &str = "x-flag-new-checkout";

#[tokio::test]
async fn the_upstream_is_told_which_variant_a_request_has_and_nobody_else_can_say_so() {
    let pair = Pair::start().await;
    let config = told(&pair).upstream("other", &[pair.canary.address]).route(
        "other",
        "match = { path = \"/other\" }\nupstream = \"other\"",
    );
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let mut n_on = 0;
    for n in 0..100 {
        let forged = user(n).field("X-FLAG-new-checkout", "forged");
        client.ask(&forged).await;
        let beta = user(n).field("cookie", "plan=beta");
        client.ask(&beta).await;
    }
    let requests = pair.stable.requests();
    assert_eq!(requests.len(), 200);
    for (n, request) in requests.iter().enumerate() {
        let [variant] = request.values(HEADER)[..] else {
            panic!("one, and not what the client says: {request:?}");
        };
        match n % 2 {
            0 => n_on += u32::from(variant == "on"),
            _ => assert_eq!(variant, "on"),
        }
    }
    assert!((30..=70).contains(&n_on), "{n_on} of 100 at 50 %");

    // Where it is not told it cannot be said either: in heads and in trailers.
    let forged = ask::get("/other").field(HEADER, "forged");
    client.ask(&forged).await;
    let chunked = "POST /other HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nhi\r\n0\r\nx-flag-new-checkout: forged\r\nx-sum: 1\r\n\r\n";
    client.wire.send(chunked).await;
    client.answer("POST").await;
    for request in pair.canary.requests() {
        assert!(request.values(HEADER).is_empty(), "{request:?}");
        let trailers = request.trailers.iter().map(|(name, _)| name.as_str());
        assert!(trailers.into_iter().all(|name| name == "x-sum"));
    }
}

#[tokio::test]
async fn a_flag_chooses_the_variant_of_a_route() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&told(&pair).section(RULE)).await;
    let mut client = proxy.connect().await;
    let mut seen = BTreeMap::<String, u32>::new();
    for n in 0..100 {
        *seen.entry(client.ask(&user(n)).await.text()).or_default() += 1;
    }
    assert!((30..=70).contains(&seen["canary"]), "{seen:?}");
    // Who has no key is told apart by the identity that this very answer gives.
    for _ in 0..20 {
        let first = client.get("/").await;
        let cookie = first.field("set-cookie").expect("an identity");
        let (cookie, _) = cookie.split_once(';').expect("attributes");
        let again = client.ask(&ask::get("/").field("cookie", cookie)).await;
        assert_eq!(again.text(), first.text());
    }
    // What the header says and what the route does are one answer.
    let variants = [(&pair.stable, "off"), (&pair.canary, "on")];
    for (origin, variant) in variants {
        let requests = origin.requests();
        assert!(requests.len() > 20, "{}", requests.len());
        for request in requests {
            assert_eq!(request.field(HEADER), Some(variant));
        }
    }
}

#[tokio::test]
async fn raising_a_flags_share_moves_users_one_way_only() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&told(&pair).section(RULE)).await;
    let mut client = proxy.connect().await;
    let mut before = Vec::new();
    for n in 0..200 {
        before.push(client.ask(&user(n)).await.text());
    }
    let raised = CHECKOUT.replace("on = 50, off = 50", "on = 80, off = 20");
    let keys = "sticky = { keys = [\"header:u\"], cookie = true }";
    let config = pair.split([1, 0], keys).section(&raised).section(RULE);
    proxy.reload(&config).await;
    let mut n_moved = 0;
    for (n, before) in (0..).zip(&before) {
        let now = client.ask(&user(n)).await.text();
        assert!(now == *before || now == "canary", "{n} lost the flag");
        n_moved += u32::from(now != *before);
    }
    assert!((30..=90).contains(&n_moved), "{n_moved} of 200");
}

/// What is counted of a flag's variant.
fn counted(metrics: &Metrics, family: &str, variant: &str) -> f64 {
    metrics.sum(family, &[("flag", "new-checkout"), ("variant", variant)])
}

#[tokio::test]
async fn exposures_are_counted_and_logged() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&told(&pair).section(RULE)).await;
    let mut client = proxy.connect().await;
    for n in 0..50 {
        client.ask(&user(n)).await;
    }
    let n_on = pair.canary.requests().len() as f64;
    proxy
        .counted("50 exposures, and as many judged", |metrics| {
            let judged = counted(metrics, "tidegate_flag_judged_requests_total", "on")
                + counted(metrics, "tidegate_flag_judged_requests_total", "off");
            judged == 50.0
                && counted(metrics, "tidegate_flag_exposures_total", "on") == n_on
                && counted(metrics, "tidegate_flag_exposures_total", "off") == 50.0 - n_on
                && counted(metrics, "tidegate_flag_injected_total", "on") == n_on
                && counted(metrics, "tidegate_flag_evaluations_total", "on") == n_on
        })
        .await;
    wait::until("a line for each", async || {
        let text = proxy.process.stdout();
        let lines = text
            .lines()
            .filter(|line| line.contains("\"route\":\"shop\""));
        let logged: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        for line in &logged {
            let variant = if line["variant"] == "canary" {
                "on"
            } else {
                "off"
            };
            assert_eq!(line["flags"]["new-checkout"], variant, "{line}");
        }
        logged.len() == 50
    })
    .await;
}

#[tokio::test]
async fn explain_tells_of_the_flags_of_a_route() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&told(&pair).section(RULE)).await;
    let url = "/api/v1/explain?url=/&header=u%3A%201&header=cookie%3A%20plan%3Dbeta";
    let told = proxy.get_admin(url).await.json();
    let flag = &told["flags"][0];
    assert_eq!(flag["flag"], "new-checkout");
    assert_eq!(flag["variant"], "on");
    assert_eq!(flag["reason"], "TARGETING_MATCH");
    assert_eq!(flag["rule"], "beta");
    assert_eq!(flag["header"], HEADER);
    assert_eq!(told["variant"], "canary");
    assert_eq!(told["segment"], "with-checkout");
}
