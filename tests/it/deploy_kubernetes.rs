//! `deploy/kubernetes`: the schemas take the manifests, and their configuration serves as they say.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use tempfile::TempDir;

use crate::support::ask;
use crate::support::certs;
use crate::support::client;
use crate::support::command;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::tool;
use crate::support::wait;

/// The oldest and the newest version of Kubernetes that the manifests are for.
const VERSIONS: [&str; 2] = ["1.25", "1.37"];
const TOKEN: &str = "correct-horse-battery";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all files there but that of the list of them.
fn manifests() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("a folder");
    let names = entries.map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("a name")
    });
    let mut names: Vec<String> = names.filter(|name| name != "kustomization.yaml").collect();
    names.sort();
    names
}

/// The configuration within the manifest of the ConfigMap.
fn configuration() -> String {
    let manifest = read("configmap.yaml");
    let (_, block) = manifest
        .split_once("  tidegate.toml: |\n")
        .expect("the key of the file");
    let lines = block.lines().map(|line| {
        assert!(line.is_empty() || line.starts_with("    "), "{line}");
        line.get(4..).unwrap_or_default().to_owned() + "\n"
    });
    lines.collect()
}

/// The number that a pattern finds in a text.
fn number(text: &str, pattern: &str) -> u64 {
    let found = Regex::new(pattern).expect("a pattern").captures(text);
    let found = found.unwrap_or_else(|| panic!("no {pattern}"));
    found[1].parse().expect("a number")
}

/// The rights of the files of secrets, as the deployment has them.
const SECRET: u32 = 0o440;
/// Those of the files of a ConfigMap.
const CONFIG: u32 = 0o644;

/// Writes the next state of a volume as a kubelet does, and removes the one before.
fn volume(path: &Path, mode: u32, turn: usize, files: &[(&str, &str)]) {
    let data = format!("..data-{turn}");
    fs::create_dir_all(path.join(&data)).expect("a directory");
    for (name, text) in files {
        let file = path.join(&data).join(name);
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("its rights");
        if turn == 0 {
            symlink(format!("..data/{name}"), path.join(name)).expect("a link");
        }
    }
    symlink(&data, path.join("..data_tmp")).expect("a link");
    fs::rename(path.join("..data_tmp"), path.join("..data")).expect("a rename");
    if let Some(last) = turn.checked_sub(1) {
        fs::remove_dir_all(path.join(format!("..data-{last}"))).expect("a removal");
    }
}

/// Makes all volumes of the pod below a directory, with a configuration that names them there.
fn volumes(dir: &Path, configuration: &str) -> String {
    let etc = dir.join("etc");
    let text = configuration.replace("\"/etc/", &format!("\"{}/", etc.display()));
    let pair = certs::authority().pair(&["shop.example.com"]);
    let tls = [("tls.crt", pair.cert.as_str()), ("tls.key", &pair.key)];
    volume(&etc.join("tidegate-tls"), SECRET, 0, &tls);
    volume(&etc.join("tidegate-admin"), SECRET, 0, &[("token", TOKEN)]);
    volume(
        &etc.join("tidegate"),
        CONFIG,
        0,
        &[("tidegate.toml", &text)],
    );
    text
}

#[test]
fn every_manifest_is_valid() {
    let Some(python) = tool::python() else {
        return;
    };
    for version in VERSIONS {
        let mut command = Command::new(&python);
        command.args(["-m", "kubernetes_validate", "--strict", "-k", version]);
        let said = tool::run(command.args(manifests()).current_dir(folder()));
        for name in manifests() {
            assert!(said.contains(&format!("{name} passed")), "{name}: {said}");
        }
    }
}

#[test]
fn a_manifest_that_is_not_valid_would_be_seen() {
    let Some(python) = tool::python() else {
        return;
    };
    let dir = TempDir::new().expect("a directory");
    let wrong = read("deployment.yaml").replace("replicas: 2", "replicas: \"2\"");
    fs::write(dir.path().join("wrong.yaml"), wrong).expect("a file");
    let mut command = Command::new(&python);
    command.args(["-m", "kubernetes_validate", "--strict", "wrong.yaml"]);
    let output = command.current_dir(dir.path()).output().expect("a process");
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn every_manifest_is_applied() {
    let list = read("kustomization.yaml");
    let names = manifests();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(list.contains(&format!("  - {name}\n")), "{name}");
    }
}

#[tokio::test]
async fn the_configuration_passes_the_check() {
    let dir = TempDir::new().expect("a directory");
    volumes(dir.path(), &configuration());
    let path = dir.path().join("etc/tidegate/tidegate.toml");
    let path = path.to_str().expect("a path");
    let output = command::run(&["check", "--strict", path]).await;
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_pod_is_given_longer_than_the_drain_takes() {
    let grace = number(
        &read("deployment.yaml"),
        r"terminationGracePeriodSeconds: (\d+)",
    );
    let timeout = number(&configuration(), r#"\ntimeout = "(\d+)s""#);
    assert!(timeout + 5 <= grace, "{timeout} {grace}");
}

#[test]
fn the_configuration_is_mounted_as_a_directory() {
    let deployment = read("deployment.yaml");
    let code = deployment
        .lines()
        .filter(|line| !line.trim().starts_with('#'));
    let code: Vec<&str> = code.collect();
    assert!(code.iter().all(|line| !line.contains("subPath")));
    assert!(code.contains(&"              mountPath: /etc/tidegate"));
}

#[test]
fn secrets_are_for_the_group_alone() {
    let mode = format!("defaultMode: {SECRET:04o}\n");
    assert_eq!(read("deployment.yaml").matches(&mode).count(), 2, "{mode}");
}

#[test]
fn ports_are_those_of_the_configuration() {
    let (deployment, configuration) = (read("deployment.yaml"), configuration());
    for (section, name) in [
        ("listener.http", "http"),
        ("listener.https", "https"),
        ("admin", "admin"),
    ] {
        let pattern = format!(r#"\[{section}\][^\[]*address = "0\.0\.0\.0:(\d+)""#);
        let port = number(&configuration, &pattern);
        let port = format!("- name: {name}\n              containerPort: {port}\n");
        assert!(deployment.contains(&port), "{port}");
    }
}

#[tokio::test]
async fn a_pod_serves_answers_probes_and_obeys_a_changed_config_map() {
    let pair = Pair::start().await;
    let endpoint = |service: &str| format!("{service}.shop.svc.cluster.local:9000");
    let text = configuration()
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("0.0.0.0:8443", "127.0.0.1:0")
        .replace("0.0.0.0:9900", "0.0.0.0:0")
        .replace(&endpoint("shop-v1"), &pair.stable.address.to_string())
        .replace(&endpoint("shop-v2"), &pair.canary.address.to_string());
    let dir = TempDir::new().expect("a directory");
    let text = volumes(dir.path(), &text);
    let mut command = command::tidegate();
    command
        .args(["run", "--config", "etc/tidegate/tidegate.toml"])
        .args(["--ready-file", "ready.json"])
        .current_dir(dir.path());
    let proxy = proxy::launch(dir, command).await;

    // The kubelet asks by the pod's address, and has no token.
    let admin = SocketAddr::from(([127, 0, 0, 1], proxy.admin().port()));
    let paths = Regex::new(r"httpGet:\n +path: (\S+)").expect("a pattern");
    let deployment = read("deployment.yaml");
    let paths: Vec<&str> = paths
        .captures_iter(&deployment)
        .map(|found| found.get(1).expect("a path").as_str())
        .collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        let probe = ask::get(path).host("10.1.2.3:9900");
        assert_eq!(client::once(admin, &probe).await.status, 200, "{path}");
    }
    let scrape = ask::get("/metrics").host("10.1.2.3:9900");
    assert_eq!(client::once(admin, &scrape).await.status, 401);

    // `kubectl exec … -- /tidegate status`
    let token = proxy.dir().join("etc/tidegate-admin/token");
    let url = format!("http://{admin}");
    let status = async || {
        let output = command::run_with(&["status", "--json", "--admin", &url], |command| {
            command.env("TIDEGATE_TOKEN_FILE", &token);
        })
        .await;
        assert_eq!(output.code, 0, "{output:?}");
        serde_json::from_str::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(
        status().await["routes"]["shop"]["variants"]["canary"]["weight"],
        5
    );

    // `kubectl apply`, and what the kubelet makes of it.
    let changed = text
        .replace("weight = 95", "weight = 0")
        .replace("weight = 5 ", "weight = 1 ");
    let config = proxy.dir().join("etc/tidegate");
    volume(&config, CONFIG, 1, &[("tidegate.toml", &changed)]);
    wait::until("the new weights", async || {
        status().await["routes"]["shop"]["variants"]["stable"]["weight"] == 0
    })
    .await;
    let ask = ask::get("/").host("shop.example.com");
    assert_eq!(proxy.ask(&ask).await.text(), "canary");
}
