//! The access log: one line for each request, in the format that is asked for.

use serde_json::Value;

use crate::support::ask;
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// Waits for so many lines on standard output.
async fn lines(proxy: &Proxy, n: usize) -> Vec<String> {
    let mut lines = Vec::new();
    wait::until("the lines of the access log", async || {
        let text = proxy.process.stdout();
        // A line that is being written has no end yet.
        lines = text.split_inclusive('\n').map(str::to_owned).collect();
        lines.retain(|line| line.ends_with('\n'));
        lines.len() >= n
    })
    .await;
    assert_eq!(lines.len(), n, "{lines:#?}");
    lines
}

#[tokio::test]
async fn a_request_is_a_line_of_json() {
    let pair = Pair::start().await;
    let keys = "force = { header = \"x-variant\" }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    let ask = ask::post("/cart?secret=1", "body").field("x-variant", "canary");
    assert_eq!(proxy.ask(&ask).await.text(), "canary");
    let lines = lines(&proxy, 1).await;
    let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
    for (key, expected) in [
        ("listener", "http"),
        ("route", "shop"),
        ("variant", "canary"),
        ("selection", "forced"),
        ("method", "POST"),
        ("path", "/cart"),
        ("source", "upstream"),
        ("client_ip", "127.0.0.1"),
    ] {
        assert_eq!(line[key], expected, "{key}: {line}");
    }
    assert_eq!(line["status"], 200);
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&4.into(), &6.into())
    );
    assert!(line["duration_ms"].is_number(), "{line}");
    assert!(
        !lines[0].contains("secret"),
        "a query may hold secrets: {line}"
    );
}

#[tokio::test]
async fn who_failed_and_why_is_in_the_line() {
    let refusing = origin::refusing();
    let proxy = proxy::start(&config::to(refusing.address)).await;
    assert_eq!(proxy.get("/").await.status, 502);
    let lines = lines(&proxy, 1).await;
    let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(line["status"], 502);
    assert_eq!(line["source"], "proxy");
    assert_eq!(line["reason"], "connect_failure");
}

#[tokio::test]
async fn a_line_cannot_be_forged_by_what_a_client_sends() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    for format in ["json", "common", "combined"] {
        let log = format!("[access_log]\nformat = \"{format}\"");
        let proxy = proxy::start(&config.clone().section(&log)).await;
        let ask = ask::get("/\"%0a%22\\")
            .field("user-agent", "a\" \\ \u{e9}b")
            .field("referer", "\"");
        assert_eq!(proxy.ask(&ask).await.status, 200, "{format}");
        let lines = lines(&proxy, 1).await;
        if format == "json" {
            let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
            assert_eq!(line["path"], "/\"%0a%22\\");
        } else {
            assert!(lines[0].contains(" 200 5"), "{}", lines[0]);
            assert!(lines[0].starts_with("127.0.0.1 - - ["), "{}", lines[0]);
        }
    }
}

#[tokio::test]
async fn it_may_go_to_a_file_or_nowhere() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let file = config
        .clone()
        .section("[access_log]\noutput = \"access.log\"");
    let proxy = proxy::start(&file).await;
    assert_eq!(proxy.get("/").await.text(), "hello");
    let path = proxy.dir().join("access.log");
    wait::until("a line in the file", async || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    assert_eq!(proxy.process.stdout(), "");

    let off = config.section("[access_log]\noutput = \"off\"");
    proxy.reload(&off).await;
    let before = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(proxy.get("/").await.text(), "hello");
    let all = [("route", "all"), ("code", "200")];
    proxy
        .counted("the second request", |metrics| {
            metrics.sum("tidegate_requests_total", &all) == 2.0
        })
        .await;
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), before);
}
