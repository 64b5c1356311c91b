//! Names of endpoints: looked up again and again, followed, and never lost by a failure.

use std::net::SocketAddr;

use crate::support::ask;
use crate::support::client;
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::dns::{self, Answer, Dns};
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;
use crate::support::websocket;

/// A `[resolver]` that asks often.
fn resolver(dns: &Dns, keys: &str) -> String {
    let keys = if keys.is_empty() {
        "min_ttl = \"20ms\"\nmax_ttl = \"200ms\"\ntimeout = \"2s\""
    } else {
        keys
    };
    format!("[resolver]\nnameservers = [\"{}\"]\n{keys}\n", dns.address)
}

/// Everything goes to the upstream `only`, which has these endpoints.
fn to(dns: &Dns, endpoints: &[&str]) -> Config {
    config::new()
        .upstream_named("only", endpoints)
        .route("all", "upstream = \"only\"")
        .section(&resolver(dns, ""))
}

/// Two origins at one port of two addresses, as the hosts of one name are.
async fn twins() -> (Origin, Origin, u16) {
    let first = origin::held("first").await;
    let port = first.address.port();
    let second = origin::held_at(SocketAddr::from(([127, 0, 0, 2], port)), "second").await;
    (first, second, port)
}

async fn serves(proxy: &Proxy, body: &str) {
    wait::until("the endpoint is followed", async || {
        proxy.get("/").await.text() == body
    })
    .await;
}

/// How many look-ups of the upstream `only` had this result.
async fn resolutions(proxy: &Proxy, result: &str) -> f64 {
    let metrics = proxy.metrics().await;
    let labels = [("upstream", "only"), ("result", result)];
    assert!(
        metrics.has("tidegate_dns_resolutions_total", &labels),
        "{result}"
    );
    metrics.sum("tidegate_dns_resolutions_total", &labels)
}

fn error(answer: &Message) -> (u16, &str) {
    (answer.status, answer.field("proxy-status").unwrap_or("-"))
}

#[tokio::test]
async fn endpoints_follow_their_name_and_those_that_went_are_drained() {
    let (first, second, port) = twins().await;
    let dns = dns::start().await;
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    let config = to(&dns, &[&format!("shop.test:{port}")])
        .upstream_keys("only", "timeouts = { idle = \"60s\" }");
    let proxy = proxy::start(&config).await;
    // The first request finds it.
    assert_eq!(proxy.get("/").await.text(), "first");
    let mut long = proxy.connect().await;
    long.wire.send(ask::get("/hold").http1()).await;
    first.received(2).await;

    dns.set("shop.test", dns::addresses(&["127.0.0.2"]));
    serves(&proxy, "second").await;
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.text(), "second");
    }
    // What waited for a request is closed; what is under way goes on, and is closed after it.
    wait::until("waiting connections are closed", async || {
        first.n_open() == 1
    })
    .await;
    first.release();
    assert_eq!(long.answer("GET").await.text(), "first");
    first.all_closed().await;
    assert_eq!(proxy.get("/").await.text(), "second");
    assert_eq!(second.n_requests(), 22);
}

#[tokio::test]
async fn connections_with_endpoints_that_stay_are_kept() {
    let (first, second, port) = twins().await;
    let dns = dns::start().await;
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    let config = to(&dns, &[&format!("shop.test:{port}")])
        .upstream_keys("only", "balance = \"round_robin\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "first");
    dns.set("shop.test", dns::addresses(&["127.0.0.2", "127.0.0.1"]));
    wait::until("the other one is found", async || {
        client.get("/").await.text() == "second"
    })
    .await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!((first.n_connections(), second.n_connections()), (1, 1));
}

#[tokio::test]
async fn a_tunnel_with_an_endpoint_that_went_stays() {
    let origin = origin::websocket().await;
    let other = SocketAddr::from(([127, 0, 0, 2], origin.address.port()));
    let other = origin::answering_at(other, "other").await;
    let dns = dns::start().await;
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    let proxy = proxy::start(&to(
        &dns,
        &[&format!("shop.test:{}", origin.address.port())],
    ))
    .await;
    let mut socket = websocket::open(client::tcp(proxy.http()).await, "/ws").await;
    assert_eq!(socket.echo("before").await, "before");
    dns.set("shop.test", dns::addresses(&["127.0.0.2"]));
    serves(&proxy, "other").await;
    assert_eq!(socket.echo("after").await, "after");
    assert!(other.n_requests() > 0);
    socket.close().await;
}

#[tokio::test]
async fn a_failure_takes_nothing_away_and_is_seen() {
    let (_first, second, port) = twins().await;
    let dns = dns::start().await;
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    let mut config = to(&dns, &[&format!("shop.test:{port}")]);
    config = config.section("");
    let text = config
        .text()
        .replace("timeout = \"2s\"", "timeout = \"100ms\"");
    let proxy = proxy::start_text(&text).await;
    for (answer, result, said) in [
        (Answer::NotFound, "not_found", "no such name"),
        (Answer::Empty, "empty", "the name has no addresses"),
        (Answer::Failure, "failure", "error"),
        (Answer::Silence, "timeout", "no answer in time"),
    ] {
        let before = resolutions(&proxy, result).await;
        dns.set("shop.test", answer);
        wait::until(result, async || {
            resolutions(&proxy, result).await >= before + 2.0
        })
        .await;
        assert_eq!(proxy.get("/").await.text(), "first", "{result}");
        let status = proxy.status().await;
        let only = &status["upstreams"]["only"];
        assert_eq!(only["endpoints"][0]["address"], format!("127.0.0.1:{port}"));
        assert_eq!(only["endpoints"][0]["host"], "shop.test");
        let name = &only["names"][0];
        assert_eq!(name["name"], format!("shop.test:{port}"));
        assert!(name["resolved_at"].is_string() && name["error_at"].is_string());
        let error = name["error"].as_str().unwrap_or_default();
        assert!(error.contains(said), "{error}");
    }
    dns.set("shop.test", dns::addresses(&["127.0.0.2"]));
    serves(&proxy, "second").await;
    let status = proxy.status().await;
    assert!(status["upstreams"]["only"]["names"][0]["error"].is_null());
    assert!(second.n_requests() > 0);
}

#[tokio::test]
async fn a_name_that_was_never_resolved_is_503_until_it_is() {
    let origin = origin::answering("there").await;
    let port = origin.address.port();
    let dns = dns::start().await;
    let config = config::new()
        .upstream("plain", &[origin.address])
        .upstream_named("only", &[&format!("shop.test:{port}")])
        .route(
            "plain",
            "match = { path = \"/plain\" }\nupstream = \"plain\"",
        )
        .route("all", "upstream = \"only\"")
        .section(&resolver(&dns, ""));
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/plain").await.text(), "there");
    let missing = (503, "tidegate; error=destination_unavailable");
    assert_eq!(error(&proxy.get("/").await), missing);
    let metrics = proxy.metrics().await;
    let labels = [("upstream", "only"), ("state", "healthy")];
    assert_eq!(metrics.sum("tidegate_upstream_endpoints", &labels), 0.0);
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    serves(&proxy, "there").await;
    proxy
        .counted("the endpoint", |metrics| {
            metrics.sum("tidegate_upstream_endpoints", &labels) == 1.0
        })
        .await;
    assert!(resolutions(&proxy, "not_found").await >= 1.0);
    assert!(resolutions(&proxy, "success").await >= 1.0);
}

#[tokio::test]
async fn the_other_variant_serves_for_one_whose_name_is_not_resolved() {
    let origin = origin::answering("stable").await;
    let dns = dns::start().await;
    let config = config::new()
        .upstream("stable", &[origin.address])
        .upstream_named("canary", &["shop.test:80"])
        .split_route("shop", "", &[("stable", 1), ("canary", 1)])
        .section(&resolver(&dns, ""));
    let proxy = proxy::start(&config).await;
    for _ in 0..10 {
        assert_eq!(proxy.get("/").await.text(), "stable");
    }
}

#[tokio::test]
async fn a_silent_name_server_holds_up_nobody_else() {
    let origin = origin::answering("there").await;
    let dns = dns::start().await;
    dns.set("silent.test", Answer::Silence);
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    let keys = "min_ttl = \"1h\"\nmax_ttl = \"1h\"\ntimeout = \"300ms\"";
    let with = |endpoint: &str| {
        config::new()
            .upstream_named("silent", &["silent.test:80"])
            .upstream_named("only", &[endpoint])
            .route(
                "silent",
                "match = { path = \"/silent\" }\nupstream = \"silent\"",
            )
            .route("all", "upstream = \"only\"")
            .section(&resolver(&dns, keys))
    };
    let proxy = proxy::start(&with(&origin.address.to_string())).await;
    assert_eq!(proxy.get("/").await.text(), "there");
    assert_eq!(proxy.get("/silent").await.status, 503);
    // The silent name is not waited for again; the new one is, and serves at once.
    proxy
        .reload(&with(&format!("shop.test:{}", origin.address.port())))
        .await;
    assert_eq!(proxy.get("/").await.text(), "there");
    let mut client = proxy.connect().await;
    let asking = async {
        while dns.n_asked("other.test") == 0 {
            assert_eq!(client.get("/").await.text(), "there");
        }
    };
    dns.set("other.test", Answer::Silence);
    let config = with(&format!("shop.test:{}", origin.address.port()))
        .upstream_named("other", &["other.test:80"]);
    tokio::join!(proxy.reload(&config), asking);
    assert_eq!(proxy.get("/").await.text(), "there");
}

#[tokio::test]
async fn names_come_and_go_by_reload() {
    let origin = origin::answering("there").await;
    let endpoint = |name: &str| format!("{name}:{}", origin.address.port());
    let dns = dns::start().await;
    for name in ["one.test", "two.test"] {
        dns.set(name, dns::addresses(&["127.0.0.1"]));
    }
    let proxy = proxy::start(&to(&dns, &[&endpoint("one.test")])).await;
    dns.asked_again("one.test", 4).await;
    assert_eq!(dns.n_asked("two.test"), 0);
    proxy.reload(&to(&dns, &[&endpoint("two.test")])).await;
    assert_eq!(proxy.get("/").await.text(), "there");
    // One that was being asked for at that moment may come in.
    dns.asked_again("two.test", 4).await;
    let before = dns.n_asked("one.test");
    dns.asked_again("two.test", 10).await;
    assert_eq!(dns.n_asked("one.test"), before);
    let status = proxy.status().await;
    assert_eq!(
        status["upstreams"]["only"]["names"][0]["name"],
        endpoint("two.test")
    );
}

#[tokio::test]
async fn other_name_servers_are_asked_after_a_reload() {
    let (_first, _second, port) = twins().await;
    let (dns, other) = (dns::start().await, dns::start().await);
    dns.set("shop.test", dns::addresses(&["127.0.0.1"]));
    other.set("shop.test", dns::addresses(&["127.0.0.2"]));
    other.set("new.test", dns::addresses(&["127.0.0.2"]));
    let endpoints = [format!("shop.test:{port}")];
    let proxy = proxy::start(&to(&dns, &[&endpoints[0]])).await;
    assert_eq!(proxy.get("/").await.text(), "first");
    proxy.reload(&to(&other, &[&endpoints[0]])).await;
    serves(&proxy, "second").await;
    // Who was not known to one and is known to the other serves at once.
    let new = format!("new.test:{port}");
    proxy.reload(&to(&dns, &[&new])).await;
    assert_eq!(proxy.get("/").await.status, 503);
    proxy.reload(&to(&other, &[&new])).await;
    assert_eq!(proxy.get("/").await.text(), "second");
}

#[tokio::test]
async fn a_lifetime_is_honoured_within_its_bounds() {
    let origin = origin::answering("there").await;
    let endpoint = format!("shop.test:{}", origin.address.port());
    let config = |dns: &Dns, keys: &str| {
        config::new()
            .upstream_named("only", &[&endpoint])
            .route("all", "upstream = \"only\"")
            .section(&resolver(dns, keys))
    };
    // A year is cut to the greatest time.
    let dns = dns::start().await;
    dns.set("shop.test", dns::lasting(&["127.0.0.1"], 31_536_000));
    let proxy = proxy::start(&config(&dns, "min_ttl = \"10ms\"\nmax_ttl = \"50ms\"")).await;
    dns.asked_again("shop.test", 4).await;
    // Nothing is stretched to the least time, and the records' own time counts in between.
    for (ttl, keys) in [
        (0, "min_ttl = \"1h\"\nmax_ttl = \"1h\""),
        (3600, "max_ttl = \"1h\""),
    ] {
        let slow = dns::start().await;
        slow.set("shop.test", dns::lasting(&["127.0.0.1"], ttl));
        let other = proxy::start(&config(&slow, keys)).await;
        assert_eq!(other.get("/").await.text(), "there");
        dns.asked_again("shop.test", 10).await;
        // Once for each family of addresses.
        assert_eq!(slow.n_asked("shop.test"), 2);
    }
    assert_eq!(proxy.get("/").await.text(), "there");
}

#[tokio::test]
async fn both_families_of_addresses_are_used() {
    let v4 = origin::answering("v4").await;
    let port = v4.address.port();
    let v6 = SocketAddr::new("::1".parse().expect("an address"), port);
    let v6 = origin::answering_at(v6, "v6").await;
    let dns = dns::start().await;
    dns.set("shop.test", dns::addresses(&["::1", "127.0.0.1"]));
    let config = to(&dns, &[&format!("shop.test:{port}")])
        .upstream_keys("only", "balance = \"round_robin\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!((v4.n_requests(), v6.n_requests()), (5, 5));
}

#[tokio::test]
async fn a_name_server_that_knows_nothing_of_ipv6_may_be_silent_about_it() {
    let origin = origin::answering("there").await;
    let dns = dns::start().await;
    dns.set("shop.test", Answer::HalfSilent(dns::ips(&["127.0.0.1"])));
    let endpoint = format!("shop.test:{}", origin.address.port());
    let proxy = proxy::start(&to(&dns, &[&endpoint])).await;
    assert_eq!(proxy.get("/").await.text(), "there");
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp() {
    let origin = origin::answering("there").await;
    let dns = dns::start().await;
    dns.set("shop.test", Answer::Truncated(dns::ips(&["127.0.0.1"])));
    let endpoint = format!("shop.test:{}", origin.address.port());
    let proxy = proxy::start(&to(&dns, &[&endpoint])).await;
    assert_eq!(proxy.get("/").await.text(), "there");
    assert!(dns.n_by_tcp() > 0);
}

#[tokio::test]
async fn the_system_knows_localhost_itself() {
    let origin = origin::answering("there").await;
    let dns = dns::start().await;
    dns.set("localhost", Answer::Silence);
    let endpoint = format!("localhost:{}", origin.address.port());
    let proxy = proxy::start(&to(&dns, &[&endpoint])).await;
    // Where localhost is of both families, the other one refuses.
    assert_eq!(proxy.get("/").await.text(), "there");
    assert_eq!(dns.n_asked("localhost"), 0);
}

#[tokio::test]
async fn the_same_address_by_two_names_is_one_endpoint() {
    let origin = origin::answering("there").await;
    let port = origin.address.port();
    let dns = dns::start().await;
    dns.set("one.test", dns::addresses(&["127.0.0.1"]));
    dns.set("two.test", dns::addresses(&["127.0.0.1", "127.0.0.9"]));
    let (one, two) = (format!("one.test:{port}"), format!("two.test:{port}"));
    let proxy = proxy::start(&to(&dns, &[&one, &origin.address.to_string(), &two])).await;
    let status = proxy.status().await;
    let endpoints = status["upstreams"]["only"]["endpoints"].as_array().cloned();
    let addresses: Vec<_> = endpoints
        .iter()
        .flatten()
        .map(|endpoint| endpoint["address"].to_string())
        .collect();
    assert_eq!(
        addresses,
        [
            format!("\"127.0.0.1:{port}\""),
            format!("\"127.0.0.9:{port}\"")
        ]
    );
}

#[tokio::test]
async fn a_service_tells_hosts_ports_and_which_of_them_count() {
    let [a, b, spare] = [
        origin::answering("a").await,
        origin::answering("b").await,
        origin::answering("spare").await,
    ];
    let port = |origin: &Origin| origin.address.port();
    let dns = dns::start().await;
    dns.set("one.test", dns::addresses(&["127.0.0.1"]));
    dns.set("two.test", dns::addresses(&["127.0.0.1"]));
    let servers = |a_weight, b_weight| {
        Answer::Servers(vec![
            (20, 9, port(&spare), "one.test"),
            (10, a_weight, port(&a), "one.test"),
            (10, b_weight, port(&b), "two.test"),
        ])
    };
    dns.set("_http._tcp.shop.test", servers(0, 0));
    let config =
        to(&dns, &["srv:_http._tcp.shop.test"]).upstream_keys("only", "balance = \"round_robin\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let counts = [a.n_requests(), b.n_requests(), spare.n_requests()];
    assert_eq!(counts, [5, 5, 0]);
    // Those of the next priority count once there are none of the first.
    let last = vec![(20, 9, port(&spare), "one.test")];
    dns.set("_http._tcp.shop.test", Answer::Servers(last));
    serves(&proxy, "spare").await;
    // A host that cannot be resolved takes nothing away from the others.
    dns.set("one.test", Answer::NotFound);
    dns.set("_http._tcp.shop.test", servers(0, 0));
    serves(&proxy, "b").await;
    dns.set("_http._tcp.shop.test", Answer::Failure);
    let before = resolutions(&proxy, "failure").await;
    wait::until("a failure", async || {
        resolutions(&proxy, "failure").await > before
    })
    .await;
    assert!(["a", "b"].contains(&proxy.get("/").await.text().as_str()));
}

#[tokio::test]
async fn a_check_asks_nobody() {
    let dns = dns::start().await;
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, to(&dns, &["shop.test:80"]).text()).expect("a file");
    let file = file.to_str().expect("a path");
    let output = command::run(&["check", file]).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(dns.n_asked("shop.test"), 0);
}
