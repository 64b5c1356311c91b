//! A real Prometheus that scrapes a real tidegate: what `deploy/` asks it, it can answer.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::origin;
use crate::support::process::{self, Process};
use crate::support::proxy::Proxy;
use crate::support::secure::{self, Secure};
use crate::support::tool;
use crate::support::wait;

/// Far below what anybody uses, so that a few samples are there at once.
const INTERVAL: &str = "200ms";

/// What stands for the time between two points of a graph.
const WINDOW: &str = "5s";

/// A release that is judged, and waits for somebody.
const RELEASE: &str = "[release.moved-2]\nroute = \"moved\"\nstable = \"stable\"\n\
    candidate = \"canary\"\n[release.moved-2.strategy]\n\
    steps = [{ weight = 50, for = \"1s\", gate = \"sre\" }, { weight = 100, bake = \"1m\" }]\n\
    [release.moved-2.strategy.analysis]\ninterval = \"1s\"\nwarmup = \"0s\"\n\
    [release.moved-2.strategy.check.errors]\nkind = \"error_rate\"\non_fail = \"hold\"\n\
    [gate.sre]\nroles = [\"sre\"]";

struct Prometheus {
    process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes this proxy and follows the rules of `deploy/`.
    async fn start(program: &Path, proxy: &Proxy) -> Self {
        let dir = TempDir::new().expect("a directory");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/rules.yml");
        // Each group is evaluated as often as it is scraped, whatever it says itself.
        let text = fs::read_to_string(rules).expect("the rules");
        let text = text.replace("interval: 15s", &format!("interval: {INTERVAL}"));
        fs::write(dir.path().join("rules.yml"), text).expect("a file");
        let config = format!(
            "global: {{ scrape_interval: {INTERVAL}, evaluation_interval: {INTERVAL} }}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: tidegate\n    static_configs: [{{ targets: [\"{}\"] }}]\n",
            proxy.admin()
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("a file");
        let mut command = Command::new(program);
        command
            .arg("--config.file")
            .arg(file)
            .arg("--storage.tsdb.path")
            .arg(dir.path().join("data"))
            .args(["--web.listen-address", "127.0.0.1:0"]);
        let process = process::start(command, dir.path());
        let mut address = None;
        wait::until("Prometheus listens", async || {
            let log = process.stderr();
            let line = log.lines().find(|line| line.contains("\"Listening on\""));
            let told = line.and_then(|line| line.split("address=").nth(1));
            address = told.and_then(|told| told.trim().parse().ok());
            address.is_some() && log.contains("Server is ready")
        })
        .await;
        Self {
            process,
            address: address.expect("it listens"),
            _dir: dir,
        }
    }

    /// Asks its API; what is refused fails the test.
    async fn ask(&self, path: &str) -> Value {
        let answer = client::once(self.address, &ask::get(path)).await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {text}");
        answer["data"].clone()
    }

    /// How many series a query gives now; one that is refused fails the test.
    async fn query(&self, query: &str) -> usize {
        let data = self
            .ask(&format!("/api/v1/query?query={}", encoded(query)))
            .await;
        let result = data["result"].as_array();
        result.unwrap_or_else(|| panic!("{query}: {data}")).len()
    }
}

/// A text in a query.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// A proxy that has seen a little of everything: both variants, testers, failures of upstreams
/// and of its own, names that are looked up, and TLS.
async fn busy() -> (Secure, [origin::Origin; 2]) {
    let stable = origin::answering("stable").await;
    let failing = origin::raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let refusing = origin::refusing();
    let config = config::new()
        .upstream_named("stable", &[&format!("localhost:{}", stable.address.port())])
        .upstream("canary", &[failing.address])
        .upstream("gone", &[refusing.address])
        .split_route(
            "shop",
            "force = { header = \"x-variant\" }",
            &[("stable", 1), ("canary", 1)],
        )
        .upstream_with("calls", &[refusing.address], "protocol = \"h2\"")
        .route(
            "calls",
            "upstream = \"calls\"\nmatch = { path = \"/calls\" }",
        )
        .split_route(
            "gone",
            "match = { path = \"/gone\" }",
            &[("gone", 1), ("stable", 0)],
        )
        .upstream_with(
            "checked",
            &[stable.address],
            "tls = { cert = \"edge.crt\", key = \"edge.key\", verify = \"off\" }",
        )
        .split_route(
            "moved",
            "match = { path = \"/moved\" }",
            &[("stable", 1), ("canary", 0)],
        )
        .section(RELEASE)
        .section("[access_log]\noutput = \"off\"");
    let secure = secure::start(&config).await;
    (secure, [stable, failing])
}

/// Sends a few requests of each kind.
async fn traffic(secure: &Secure) {
    let mut client = secure.proxy.connect().await;
    let calls = secure.http2().await;
    for _ in 0..4 {
        client.get("/").await;
        client.get("/gone").await;
        client.get("/moved").await;
        let forced = ask::get("/").field("x-variant", "canary");
        client.ask(&forced).await;
        let call = ask::post("/calls", "").field("content-type", "application/grpc");
        calls.ask(&call).await;
    }
}

/// A query of the dashboard, as Grafana would send it.
fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", WINDOW)
        .replace("$job", "tidegate")
        .replace("$instance", ".*")
        .replace("$route", ".*")
}

/// The queries of all panels, each with its panel's title.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let all = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().expect("a query");
            (title.to_owned(), filled(query))
        })
    });
    all.collect()
}

#[tokio::test]
async fn the_dashboard_and_the_rules_ask_what_prometheus_can_answer() {
    let Some(program) = tool::find("prometheus") else {
        return;
    };
    let (secure, _origins) = busy().await;
    let proxy = &secure.proxy;
    let prometheus = Prometheus::start(&program, proxy).await;
    let text = include_str!("../../deploy/grafana/tidegate.json");
    let dashboard: Value = serde_json::from_str(text).expect("JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 40, "{}", queries.len());
    // What Grafana shows to choose from, and where it marks another configuration.
    let marks = dashboard["annotations"]["list"][0]["expr"].as_str();
    prometheus.query(&filled(marks.expect("a query"))).await;

    // What only has an answer when something went wrong in a certain way, or once a release was
    // promoted, need not have one.
    let may_be_empty = |query: &str| query.ends_with("> 0") || query.contains("(tidegate_dora_");
    for (title, query) in &queries {
        let mut n_series = 0;
        wait::until(&format!("{title}: an answer to {query}"), async || {
            traffic(&secure).await;
            n_series = prometheus.query(query).await;
            n_series > 0 || may_be_empty(query)
        })
        .await;
    }
    for title in [
        "What went wrong",
        "Answers by status",
        "Who stood in for whom",
        "Calls of gRPC by status",
    ] {
        let (_, query) = queries.iter().find(|(name, _)| name == title).expect("it");
        assert!(prometheus.query(query).await > 0, "{title}");
    }

    // The queries of the README, which stand apart by empty lines.
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```promql\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let asked: Vec<&str> = blocks.flat_map(|block| block.split("\n\n")).collect();
    assert!(asked.len() >= 5, "{asked:?}");
    for query in asked {
        prometheus.query(query).await;
    }

    // The rules: what is recorded is there, and no alert is an error.
    for name in [
        "route_variant:tidegate_requests:rate2m",
        "route_variant:tidegate_failures:ratio_rate2m",
        "route_variant:tidegate_grpc_failures:ratio_rate2m",
        "route_variant:tidegate_requests:increase5m",
        "route_variant:tidegate_response_headers_seconds:p99_rate5m",
        "route_variant:tidegate_drained:bool",
        "route:tidegate_proxy_failures:ratio_rate5m",
    ] {
        wait::until(name, async || {
            traffic(&secure).await;
            prometheus.query(name).await > 0
        })
        .await;
    }
    let rules = prometheus.ask("/api/v1/rules").await;
    let groups = rules["groups"].as_array().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let rules: Vec<&Value> = rules.flatten().collect();
    assert!(rules.len() > 20, "{}", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    assert!(!prometheus.process.stderr().contains("level=error"));
}

#[test]
fn the_dashboard_names_its_source_and_itself() {
    let text = include_str!("../../deploy/grafana/tidegate.json");
    let dashboard: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(dashboard["uid"], "tidegate-overview");
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36));
    // An imported dashboard must not hold on to the numbers of where it was made.
    assert_eq!(dashboard["id"], Value::Null);
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    assert_eq!(variables[0]["type"], "datasource");
    let mut ids = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        ids.push(panel["id"].as_u64().expect("an id"));
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
        let at = &panel["gridPos"];
        assert!(
            at["x"]
                .as_u64()
                .zip(at["w"].as_u64())
                .is_some_and(|(x, w)| x + w <= 24)
        );
    }
    let n = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n);
}
