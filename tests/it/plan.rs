//! What would change, told before it does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{self, Output};
use crate::support::config::Config;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};

const STICKY: &str = "sticky = { keys = [\"header:x-user\"] }";

/// Writes a file into a directory and gives its path.
fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("a path").to_owned()
}

async fn plan(arguments: &[&str]) -> Output {
    command::run(&[&["plan"], arguments].concat()).await
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A proxy with stable 95 and canary 5, and further sections.
async fn running(pair: &Pair, sections: &str) -> (Proxy, Config) {
    let config = pair.split([95, 5], STICKY).section(sections);
    (proxy::start(&config).await, config)
}

#[tokio::test]
async fn a_change_of_weights_tells_the_users_that_would_move() {
    let pair = Pair::start().await;
    let (proxy, _) = running(&pair, "").await;
    let new = pair.split([90, 10], STICKY).text();
    let new = file(proxy.dir(), "new.toml", &new);
    let url = proxy.admin_url();
    let output = plan(&[&new, "--admin", &url]).await;
    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "~ route.shop.split.canary.weight = 5 -> 10\n",
        "route shop: 5 % of the users move\n",
        "  stable   95 -> 90  95 % -> 90 %  on     stable\n",
        "  stable  canary    5 %\n",
    ] {
        assert!(output.stdout.contains(line), "{line}{}", output.stdout);
    }
    let output = plan(&[&new, "--against", &url, "--json"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let answer = json_of(&output);
    assert_eq!(answer["changed"], true);
    assert_eq!(answer["divisions"][0]["users"]["moved"], 0.05);
    assert_eq!(
        answer["changes"][1],
        json!({ "key": "route.shop.split.stable.weight", "old": 95, "new": 90 })
    );
    // It is only told.
    assert_eq!(
        proxy.status().await["routes"]["shop"]["variants"]["canary"]["weight"],
        5
    );
}

#[tokio::test]
async fn what_an_instance_obeys_already_changes_nothing() {
    let pair = Pair::start().await;
    let sections = "[segment.beta]\n\
                    all = [{ attr = \"header:x-since\", op = \"after\", value = 2026-01-02T03:04:05Z }]\n\
                    [[route.shop.rule]]\nsegment = \"beta\"\nweights = { canary = 1 }\n\
                    [route.shop.request_headers]\nset = { x-text = \"$${NOT_A_VARIABLE}\" }\n";
    let config = pair
        .split([95, 5], STICKY)
        .admin("address = \"127.0.0.1:0\"\ntoken = { file = \"token\" }")
        .section(sections);
    let dir = TempDir::new().expect("a directory");
    let token = file(dir.path(), "token", "open-sesame");
    let proxy = proxy::start_in(dir, &config).await;
    let url = proxy.admin_url();
    let path = proxy.file();
    let path = path.to_str().expect("a path");
    let ask = [path, "--admin", &url, "--exit-code", "--token-file", &token];
    let output = plan(&ask).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.ends_with("nothing would change\n"),
        "{output:?}"
    );
    let output = plan(&ask[..4]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("401"), "{output:?}");
}

#[tokio::test]
async fn what_comes_and_goes_is_told_between_two_files() {
    let pair = Pair::start().await;
    let dir = TempDir::new().expect("a directory");
    let old = pair.split([95, 5], STICKY).text();
    let new = pair
        .split([95, 5], STICKY)
        .upstream_keys("canary", "tls = { verify = \"off\" }")
        .listener("more", "address = \"127.0.0.1:8099\"")
        .text()
        .replace("workers = 2", "workers = 3");
    let old = file(dir.path(), "old.toml", &old);
    let new = file(dir.path(), "new.toml", &new);
    let output = plan(&[&new, "--against", &old, "--exit-code"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    for line in [
        "\n~ runtime.workers = 2 -> 3\n",
        "\n+ listener.more = { address = \"127.0.0.1:8099\"",
        "\nlistener.more: 127.0.0.1:8099 is listened on\n",
        "\nupstream.canary.tls: connections with its endpoints are made anew\n",
        "\nneeds a restart: runtime.workers; a reload refuses the whole file\n",
        "upstream.canary.tls.verify: whoever answers",
    ] {
        assert!(output.stdout.contains(line), "{line}{}", output.stdout);
    }
    assert!(output.stdout.starts_with("warning: "), "{}", output.stdout);
    let output = plan(&[&old, "--against", &old, "--exit-code"]).await;
    assert_eq!(output.code, 0, "{output:?}");
}

#[tokio::test]
async fn a_file_that_is_wrong_has_no_plan() {
    let pair = Pair::start().await;
    let dir = TempDir::new().expect("a directory");
    let good = file(dir.path(), "good.toml", &pair.split([95, 5], "").text());
    let bad = file(
        dir.path(),
        "bad.toml",
        "[route.shop]\nupstream = \"nobody\"\n",
    );
    let output = plan(&[&bad, "--against", &good]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(output.stdout, "");
    let problem = "bad.toml:2:12 route.shop.upstream: there is no upstream \"nobody\"";
    assert!(output.stderr.contains(problem), "{output:?}");
    let output = plan(&[&bad, "--against", &good, "--json"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(
        json_of(&output)["problems"][1]["key"],
        "route.shop.upstream"
    );
    let output = plan(&[&good, "--against", "ftp://127.0.0.1"]).await;
    assert_eq!(output.code, 2, "{output:?}");
}
