//! What is told of what happened: the audit trail, events, documents, and the figures of deliveries.

use serde_json::{Value, json};

use crate::release_api::{RELEASE, SLOW, has_share, start, why};
use crate::support::client::{self, Client};
use crate::support::proxy::Proxy;
use crate::support::staff::{get, is_done, is_problem, secret, send};
use crate::support::wait;

async fn asked(proxy: &Proxy, name: &str, command: &str, body: Value) {
    let path = format!("/releases/shop-2.0/{command}");
    is_done(&send(proxy, name, "POST", &path, &body).await, 200);
}

/// A client that listens, from the record after this one on.
async fn listen(proxy: &Proxy, query: &str, last: Option<u64>) -> Client {
    let mut client = client::connect(proxy.admin()).await;
    let last = last.map_or_else(String::new, |last| format!("last-event-id: {last}\r\n"));
    let head = format!(
        "GET /api/v1/events{query} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{last}\r\n",
        proxy.admin(),
        secret("vera")
    );
    client.wire.send(head).await;
    let head = client.wire.head().await.expect("a head");
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    client
}

/// Reads on until an event of such an action has come; gives its number and what it says.
async fn event(client: &mut Client, action: &str) -> (u64, Value) {
    let mut text = String::new();
    loop {
        let some = wait::within("an event", client.wire.some()).await;
        assert!(!some.is_empty(), "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&some));
        for event in text.split("\n\n") {
            let id = event.lines().find_map(|line| line.strip_prefix("id: "));
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let (Some(id), Some(data)) = (id, data) else {
                continue;
            };
            let Ok(data) = serde_json::from_str::<Value>(data) else {
                continue;
            };
            if data["action"] == action {
                return (id.parse().expect("a number"), data);
            }
        }
    }
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_and_again_to_who_missed_it() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let mut listener = listen(&proxy, "", None).await;
    asked(&proxy, "otto", "start", json!({})).await;
    let (asked_at, told) = event(&mut listener, "release.start.ask").await;
    assert_eq!(told["actor"]["id"], "otto", "{told}");
    assert!(told.get("changes").is_none(), "{told}");
    let (started_at, _) = event(&mut listener, "release.start").await;
    assert!(asked_at < started_at);
    drop(listener);
    asked(&proxy, "otto", "abort", why("enough")).await;
    let mut back = listen(&proxy, "", Some(started_at)).await;
    let (_, told) = event(&mut back, "release.abort").await;
    assert_eq!(told["reason"], "enough");
    let mut narrow = listen(&proxy, "?since=1&action=release.start.ask", None).await;
    let (first, _) = event(&mut narrow, "release.start.ask").await;
    assert_eq!(first, asked_at);
    let wrong = get(&proxy, "vera", "/events?since=x").await;
    is_problem(&wrong, 400, "query_invalid");
}

#[tokio::test]
async fn so_many_may_listen_and_whoever_goes_makes_room() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let mut listeners = Vec::new();
    for _ in 0..32 {
        listeners.push(listen(&proxy, "", None).await);
    }
    let one_more = get(&proxy, "vera", "/events").await;
    is_problem(&one_more, 503, "too_many_listeners");
    listeners.pop();
    wait::until("there is room", async || {
        let mut client = client::connect(proxy.admin()).await;
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            proxy.admin(),
            secret("vera")
        );
        client.wire.send(head).await;
        client
            .wire
            .head()
            .await
            .is_some_and(|head| head.status == 200)
    })
    .await;
}

#[tokio::test]
async fn the_trail_says_who_did_what_and_that_it_is_whole() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let body = json!({ "reason": "off we go", "ticket": "CHG-7" });
    asked(&proxy, "otto", "start", body).await;
    has_share(&proxy, 10.0).await;
    asked(&proxy, "otto", "abort", why("errors rise")).await;
    let path = "/audit?object=release:shop-2.0&order=newest&limit=1";
    let page = get(&proxy, "vera", path).await.json();
    let record = &page["records"][0];
    assert_eq!(record["action"], "release.abort", "{record}");
    assert_eq!(record["actor"]["kind"], "token");
    assert_eq!(record["actor"]["roles"], json!(["operator"]));
    assert_eq!(record["actor"]["addr"], "127.0.0.1");
    assert_eq!(record["reason"], "errors rise");
    assert_eq!(record["before"]["phase"], "progressing");
    assert!(record["config"]["sha256"].is_string(), "{record}");
    let next = page["next"].as_u64().expect("there is more");
    let more = get(&proxy, "vera", &format!("{path}&until={next}"))
        .await
        .json();
    assert!(
        more["records"][0]["seq"]
            .as_u64()
            .is_some_and(|seq| seq <= next)
    );
    let started = get(&proxy, "vera", "/audit?action=release.start.ask")
        .await
        .json();
    assert_eq!(started["records"][0]["ticket"], "CHG-7", "{started}");
    let recent = get(&proxy, "vera", "/audit?since=2100-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(recent["records"], json!([]));
    for wrong in [
        "limit=0",
        "object=release:",
        "since=soon",
        "order=up",
        "actr=x",
    ] {
        let answer = get(&proxy, "vera", &format!("/audit?{wrong}")).await;
        is_problem(&answer, 400, "query_invalid");
    }

    let head = get(&proxy, "vera", "/audit/head").await.json();
    let anchor = head["anchor"].as_str().expect("an anchor");
    let path = format!("/audit/verify?anchor={anchor}");
    let verified = get(&proxy, "vera", &path).await.json();
    assert_eq!(verified["is_whole"], true, "{verified}");
    assert_eq!(verified["is_anchored"], true);
    let other = format!("/audit/verify?anchor=1:{}", "0".repeat(64));
    let other = get(&proxy, "vera", &other).await.json();
    assert_eq!(other["is_whole"], false, "{other}");
}

#[tokio::test]
async fn a_release_is_told_of_as_a_document_with_its_plan_and_what_happened() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    asked(&proxy, "otto", "start", why("off we go")).await;
    has_share(&proxy, 10.0).await;
    let document = get(&proxy, "vera", "/releases/shop-2.0/document").await;
    let kind = document.field("content-type");
    assert_eq!(kind, Some("text/markdown; charset=utf-8"));
    let text = document.text();
    for part in [
        "# Release shop-2.0",
        "What is new.",
        "10 % for 1h",
        "`sre`",
        "off we go",
        "`release.start`",
        "ana@example.com",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let why = get(&proxy, "vera", "/releases/shop-2.0/why").await.json();
    assert_eq!(why["place"], "progressing 1/3 at 10 %", "{why}");
    let next = why["next"].as_str().expect("what is next");
    assert!(next.starts_with("step 2 of 3: 50 %"), "{next}");
    let analysis = get(&proxy, "vera", "/releases/shop-2.0/analysis")
        .await
        .json();
    assert_eq!(analysis["baseline"], "stable", "{analysis}");
    assert_eq!(analysis["step"], 1);
}

#[tokio::test]
async fn every_number_behind_a_verdict_is_told() {
    let judged = "[strategy.judged]\nsteps = [{ weight = 50, for = \"1h\" }, \
                  { weight = 100, bake = \"1h\" }]\n\
                  [strategy.judged.analysis]\ninterval = \"1s\"\nwarmup = \"0s\"\n\
                  [strategy.judged.check.errors]\nkind = \"error_rate\"\nbad = [\"5xx\"]\n";
    let release = RELEASE.replace("\"slow\"", "\"judged\"");
    let (proxy, _origins) = start(&format!("{judged}{release}")).await;
    asked(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 50.0).await;
    let path = "/releases/shop-2.0/analysis";
    wait::until("requests are judged", async || {
        for _ in 0..20 {
            assert_eq!(proxy.get("/").await.status, 200);
        }
        let analysis = get(&proxy, "vera", path).await.json();
        let step = &analysis["report"]["checks"][0]["step"];
        let n = |arm: &str| step[arm]["requests"].as_f64().unwrap_or_default();
        0.0 < n("candidate") && 0.0 < n("baseline")
    })
    .await;
    let analysis = get(&proxy, "vera", path).await.json();
    assert_eq!(analysis["require"], "proven", "{analysis}");
    let check = &analysis["report"]["checks"][0];
    assert_eq!(
        (&check["name"], &check["kind"]),
        (&"errors".into(), &"error_rate".into())
    );
    assert_eq!(check["settings"]["fail_ratio"], 1.25, "{check}");
    for number in [
        "ln_e",
        "ln_e_needed",
        "pass_ln_e_needed",
        "phi",
        "needed_requests",
    ] {
        assert!(check[number].is_number(), "{number}: {check}");
    }
    assert_eq!(check["step"]["candidate"]["bad"], 0.0);
    let release = get(&proxy, "vera", "/releases/shop-2.0").await.json();
    assert!(release["verdict"].is_string(), "{release}");
    let share = release["share_percent"].as_f64().expect("a share");
    assert!((1.0..100.0).contains(&share), "{share}");
}

#[tokio::test]
async fn deliveries_and_what_went_wrong_with_them_are_counted() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    asked(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    asked(&proxy, "otto", "abort", why("caught")).await;
    asked(&proxy, "otto", "retry", json!({})).await;
    has_share(&proxy, 10.0).await;
    asked(&proxy, "sven", "gates/sre/approve", why("good")).await;
    asked(&proxy, "zoe", "promote", why("good")).await;
    let body = json!({ "release": "shop-2.0", "started": "2026-11-24T09:00:00Z",
                       "resolved": "2026-11-24T09:10:00Z", "reason": "carts were empty" });
    let linked = send(&proxy, "otto", "POST", "/incidents", &body).await;
    assert_eq!(is_done(&linked, 201)["incident"]["by"], "otto");
    let unknown = json!({ "release": "shop-9", "started": "2026-11-24T09:00:00Z" });
    let unknown = send(&proxy, "otto", "POST", "/incidents", &unknown).await;
    is_problem(&unknown, 404, "not_found");
    let incidents = get(&proxy, "vera", "/incidents").await.json();
    assert_eq!(incidents["incidents"][0]["reason"], "carts were empty");
    let dora = get(&proxy, "vera", "/dora?window=7d").await.json();
    let all = &dora["all"];
    assert_eq!(all["deployments"], 1, "{dora}");
    assert_eq!(all["failed"], 1);
    assert_eq!(all["caught_in_canary"], 1);
    assert_eq!(all["caught_by_cause"], json!({ "operator": 1 }));
    assert_eq!(dora["routes"]["shop"]["deployments"], 1);
    let wrong = get(&proxy, "vera", "/dora?window=soon").await;
    is_problem(&wrong, 400, "query_invalid");
}

#[tokio::test]
async fn what_is_planned_is_also_a_calendar() {
    let freeze = "[freeze.xmas]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nblocks = [\"advance\"]\n";
    let later = format!("{RELEASE}not_before = 2099-01-01T00:00:00Z\n");
    let (proxy, _origins) = start(&format!("{SLOW}{later}{freeze}")).await;
    let plan = get(&proxy, "vera", "/schedule?days=7").await.json();
    assert_eq!(plan["releases"][0]["id"], "shop-2.0", "{plan}");
    assert_eq!(plan["closed"][0]["act"], "advance");
    let asked = crate::support::ask::get("/api/v1/schedule").field("accept", "text/calendar");
    let calendar = crate::support::staff::ask(&proxy, "vera", asked).await;
    let kind = calendar.field("content-type");
    assert_eq!(kind, Some("text/calendar; charset=utf-8"));
    let text = calendar.text();
    assert!(text.starts_with("BEGIN:VCALENDAR\r\n"), "{text}");
    assert!(text.contains("UID:release-shop-2.0@tidegate"), "{text}");
    assert!(text.contains("closed: advance shop (xmas)"), "{text}");
}
