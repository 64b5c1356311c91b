//! Segments and rules over the wire: who is in a group has its weights, and is told of.

use serde_json::Value;

use crate::support::ask::{self, Ask};
use crate::support::config::Config;
use crate::support::pair::Pair;
use crate::support::proxy;

/// Beta users of two countries, and colleagues by their address.
const BETA: &str = r#"
[segment.beta-eu]
any = [
  { all = [{ attr = "header:x-country", op = "in", values = ["DE", "FR"] }, { attr = "cookie:plan", op = "eq", value = "beta" }] },
  { all = [{ attr = "header:x-email", op = "ends_with", value = "@example.com" }] },
]
"#;

/// Weights of the route, and what the rule gives canary against stable.
fn ruled(pair: &Pair, weights: [u32; 2], rule: [u32; 2]) -> Config {
    let [stable, canary] = rule;
    let rule = format!(
        "[[route.shop.rule]]\nsegment = \"beta-eu\"\nweights = {{ stable = {stable}, canary = {canary} }}"
    );
    pair.split(weights, "sticky = { keys = [\"header:u\"] }")
        .section(BETA)
        .section(&rule)
}

fn beta(user: u32) -> Ask {
    ask::get("/")
        .field("u", user.to_string())
        .field("x-country", "FR")
        .field("cookie", "a=b; plan=beta")
}

fn free(user: u32) -> Ask {
    ask::get("/")
        .field("u", user.to_string())
        .field("x-country", "FR")
        .field("cookie", "a=b; plan=free")
}

#[tokio::test]
async fn a_group_has_its_own_weights_and_everybody_else_those_of_the_route() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [1, 0], [0, 1])).await;
    let mut client = proxy.connect().await;
    for user in 0..20 {
        assert_eq!(client.ask(&beta(user)).await.text(), "canary");
        assert_eq!(client.ask(&free(user)).await.text(), "stable");
    }
    let colleague = ask::get("/").field("x-email", "ana@example.com");
    assert_eq!(client.ask(&colleague).await.text(), "canary");
    let stranger = ask::get("/").field("x-email", "ana@example.com.evil");
    assert_eq!(client.ask(&stranger).await.text(), "stable");
    proxy
        .counted("21 requests by the rule", |metrics| {
            let labels = [("route", "shop"), ("segment", "beta-eu")];
            metrics.sum("tidegate_rule_matches_total", &labels) == 21.0
        })
        .await;
}

#[tokio::test]
async fn a_change_of_a_rule_moves_nobody_outside_of_its_segment() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [80, 20], [80, 20])).await;
    let mut client = proxy.connect().await;
    let mut before: Vec<[String; 2]> = Vec::new();
    for user in 0..200 {
        let inside = client.ask(&beta(user)).await.text();
        before.push([inside, client.ask(&free(user)).await.text()]);
    }
    // The same weights are the same users, whoever gives them.
    assert!(before.iter().all(|[inside, outside]| inside == outside));
    proxy.reload(&ruled(&pair, [80, 20], [80, 80])).await;
    let mut n_moved = 0;
    for (user, [inside, outside]) in (0..).zip(&before) {
        let now = client.ask(&beta(user)).await.text();
        assert!(now == *inside || now == "canary", "{user} left what grew");
        n_moved += u32::from(now != *inside);
        assert_eq!(client.ask(&free(user)).await.text(), *outside);
    }
    assert!(
        (30..=90).contains(&n_moved),
        "{n_moved} of 200 at 20 % → 50 %"
    );
}

#[tokio::test]
async fn the_draw_of_a_rule_goes_on_over_reloads() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [1, 0], [95, 5])).await;
    let mut client = proxy.connect().await;
    let ask = ask::get("/").field("x-email", "ana@example.com");
    let mut canary = 0;
    for turn in 0..25 {
        let changed = ruled(&pair, [1, 0], [95, 5]).section(&format!("# {turn}"));
        proxy.reload(&changed).await;
        for _ in 0..10 {
            canary += u32::from(client.ask(&ask).await.text() == "canary");
        }
    }
    // 250 at 5 %; two workers may have served them, each within a few requests of its share.
    assert!((7..=18).contains(&canary), "{canary} of 250 at 5 %");
}

#[tokio::test]
async fn the_access_log_tells_the_segment_that_decided() {
    let pair = Pair::start().await;
    let log =
        "[access_log]\noutput = \"access.log\"\nfields = [\"variant\", \"selection\", \"segment\"]";
    let proxy = proxy::start(&ruled(&pair, [1, 0], [0, 1]).section(log)).await;
    let mut client = proxy.connect().await;
    client.ask(&beta(1)).await;
    client.ask(&free(1)).await;
    let file = proxy.dir().join("access.log");
    let mut lines = Vec::new();
    crate::support::wait::until("two lines", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() == 2
    })
    .await;
    let line = |n: usize| serde_json::from_str::<Value>(&lines[n]).expect("JSON");
    let by_rule =
        serde_json::json!({ "variant": "canary", "selection": "hash", "segment": "beta-eu" });
    assert_eq!(line(0), by_rule);
    assert_eq!(
        line(1),
        serde_json::json!({ "variant": "stable", "selection": "hash" })
    );
}

#[tokio::test]
async fn turning_a_variant_off_turns_it_off_for_a_rule_too() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [1, 0], [0, 1])).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.ask(&beta(1)).await.text(), "canary");
    let off = ruled(&pair, [1, 0], [0, 1]).variant_keys("canary", "state = \"off\"");
    proxy.reload(&off).await;
    assert_eq!(client.ask(&beta(1)).await.text(), "stable");
    let status = proxy.status().await;
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("the rule is passed over"), "{warnings}");
    let rule = serde_json::json!({
        "segment": "beta-eu", "weights": { "stable": 0, "canary": 1 }, "applies": false, "requests": 1,
    });
    assert_eq!(status["routes"]["shop"]["rules"], Value::Array(vec![rule]));
}

#[tokio::test]
async fn a_group_whose_only_variant_is_gone_is_served_by_the_route() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [1, 0], [0, 1])).await;
    let Pair { stable, canary } = pair;
    canary.stop().await;
    let answer = proxy.ask(&beta(1)).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "stable"));
    drop(stable);
}

#[tokio::test]
async fn explain_tells_which_rule_decides_and_why() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&ruled(&pair, [1, 0], [50, 50])).await;
    let explained = |query: &str| {
        let path = format!("/api/v1/explain?url=/&key=42{query}");
        let proxy = &proxy;
        async move { proxy.get_admin(&path).await.json() }
    };
    let inside = explained("&header=x-country:%20DE&header=cookie:%20plan=beta").await;
    assert_eq!(inside["segment"], "beta-eu");
    assert_eq!(inside["rules"][0]["holds"], true);
    assert_eq!(inside["rules"][0]["any"][1][0]["holds"], false);
    assert_eq!(inside["variants"][0]["weight"], 50);
    let outside = explained("&header=x-country:%20DE").await;
    assert_eq!(outside["segment"], Value::Null);
    assert_eq!(outside["variant"], "stable");
    let conditions = &outside["rules"][0]["any"][0];
    let told = |n: usize| {
        (
            conditions[n]["condition"].clone(),
            conditions[n]["holds"].clone(),
        )
    };
    assert_eq!(told(0), ("header:x-country in DE, FR".into(), true.into()));
    assert_eq!(told(1), ("cookie:plan eq beta".into(), false.into()));
    // The user flips where it would by the route's own weights.
    let flips_at = |explained: &Value| explained["variants"][0]["flips_at"].as_f64();
    let flips = flips_at(&inside).zip(flips_at(&outside));
    let (inside, outside) = flips.expect("a share");
    assert!((inside - outside).abs() < 1e-9, "{inside} {outside}");
}
