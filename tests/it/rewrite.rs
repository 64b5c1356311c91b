//! Rewrites: what an upstream is asked for in the place of what the client asked for.

use serde_json::Value;

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::http2_origin;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::secure::{self, Secure};
use crate::support::wait;

/// A route for a match with a rewrite; everything else has no route.
fn rewriting(origin: &Origin, matched: &str, rewrite: &str) -> Config {
    let keys = format!("upstream = \"only\"\nmatch = {matched}\nrewrite = {rewrite}");
    config::new()
        .upstream("only", &[origin.address])
        .route("all", &keys)
}

/// Asks for a path over HTTP/1 and over HTTP/2, and tells the origin's two requests.
async fn both(secure: &Secure, origin: &Origin, path: &str) -> [Message; 2] {
    let before = origin.n_requests();
    assert_eq!(secure.proxy.get(path).await.status, 200, "{path}");
    assert_eq!(secure.http2().await.get(path).await.status, 200, "{path}");
    let requests = origin.requests();
    [requests[before].clone(), requests[before + 1].clone()]
}

#[track_caller]
fn check(requests: &[Message], target: &str, host: &str, prefix: Option<&str>) {
    for request in requests {
        assert_eq!(request.target(), target);
        assert_eq!(request.field("host"), Some(host));
        assert_eq!(request.field("x-forwarded-host"), Some("edge.test"));
        assert_eq!(request.field("x-forwarded-prefix"), prefix);
    }
}

#[tokio::test]
async fn a_prefix_is_taken_away_and_told() {
    let origin = origin::answering("").await;
    let config = rewriting(&origin, "{ path = \"/shop\" }", "{ prefix = \"/\" }");
    let secure = secure::start(&config).await;
    for (path, target) in [
        ("/shop", "/"),
        ("/shop/", "/"),
        ("/shop/x?a=/shop", "/x?a=/shop"),
        ("/%73hop/x%2fy", "/x%2fy"),
        ("//shop//x", "/x"),
        ("/a/../shop/x", "/x"),
    ] {
        let requests = both(&secure, &origin, path).await;
        check(&requests, target, "edge.test", Some("/shop"));
    }
    assert_eq!(secure.proxy.get("/shopping").await.status, 404);
}

#[tokio::test]
async fn a_prefix_gives_way_to_another_and_a_host_to_another() {
    let origin = origin::answering("").await;
    let rewrite = "{ prefix = \"/app/v1\", host = \"shop.internal:81\" }";
    let secure = secure::start(&rewriting(&origin, "{ path = \"/shop\" }", rewrite)).await;
    let requests = both(&secure, &origin, "/shop/x?q").await;
    check(&requests, "/app/v1/x?q", "shop.internal:81", None);
}

#[tokio::test]
async fn an_upstream_of_http_2_is_asked_for_the_same() {
    let origin = http2_origin::answering("").await;
    let config = rewriting(
        &origin,
        "{ path = \"/shop\" }",
        "{ prefix = \"/\", host = \"shop.internal:81\" }",
    );
    let config = config.upstream_keys("only", "protocol = \"h2\"");
    let secure = secure::start(&config).await;
    for request in both(&secure, &origin, "/shop/x?q").await {
        assert_eq!(request.target(), "/x?q");
        assert_eq!(request.field(":authority"), Some("shop.internal:81"));
        assert_eq!(request.field("host"), None);
        assert_eq!(request.field("x-forwarded-host"), Some("edge.test"));
        assert_eq!(request.field("x-forwarded-prefix"), Some("/shop"));
    }
}

#[tokio::test]
async fn a_host_alone_is_rewritten() {
    let origin = origin::answering("").await;
    let secure = secure::start(&rewriting(&origin, "{}", "{ host = \"shop.internal\" }")).await;
    let requests = both(&secure, &origin, "//a/../b%2f?q").await;
    check(&requests, "//a/../b%2f?q", "shop.internal", None);
}

#[tokio::test]
async fn a_whole_path_gives_way_to_another() {
    let origin = origin::answering("").await;
    let matched = "{ path_exact = \"/old\" }";
    let secure = secure::start(&rewriting(&origin, matched, "{ path = \"/new/\" }")).await;
    let requests = both(&secure, &origin, "/old?q=1").await;
    check(&requests, "/new/?q=1", "edge.test", None);
}

#[tokio::test]
async fn groups_of_a_regular_expression_make_a_path() {
    let origin = origin::answering("").await;
    let matched = "{ path_regex = '/v([0-9]+)/(?<rest>.*)' }";
    let rewrite = "{ regex_path = '/$rest/$${rest}/$1' }";
    let secure = secure::start(&rewriting(&origin, matched, rewrite)).await;
    let requests = both(&secure, &origin, "/v12/%61b?q").await;
    check(&requests, "/ab/ab/12?q", "edge.test", None);
}

#[tokio::test]
async fn nobody_is_led_out_of_a_prefix() {
    let origin = origin::answering("").await;
    let config = rewriting(&origin, "{ path = \"/shop\" }", "{ prefix = \"/app\" }");
    let secure = secure::start(&config).await;
    // Not of the route at all.
    for path in [
        "/shop/../admin",
        "/shop/%2e%2e/admin",
        "/shop/x/../../admin",
    ] {
        assert_eq!(secure.proxy.get(path).await.status, 404, "{path}");
        assert_eq!(secure.http2().await.get(path).await.status, 404, "{path}");
    }
    // Of the route by what we take a path for, and not by what others might.
    for path in ["/shop/..%2fadmin", "/shop/..%5Cadmin", "/shop/..;/admin"] {
        assert_eq!(secure.proxy.get(path).await.status, 400, "{path}");
        assert_eq!(secure.http2().await.get(path).await.status, 400, "{path}");
    }
    let mut client = secure.proxy.connect().await;
    let request = "GET /shop/..\\admin HTTP/1.1\r\nhost: edge.test\r\n\r\n";
    client.wire.send(request).await;
    assert_eq!(client.answer("GET").await.status, 400);
    assert_eq!(origin.n_requests(), 0);
    // Out and in again is in.
    let requests = both(&secure, &origin, "/shop/x/../../shop/y").await;
    check(&requests, "/app/y", "edge.test", None);
}

#[tokio::test]
async fn a_prefix_is_believed_of_trusted_proxies_only() {
    let origin = origin::answering("").await;
    let strip = rewriting(&origin, "{ path = \"/shop\" }", "{ prefix = \"/\" }")
        .route("plain", "upstream = \"only\"");
    let claim = |path: &str| ask::get(path).field("x-forwarded-prefix", "/claimed");
    let secure = secure::start(&strip).await;
    let told = |origin: &Origin| {
        let requests = origin.requests();
        let last = requests.last().expect("a request");
        last.field("x-forwarded-prefix").map(str::to_owned)
    };
    secure.proxy.ask(&claim("/shop/x")).await;
    assert_eq!(told(&origin).as_deref(), Some("/shop"));
    secure.http2().await.ask(&claim("/x")).await;
    assert_eq!(told(&origin), None);

    let trust = "trusted_proxies = [\"127.0.0.1\"]";
    let secure = secure::start_with(&strip.http(trust), trust).await;
    secure.http2().await.ask(&claim("/shop/x")).await;
    assert_eq!(told(&origin).as_deref(), Some("/claimed, /shop"));
    secure.proxy.ask(&claim("/x")).await;
    assert_eq!(told(&origin).as_deref(), Some("/claimed"));
}

#[tokio::test]
async fn the_access_log_tells_what_the_client_asked_for() {
    let origin = origin::answering("").await;
    let rewrite = "{ prefix = \"/\", host = \"shop.internal\" }";
    let config = rewriting(&origin, "{ path = \"/shop\" }", rewrite);
    let secure = secure::start(&config).await;
    secure.proxy.get("/shop/x").await;
    let mut line = String::new();
    wait::until("a line of the access log", async || {
        line = secure.proxy.process.stdout();
        line.ends_with('\n')
    })
    .await;
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(line["host"], "edge.test");
    assert_eq!(line["path"], "/shop/x");
}

#[tokio::test]
async fn a_redirect_of_the_upstream_is_passed_on_as_it_is() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n";
    let origin = origin::raw(moved).await;
    let config = rewriting(&origin, "{ path = \"/shop\" }", "{ prefix = \"/\" }");
    let secure = secure::start(&config).await;
    let answer = secure.proxy.get("/shop/x").await;
    assert_eq!(answer.field("location"), Some("/login"));
}
