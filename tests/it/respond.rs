//! Answers that a route gives by itself: the same to everybody, from the configuration or a file.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::ask::{self, Ask};
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::message::Message;
use crate::support::origin;
use crate::support::proxy;
use crate::support::secure::{self, Secure};
use crate::support::wait;

/// Everything is answered so.
fn responding(respond: &str) -> Config {
    config::new().route("closed", &format!("respond = {respond}"))
}

/// A directory with a page in it.
fn with_page(page: impl AsRef<[u8]>) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("page.html"), page).expect("a page");
    dir
}

/// Asks in plain and over HTTP/2 with TLS.
async fn both(secure: &Secure, ask: &Ask) -> [Message; 2] {
    [
        secure.proxy.ask(ask).await,
        secure.http2().await.ask(ask).await,
    ]
}

/// Waits until everybody is told this.
async fn says(proxy: &proxy::Proxy, text: &str) {
    wait::until("the page", async || proxy.get("/").await.text() == text).await;
}

#[tokio::test]
async fn everybody_is_told_the_same_over_every_protocol() {
    let respond = "{ status = 503, body = \"back soon\", headers = { Retry-After = \"600\" } }";
    let secure = secure::start(&responding(respond)).await;
    for method in ["GET", "POST", "DELETE"] {
        for answer in both(&secure, &ask::method(method, "/any/path?q")).await {
            assert_eq!(answer.status, 503);
            assert_eq!(answer.text(), "back soon");
            assert_eq!(
                answer.field("content-type"),
                Some("text/plain; charset=utf-8")
            );
            assert_eq!(answer.field("retry-after"), Some("600"));
            assert_eq!(answer.field("content-length"), Some("9"));
            assert!(answer.field("date").is_some());
        }
    }
    for answer in both(&secure, &ask::method("HEAD", "/")).await {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.field("content-length"), Some("9"));
        assert_eq!(answer.text(), "");
    }
}

#[tokio::test]
async fn a_page_is_read_anew_when_its_file_changes() {
    let config = responding("{ status = 503, file = \"page.html\" }");
    let proxy = proxy::start_in(with_page("<p>one"), &config).await;
    let mut client = proxy.connect().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "<p>one"));
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = proxy.dir().join("page.html");
    proxy::replace(&page, "<p>two");
    says(&proxy, "<p>two").await;
    fs::write(&page, "<p>three").expect("a write in place");
    says(&proxy, "<p>three").await;
    // Over the same connection.
    assert_eq!(client.get("/").await.text(), "<p>three");
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_refused_and_the_old_one_stays() {
    let config = responding("{ file = \"page.html\" }");
    let proxy = proxy::start_in(with_page("old"), &config).await;
    let page = proxy.dir().join("page.html");
    let refused = async |expected: &str| {
        let answer = proxy.ask_reload().await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        let text = answer.text();
        assert!(text.contains("route.closed.respond.file"), "{text}");
        assert!(text.contains(expected), "{text}");
        assert_eq!(proxy.get("/").await.text(), "old");
    };
    fs::remove_file(&page).expect("a removal");
    refused("No such file").await;
    fs::write(&page, vec![b'x'; (1 << 20) + 1]).expect("a file");
    refused("larger than 1MiB").await;
    fs::remove_file(&page).expect("a removal");
    fs::create_dir(&page).expect("a folder");
    refused("cannot be read").await;
    fs::remove_dir(&page).expect("a removal");
    fs::write(&page, "new").expect("a file");
    says(&proxy, "new").await;
}

#[tokio::test]
async fn the_largest_page_comes_whole_to_a_client_that_takes_its_time() {
    let page: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let config = responding("{ file = \"page.html\", content_type = \"image/png\" }");
    let secure = secure_with_page(&config, &page).await;
    let mut client = secure.proxy.connect().await;
    client
        .wire
        .send("GET / HTTP/1.1\r\nhost: edge.test\r\n\r\n")
        .await;
    let head = client.wire.head().await.expect("a head");
    assert_eq!(head.field("content-length"), Some("1048576"));
    assert_eq!(head.field("content-type"), Some("image/png"));
    assert_eq!(client.wire.take(10).await, page[..10]);
    // While it waits, others are answered.
    for answer in both(&secure, &ask::get("/")).await {
        assert_eq!(answer.body, page);
    }
    assert_eq!(client.wire.take(page.len() - 10).await, page[10..]);
    assert_eq!(client.get("/").await.body, page);
    for answer in both(&secure, &ask::method("HEAD", "/")).await {
        assert_eq!(answer.field("content-length"), Some("1048576"));
        assert_eq!(answer.body, b"");
    }
    let labels = [("route", "closed")];
    secure
        .proxy
        .counted("the bytes", |metrics| {
            metrics.sum("tidegate_response_bytes_total", &labels) == 4.0 * 1_048_576.0
        })
        .await;
}

async fn secure_with_page(config: &Config, page: &[u8]) -> Secure {
    let secure = secure::start(&responding("{}")).await;
    fs::write(secure.proxy.dir().join("page.html"), page).expect("a page");
    let config = secure::with_https(config, "");
    secure.proxy.reload(&config).await;
    secure
}

#[tokio::test]
async fn a_client_that_leaves_amid_a_page_is_seen_to_leave() {
    let config = responding("{ file = \"page.html\" }");
    let proxy = proxy::start_in(with_page(vec![b'x'; 1 << 20]), &config).await;
    let mut client = proxy.connect().await;
    // More than any buffer holds.
    let get = "GET / HTTP/1.1\r\nhost: edge.test\r\n\r\n";
    client.wire.send(get.repeat(40)).await;
    client.wire.take(1000).await;
    drop(client);
    proxy
        .counted("the client that left", |metrics| {
            metrics.sum("tidegate_requests_total", &[("code", "499")]) >= 1.0
        })
        .await;
    assert_eq!(proxy.get("/").await.status, 200);
}

#[tokio::test]
async fn a_status_without_content_has_no_length_and_keeps_the_connection() {
    let proxy = proxy::start(&responding("{ status = 204 }")).await;
    let mut client = proxy.connect().await;
    for ask in [ask::get("/"), ask::post("/", "body"), ask::get("/")] {
        let answer = client.ask(&ask).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.field("content-length"), None);
        assert_eq!(answer.field("content-type"), None);
    }
    let secure = secure::start(&responding("{ status = 204 }")).await;
    assert_eq!(secure.http2().await.get("/").await.status, 204);
}

#[tokio::test]
async fn a_page_has_the_routes_edits_and_the_requests_id() {
    let keys = "respond = { body = \"x\", headers = { a = \"1\", b = \"2\", c = { file = \"page.html\" } } }\n\
                response_headers = { remove = [\"a\"], set = { b = \"3\" }, add = { d = \"4\" } }";
    let config = config::new()
        .route("closed", keys)
        .section("[trace]\nrequest_id = \"x-request-id\"");
    let dir = with_page("hidden\n");
    let proxy = proxy::start_in(dir, &config).await;
    let answer = proxy.get("/").await;
    let values = ["a", "b", "c", "d"].map(|name| answer.field(name));
    assert_eq!(values, [None, Some("3"), Some("hidden"), Some("4")]);
    assert!(answer.field("x-request-id").is_some());
    let effective = proxy.get_admin("/api/v1/config").await.text();
    assert!(!effective.contains("hidden"), "{effective}");
}

#[tokio::test]
async fn a_call_of_grpc_is_told_in_its_words() {
    let respond = "{ status = 503, body = \"back soon\", headers = { retry-after = \"60\" } }";
    let secure = secure::start(&responding(respond)).await;
    let call = ask::post("/shop.Cart/Get", "").field("content-type", "application/grpc+proto");
    let answer = secure.http2().await.ask(&call).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert_eq!(answer.field("grpc-status"), Some("14"));
    assert_eq!(
        answer.field("grpc-message"),
        Some("503 Service Unavailable")
    );
    assert_eq!(answer.field("retry-after"), Some("60"));
    assert_eq!(answer.text(), "");
    let labels = [("route", "closed"), ("grpc_status", "14")];
    secure
        .proxy
        .counted("the call", |metrics| {
            metrics.sum("tidegate_grpc_responses_total", &labels) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_page_never_opens_a_websocket() {
    let secure = secure::start(&responding("{ body = \"no\" }")).await;
    let ask = ask::get("/")
        .field("connection", "upgrade")
        .field("upgrade", "websocket");
    let answer = secure.proxy.ask(&ask).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "no"));
    assert_eq!(answer.field("upgrade"), None);
    // Any success would open it here.
    let http2 = secure.http2().await;
    let response = http2.connect(&ask::get("/")).await.expect("a response");
    assert_eq!(response.status(), 405);
    assert_eq!(http2.get("/").await.text(), "no");
}

#[tokio::test]
async fn a_page_is_counted_logged_and_told() {
    let config = responding("{ status = 503, file = \"page.html\" }");
    let proxy = proxy::start_in(with_page("<p>soon"), &config).await;
    proxy.get("/").await;
    let labels = [
        ("route", "closed"),
        ("variant", "none"),
        ("upstream", ""),
        ("code", "503"),
        ("source", "proxy"),
        ("selection", "none"),
    ];
    proxy
        .counted("the page", |metrics| {
            metrics.sum("tidegate_requests_total", &labels) == 1.0
        })
        .await;
    // It is meant so, and no error.
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_errors_total", &[]), 0.0);

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
    assert_eq!(line["route"], "closed");
    assert_eq!(line["reason"], "respond");
    assert_eq!(line["source"], "proxy");
    assert_eq!(
        (&line["status"], &line["bytes_out"]),
        (&503.into(), &7.into())
    );

    let answer = &proxy.status().await["routes"]["closed"]["answer"];
    assert_eq!(answer["kind"], "respond");
    assert_eq!(
        (&answer["requests"], &answer["failures"]),
        (&1.into(), &1.into())
    );
    let explained = proxy.get_admin("/api/v1/explain?url=/x").await.json();
    let answer = &explained["answer"];
    assert_eq!(answer["content_type"], "text/html; charset=utf-8");
    assert_eq!(
        (&answer["status"], &answer["bytes"]),
        (&503.into(), &7.into())
    );
}

#[tokio::test]
async fn a_route_is_closed_and_opened_again_under_its_connections() {
    let origin = origin::answering("shop").await;
    let open = config::to(origin.address);
    let closed = config::new()
        .upstream("only", &[origin.address])
        .route("all", "respond = { status = 503, body = \"soon\" }");
    let proxy = proxy::start(&open).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text(), "shop");
        proxy.reload(&closed).await;
        assert_eq!(client.get("/").await.text(), "soon");
        proxy.reload(&open).await;
    }
    assert_eq!(client.get("/").await.text(), "shop");
    // Neither hides the other's numbers.
    proxy
        .counted("all of them", |metrics| {
            let of = |variant| metrics.sum("tidegate_requests_total", &[("variant", variant)]);
            (of("default"), of("none")) == (4.0, 3.0)
        })
        .await;
}

#[tokio::test]
async fn plan_tells_that_a_route_is_closed() {
    let origin = origin::answering("shop").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let closed = responding("{ status = 503, body = \"soon\" }")
        .upstream("only", &[origin.address])
        .text()
        .replace("[route.closed]", "[route.all]");
    let file = proxy.dir().join("closed.toml");
    fs::write(&file, closed).expect("a file");
    let file = file.to_str().expect("a path");
    let output = command::run(&["plan", file, "--admin", &proxy.admin_url()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "- route.all.upstream = \"only\"\n",
        "+ route.all.respond = { body = \"soon\"",
    ] {
        assert!(output.stdout.contains(line), "{line}{}", output.stdout);
    }
    assert_eq!(proxy.get("/").await.text(), "shop");
}
