//! Explanations of a small configuration.

use std::path::Path;

use crate::admin::explain::{Asked, explain};
use crate::admin::wire::Explained;
use crate::config;

const CONFIG: &str = r#"
[listener.http]
address = "127.0.0.1:0"

[upstream.v1]
endpoints = ["127.0.0.1:1"]

[upstream.v2]
endpoints = ["127.0.0.1:2"]

[route.shop]
match = { hosts = ["shop.example.com"], path = "/cart", headers = { "x-beta" = true } }
sticky = { keys = ["header:x-user-id"] }
force = { header = "x-variant" }

[route.shop.split]
stable = { upstream = "v1", weight = 95 }
canary = { upstream = "v2", weight = 5 }

[route.drawn.split]
stable = { upstream = "v1", weight = 95 }
canary = { upstream = "v2", weight = 5 }

[route.cookie]
match = { path = "/cookie" }
sticky = { cookie = true }

[route.cookie.split]
stable = { upstream = "v1", weight = 95 }
canary = { upstream = "v2", weight = 5 }

[route.plain]
match = { path = "/plain" }
upstream = "v1"

[route.moved]
match = { path = "/moved" }
upstream = "v1"
rewrite = { prefix = "/app", host = "inner.example" }
"#;

fn ask(url: &str, headers: &[&str], key: Option<&str>, down: &str) -> Explained {
    let loaded = config::parse(CONFIG.to_owned(), Path::new("tidegate.toml")).unwrap();
    let asked = Asked {
        url: url.to_owned(),
        headers: headers.iter().map(|&header| header.to_owned()).collect(),
        key: key.map(str::to_owned),
        ..Asked::default()
    };
    explain(&loaded.config, &asked, |upstream| upstream != down).unwrap()
}

fn shop(headers: &[&str], key: Option<&str>, down: &str) -> Explained {
    let headers = [&["x-beta: 1"], headers].concat();
    ask("http://shop.example.com/cart/1", &headers, key, down)
}

#[test]
fn a_key_is_explained_by_its_scores() {
    let explained = shop(&["x-user-id: 42"], None, "");
    assert_eq!(explained.route.as_deref(), Some("shop"));
    assert_eq!(explained.matched.len(), 3);
    assert_eq!(explained.reason, "hash");
    assert_eq!(explained.key.as_deref(), Some("42"));
    let best = explained
        .variants
        .iter()
        .max_by(|a, b| a.score.partial_cmp(&b.score).unwrap());
    assert_eq!(explained.variant, Some(best.unwrap().name.clone()));
    let flips: f64 = explained
        .variants
        .iter()
        .filter_map(|variant| variant.flips_at)
        .sum();
    assert!(
        (flips - 1.0).abs() < 1e-9,
        "two variants flip at one point: {flips}"
    );
}

#[test]
fn a_key_that_is_told_is_the_key_that_is_sent() {
    let told = shop(&[], Some("42"), "");
    let sent = shop(&["x-user-id: 42"], None, "");
    assert_eq!(told.variant, sent.variant);
    assert_eq!(told.variants[0].score, sent.variants[0].score);
}

#[test]
fn a_forced_request_is_not_served_by_another() {
    let explained = shop(&["x-user-id: 42", "x-variant: canary"], None, "");
    assert_eq!((explained.reason.as_str(), explained.key), ("forced", None));
    assert_eq!(explained.variant.as_deref(), Some("canary"));
    let explained = shop(&["x-variant: canary"], None, "v2");
    assert_eq!(explained.served_by, None);
    assert!(explained.notes[0].contains("503"));
    let explained = shop(&["x-user-id: 42", "x-variant: green"], None, "");
    assert_eq!(explained.reason, "hash");
    assert!(explained.notes[0].contains("does not exist"));
}

#[test]
fn the_runner_up_serves_for_an_unavailable_variant() {
    let chosen = shop(&[], Some("42"), "").variant.unwrap();
    let (own, other) = match chosen.as_str() {
        "stable" => ("v1", "canary"),
        _ => ("v2", "stable"),
    };
    for explained in [
        shop(&[], Some("42"), own),
        shop(&["x-user-id: 42"], None, own),
    ] {
        assert_eq!(explained.variant.as_deref(), Some(chosen.as_str()));
        assert_eq!(explained.served_by.as_deref(), Some(other));
    }
}

#[test]
fn without_a_key_no_variant_is_promised() {
    let explained = ask("/", &[], None, "");
    assert_eq!(
        (explained.route.as_deref(), explained.reason.as_str()),
        (Some("drawn"), "draw")
    );
    assert_eq!(explained.matched, ["any request"]);
    assert_eq!(explained.variant, None);
    let explained = ask("/cookie", &[], None, "");
    assert_eq!(
        (explained.variant, explained.reason.as_str()),
        (None, "hash")
    );
    assert!(explained.notes[0].contains("cookie"));
}

#[test]
fn a_route_without_a_split_has_one_variant() {
    let explained = ask("/plain", &[], None, "");
    assert_eq!(explained.variant.as_deref(), Some(config::ONLY_VARIANT));
    assert_eq!(explained.variants.len(), 1);
}

#[test]
fn what_no_route_catches_is_told() {
    let loaded = config::parse(
        CONFIG.replace(
            "[route.drawn.split]",
            "[route.drawn]\nmatch = { path_exact = \"/only\" }\n[route.drawn.split]",
        ),
        Path::new("t.toml"),
    )
    .unwrap();
    let asked = Asked {
        url: "/elsewhere".to_owned(),
        ..Asked::default()
    };
    let explained = explain(&loaded.config, &asked, |_| true).unwrap();
    assert_eq!(explained.route, None);
}

#[test]
fn a_rewritten_target_is_told() {
    let explained = ask("http://shop.example.com/%6doved/x?a=b", &[], None, "");
    let rewritten = explained.rewritten.unwrap();
    assert_eq!(rewritten.host, "inner.example");
    assert_eq!(rewritten.target, "/app/x?a=b");
    assert_eq!(ask("/plain", &[], None, "").rewritten, None);

    let explained = ask("/moved/..%2fx", &[], None, "");
    assert_eq!(explained.rewritten, None);
    assert!(
        explained.notes[0].ends_with("it is answered 400"),
        "{:?}",
        explained.notes
    );
}
