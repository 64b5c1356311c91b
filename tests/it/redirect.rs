//! Redirects by a route: where clients are sent, and where nobody can make it send them.

use serde_json::Value;

use crate::support::ask::{self, Ask};
use crate::support::config::{self, Config};
use crate::support::message::Message;
use crate::support::metrics::Metrics;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure::{self, Secure};
use crate::support::wait;

/// A route that redirects what it matches; everything else goes to the origin.
fn redirecting(origin: &Origin, matched: &str, redirect: &str) -> Config {
    let keys = format!("match = {matched}\nredirect = {redirect}");
    config::to(origin.address).route("away", &keys)
}

/// Asks in plain and over HTTP/2 with TLS.
async fn both(secure: &Secure, ask: &Ask) -> [Message; 2] {
    [
        secure.proxy.ask(ask).await,
        secure.http2().await.ask(ask).await,
    ]
}

#[track_caller]
fn leads(answer: &Message, status: u16, location: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.field("location"), Some(location));
    assert_eq!(answer.field("content-length"), Some("0"));
    assert!(answer.field("date").is_some());
    assert_eq!(answer.field("content-type"), None);
    assert_eq!(answer.text(), "");
}

#[tokio::test]
async fn whatever_comes_in_plain_is_sent_to_https() {
    let origin = origin::answering("hello").await;
    let redirect = "{ scheme = \"https\", port = 8443, status = 308 }";
    let config = redirecting(&origin, "{ scheme = \"http\" }", redirect);
    let secure = secure::start(&config).await;
    let to = "https://edge.test:8443/a%20b?c=d";
    leads(&secure.proxy.get("/a%20b?c=d").await, 308, to);
    let posted = secure.proxy.ask(&ask::post("/a%20b?c=d", "body")).await;
    leads(&posted, 308, to);
    assert_eq!(secure.http2().await.get("/a").await.text(), "hello");
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn what_a_redirect_does_not_name_is_kept_over_every_protocol() {
    let origin = origin::answering("").await;
    for (matched, redirect, status, target) in [
        (
            "{ path = \"/shop\" }",
            "{ host = \"new.test\", prefix = \"/store\" }",
            302,
            "new.test/store/x%2fy?q=1",
        ),
        (
            "{ path = \"/shop\" }",
            "{ path = \"/closed\", query = false, status = 303 }",
            303,
            "edge.test/closed",
        ),
        (
            "{ path_regex = \"/shop/(.*)\" }",
            "{ regex_path = \"/s/$1\", status = 301 }",
            301,
            "edge.test/s/x%2Fy?q=1",
        ),
        (
            "{ path = \"/shop\" }",
            "{ port = 81, status = 307 }",
            307,
            "edge.test:81/shop/x%2fy?q=1",
        ),
    ] {
        let secure = secure::start(&redirecting(&origin, matched, redirect)).await;
        let [plain, tls] = both(&secure, &ask::get("/shop/x%2fy?q=1")).await;
        leads(&plain, status, &format!("http://{target}"));
        leads(&tls, status, &format!("https://{target}"));
    }
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_target_never_makes_another_host_of_the_location() {
    let origin = origin::answering("").await;
    let redirect = "{ host = \"www.test\", prefix = \"/\" }";
    let secure = secure::start(&redirecting(&origin, "{ path = \"/go\" }", redirect)).await;
    for path in [
        "/go//evil.test",
        "/go/%2f%2fevil.test",
        "/go/%0d%0aset-cookie:a=b",
        "/go/%0D%0A%0D%0A<p>",
        "/go/@evil.test",
        "/go/:81@evil.test/",
        "/go/\\evil.test",
        "/go?//evil.test\\x",
        "//go//evil.test",
        "http://www.test/go//evil.test",
    ] {
        let mut client = secure.proxy.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: www.test\r\n\r\n");
        client.wire.send(request).await;
        let answer = client.answer("GET").await;
        assert_eq!(answer.status, 302, "{path}");
        let location = answer.field("location").expect("a location");
        assert!(location.starts_with("http://www.test/"), "{location}");
        assert!(!location.contains(['\\', '<', '>']), "{location}");
        assert_eq!(answer.field("set-cookie"), None, "{path}");
        assert_eq!(answer.head.matches("\r\n\r\n").count(), 1, "{path}");
    }
    for path in ["/go//evil.test", "/go/%2f%2fevil.test", "/go/@evil.test"] {
        let answer = secure.http2().await.get(path).await;
        let location = answer.field("location").expect("a location");
        assert!(location.starts_with("https://www.test/"), "{location}");
    }
    // What leads out of the prefix for some is led nowhere.
    assert_eq!(secure.proxy.get("/go/..%2fx").await.status, 400);
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn a_host_with_user_information_is_refused_and_sent_nowhere() {
    let origin = origin::answering("").await;
    let redirect = "{ scheme = \"https\" }";
    let proxy = proxy::start(&redirecting(&origin, "{ scheme = \"http\" }", redirect)).await;
    for host in ["a.test@evil.test", "a.test/x", "a.test\\x", "a.test#x"] {
        let answer = proxy.ask(&ask::get("/").host(host)).await;
        assert_eq!(answer.status, 400, "{host}");
        assert_eq!(answer.field("location"), None);
    }
    let mut client = proxy.connect().await;
    client.wire.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer("GET").await.status, 400);
}

#[tokio::test]
async fn a_redirect_to_where_the_request_came_is_refused() {
    let origin = origin::answering("").await;
    let config = redirecting(
        &origin,
        "{ path = \"/a\" }",
        "{ scheme = \"https\", host = \"edge.test\" }",
    );
    let secure = secure::start(&config).await;
    leads(&secure.proxy.get("/a").await, 302, "https://edge.test/a");
    let looped = secure.http2().await.get("/a").await;
    assert_eq!(looped.status, 508);
    assert_eq!(looped.field("location"), None);
    let labels = [("route", "away"), ("reason", "redirect_loop")];
    secure
        .proxy
        .counted("the loop", |metrics| {
            metrics.sum("tidegate_errors_total", &labels) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_connection_goes_on_after_a_redirect_with_or_without_a_body() {
    let origin = origin::answering("hello").await;
    let config = redirecting(&origin, "{ path = \"/a\" }", "{ path = \"/b\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    let to = "http://edge.test/b";
    leads(&client.get("/a").await, 302, to);
    leads(&client.ask(&ask::post("/a", "body")).await, 302, to);
    // The rest of a small body may come later.
    let head = "POST /a HTTP/1.1\r\nhost: edge.test\r\ncontent-length: 8\r\n\r\n";
    client.wire.send(format!("{head}body")).await;
    leads(&client.answer("POST").await, 302, to);
    client.wire.send("body").await;
    let chunked = "POST /a HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\r\n\
                   4\r\nbody\r\n0\r\n\r\n";
    client.wire.send(chunked).await;
    leads(&client.answer("POST").await, 302, to);
    let head = client.ask(&ask::method("HEAD", "/a")).await;
    leads(&head, 302, to);
    // One after the other in one packet.
    let get = "GET /a HTTP/1.1\r\nhost: edge.test\r\n\r\n";
    client.wire.send(format!("{get}{get}")).await;
    leads(&client.answer("GET").await, 302, to);
    leads(&client.answer("GET").await, 302, to);
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn a_large_body_that_nobody_reads_ends_its_connection_after_the_redirect() {
    let origin = origin::answering("").await;
    let config = redirecting(&origin, "{ path = \"/a\" }", "{ path = \"/b\" }");
    let secure = secure::start(&config).await;
    let mut client = secure.proxy.connect().await;
    let head = "POST /a HTTP/1.1\r\nhost: edge.test\r\ncontent-length: 100000000\r\n\r\n";
    client.wire.send(head).await;
    let answer = client.answer("POST").await;
    leads(&answer, 302, "http://edge.test/b");
    assert_eq!(answer.field("connection"), Some("close"));
    client.wire.ended().await;
    // A client that waits for a word sends nothing at all.
    let mut client = secure.proxy.connect().await;
    let expecting = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    client.wire.send(expecting).await;
    leads(&client.answer("POST").await, 302, "http://edge.test/b");
    let http2 = secure.http2().await;
    let answer = http2.ask(&ask::post("/a", vec![b'x'; 1 << 20])).await;
    leads(&answer, 302, "https://edge.test/b");
    leads(&http2.get("/a").await, 302, "https://edge.test/b");
}

#[tokio::test]
async fn clients_of_http_1_0_are_redirected_and_their_connection_ends() {
    let origin = origin::answering("").await;
    let config = redirecting(&origin, "{ path = \"/a\" }", "{ path = \"/b\" }");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send("GET /a HTTP/1.0\r\nhost: edge.test\r\n\r\n")
        .await;
    leads(&client.answer("GET").await, 302, "http://edge.test/b");
    client.wire.ended().await;
}

#[tokio::test]
async fn a_redirect_has_the_routes_fields_and_the_requests_id() {
    let origin = origin::answering("").await;
    let edits = "{ path = \"/b\" }\nresponse_headers = { set = { cache-control = \"no-store\" } }";
    let config = redirecting(&origin, "{ path = \"/a\" }", edits)
        .section("[trace]\nrequest_id = \"x-request-id\"");
    let secure = secure::start(&config).await;
    for answer in both(&secure, &ask::get("/a")).await {
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert!(answer.field("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_redirect_is_counted_logged_and_told() {
    let origin = origin::answering("").await;
    let config = redirecting(&origin, "{ path = \"/a\" }", "{ path = \"/b\" }");
    let proxy = proxy::start(&config).await;
    let told = |metrics: &Metrics, code: &str| {
        let labels = [
            ("route", "away"),
            ("variant", "none"),
            ("code", code),
            ("source", "proxy"),
            ("selection", "none"),
        ];
        metrics
            .has("tidegate_requests_total", &labels)
            .then(|| metrics.sum("tidegate_requests_total", &labels))
    };
    // It is there before the first, as a rate needs it.
    assert_eq!(told(&proxy.metrics().await, "302"), Some(0.0));
    proxy.get("/a?secret=1").await;
    proxy
        .counted("the redirect", |metrics| told(metrics, "302") == Some(1.0))
        .await;
    let metrics = proxy.metrics().await;
    let away = [("route", "away")];
    for name in [
        "tidegate_upstream_attempts_total",
        "tidegate_tunnels_open",
        "tidegate_variant_weight",
        "tidegate_retries_total",
    ] {
        assert!(!metrics.has(name, &away), "{name}");
    }

    let mut line = Value::Null;
    wait::until("a line of the access log", async || {
        let text = proxy.process.stdout();
        let last = text.strip_suffix('\n').and_then(|text| text.lines().last());
        line = last.map_or(Value::Null, |last| {
            serde_json::from_str(last).expect("JSON")
        });
        !line.is_null()
    })
    .await;
    assert_eq!(line["route"], "away");
    assert_eq!(line["status"], 302);
    assert_eq!(
        (&line["source"], &line["reason"]),
        (&"proxy".into(), &"redirect".into())
    );
    for absent in ["variant", "selection", "endpoint"] {
        assert!(line[absent].is_null(), "{line}");
    }

    let answer = &proxy.status().await["routes"]["away"]["answer"];
    assert_eq!(
        (&answer["kind"], &answer["status"]),
        (&"redirect".into(), &302.into())
    );
    assert_eq!(
        (&answer["requests"], &answer["in_flight"]),
        (&1.into(), &0.into())
    );

    let explained = "/api/v1/explain?url=http://edge.test/a/x%3Fq";
    let explained = proxy.get_admin(explained).await.json();
    assert_eq!(explained["answer"]["kind"], "redirect");
    assert_eq!(explained["answer"]["location"], "http://edge.test/b?q");
    assert_eq!(explained["variants"], serde_json::json!([]));
}

#[tokio::test]
async fn what_asks_for_an_upgrade_is_redirected_like_anything_else() {
    let origin = origin::websocket().await;
    let config = redirecting(&origin, "{ path = \"/a\" }", "{ path = \"/b\" }");
    let secure = secure::start(&config).await;
    let ask = ask::get("/a")
        .field("connection", "upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    leads(&secure.proxy.ask(&ask).await, 302, "http://edge.test/b");
    let response = secure.http2().await.connect(&ask::get("/a")).await;
    let response = response.expect("a response");
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], "https://edge.test/b");
    assert_eq!(origin.n_requests(), 0);
}
