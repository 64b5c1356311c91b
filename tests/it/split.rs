//! Splits over the wire: shares, staying on a variant, identity cookies, and forced variants.

use std::collections::BTreeMap;

use crate::support::ask::{self, Ask};
use crate::support::client::{self, Client};
use crate::support::config;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

/// How many answers came from each variant.
async fn tally(client: &mut Client, asks: impl IntoIterator<Item = Ask>) -> BTreeMap<String, u32> {
    let mut tally = BTreeMap::new();
    for ask in asks {
        let answer = client.ask(&ask).await;
        assert_eq!(answer.status, 200);
        *tally.entry(answer.text()).or_default() += 1;
    }
    tally
}

/// Which variant each of so many users gets, one letter each.
async fn map(client: &mut Client, users: impl IntoIterator<Item = Ask>) -> String {
    let mut map = String::new();
    for ask in users {
        map.push_str(&client.ask(&ask).await.text()[..1]);
    }
    map
}

#[tokio::test]
async fn who_has_no_key_is_drawn_close_to_the_weights() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([95, 5], "")).await;
    let mut client = proxy.connect().await;
    let got = tally(&mut client, (0..1000).map(|_| ask::get("/"))).await;
    // A draw is never more than a few requests off, wherever its counter starts.
    assert!((45..=55).contains(&got["canary"]), "{got:?}");
}

#[tokio::test]
async fn the_draw_goes_on_over_reloads() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([99, 1], "")).await;
    let mut client = proxy.connect().await;
    let mut canary = 0;
    for turn in 0..50 {
        // With each reload something else changes; twenty requests between them are too few for
        // a draw that begins anew to come to its share.
        let changed = pair.split([99, 1], "").section(&format!("# {turn}"));
        proxy.reload(&changed).await;
        let got = tally(&mut client, (0..20).map(|_| ask::get("/"))).await;
        canary += got.get("canary").unwrap_or(&0);
    }
    assert!((6..=14).contains(&canary), "{canary} of 1000 at 1 %");
}

#[tokio::test]
async fn a_weight_of_0_gets_nobody() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "sticky = { keys = [\"header:u\"] }")).await;
    let mut client = proxy.connect().await;
    let drawn = (0..100).map(|_| ask::get("/"));
    let hashed = (0..100).map(|n| ask::get("/").field("u", n.to_string()));
    let got = tally(&mut client, drawn.chain(hashed)).await;
    assert_eq!(got, BTreeMap::from([("stable".to_owned(), 200)]));
}

#[tokio::test]
async fn a_user_stays_by_each_kind_of_key() {
    let pair = Pair::start().await;
    let by_key: [(&str, fn(u32) -> Ask); 3] = [
        ("header:x-user-id", |n| {
            ask::get("/").field("X-User-Id", format!("user-{n}"))
        }),
        ("cookie:sid", |n| {
            ask::get("/").field("cookie", format!("a=b; sid=user-{n}; c=d"))
        }),
        ("query:u", |n| ask::get(&format!("/?a=b&u=user-{n}&c=d"))),
    ];
    let mut maps = Vec::new();
    for (key, ask) in by_key {
        let keys = format!("sticky = {{ keys = [\"{key}\"] }}");
        let proxy = proxy::start(&pair.split([50, 50], &keys)).await;
        let mut client = proxy.connect().await;
        let first = map(&mut client, (0..200).map(ask)).await;
        let again = map(&mut proxy.connect().await, (0..200).map(ask)).await;
        assert_eq!(first, again, "{key}");
        let n_canary = first.matches('c').count();
        assert!((60..=140).contains(&n_canary), "{key}: {n_canary} of 200");
        maps.push(first);
    }
    // The same key is the same user, wherever it stands, and on every instance.
    assert!(maps.iter().all(|map| *map == maps[0]), "{maps:#?}");
}

#[tokio::test]
async fn a_client_stays_by_its_address() {
    let pair = Pair::start().await;
    let keys = "sticky = { keys = [\"client_ip\"] }";
    let proxy = proxy::start(&pair.split([50, 50], keys)).await;
    let mut seen = BTreeMap::<String, u32>::new();
    for n in 1..=40 {
        let source = format!("127.0.0.{n}");
        let mut client = client::connect_from(&source, proxy.http()).await;
        let got = tally(&mut client, (0..5).map(|_| ask::get("/"))).await;
        assert_eq!(got.len(), 1, "{source}: {got:?}");
        *seen
            .entry(got.into_keys().next().expect("one"))
            .or_default() += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn the_first_key_that_is_there_decides() {
    let pair = Pair::start().await;
    let keys = "sticky = { keys = [\"header:x-user-id\", \"cookie:sid\"] }";
    let proxy = proxy::start(&pair.split([50, 50], keys)).await;
    let mut client = proxy.connect().await;
    let header = |n: u32| ask::get("/").field("x-user-id", n.to_string());
    let both = |n: u32| header(n).field("cookie", "sid=same");
    let alone = map(&mut client, (0..50).map(header)).await;
    assert_eq!(alone, map(&mut client, (0..50).map(both)).await);
}

#[tokio::test]
async fn users_move_only_toward_the_weight_that_grows() {
    let pair = Pair::start().await;
    let keys = "sticky = { keys = [\"header:u\"] }";
    let user = |n: u32| ask::get("/").field("u", format!("user-{n}"));
    let proxy = proxy::start(&pair.split([100, 0], keys)).await;
    let mut client = proxy.connect().await;
    let mut before = map(&mut client, (0..300).map(user)).await;
    for weight in [1, 5, 25, 100, 400] {
        proxy.reload(&pair.split([100, weight], keys)).await;
        let after = map(&mut client, (0..300).map(user)).await;
        let back = before
            .chars()
            .zip(after.chars())
            .any(|pair| pair == ('c', 's'));
        assert!(!back, "somebody left the variant that grew to {weight}");
        before = after;
    }
    assert!(before.matches('c').count() > 200, "{before}");
    // And back at once when the weight is gone.
    proxy.reload(&pair.split([100, 0], keys)).await;
    let after = map(&mut client, (0..300).map(user)).await;
    assert!(!after.contains('c'), "{after}");
}

#[tokio::test]
async fn an_equal_salt_moves_the_same_users_on_two_routes() {
    let pair = Pair::start().await;
    let keys = "salt = \"shared\"\nsticky = { keys = [\"header:u\"] }";
    let weights = [("stable", 50), ("canary", 50)];
    let config = pair.split([50, 50], keys).split_route(
        "api",
        &format!("match = {{ path = \"/api\" }}\n{keys}"),
        &weights,
    );
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let user = |path: &'static str| move |n: u32| ask::get(path).field("u", n.to_string());
    let shop = map(&mut client, (0..100).map(user("/"))).await;
    let api = map(&mut client, (0..100).map(user("/api"))).await;
    assert_eq!(shop, api);
}

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
        let cookie = received.request.field("cookie").unwrap_or("x=1; y=2");
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

/// A proxy whose testers may name the variant in every way, with these weights.
async fn forced(pair: &Pair, weights: [u32; 2]) -> Proxy {
    let keys = "force = { header = \"x-variant\", cookie = \"variant\", query = \"variant\" }";
    proxy::start(&pair.split(weights, keys)).await
}

#[tokio::test]
async fn a_tester_gets_the_variant_that_he_names_at_weight_0_too() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let mut client = proxy.connect().await;
    for ask in [
        ask::get("/").field("X-Variant", "canary"),
        ask::get("/").field("cookie", "a=b; variant=canary"),
        ask::get("/?a=b&variant=canary"),
    ] {
        assert_eq!(client.ask(&ask).await.text(), "canary", "{ask:?}");
    }
    assert_eq!(client.get("/").await.text(), "stable");
}

#[tokio::test]
async fn a_header_is_stronger_than_a_cookie_and_that_than_the_query() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let mut client = proxy.connect().await;
    let ask = ask::get("/?variant=canary").field("cookie", "variant=stable");
    assert_eq!(client.ask(&ask).await.text(), "stable");
    let ask = ask.field("x-variant", "canary");
    assert_eq!(client.ask(&ask).await.text(), "canary");
}

#[tokio::test]
async fn a_variant_that_nobody_knows_is_ignored_and_counted() {
    let pair = Pair::start().await;
    let proxy = forced(&pair, [100, 0]).await;
    let ask = ask::get("/").field("x-variant", "nonesuch");
    assert_eq!(proxy.ask(&ask).await.text(), "stable");
    proxy
        .counted("what was not heeded", |metrics| {
            metrics.sum("tidegate_forced_rejected_total", &[("route", "shop")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_variant_that_is_off_gets_nobody_at_all() {
    let pair = Pair::start().await;
    let keys = "force = { header = \"x-variant\" }\nsticky = { keys = [\"header:u\"] }";
    let config = pair
        .split([50, 50], keys)
        .variant_keys("canary", "state = \"off\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let users = (0..100).map(|n| ask::get("/").field("u", n.to_string()));
    let got = tally(&mut client, users).await;
    assert_eq!(got, BTreeMap::from([("stable".to_owned(), 100)]));
    let forced = ask::get("/").field("x-variant", "canary");
    let status = client.ask(&forced).await.status;
    assert_eq!(pair.canary.n_requests(), 0, "answered {status}");
}

#[tokio::test]
async fn selections_are_counted_by_their_reason() {
    let pair = Pair::start().await;
    let keys = "force = { header = \"x-variant\" }\nsticky = { keys = [\"header:u\"] }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    let mut client = proxy.connect().await;
    client.get("/").await;
    for n in 0..2 {
        client.ask(&ask::get("/").field("u", n.to_string())).await;
    }
    for _ in 0..3 {
        client
            .ask(&ask::get("/").field("x-variant", "canary"))
            .await;
    }
    proxy
        .counted("six requests", |metrics| {
            let requests = |variant, selection| {
                let labels = [
                    ("route", "shop"),
                    ("variant", variant),
                    ("selection", selection),
                    ("code", "200"),
                    ("source", "upstream"),
                ];
                metrics.sum("tidegate_requests_total", &labels)
            };
            requests("stable", "draw") == 1.0
                && requests("stable", "hash") == 2.0
                && requests("canary", "forced") == 3.0
        })
        .await;
}
