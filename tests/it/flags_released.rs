//! Flags at run time, at the edge: a kill reaches every worker, a release rolls a flag out, and what
//! was evaluated is known after a restart.

use serde_json::{Value, json};

use crate::support::ask::{self, Ask};
use crate::support::config::Config;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::staff::{is_done, is_problem, sending};
use crate::support::wait;

/// A flag that upstreams of `shop` are told of, and its release.
const FLAG: &str = r#"
[store]
path = "state"

[flag.new-checkout]
type = "boolean"
variants = { on = true, off = false }
off_variant = "off"
default_variant = "off"
inject = { header = "x-flag-new-checkout", routes = ["shop"] }
"#;

const RELEASE: &str = r#"
[release.checkout-2]
flag = "new-checkout"
stable = "off"
candidate = "on"
start = "manual"
[release.checkout-2.strategy]
analysis = false
steps = [{ weight = 50, for = "1h" }, { weight = 100, bake = "1h" }]
"#;

fn config(pair: &Pair, sections: &str) -> Config {
    let keys = "sticky = { keys = [\"header:u\"], cookie = true }";
    pair.split([1, 0], keys).section(FLAG).section(sections)
}

fn user(n: u32) -> Ask {
    ask::get("/").field("u", n.to_string())
}

/// How many of a hundred users have the flag on, each on a connection of its own.
async fn n_on(pair: &Pair, proxy: &Proxy) -> usize {
    let n_before = pair.stable.n_requests();
    for n in 0..100 {
        assert_eq!(proxy.ask(&user(n)).await.status, 200);
    }
    let requests = pair.stable.requests();
    let told = requests[n_before..].iter();
    let told = told.map(|request| request.field("x-flag-new-checkout"));
    told.filter(|variant| *variant == Some("on")).count()
}

async fn sent(proxy: &Proxy, path: &str, mut body: Value) -> Value {
    body["reason"] = "because it must".into();
    is_done(&proxy.ask_admin(sending("POST", path, &body)).await, 200)
}

async fn get(proxy: &Proxy, path: &str) -> Value {
    is_done(&proxy.get_admin(&format!("/api/v1{path}")).await, 200)
}

#[tokio::test]
async fn a_kill_is_in_force_at_once_on_every_worker() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&config(&pair, "")).await;
    let on = json!({ "variant": "on" });
    sent(&proxy, "/flags/new-checkout/override", on).await;
    assert_eq!(n_on(&pair, &proxy).await, 100);
    sent(&proxy, "/flags/new-checkout/kill", json!({})).await;
    // Each connection is a new one, so that both workers serve.
    assert_eq!(n_on(&pair, &proxy).await, 0);
    sent(&proxy, "/flags/new-checkout/unkill", json!({})).await;
    assert_eq!(
        n_on(&pair, &proxy).await,
        100,
        "the override was there all the time"
    );
}

#[tokio::test]
async fn a_release_rolls_a_flag_out_and_leaves_it_so() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&config(&pair, RELEASE)).await;
    assert_eq!(n_on(&pair, &proxy).await, 0);
    sent(&proxy, "/releases/checkout-2/start", json!({})).await;
    wait::until("the first step", async || {
        get(&proxy, "/releases/checkout-2").await["weight_percent"] == 50.0
    })
    .await;
    let half = n_on(&pair, &proxy).await;
    assert!((20..=80).contains(&half), "{half}");
    let flag = get(&proxy, "/flags/new-checkout").await;
    assert_eq!(
        (&flag["decided_by"], &flag["release"]),
        (&json!("release"), &json!("checkout-2"))
    );

    // Nobody sets what a release decides, and a kill holds it.
    let body = json!({ "variant": "on", "reason": "because it must" });
    let over = sending("POST", "/flags/new-checkout/override", &body);
    is_problem(&proxy.ask_admin(over).await, 409, "busy");
    sent(&proxy, "/flags/new-checkout/kill", json!({})).await;
    assert_eq!(n_on(&pair, &proxy).await, 0);
    let held = get(&proxy, "/releases/checkout-2").await["paused"].clone();
    assert_eq!(
        held["reason"], "its flag is killed: because it must",
        "{held}"
    );
    wait::until("the hold", async || {
        let why = get(&proxy, "/releases/checkout-2/why").await;
        let holds = why["holds"].as_array().expect("holds");
        holds.iter().any(|hold| hold["reason"] == "flag_killed")
    })
    .await;
    sent(&proxy, "/flags/new-checkout/unkill", json!({})).await;
    assert_eq!(n_on(&pair, &proxy).await, half, "the same users");

    sent(&proxy, "/releases/checkout-2/resume", json!({})).await;
    sent(&proxy, "/releases/checkout-2/promote", json!({})).await;
    assert_eq!(n_on(&pair, &proxy).await, 100);
    let drift = get(&proxy, "/drift").await;
    let told = &drift["flags"][0];
    assert_eq!(
        (&told["cause"], &told["obeyed"]),
        (&json!("left"), &json!("off=0 on=10000"))
    );
    let routes = get(&proxy, "/routes").await;
    assert_eq!(
        routes["routes"].as_object().map(serde_json::Map::len),
        Some(1)
    );

    // The commit that follows changes nothing but who says so.
    let text = config(&pair, RELEASE).text();
    let text = text.replace("default_variant = \"off\"", "default_variant = \"on\"");
    proxy.reload_text(&text).await;
    assert_eq!(get(&proxy, "/drift").await["has_drifted"], false);
    assert_eq!(n_on(&pair, &proxy).await, 100);
}

#[tokio::test]
async fn a_freeze_may_name_a_flag_and_is_in_no_other_ones_way() {
    let pair = Pair::start().await;
    let frozen = "[freeze.audit]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nblocks = [\"flag\"]\n\
                  routes = [\"flag:new-checkout\"]\n[flag.dark-mode]\n";
    let proxy = proxy::start(&config(&pair, frozen)).await;
    let on = json!({ "variant": "on", "reason": "because it must" });
    let path = "/flags/new-checkout/override";
    let held = proxy.ask_admin(sending("POST", path, &on)).await;
    assert_eq!(held.status, 409, "{held:?}");
    assert!(held.text().contains("the freeze audit is in the way"));
    sent(
        &proxy,
        "/flags/dark-mode/override",
        json!({ "variant": "on" }),
    )
    .await;
}

#[tokio::test]
async fn a_freeze_of_flags_holds_the_release_of_one() {
    let freeze = "[freeze.xmas]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nblocks = [\"flag\"]\nroutes = [\"shop\"]\n";
    let pair = Pair::start().await;
    let sections = format!("{}{freeze}", RELEASE.replace("start = \"manual\"\n", ""));
    let proxy = proxy::start(&config(&pair, &sections)).await;
    wait::until("the freeze holds it", async || {
        let release = get(&proxy, "/releases/checkout-2").await;
        release["holds"][0]["reason"] == "freeze:xmas"
    })
    .await;
}

#[tokio::test]
async fn what_was_evaluated_is_known_after_a_restart() {
    let pair = Pair::start().await;
    let config = config(&pair, "");
    let proxy = proxy::start(&config).await;
    // What is counted, is from the first look on: that is in the first second.
    proxy
        .counted("the first look", |metrics| {
            metrics.text.contains("tidegate_flag_stale{")
        })
        .await;
    assert_eq!(n_on(&pair, &proxy).await, 0);
    let dir = proxy.end_and_keep().await;
    let proxy = proxy::start_in(dir, &config).await;
    wait::until("the answers of the process before", async || {
        let flag = get(&proxy, "/flags/new-checkout").await;
        flag["answers"]["off"]["count"]
            .as_u64()
            .is_some_and(|count| count >= 100)
            && flag["last_evaluated_at"].is_string()
    })
    .await;
}
