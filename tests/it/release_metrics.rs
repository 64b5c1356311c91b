//! Releases, as scrapers and whoever asks for the status see them.

use std::fs::{self, File};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::config::{self, Config};
use crate::support::metrics::Metrics;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::tool;
use crate::support::wait;

const RELEASE: (&str, &str) = ("release", "shop-2");

/// A release from `stable` to `canary` of the route `shop`, with a strategy.
fn release(strategy: &str) -> String {
    format!(
        "[release.shop-2]\nroute = \"shop\"\nstable = \"stable\"\ncandidate = \"canary\"\n\
         commit_time = 2026-01-01T00:00:00Z\n[release.shop-2.strategy]\n{strategy}"
    )
}

/// Half of the users, a gate, and everybody.
const GATED: &str = "analysis = false\n\
                     steps = [{ weight = 50, for = \"1s\", gate = \"sre\" }, { weight = 100, bake = \"1s\" }]\n\
                     [gate.sre]\nroles = [\"sre\"]\n\
                     [freeze.never]\nkind = \"deny\"\nfrom = 2001-01-01T00:00:00Z\nto = 2001-01-02T00:00:00Z";

/// Everybody, as fast as it goes.
const QUICK: &str = "analysis = false\nsteps = [{ weight = 100, bake = \"1s\" }]";

/// Half of the users for a long time, judged each second.
const JUDGED: &str = "steps = [{ weight = 50, for = \"10m\" }, { weight = 100, bake = \"1m\" }]\n\
                      [release.shop-2.strategy.analysis]\ninterval = \"1s\"\nwarmup = \"0s\"";

fn sum(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    metrics.sum(&format!("tidegate_{name}"), labels)
}

fn is_in(metrics: &Metrics, phase: &str) -> bool {
    sum(metrics, "release_phase", &[RELEASE, ("phase", phase)]) == 1.0
}

fn transitions(metrics: &Metrics, to: &str, cause: &str) -> f64 {
    let labels = [("route", "shop"), ("to", to), ("cause", cause)];
    sum(metrics, "release_transitions_total", &labels)
}

async fn owner(proxy: &Proxy) -> Value {
    proxy.status().await["routes"]["shop"]["owner"].clone()
}

#[tokio::test]
async fn a_release_is_told_from_its_first_step_to_what_it_waits_for_and_to_its_end() {
    let pair = Pair::start().await;
    let config = pair.split([100, 0], "").section(&release(GATED));
    let proxy = proxy::start(&config).await;
    proxy
        .counted("it waits for an approval", |metrics| {
            let waits = [RELEASE, ("reason", "approval")];
            sum(metrics, "release_hold", &waits) == 1.0
                && sum(metrics, "release_wait_seconds_total", &waits) >= 1.0
        })
        .await;
    let metrics = proxy.metrics().await;
    assert!(is_in(&metrics, "progressing") && !is_in(&metrics, "pending"));
    let step = |name| sum(&metrics, name, &[("route", "shop"), RELEASE]);
    assert_eq!((step("release_step"), step("release_steps")), (1.0, 2.0));
    let weight = |variant| {
        let labels = [RELEASE, ("variant", variant)];
        sum(&metrics, "release_weight_ratio", &labels)
    };
    assert_eq!((weight("stable"), weight("canary")), (0.5, 0.5));
    assert!(!metrics.has("tidegate_release_share_ratio", &[RELEASE]));
    assert_eq!(transitions(&metrics, "pending", "file"), 1.0);
    assert_eq!(transitions(&metrics, "progressing", "controller"), 1.0);
    for (to, cause) in [("aborted", "analysis"), ("promoted", "controller")] {
        assert_eq!(transitions(&metrics, to, cause), 0.0);
    }
    for answer in ["approved", "rejected", "passed"] {
        let labels = [("gate", "sre"), ("answer", answer)];
        assert!(metrics.has("tidegate_release_approvals_total", &labels));
    }
    assert!(metrics.has("tidegate_freeze_active", &[("freeze", "never")]));
    assert_eq!(sum(&metrics, "freeze_active", &[]), 0.0);
    assert_eq!(sum(&metrics, "stop_the_line", &[]), 0.0);
    assert_eq!(sum(&metrics, "store_writable", &[]), 1.0);
    assert!(sum(&metrics, "audit_head_seq", &[]) >= 3.0);
    assert_eq!(sum(&metrics, "audit_head_info", &[]), 1.0);
    assert!(!metrics.has("tidegate_drift", &[]));

    let mut client = proxy.connect().await;
    for _ in 0..20 {
        client.get("/").await;
    }
    proxy
        .counted("what was measured", |metrics| {
            let of = |variant| {
                let labels = [RELEASE, ("variant", variant)];
                sum(metrics, "release_share_ratio", &labels)
            };
            of("canary") > 0.0 && (of("stable") + of("canary") - 1.0).abs() < 1e-9
        })
        .await;

    // Who takes it out of the file ends it.
    proxy.reload(&pair.split([100, 0], "")).await;
    proxy
        .counted("its end", |metrics| {
            is_in(metrics, "cancelled") && !metrics.has("tidegate_release_hold", &[RELEASE])
        })
        .await;
    let metrics = proxy.metrics().await;
    assert_eq!(transitions(&metrics, "cancelled", "file"), 1.0);
    let labels = [RELEASE, ("variant", "canary")];
    assert_eq!(sum(&metrics, "release_weight_ratio", &labels), 0.0);
}

#[tokio::test]
async fn a_candidate_that_fails_is_seen_to_fail_by_its_evidence() {
    let stable = origin::answering("stable").await;
    let failing = origin::raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let variants = [
        ("stable", 100, stable.address),
        ("canary", 0, failing.address),
    ];
    let config = config::split("", &variants).section(&release(JUDGED));
    let proxy = proxy::start(&config).await;
    let evidence = [("route", "shop"), RELEASE, ("check", "errors")];
    proxy
        .counted("the first evidence", |metrics| {
            let is_insufficient = [RELEASE, ("check", "errors"), ("verdict", "insufficient")];
            metrics.has("tidegate_release_check_evidence", &evidence)
                && sum(metrics, "release_check_evidence_threshold", &evidence) > 1.0
                && sum(metrics, "release_check_verdict", &is_insufficient) == 1.0
        })
        .await;
    let mut client = proxy.connect().await;
    wait::until("its end", async || {
        for _ in 0..20 {
            client.get("/").await;
        }
        is_in(&proxy.metrics().await, "aborted")
    })
    .await;
    let metrics = proxy.metrics().await;
    assert_eq!(transitions(&metrics, "aborted", "analysis"), 1.0);
    assert_eq!(transitions(&metrics, "aborted", "operator"), 0.0);
    assert!(!metrics.has("tidegate_release_check_evidence", &[]));
}

#[tokio::test]
async fn what_a_promoted_release_leaves_is_told_until_the_file_says_it_and_counts_as_a_deployment()
{
    let (pair, folder) = (Pair::start().await, TempDir::new().expect("a directory"));
    let store = format!("[store]\npath = \"{}\"", folder.path().display());
    let config = |weights: [u32; 2]| -> Config {
        let config = pair.split(weights, "").section(&release(QUICK));
        config.section(&store)
    };
    let mut first = proxy::start(&config([100, 0])).await;
    first
        .counted("it is promoted, and the file does not say so", |metrics| {
            is_in(metrics, "promoted")
                && sum(metrics, "drift", &[("route", "shop")]) == 1.0
                && transitions(metrics, "promoted", "controller") == 1.0
        })
        .await;
    let told = owner(&first).await;
    assert_eq!(told["kind"], "release", "{told}");
    assert_eq!(
        (&told["name"], &told["over"]),
        (&"shop-2".into(), &true.into())
    );
    assert_eq!(told["drift"], true);
    let seq = sum(&first.metrics().await, "audit_head_seq", &[]);
    first.signal(Signal::TERM);
    first.exit().await;

    let second = proxy::start(&config([100, 0])).await;
    let window = [("window", "30d")];
    second
        .counted("what was kept", |metrics| {
            sum(metrics, "dora_deployments", &window) == 1.0
                && sum(metrics, "audit_head_seq", &[]) >= seq
        })
        .await;
    let metrics = second.metrics().await;
    assert!(is_in(&metrics, "promoted"));
    let median = [("window", "30d"), ("percentile", "50")];
    assert!(sum(&metrics, "dora_lead_time_seconds", &median) > 86_400.0);
    assert_eq!(sum(&metrics, "dora_change_failure_ratio", &window), 0.0);
    assert!(metrics.has("tidegate_dora_change_failure_ratio", &window));
    assert!(!metrics.has("tidegate_dora_recovery_seconds", &window));
    // Counters begin with the process.
    assert_eq!(transitions(&metrics, "promoted", "controller"), 0.0);

    // The commit that follows.
    second.reload(&config([0, 100])).await;
    second
        .counted("no drift", |metrics| !metrics.has("tidegate_drift", &[]))
        .await;
    assert_eq!(owner(&second).await["kind"], "file");
}

#[tokio::test]
async fn the_status_and_an_explanation_say_whose_the_weights_are() {
    let pair = Pair::start().await;
    let config = pair.split([100, 0], "").section(&release(GATED));
    let proxy = proxy::start(&config).await;
    proxy
        .counted("it is in its step", |metrics| is_in(metrics, "progressing"))
        .await;
    let told = owner(&proxy).await;
    assert_eq!(
        (&told["kind"], &told["name"]),
        (&"release".into(), &"shop-2".into())
    );
    assert_eq!(told["reason"], "progressing 1/2 at 50 %");
    assert_eq!(told["over"], Value::Null);
    let store = proxy.status().await["store"].clone();
    assert_eq!(store["writable"], true, "{store}");
    assert!(store["head_seq"].as_u64() >= Some(2), "{store}");
    assert_eq!(store["head_hash"].as_str().map(str::len), Some(64));
    assert_eq!(store["broken"], Value::Null);
    let answer = proxy.get_admin("/api/v1/explain?url=/").await;
    let explained: Value = serde_json::from_str(&answer.text()).expect("JSON");
    let notes = explained["notes"].to_string();
    let note =
        "its weights come from the release shop-2 (progressing 1/2 at 50 %), not from the file";
    assert!(notes.contains(note), "{notes}");

    let plain = proxy::start(&pair.split([1, 1], "")).await;
    assert_eq!(owner(&plain).await, serde_json::json!({ "kind": "file" }));
    assert_eq!(plain.status().await["store"], Value::Null);
    let answer = plain.get_admin("/api/v1/explain?url=/").await;
    assert!(!answer.text().contains("its weights"));
}

#[tokio::test]
async fn a_sink_that_is_told_and_one_that_is_not_are_told_apart() {
    let (pair, told, gone) = (
        Pair::start().await,
        origin::answering("").await,
        origin::refusing(),
    );
    let sink = |name: &str, address| {
        format!(
            "[notify.{name}]\nkind = \"webhook\"\nurl = \"http://{address}/\"\nevents = [\"*\"]\n\
             secret = \"a-secret-of-the-hook\""
        )
    };
    let config = pair
        .split([100, 0], "")
        .section(&release(GATED))
        .section(&sink("told", told.address))
        .section(&sink("gone", gone.address));
    let proxy = proxy::start(&config).await;
    proxy
        .counted("who was told, and who was not", |metrics| {
            let of = |name: &str, sink| sum(metrics, &format!("notify_{name}"), &[("sink", sink)]);
            of("sent_total", "told") >= 3.0
                && of("waiting", "told") == 0.0
                && of("failed_total", "gone") >= 1.0
                && of("waiting", "gone") >= 3.0
                && of("oldest_seconds", "gone") > 0.0
        })
        .await;
    let metrics = proxy.metrics().await;
    let of = |name: &str, sink| sum(&metrics, &format!("notify_{name}"), &[("sink", sink)]);
    assert_eq!(
        (of("sent_total", "gone"), of("dropped_total", "gone")),
        (0.0, 0.0)
    );
    assert_eq!(
        (of("failed_total", "told"), of("oldest_seconds", "told")),
        (0.0, 0.0)
    );
}

#[tokio::test]
async fn promtool_is_content_with_releases() {
    let Some(promtool) = tool::find("promtool") else {
        return;
    };
    let pair = Pair::start().await;
    let config = pair.split([100, 0], "").section(&release(JUDGED));
    let proxy = proxy::start(&config).await;
    proxy
        .counted("evidence", |metrics| {
            metrics.has("tidegate_release_check_evidence", &[])
                && metrics.has("tidegate_dora_deployments", &[])
        })
        .await;
    let page = proxy.dir().join("metrics");
    fs::write(&page, proxy.metrics().await.text).expect("a file");
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]);
    command.stdin(File::open(page).expect("a file"));
    assert_eq!(tool::run(&mut command), "");
}
