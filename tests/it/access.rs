//! Who may come in, by address: at a listener, and at a route.

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::http2;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::proxy;

#[track_caller]
fn refused(answer: &Message) {
    assert_eq!(answer.status, 403, "{}", answer.head);
    let status = answer.field("proxy-status").unwrap_or_default();
    assert!(status.contains("error=http_request_denied"), "{status}");
}

#[tokio::test]
async fn a_listener_refuses_all_requests_of_a_client_that_may_not() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address)
        .http("protocols = [\"h2\", \"http/1.1\"]\naccess = { deny = [\"127.0.0.0/8\"] }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    refused(&client.get("/").await);
    // The connection is as good as before.
    refused(&client.ask(&ask::post("/nowhere", "x")).await);
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    refused(&http2.get("/").await);
    assert_eq!(origin.n_requests(), 0);
    proxy
        .counted("refusals", |metrics| {
            metrics.sum(
                "tidegate_unrouted_requests_total",
                &[("listener", "http"), ("code", "403")],
            ) == 3.0
        })
        .await;
    proxy
        .reload(&config::to(origin.address).http("access = { allow = [\"127.0.0.1\"] }"))
        .await;
    assert_eq!(client.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_route_refuses_clients_as_trusted_proxies_tell_them() {
    let origin = origin::answering("hello").await;
    let config = config::new()
        .http("trusted_proxies = [\"127.0.0.1\"]")
        .upstream("only", &[origin.address])
        .route("open", "upstream = \"only\"")
        .route(
            "office",
            "match = { path = \"/office\" }\nupstream = \"only\"\n\
             access = { allow = [\"192.0.2.0/24\"], deny = [\"192.0.2.66\"] }",
        )
        .route(
            "page",
            "match = { path = \"/page\" }\nrespond = { status = 200, body = \"page\" }\n\
             access = { deny = [\"192.0.2.66\"] }",
        );
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for (path, from, may) in [
        ("/", "192.0.2.66", true),
        ("/office", "192.0.2.1", true),
        ("/office", "192.0.2.66", false),
        ("/office", "198.51.100.1", false),
        ("/office", "203.0.113.1, 192.0.2.1", true),
        ("/page", "192.0.2.1", true),
        ("/page", "192.0.2.66", false),
    ] {
        let answer = client
            .ask(&ask::get(path).field("x-forwarded-for", from))
            .await;
        if may {
            assert_eq!(answer.status, 200, "{path} from {from}");
        } else {
            refused(&answer);
        }
    }
    assert_eq!(origin.n_requests(), 3);
    proxy
        .counted("what each was charged for", |metrics| {
            let refused = |route| {
                let labels = [("route", route), ("code", "403"), ("source", "proxy")];
                metrics.sum("tidegate_requests_total", &labels)
            };
            let reason = [("route", "office"), ("reason", "client_denied")];
            (refused("office"), refused("page"), refused("open")) == (2.0, 1.0, 0.0)
                && metrics.sum("tidegate_errors_total", &reason) == 2.0
        })
        .await;
}
