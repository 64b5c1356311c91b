//! Identity cookies: who has no key gets one, and stays.

use std::collections::BTreeMap;

use crate::support::ask;
use crate::support::config;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::secure;

/// The name and value of an identity cookie that was set, and its attributes.
fn set_cookie(answer: &Message) -> Option<(String, Vec<String>)> {
    let field = answer.field("set-cookie")?;
    let mut parts = field.split("; ").map(str::to_owned);
    let pair = parts.next()?;
    Some((pair, parts.collect()))
}

#[tokio::test]
async fn who_has_no_key_gets_an_identity_cookie_once_and_stays() {
    let pair = Pair::start().await;
    let keys = "sticky = { keys = [\"header:u\"], cookie = true }";
    let proxy = proxy::start(&pair.split([50, 50], keys)).await;
    let mut client = proxy.connect().await;
    let mut seen = BTreeMap::<String, u32>::new();
    for _ in 0..30 {
        let first = client.get("/").await;
        let (cookie, attributes) = set_cookie(&first).expect("a cookie");
        let (name, id) = cookie.split_once('=').expect("a value");
        assert_eq!(name, "tidegate_id");
        assert!(id.len() >= 22, "128 random bits: {id}");
        assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax"]);
        assert!(!cookie.contains("canary") && !cookie.contains("stable"));
        for _ in 0..3 {
            let ask = ask::get("/").field("cookie", format!("x=1; {cookie}; y=2"));
            let again = client.ask(&ask).await;
            assert_eq!(again.text(), first.text());
            assert_eq!(set_cookie(&again), None);
        }
        *seen.entry(first.text()).or_default() += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    // Who has a key needs no cookie.
    let keyed = client.ask(&ask::get("/").field("u", "1")).await;
    assert_eq!(set_cookie(&keyed), None);
    // The cookie is between client and proxy.
    let requests = [pair.stable.requests(), pair.canary.requests()].concat();
    for received in requests {
        let cookie = received.field("cookie").unwrap_or("x=1; y=2");
        assert_eq!(cookie, "x=1; y=2");
    }
}

#[tokio::test]
async fn an_identity_cookie_that_is_none_of_ours_is_replaced() {
    let pair = Pair::start().await;
    let keys = "sticky = { cookie = true }";
    let proxy = proxy::start(&pair.split([50, 50], keys)).await;
    let mut client = proxy.connect().await;
    for forged in ["", "short", "<script>"] {
        let ask = ask::get("/").field("cookie", format!("tidegate_id={forged}"));
        let answer = client.ask(&ask).await;
        assert!(set_cookie(&answer).is_some(), "{forged:?}");
    }
}

#[tokio::test]
async fn an_identity_cookie_has_the_name_and_age_that_are_configured() {
    let pair = Pair::start().await;
    let keys = "sticky = { cookie = { name = \"who\", max_age = \"30d\" } }";
    let secure = secure::start(&pair.split([50, 50], keys)).await;
    let answer = secure.http1().await.get("/").await;
    let (cookie, attributes) = set_cookie(&answer).expect("a cookie");
    assert!(cookie.starts_with("who="), "{cookie}");
    for expected in [
        "Max-Age=2592000",
        "Secure",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        let has = attributes.iter().any(|attribute| attribute == expected);
        assert!(has, "{expected}: {attributes:?}");
    }
}

#[tokio::test]
async fn an_answer_for_shared_caches_gets_no_identity_cookie() {
    for control in ["public, max-age=60", "s-maxage=60"] {
        let origin = origin::raw(format!(
            "HTTP/1.1 200 OK\r\ncache-control: {control}\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
        let keys = "sticky = { cookie = true }";
        let proxy = proxy::start(&config::split(keys, &[("one", 1, origin.address)])).await;
        assert_eq!(set_cookie(&proxy.get("/").await), None, "{control}");
    }
}
