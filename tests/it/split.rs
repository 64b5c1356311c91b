//! Splits over the wire: shares, staying on a variant, identity cookies, and forced variants.

use std::collections::BTreeMap;

use crate::support::ask::{self, Ask};
use crate::support::client::{self, Client};
use crate::support::pair::Pair;
use crate::support::proxy;

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

/// The request of the user with a number.
type By = fn(u32) -> Ask;

#[tokio::test]
async fn a_user_stays_by_each_kind_of_key() {
    let pair = Pair::start().await;
    let by_key: [(&str, By); 3] = [
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
