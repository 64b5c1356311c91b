//! Metrics, as scrapers see them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::process::{self, Process};
use crate::support::proxy;
use crate::support::wait;

#[tokio::test]
async fn the_counts_of_a_variant_are_there_from_the_start_and_the_rest_with_its_first_request() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    let metrics = proxy.metrics().await;
    let later = [
        "tidegate_request_duration_seconds_count",
        "tidegate_response_headers_seconds_count",
        "tidegate_errors_total",
    ];
    for variant in ["stable", "canary"] {
        for code in ["200", "404", "499", "500", "502", "503", "504"] {
            let labels = [("route", "shop"), ("variant", variant), ("code", code)];
            let name = "tidegate_requests_total";
            assert!(metrics.has(name, &labels), "{variant} {code}");
            assert_eq!(metrics.sum(name, &labels), 0.0);
        }
        let labels = [("route", "shop"), ("variant", variant)];
        for name in [
            "tidegate_requests_in_flight",
            "tidegate_variant_weight",
            "tidegate_tunnels_open",
        ] {
            assert!(metrics.has(name, &labels), "{name} {variant}");
        }
        for name in later {
            assert!(!metrics.has(name, &labels), "{name} {variant}");
        }
    }
    assert_eq!(proxy.get("/").await.status, 200);
    let used = proxy.metrics().await;
    for name in later {
        let labels = |variant| [("route", "shop"), ("variant", variant)];
        assert!(used.has(name, &labels("stable")), "{name}");
        assert!(!used.has(name, &labels("canary")), "{name}");
    }
    let weight = |variant| {
        let labels = [("route", "shop"), ("variant", variant)];
        metrics.sum("tidegate_variant_weight", &labels)
    };
    assert_eq!((weight("stable"), weight("canary")), (1.0, 0.0));
    assert_eq!(metrics.sum("tidegate_build_info", &[]), 1.0);
    assert_eq!(metrics.sum("tidegate_config_generation", &[]), 1.0);
}

#[tokio::test]
async fn no_request_makes_a_series_of_its_own() {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let series = async || {
        let page = proxy.metrics().await.text;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.rsplit_once(' '));
        names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    // One of each kind, so that what is made when it first occurs is there.
    assert_eq!(proxy.get("/").await.status, 200);
    assert_eq!(proxy.ask(&ask::method("TRACE", "/")).await.status, 405);
    let before = series().await;
    for n in 0..20 {
        let (method, path) = (format!("METHOD{n}"), format!("/path{n}?q{n}"));
        let ask = ask::method(&method, &path)
            .host(format!("host{n}.test"))
            .field("user-agent", format!("agent{n}"));
        assert_eq!(proxy.ask(&ask).await.status, 200);
    }
    proxy
        .counted("all of them", |metrics| {
            metrics.sum("tidegate_requests_total", &[("route", "all")]) >= 21.0
        })
        .await;
    assert_eq!(series().await, before);
}

#[tokio::test]
async fn a_request_is_counted_once_with_its_bytes_and_times() {
    let origin = origin::echo().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    let mut client = proxy.connect().await;
    for _ in 0..5 {
        client.ask(&ask::post("/", "0123456789")).await;
    }
    let all = [("route", "all"), ("variant", "default")];
    proxy
        .counted("five requests", |metrics| {
            metrics.sum("tidegate_requests_total", &all) == 5.0
        })
        .await;
    let metrics = proxy.metrics().await;
    let sum = |name| metrics.sum(name, &all);
    assert_eq!(sum("tidegate_request_duration_seconds_count"), 5.0);
    assert_eq!(sum("tidegate_response_headers_seconds_count"), 5.0);
    assert_eq!(sum("tidegate_request_bytes_total"), 50.0);
    assert_eq!(sum("tidegate_response_bytes_total"), 50.0);
    assert_eq!(sum("tidegate_requests_in_flight"), 0.0);
}

#[tokio::test]
async fn it_is_told_who_made_a_502() {
    let own = origin::raw("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    let refusing = origin::refusing();
    let config = config::to(own.address)
        .upstream("gone", &[refusing.address])
        .route("gone", "match = { path = \"/gone\" }\nupstream = \"gone\"");
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/").await.status, 502);
    assert_eq!(proxy.get("/gone").await.status, 502);
    proxy
        .counted("who made them", |metrics| {
            let by = |route, source| {
                let labels = [("route", route), ("code", "502"), ("source", source)];
                metrics.sum("tidegate_requests_total", &labels)
            };
            let labels = [("route", "gone"), ("reason", "connect_failure")];
            by("all", "upstream") == 1.0
                && by("all", "proxy") == 0.0
                && by("gone", "proxy") == 1.0
                && by("gone", "upstream") == 0.0
                && metrics.sum("tidegate_errors_total", &labels) == 1.0
        })
        .await;
}

#[tokio::test]
async fn what_no_route_caught_is_counted_by_its_listener() {
    let origin = origin::answering("hello").await;
    let config = config::new()
        .upstream("only", &[origin.address])
        .route("a", "match = { hosts = [\"a.test\"] }\nupstream = \"only\"");
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.get("/").await.status, 404);
    client::raw(proxy.http(), "nonsense\r\n\r\n").await;
    proxy
        .counted("two that nobody wanted", |metrics| {
            let of = |code| {
                let labels = [("listener", "http"), ("code", code)];
                metrics.sum("tidegate_unrouted_requests_total", &labels)
            };
            of("404") == 1.0 && of("400") == 1.0
        })
        .await;
}

#[tokio::test]
async fn buckets_are_those_that_are_configured() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section("[metrics]\nbuckets = [0.5, 2]");
    let proxy = proxy::start(&config).await;
    proxy.get("/").await;
    let metrics = proxy.metrics().await;
    let has = |bound| {
        let labels = [("route", "all"), ("le", bound)];
        metrics.has("tidegate_request_duration_seconds_bucket", &labels)
    };
    assert!(has("0.5") && has("2") && has("+Inf"), "{}", metrics.text);
    assert!(!has("0.1"));
}

/// True when a program is installed; says so in the test's output when it is not.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

#[tokio::test]
async fn promtool_is_content() {
    if !is_installed("promtool") {
        return;
    }
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 1], "")).await;
    for _ in 0..10 {
        proxy.get("/").await;
    }
    let text = proxy.metrics().await.text;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut input = promtool.stdin.take().expect("a pipe");
    // It reads all of it before it says anything.
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Starts a Prometheus that scrapes this address, and returns where it listens.
async fn prometheus(
    dir: &TempDir,
    target: std::net::SocketAddr,
) -> (Process, std::net::SocketAddr) {
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: tidegate\n  \
         static_configs:\n  - targets: ['{target}']\n"
    );
    fs::write(dir.path().join("prometheus.yml"), config).expect("a file");
    let mut command = Command::new("prometheus");
    command
        .args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ])
        .current_dir(dir.path());
    let process = process::start(command, dir.path());
    let mut address = None;
    wait::until("Prometheus listens", async || {
        let log = process.stderr();
        address = log
            .lines()
            .filter(|line| line.contains("Listening on"))
            .find_map(|line| {
                line.rsplit("address=")
                    .next()?
                    .trim_matches('"')
                    .parse()
                    .ok()
            });
        address.is_some()
    })
    .await;
    (process, address.expect("it listens"))
}

#[tokio::test]
async fn a_prometheus_scrapes_it() {
    if !is_installed("prometheus") {
        return;
    }
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 1], "")).await;
    for _ in 0..10 {
        proxy.get("/").await;
    }
    let dir = TempDir::new().expect("a directory");
    let (_prometheus, address) = prometheus(&dir, proxy.admin()).await;
    let query = async |expression: &str| {
        let path = format!("/api/v1/query?query={expression}");
        let answer = client::once(address, &ask::get(&path)).await;
        // It says 503 until it has read its own files.
        if answer.status != 200 {
            return None;
        }
        let value = &answer.json()["data"]["result"][0]["value"][1];
        value.as_str().map(str::to_owned)
    };
    wait::until("ten requests in Prometheus", async || {
        let sum = "sum(tidegate_requests_total%7Broute=%22shop%22%7D)";
        query(sum).await.as_deref() == Some("10")
    })
    .await;
    assert_eq!(query("up").await.as_deref(), Some("1"));
}
