//! Tokens of the admin API: who may do what, and what becomes of a token that is taken away.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::ask;
use crate::support::client;
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::origin;
use crate::support::proxy;
use crate::support::staff::{self, secret, token};

const RELOAD: &str = "/api/v1/config/reload";

async fn configured(tokens: &[String]) -> Config {
    let origin = origin::answering("hello").await;
    config::to(origin.address).section(&tokens.join("\n"))
}

#[tokio::test]
async fn a_viewer_reads_and_an_operator_also_reloads() {
    let config = configured(&[
        token("vera", &["viewer"]),
        token("otto", &["operator", "sre"]),
        token("gil", &["sre"]),
        token("finn", &["flag-editor"]),
    ])
    .await;
    let proxy = proxy::start(&config).await;
    for path in ["/metrics", "/api/v1/status", "/api/v1/config"] {
        for (name, status) in [("vera", 200), ("otto", 200), ("finn", 200), ("gil", 200)] {
            let answer = staff::ask(&proxy, name, ask::get(path)).await;
            assert_eq!(answer.status, status, "{name} {path}");
        }
        assert_eq!(proxy.get_admin(path).await.status, 401, "{path}");
    }
    for (name, status) in [("vera", 403), ("otto", 200), ("finn", 403), ("gil", 403)] {
        let answer = staff::ask(&proxy, name, ask::post(RELOAD, "")).await;
        assert_eq!(answer.status, status, "{name}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(proxy.get_admin(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_role_that_is_missing_and_the_log_who_tried() {
    let config = configured(&[token("vera", &["viewer", "support"])]).await;
    let proxy = proxy::start(&config).await;
    let refused = staff::ask(&proxy, "vera", ask::post("/api/v1/upgrade", "")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.field("content-type"),
        Some("application/problem+json")
    );
    let problem = refused.json();
    assert_eq!(problem["code"], "role_missing");
    assert_eq!(problem["type"], "urn:tidegate:problem:role_missing");
    assert_eq!(problem["role"], "admin");
    let detail = "this needs the role admin; vera has viewer, support";
    assert_eq!(problem["detail"], detail);
    let log = proxy.process.stderr();
    let line = log
        .lines()
        .find(|line| line.contains("admin request denied"));
    let line = line.expect("a line of it");
    for part in ["token:vera", "127.0.0.1", "/api/v1/upgrade", "role_missing"] {
        assert!(line.contains(part), "{line}");
    }
    // Also what is not there is told only to who may look.
    let gone = staff::ask(&proxy, "vera", ask::get("/api/v1/nothing")).await;
    assert_eq!(
        (gone.status, &gone.json()["code"]),
        (404, &"not_found".into())
    );
    assert_eq!(proxy.get_admin("/api/v1/nothing").await.status, 401);
}

#[tokio::test]
async fn a_token_is_gone_when_the_configuration_without_it_is_live() {
    let [otto, vera] = [token("otto", &["operator"]), token("vera", &["viewer"])];
    let config = configured(&[otto.clone(), vera]).await;
    let proxy = proxy::start(&config).await;
    let status = async |name| {
        staff::ask(&proxy, name, ask::get("/api/v1/status"))
            .await
            .status
    };
    assert_eq!((status("otto").await, status("vera").await), (200, 200));
    proxy::replace(&proxy.file(), configured(&[otto]).await.text());
    let reloaded = staff::ask(&proxy, "otto", ask::post(RELOAD, "")).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!((status("otto").await, status("vera").await), (200, 401));
}

#[tokio::test]
async fn an_expired_token_is_refused_and_one_that_expires_later_is_not() {
    let expired = token("erik", &["viewer"]) + "\nexpires = 2020-01-01T00:00:00Z";
    let lasting = token("vera", &["viewer"]) + "\nexpires = 2999-01-01";
    let proxy = proxy::start(&configured(&[expired, lasting]).await).await;
    let refused = staff::ask(&proxy, "erik", ask::get("/api/v1/status")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["code"], "token_expired");
    let challenge = refused.field("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let answer = staff::ask(&proxy, "vera", ask::get("/api/v1/status")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn named_tokens_are_enough_off_loopback_and_stand_beside_the_one_for_all() {
    let tokens = [token("vera", &["viewer"])];
    let admin = "address = \"0.0.0.0:0\"";
    let proxy = proxy::start(&configured(&tokens).await.admin(admin)).await;
    let local = SocketAddr::from(([127, 0, 0, 1], proxy.admin().port()));
    let asked = ask::get("/api/v1/status").host(local.to_string());
    let sent = asked.field("authorization", format!("Bearer {}", secret("vera")));
    let answer = client::once(local, &sent).await;
    assert_eq!(answer.status, 200);
    let admin = format!("address = \"127.0.0.1:0\"\ntoken = \"{}\"", secret("admin"));
    let proxy = proxy::start(&configured(&tokens).await.admin(&admin)).await;
    for (name, status) in [("admin", 200), ("vera", 403)] {
        let answer = staff::ask(&proxy, name, ask::post(RELOAD, "")).await;
        assert_eq!(answer.status, status, "{name}");
    }
}

#[tokio::test]
async fn the_command_line_brings_its_token_and_is_told_what_is_missing() {
    let config = configured(&[token("vera", &["viewer"])]).await;
    let proxy = proxy::start(&config).await;
    let url = proxy.admin_url();
    let run = async |command: &str| {
        command::run_with(&[command, "--admin", &url], |command| {
            command.env("TIDEGATE_TOKEN", secret("vera"));
        })
        .await
    };
    let status = run("status").await;
    assert_eq!(status.code, 0, "{status:?}");
    let reload = run("reload").await;
    assert_eq!(reload.code, 1, "{reload:?}");
    let said = "403 Forbidden: this needs the role operator; vera has viewer";
    assert!(reload.stderr.contains(said), "{reload:?}");
}

#[tokio::test]
async fn a_token_that_was_made_is_recognised_and_no_other_is_like_it() {
    let new = ["token", "new", "ana", "--role", "operator", "--role", "sre"];
    let made = command::run(&new).await;
    assert_eq!(made.code, 0, "{made:?}");
    let secret = made.stdout.lines().find(|line| line.starts_with("tdg_"));
    let secret = secret.expect("a secret").to_owned();
    assert_eq!(secret.len(), 4 + 64, "256 bits");
    let section = made.stdout.find("[admin.tokens.ana]").expect("a section");
    let proxy = proxy::start(&configured(&[made.stdout[section..].to_owned()]).await).await;
    let reload =
        |secret: &str| ask::post(RELOAD, "").field("authorization", format!("Bearer {secret}"));
    let reloaded = proxy.ask_admin(reload(&secret)).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    let again = command::run(&["token", "new", "ana", "--json"]).await;
    let again: Value = serde_json::from_str(&again.stdout).expect("JSON");
    let other = again["secret"].as_str().expect("a secret");
    assert_ne!(other, secret);
    assert_eq!(proxy.ask_admin(reload(other)).await.status, 401);
    let sha256 = again["sha256"].as_str().expect("a hash");
    let toml = again["toml"].as_str().expect("a section");
    assert!(toml.contains(sha256) && !toml.contains(other), "{toml}");
}

#[tokio::test]
async fn no_token_is_made_that_a_configuration_would_refuse() {
    for (arguments, said) in [
        (&["a b"][..], "is not a name"),
        (&["ana", "--role", "a b"], "is no role"),
        (&["ana", "--expires", "soon"], "is not a date"),
        (&["ana", "--expires", "2020-01-01"], "has passed"),
    ] {
        let made = command::run(&[&["token", "new"], arguments].concat()).await;
        assert_eq!((made.code, made.stdout.as_str()), (2, ""), "{made:?}");
        assert!(made.stderr.contains(said), "{made:?}");
    }
}
