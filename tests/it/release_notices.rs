//! Who is told of a release: a webhook of its own, and the real Alertmanager where it is installed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::journal;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::tool;
use crate::support::wait;

/// A release whose candidate does not pass its test, so that it fails at once.
const FAILING: &str = r#"
[release."shop-2.0"]
route = "shop"
stable = "stable"
candidate = "canary"
strategy = "tested"
[strategy.tested]
steps = [{ weight = 10, for = "1h" }, { weight = 100, bake = "1h" }]
[strategy.tested.check.smoke]
kind = "http"
attempts = 1
requests = [{ path = "/", expect = { status = 404 } }]
"#;

fn config(origin: &Origin, sinks: &str) -> Config {
    config::new()
        .upstream("stable", &[origin.address])
        .upstream("canary", &[origin.address])
        .split_route("shop", "", &[("stable", 100), ("canary", 0)])
        .section(FAILING)
        .section(sinks)
}

fn hook(address: std::net::SocketAddr) -> String {
    format!(
        "[notify.hook]\nkind = \"webhook\"\nurl = \"http://{address}/told\"\nevents = [\"*\"]\n\
         secret = \"a-secret-of-the-hook\"\n"
    )
}

/// The kinds of the events that a webhook was told, with their ids.
fn told(hook: &Origin) -> Vec<(String, String)> {
    let requests = hook.requests();
    let told = requests.iter().map(|request| {
        let event: Value = serde_json::from_slice(&request.body).expect("JSON");
        let kind = event["kind"].as_str().expect("a kind").to_owned();
        let id = request.field("idempotency-key").expect("an id").to_owned();
        assert!(
            request
                .field("x-tidegate-signature")
                .is_some_and(|it| it.starts_with("sha256="))
        );
        (kind, id)
    });
    told.collect()
}

#[tokio::test]
async fn each_transition_is_told_with_the_id_of_its_record() {
    let origin = origin::answering("hello").await;
    let receiver = origin::answering("").await;
    let config = config(&origin, &hook(receiver.address));
    let proxy = proxy::start(&config).await;
    let all = ["release.created", "release.failed", "audit.anchor"];
    wait::until("all is told", async || {
        let told = told(&receiver);
        all.iter()
            .all(|kind| told.iter().any(|(known, _)| known == kind))
    })
    .await;
    let told_before = told(&receiver);
    let records = journal::records(proxy.dir());
    for (kind, id) in &told_before {
        let mut records = records.iter().filter(|record| record["id"] == **id);
        let record = records.next().expect("a record of that id");
        assert_eq!(record["event"]["kind"], **kind);
    }
    let dir = proxy.kill_and_keep().await;
    let proxy = proxy::start_in(dir, &config).await;
    proxy
        .reload_text(&format!("{}\n# the same\n", config.text()))
        .await;
    wait::until("the head is told anew", async || {
        told(&receiver)
            .iter()
            .filter(|(kind, _)| kind == "audit.anchor")
            .count()
            >= 2
    })
    .await;
    // A process that is killed may not have noted the last one: then it has the same id again.
    let mut ids: Vec<String> = told(&receiver)
        .into_iter()
        .filter(|(kind, _)| kind == "release.failed")
        .map(|(_, id)| id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn what_nobody_heard_is_told_once_somebody_listens() {
    let origin = origin::answering("hello").await;
    let gone = origin::answering("").await;
    let address = gone.address;
    gone.stop().await;
    let config = config(&origin, &hook(address));
    let proxy = proxy::start(&config).await;
    wait::until("it failed", async || {
        journal::actions(proxy.dir()).contains(&"release.abort".to_owned())
    })
    .await;
    let dir = proxy.kill_and_keep().await;
    let receiver = origin::answering_at(address, "").await;
    let _proxy = proxy::start_in(dir, &config).await;
    wait::until("it is told of before", async || {
        told(&receiver)
            .iter()
            .any(|(kind, _)| kind == "release.failed")
    })
    .await;
}

/// A process that ends with its test.
struct Alertmanager(Child);

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended by itself; nobody is left who could be told.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn alertmanager(folder: &Path) -> Option<(Alertmanager, std::net::SocketAddr)> {
    let program = tool::find("prometheus-alertmanager")?;
    let config = "route:\n  receiver: r\nreceivers:\n- name: r\n";
    std::fs::write(folder.join("am.yml"), config).expect("a file");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    drop(port);
    let child = Command::new(program)
        .args([
            "--config.file=am.yml",
            "--storage.path=data",
            "--cluster.listen-address=",
        ])
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    Some((Alertmanager(child), address))
}

#[tokio::test]
async fn a_failed_release_is_an_alert_of_the_real_alertmanager() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((_alertmanager, address)) = alertmanager(folder.path()) else {
        return;
    };
    let origin = origin::answering("hello").await;
    let sink = format!(
        "[notify.oncall]\nkind = \"alertmanager\"\nurl = \"http://{address}\"\n\
         events = [\"release.failed\"]\nlabels = {{ team = \"shop\" }}\n"
    );
    let _proxy = proxy::start(&config(&origin, &sink)).await;
    let mut alerts = Value::Null;
    wait::until("the alert", async || {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return false;
        }
        let asked = ask::get("/api/v2/alerts").host(address.to_string());
        let answer = client::once(address, &asked).await;
        alerts = serde_json::from_str(&answer.text()).unwrap_or_default();
        alerts.as_array().is_some_and(|alerts| !alerts.is_empty())
    })
    .await;
    let labels = &alerts[0]["labels"];
    assert_eq!(labels["alertname"], "TidegateReleaseFailed", "{alerts}");
    assert_eq!(
        (&labels["release"], &labels["route"]),
        (&"shop-2.0".into(), &"shop".into())
    );
    assert_eq!(
        (&labels["team"], &labels["severity"]),
        (&"shop".into(), &"critical".into())
    );
}
