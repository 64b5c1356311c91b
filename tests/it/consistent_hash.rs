//! Consistent hashing over endpoints: a key has its endpoint, whoever asks and whoever goes.

use std::collections::BTreeMap;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::dns;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// Keys that a test asks with: enough that each of a few endpoints has several.
const USERS: usize = 40;

async fn four() -> Vec<Origin> {
    let mut origins = Vec::new();
    for name in ["a", "b", "c", "d"] {
        origins.push(origin::answering(name).await);
    }
    origins
}

/// All endpoints in one upstream that hashes the header `x-user`.
fn among(origins: &[Origin]) -> Config {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let keys = "balance = \"consistent_hash\"\nhash = [\"header:x-user\", \"query:user\"]";
    config::new()
        .upstream_with("only", &addresses, keys)
        .route("all", "upstream = \"only\"")
}

async fn ask(proxy: &Proxy, user: usize) -> Message {
    let ask = ask::get("/").field("x-user", user.to_string());
    proxy.ask(&ask).await
}

/// Who answers each user, each on a connection of its own.
async fn holders(proxy: &Proxy) -> BTreeMap<usize, String> {
    let mut holders = BTreeMap::new();
    for user in 0..USERS {
        holders.insert(user, ask(proxy, user).await.text());
    }
    holders
}

#[tokio::test]
async fn a_key_has_its_endpoint_on_every_worker_and_every_instance_in_any_order() {
    let mut origins = four().await;
    let proxy = proxy::start(&among(&origins)).await;
    let first = holders(&proxy).await;
    for name in ["a", "b", "c", "d"] {
        let n = first.values().filter(|holder| *holder == name).count();
        assert!(n > 0, "{name} has none of {USERS} users: {first:?}");
    }
    // Connections spread over the workers.
    for _ in 0..4 {
        assert_eq!(holders(&proxy).await, first);
    }
    origins.reverse();
    let another = proxy::start(&among(&origins)).await;
    assert_eq!(holders(&another).await, first);
}

#[tokio::test]
async fn only_the_keys_of_an_endpoint_that_goes_move_and_they_come_back() {
    let origins = four().await;
    let proxy = proxy::start(&among(&origins)).await;
    let before = holders(&proxy).await;
    proxy.reload(&among(&origins[..3])).await;
    let without = holders(&proxy).await;
    for (user, holder) in &before {
        if holder == "d" {
            assert_ne!(without[user], "d");
        } else {
            assert_eq!(&without[user], holder, "{user}");
        }
    }
    proxy.reload(&among(&origins)).await;
    assert_eq!(holders(&proxy).await, before);
}

#[tokio::test]
async fn the_keys_of_an_endpoint_that_does_not_answer_go_to_their_runners_up() {
    let mut origins = four().await;
    let proxy = proxy::start(&among(&origins)).await;
    let before = holders(&proxy).await;
    let (mut gone, rest) = (Vec::new(), &origins[..3]);
    proxy.reload(&among(rest)).await;
    let expected = holders(&proxy).await;
    proxy.reload(&among(&origins)).await;
    gone.push(origins.remove(3));
    let address = gone[0].address;
    for origin in gone {
        origin.stop().await;
    }
    // Not one request fails, and each goes where it would go if the endpoint were not there at all.
    for _ in 0..3 {
        for (user, holder) in &expected {
            let answer = ask(&proxy, *user).await;
            assert_eq!((answer.status, &answer.text()), (200, holder), "{user}");
        }
    }
    let _back = origin::answering_at(address, "d").await;
    wait::until("its keys come back", async || {
        holders(&proxy).await == before
    })
    .await;
}

#[tokio::test]
async fn the_first_key_that_is_there_counts_and_without_one_it_is_as_usual() {
    let origins = four().await;
    let proxy = proxy::start(&among(&origins)).await;
    let mut client = proxy.connect().await;
    for user in 0..USERS {
        let by_header = ask(&proxy, user).await.text();
        let query = ask::get(&format!("/?user={user}"));
        assert_eq!(client.ask(&query).await.text(), by_header, "{user}");
        // An empty one is none.
        let both = query.clone().field("x-user", "");
        assert_eq!(client.ask(&both).await.text(), by_header, "{user}");
        let other = ask(&proxy, user + 1).await.text();
        let both = query.field("x-user", (user + 1).to_string());
        assert_eq!(client.ask(&both).await.text(), other, "{user}");
    }
    let before: Vec<_> = origins.iter().map(Origin::n_requests).collect();
    for _ in 0..200 {
        assert_eq!(client.get("/").await.status, 200);
    }
    for (origin, before) in origins.iter().zip(before) {
        let n = origin.n_requests() - before;
        assert!((20..80).contains(&n), "{n} of 200 requests without a key");
    }
}

#[tokio::test]
async fn a_client_is_its_address() {
    let origins = four().await;
    let config = among(&origins).text();
    let config = config.replace("\"header:x-user\", \"query:user\"", "\"client_ip\"");
    let proxy = proxy::start_text(&config).await;
    let mut seen = Vec::new();
    for host in 1..=20 {
        let from = format!("127.0.0.{host}");
        let mut holders = Vec::new();
        for _ in 0..3 {
            let mut client = client::connect_from(&from, proxy.http()).await;
            holders.push(client.get("/").await.text());
        }
        assert!(holders.iter().all(|one| *one == holders[0]), "{holders:?}");
        seen.extend(holders);
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 1, "all clients are one");
}

#[tokio::test]
async fn keys_follow_the_addresses_of_a_name() {
    let origins = four().await;
    let port = origins[0].address.port();
    let second = origin::answering_at(([127, 0, 0, 2], port).into(), "second").await;
    let dns = dns::start().await;
    dns.set("cache.test", dns::addresses(&["127.0.0.1"]));
    let config = config::new()
        .upstream_named("only", &[&format!("cache.test:{port}")])
        .upstream_keys(
            "only",
            "balance = \"consistent_hash\"\nhash = [\"header:x-user\"]",
        )
        .route("all", "upstream = \"only\"")
        .section(&format!(
            "[resolver]\nnameservers = [\"{}\"]\nmin_ttl = \"20ms\"\nmax_ttl = \"200ms\"\n",
            dns.address
        ));
    let proxy = proxy::start(&config).await;
    assert!(holders(&proxy).await.values().all(|holder| holder == "a"));
    dns.set("cache.test", dns::addresses(&["127.0.0.2", "127.0.0.1"]));
    wait::until("the other one is found", async || {
        holders(&proxy)
            .await
            .values()
            .any(|holder| holder == "second")
    })
    .await;
    let both = holders(&proxy).await;
    dns.set("cache.test", dns::addresses(&["127.0.0.1", "127.0.0.2"]));
    assert_eq!(holders(&proxy).await, both);
    dns.set("cache.test", dns::addresses(&["127.0.0.2"]));
    wait::until("the first one is gone", async || {
        holders(&proxy)
            .await
            .values()
            .all(|holder| holder == "second")
    })
    .await;
    assert!(second.n_requests() > 0);
}
