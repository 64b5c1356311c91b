//! Request ids and trace context: what tells one request from another in everybody's logs.

use serde_json::Value;

use crate::support::ask;
use crate::support::config;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait;

/// Waits for so many lines of the access log.
async fn logged(proxy: &Proxy, n: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    wait::until("the lines of the access log", async || {
        let text = proxy.process.stdout();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines = whole
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        lines.len() >= n
    })
    .await;
    lines
}

fn is_made(id: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    id.len() == 32 && id.bytes().all(is_digit)
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own_upstream_and_in_the_log() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        let ask = ask::get("/").field("X-Request-Id", "the client's word");
        let answer = client.ask(&ask).await;
        assert_eq!(answer.status, 200);
        // What the upstream says is passed on as it is.
        assert_eq!(answer.field("x-request-id"), None);
    }
    let requests = origin.requests();
    let ids: Vec<&str> = requests
        .iter()
        .filter_map(|got| got.field("x-request-id"))
        .collect();
    assert!(ids.iter().all(|id| is_made(id)), "{ids:?}");
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    let lines = logged(&proxy, 3).await;
    let in_log: Vec<&Value> = lines.iter().map(|line| &line["request_id"]).collect();
    assert_eq!(in_log, ids);
}

#[tokio::test]
async fn the_id_of_a_trusted_proxy_is_kept() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).http("trusted_proxies = [\"127.0.0.1\"]");
    let proxy = proxy::start(&config).await;
    // One connection, so that the lines stand in the order of the requests.
    let mut client = proxy.connect().await;
    let kept = ask::get("/").field("x-request-id", "outer-1");
    assert_eq!(client.ask(&kept).await.status, 200);
    // Without one, or with one that nobody can log, a new one is made.
    assert_eq!(client.get("/").await.status, 200);
    let spoilt = ask::get("/").field("x-request-id", "a b");
    assert_eq!(client.ask(&spoilt).await.status, 200);
    let lines = logged(&proxy, 3).await;
    let requests = origin.requests();
    for (n, (got, line)) in requests.iter().zip(&lines).enumerate() {
        let id = got.field("x-request-id").expect("an id");
        assert_eq!(line["request_id"], id);
        assert_eq!(n == 0, id == "outer-1");
        assert_eq!(n != 0, is_made(id));
    }
}

#[tokio::test]
async fn another_field_may_carry_it_or_none() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let other = config
        .clone()
        .section("[trace]\nrequest_id = \"X-Correlation-ID\"");
    let proxy = proxy::start(&other).await;
    let ask = ask::get("/").field("x-request-id", "untouched");
    assert_eq!(proxy.ask(&ask).await.status, 200);
    let got = origin.request();
    assert_eq!(got.field("x-request-id"), Some("untouched"));
    assert!(got.field("x-correlation-id").is_some_and(is_made));

    proxy
        .reload(&config.section("[trace]\nrequest_id = \"off\""))
        .await;
    assert_eq!(proxy.ask(&ask).await.status, 200);
    let got = &origin.requests()[1];
    assert_eq!(got.field("x-request-id"), Some("untouched"));
    assert_eq!(got.field("x-correlation-id"), None);
    let lines = logged(&proxy, 2).await;
    let n_ids = lines.iter().filter(|line| line["request_id"].is_string());
    assert_eq!(n_ids.count(), 1);
}

#[tokio::test]
async fn an_own_answer_says_the_id_under_which_it_is_logged() {
    let refusing = origin::refusing();
    let secure = secure::start(&config::to(refusing.address)).await;
    for n in 0..2 {
        let answer = match n {
            0 => secure.proxy.get("/").await,
            _ => secure.http2().await.get("/").await,
        };
        assert!(answer.status >= 500, "{}", answer.status);
        let line = &logged(&secure.proxy, n + 1).await[n];
        let id = answer.field("x-request-id").expect("an id");
        assert!(is_made(id), "{id}");
        assert_eq!(line["request_id"], id);
    }
}

#[tokio::test]
async fn a_request_by_http_2_has_one_likewise() {
    let origin = origin::answering("hello").await;
    let secure = secure::start(&config::to(origin.address)).await;
    let ask = ask::get("/").field("x-request-id", "mine");
    assert_eq!(secure.http2().await.ask(&ask).await.status, 200);
    let id = origin.request().field("x-request-id").map(str::to_owned);
    let id = id.expect("an id");
    assert!(is_made(&id), "{id}");
    assert_eq!(logged(&secure.proxy, 1).await[0]["request_id"], id);
}

#[tokio::test]
async fn trace_context_passes_as_it_came_and_a_valid_trace_is_logged() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let parents = [
        (format!("00-{TRACE}-b7ad6b7169203331-01"), Some(TRACE)),
        (format!("00-{TRACE}-0000000000000000-01"), None),
    ];
    for (n, (parent, trace)) in parents.iter().enumerate() {
        let ask = ask::get("/")
            .field("Traceparent", parent)
            .field("tracestate", "a=1,b=2");
        assert_eq!(proxy.ask(&ask).await.status, 200);
        let got = &origin.requests()[n];
        assert!(got.head.contains(&format!("\r\nTraceparent: {parent}\r\n")));
        assert!(got.head.contains("\r\ntracestate: a=1,b=2\r\n"));
        let line = &logged(&proxy, n + 1).await[n];
        assert_eq!(line.get("trace_id").and_then(Value::as_str), *trace);
    }
}
