//! Routes: what a request is caught by, beyond what unit tests of the table show.

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure;

/// Clients of 127.0.0.7 have a route of their own.
async fn arranged() -> (Origin, Origin, Config) {
    let (all, some) = (
        origin::answering("all").await,
        origin::answering("some").await,
    );
    let config = config::to(all.address)
        .upstream("some", &[some.address])
        .route(
            "some",
            "upstream = \"some\"\nmatch = { client_ip = [\"127.0.0.7\", \"192.0.2.0/24\", \"2001:db8::/32\"] }",
        );
    (all, some, config)
}

#[tokio::test]
async fn a_route_may_be_for_clients_of_some_networks() {
    let (_all, _some, config) = arranged().await;
    let proxy = proxy::start(&config).await;
    for (source, expected) in [("127.0.0.7", "some"), ("127.0.0.8", "all")] {
        let mut client = client::connect_from(source, proxy.http()).await;
        assert_eq!(client.get("/").await.text(), expected, "{source}");
        // What a client claims means nothing.
        let claim = ask::get("/").field("x-forwarded-for", "192.0.2.1");
        assert_eq!(client.ask(&claim).await.text(), expected, "{source}");
    }
}

#[tokio::test]
async fn a_client_is_who_a_trusted_proxy_says_it_is() {
    let (_all, _some, config) = arranged().await;
    let trust = "trusted_proxies = [\"127.0.0.1\", \"127.0.0.7\"]";
    let secure = secure::start_with(&config.http(trust), trust).await;
    let (mut http1, http2) = (secure.proxy.connect().await, secure.http2().await);
    for (said, expected) in [
        ("192.0.2.9", "some"),
        ("::ffff:192.0.2.9", "some"),
        ("2001:db8::9", "some"),
        ("198.51.100.1", "all"),
    ] {
        let ask = ask::get("/").field("x-forwarded-for", said);
        assert_eq!(http1.ask(&ask).await.text(), expected, "{said}");
        assert_eq!(http2.ask(&ask).await.text(), expected, "{said}");
    }
    // The proxy at 127.0.0.7 speaks for another, so that its own address means nothing.
    let mut client = client::connect_from("127.0.0.7", secure.proxy.http()).await;
    let ask = ask::get("/").field("x-forwarded-for", "198.51.100.1");
    assert_eq!(client.ask(&ask).await.text(), "all");
}

#[tokio::test]
async fn a_route_may_be_for_one_scheme_and_goes_before_all_others() {
    let (all, plain) = (
        origin::answering("all").await,
        origin::answering("plain").await,
    );
    let config = config::new()
        .upstream("only", &[all.address])
        .route(
            "all",
            "upstream = \"only\"\nmatch = { hosts = [\"edge.test\"], path = \"/x\" }",
        )
        .upstream("plain", &[plain.address])
        .route(
            "plain",
            "upstream = \"plain\"\nmatch = { scheme = \"http\" }",
        );
    let trust = "trusted_proxies = [\"127.0.0.7\"]";
    let secure = secure::start(&config.http(trust)).await;
    assert_eq!(secure.proxy.get("/x").await.text(), "plain");
    assert_eq!(secure.http1().await.get("/x").await.text(), "all");
    assert_eq!(secure.http2().await.get("/x").await.text(), "all");
    assert_eq!(secure.http2().await.get("/y").await.status, 404);
    // Somebody else speaks TLS with the client.
    let ask = ask::get("/x").field("x-forwarded-proto", "https");
    let mut trusted = client::connect_from("127.0.0.7", secure.proxy.http()).await;
    assert_eq!(trusted.ask(&ask).await.text(), "all");
    assert_eq!(secure.proxy.ask(&ask).await.text(), "plain");
}
