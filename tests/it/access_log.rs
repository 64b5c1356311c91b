//! The access log: one line for each request, in the format that is asked for.

use std::path::Path;

use regex::Regex;
use rustix::process::Signal;
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

#[tokio::test]
async fn a_line_has_the_fields_that_are_chosen_and_nothing_that_is_masked() {
    let origin = origin::answering("hello").await;
    let log =
        "[access_log]\nfields = [\"status\", \"query\", \"client_ip\"]\nredact = [\"client_ip\"]";
    let proxy = proxy::start(&config::to(origin.address).section(log)).await;
    assert_eq!(proxy.get("/?a=1&b=2").await.text(), "hello");
    let lines = lines(&proxy, 1).await;
    assert_eq!(
        lines[0],
        "{\"status\":200,\"query\":\"a=1&b=2\",\"client_ip\":\"127.0.0.0\"}\n"
    );
}

#[tokio::test]
async fn a_hash_of_an_address_is_not_told_when_the_address_is_not() {
    let pair = Pair::start().await;
    for (redact, told) in [("", true), ("\"client_ip\"", false)] {
        let keys = "sticky = { keys = [\"client_ip\"] }";
        let log = format!("[access_log]\nredact = [{redact}]");
        let proxy = proxy::start(&pair.split([1, 0], keys).section(&log)).await;
        assert_eq!(proxy.get("/").await.status, 200);
        let line: Value = serde_json::from_str(&lines(&proxy, 1).await[0]).expect("JSON");
        assert_eq!(line["key_hash"].is_string(), told, "{line}");
    }
}

#[tokio::test]
async fn of_successes_a_sample_is_written_and_of_failures_all() {
    let origin = origin::answering("hello").await;
    let refusing = origin::refusing();
    let config = config::to(origin.address)
        .upstream("gone", &[refusing.address])
        .route("gone", "match = { path = \"/gone\" }\nupstream = \"gone\"")
        .section("[access_log]\nsample = 0.25");
    let proxy = proxy::start(&config).await;
    // One connection is served by one worker, so that the count is exact.
    let mut client = proxy.connect().await;
    let mut failed = 0;
    for n in 0..200 {
        let path = if n % 10 == 9 { "/gone" } else { "/" };
        let status = client.get(path).await.status;
        failed += usize::from(500 <= status);
    }
    assert_eq!(failed, 20);
    let mut read: Vec<Value> = Vec::new();
    wait::until("the failures and a quarter of the rest", async || {
        let text = proxy.process.stdout();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        read = whole
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let n_failures = read
            .iter()
            .filter(|line| line["status"].as_u64() >= Some(500))
            .count();
        n_failures == 20 && read.len() >= 20 + 44
    })
    .await;
    assert!(read.len() <= 20 + 46, "{}", read.len());
}

#[tokio::test]
async fn a_file_that_was_renamed_is_opened_anew_by_a_signal_and_no_line_is_lost() {
    let origin = origin::answering("hello").await;
    let log = "[access_log]\noutput = \"access.log\"\nfields = [\"path\"]";
    let proxy = proxy::start(&config::to(origin.address).section(log)).await;
    let (path, old) = (
        proxy.dir().join("access.log"),
        proxy.dir().join("access.log.1"),
    );
    let n = 300;
    let ask = async {
        let mut client = proxy.connect().await;
        for number in 0..n {
            assert_eq!(client.get(&format!("/{number}")).await.status, 200);
            if number == 100 {
                std::fs::rename(&path, &old).expect("a log");
                proxy.signal(Signal::USR1);
            }
        }
    };
    ask.await;
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    wait::until("all lines", async || {
        (read(&old) + &read(&path)).lines().count() == n
    })
    .await;
    wait::until("the signal to be obeyed", async || {
        proxy.process.stderr().contains("access log reopened")
    })
    .await;
    assert_eq!(proxy.get("/last").await.status, 200);
    wait::until("the last line", async || {
        read(&path).ends_with("/last\"}\n")
    })
    .await;
    let expected: String = (0..n)
        .map(|number| number.to_string())
        .chain(["last".to_owned()])
        .map(|name| format!("{{\"path\":\"/{name}\"}}\n"))
        .collect();
    assert_eq!(read(&old) + &read(&path), expected);
}

/// Reads a line as Apache's documentation has its combined format: nothing of ours takes part.
fn read_combined(line: &str) -> Vec<String> {
    let quoted = r#""((?:[^"\\]|\\.)*)""#;
    let pattern = format!(
        r"^(\S+) (\S+) (\S+) \[(\d{{2}}/[A-Z][a-z]{{2}}/\d{{4}}:\d{{2}}:\d{{2}}:\d{{2}} [+-]\d{{4}})\] {quoted} (\d{{3}}) (\d+|-)(?: {quoted} {quoted})?\n$"
    );
    let pattern = Regex::new(&pattern).expect("a pattern");
    let found = pattern.captures(line).unwrap_or_else(|| panic!("{line}"));
    let groups = found.iter().skip(1).flatten();
    groups.map(|group| group.as_str().to_owned()).collect()
}

#[tokio::test]
async fn common_and_combined_are_read_by_what_reads_apaches() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    for (format, n_groups) in [("common", 7), ("combined", 9)] {
        let log = format!("[access_log]\nformat = \"{format}\"\nredact = []");
        let proxy = proxy::start(&config.clone().section(&log)).await;
        let ask = ask::get("/a%20b?c=\"d\\\"")
            .field("user-agent", "Mozilla/5.0 (X11; \"Linux\")")
            .field("referer", "https://a.example/?b=c");
        assert_eq!(proxy.ask(&ask).await.status, 200);
        let groups = read_combined(&lines(&proxy, 1).await[0]);
        assert_eq!(groups.len(), n_groups, "{groups:?}");
        assert_eq!(groups[..3], ["127.0.0.1", "-", "-"]);
        assert_eq!(groups[4], r#"GET /a%20b?c=\"d\\\" HTTP/1.1"#);
        assert_eq!(groups[5..7], ["200", "5"]);
        if format == "combined" {
            assert_eq!(groups[7], "https://a.example/?b=c");
            assert_eq!(groups[8], r#"Mozilla/5.0 (X11; \"Linux\")"#);
        }
    }
}
