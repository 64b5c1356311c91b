//! Kinds of strategies with the real binary: blue-green, A/B and mirror-first, and tests of others.

use serde_json::{Value, json};

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::journal;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::staff::sending;
use crate::support::wait;

async fn origins() -> [Origin; 2] {
    [
        origin::answering("blue").await,
        origin::answering("green").await,
    ]
}

fn config(origins: &[Origin; 2], strategy: &str) -> Config {
    config::new()
        .upstream("blue", &[origins[0].address])
        .upstream("green", &[origins[1].address])
        .split_route("shop", "", &[("blue", 100), ("green", 0)])
        .section(&format!(
            "[release.\"shop-2\"]\nroute = \"shop\"\nstable = \"blue\"\ncandidate = \"green\"\n{strategy}\n"
        ))
}

/// Sends something to the release that has to be done.
async fn asked(proxy: &Proxy, command: &str) -> Value {
    let path = format!("/releases/shop-2/{command}");
    let body = json!({ "reason": "it was looked at" });
    let answer = proxy.ask_admin(sending("POST", &path, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn release(proxy: &Proxy) -> Value {
    proxy.get_admin("/api/v1/releases/shop-2").await.json()
}

async fn is_in(proxy: &Proxy, phase: &str) {
    wait::until(phase, async || release(proxy).await["phase"] == phase).await;
}

/// Who answers a request for a host.
async fn served(proxy: &Proxy, host: &str) -> String {
    proxy.ask(&ask::get("/").host(host)).await.text()
}

#[tokio::test]
async fn blue_green_is_a_preview_one_switch_and_an_instant_way_back() {
    let origins = origins().await;
    let strategy = "[release.\"shop-2\".strategy]\nkind = \"blue-green\"\nanalysis = false\nsteps = [\
                    { preview = true, match = { host = \"preview.test\" }, for = \"1ms\", gate = \"go\" },\
                    { weight = 100, bake = \"1ms\" }]\n[gate.go]\nroles = [\"approver\"]\n\
                    distinct_from_author = false";
    let proxy = proxy::start(&config(&origins, strategy)).await;
    is_in(&proxy, "preview").await;
    // Only who asks for it by its host gets it.
    wait::until("the preview", async || {
        served(&proxy, "preview.test").await == "green"
    })
    .await;
    for _ in 0..20 {
        assert_eq!(served(&proxy, "shop.test").await, "blue");
    }
    asked(&proxy, "gates/go/approve").await;
    is_in(&proxy, "promoted").await;
    wait::until("the switch", async || {
        served(&proxy, "shop.test").await == "green"
    })
    .await;
    for _ in 0..20 {
        assert_eq!(served(&proxy, "shop.test").await, "green");
    }
    asked(&proxy, "rollback").await;
    // It answered when routes obeyed it.
    for _ in 0..20 {
        assert_eq!(served(&proxy, "shop.test").await, "blue");
    }
    assert_eq!(release(&proxy).await["phase"], "rolled_back");
}

#[tokio::test]
async fn an_a_b_test_has_fixed_shares_and_a_person_decides() {
    let origins = origins().await;
    let strategy = "strategy = { kind = \"ab\", share = 50, for = \"1ms\", analysis = false }";
    let proxy = proxy::start(&config(&origins, strategy)).await;
    wait::until("its time is over", async || {
        let holds = release(&proxy).await["holds"].clone();
        holds.to_string().contains("\"decision\"")
    })
    .await;
    let status = proxy.status().await;
    assert_eq!(status["routes"]["shop"]["variants"]["green"]["share"], 0.5);
    asked(&proxy, "promote").await;
    assert_eq!(served(&proxy, "shop.test").await, "green");
}

#[tokio::test]
async fn mirror_first_compares_answers_before_any_user_sees_one() {
    let origins = origins().await;
    // The bodies differ, so that the candidate is known to be another before it has users.
    let strategy = "[release.\"shop-2\".strategy]\nkind = \"mirror-first\"\nsteps = [\
                    { mirror = 100, for = \"1s\", require = \"no-regression\" },\
                    { weight = 100, bake = \"1h\" }]\n\
                    [release.\"shop-2\".strategy.analysis]\ninterval = \"1s\"\nwarmup = \"0s\"\n\
                    [release.\"shop-2\".strategy.check.same]\nkind = \"mismatch\"\nmax = 0.05";
    let proxy = proxy::start(&config(&origins, strategy)).await;
    let mut client = proxy.connect().await;
    wait::until("it is found out", async || {
        for _ in 0..20 {
            assert_eq!(client.get("/").await.text(), "blue");
        }
        journal::actions(proxy.dir()).contains(&"release.abort".to_owned())
    })
    .await;
    let records = journal::records(proxy.dir());
    let abort = records
        .iter()
        .find(|record| record["action"] == "release.abort")
        .expect("it");
    let reason = abort["reason"].as_str().expect("a reason");
    assert!(reason.contains("`same` failed"), "{reason}");
    assert_eq!(client.get("/").await.text(), "blue");
}

#[tokio::test]
async fn somebody_else_is_asked_before_the_candidate_gets_users() {
    let origins = origins().await;
    let judge = origin::raw("HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nnot today").await;
    let strategy = format!(
        "[release.\"shop-2\".strategy]\nsteps = [{{ weight = 100, bake = \"1h\" }}]\n\
         [release.\"shop-2\".strategy.check.ask]\nkind = \"webhook\"\nattempts = 1\n\
         url = \"http://{}/may-it\"",
        judge.address
    );
    let proxy = proxy::start(&config(&origins, &strategy)).await;
    is_in(&proxy, "aborted").await;
    let release = release(&proxy).await;
    let cause = release["cause"].as_str().expect("a cause");
    assert!(cause.contains("answered 403: not today"), "{cause}");
    let question: Value = serde_json::from_slice(&judge.request().body).expect("JSON");
    assert_eq!(question["release"], "shop-2");
    assert_eq!(origins[1].n_requests(), 0, "nobody was sent there");
}
