//! Releases by the admin API: who may ask what, and that what is answered is what routes obey.

use serde_json::{Value, json};

use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::staff::{get, is_done, is_problem, send, sending, token};
use crate::support::{staff, wait};

/// Steps that only people end.
pub(crate) const SLOW: &str = r#"
[strategy.slow]
steps = [
  { weight = 10, for = "1h" },
  { weight = 50, for = "1h", gate = "sre" },
  { weight = 100, bake = "1h" },
]
[gate.sre]
roles = ["sre"]
criteria = ["notes"]
"#;

/// One that waits to be started.
pub(crate) const RELEASE: &str = r#"
[release."shop-2.0"]
route = "shop"
stable = "stable"
candidate = "canary"
strategy = "slow"
start = "manual"
notes = "What is new."
author = "ana@example.com"
"#;

const STORE: &str = "[store]\npath = \"state\"\n";

/// Vera looks, Otto operates, Sven is of the group that the gate asks, Zoe approves, Rita answers for
/// the calendar.
fn staff() -> String {
    [
        token("vera", &["viewer"]),
        token("otto", &["operator"]),
        token("sven", &["sre"]),
        token("zoe", &["approver"]),
        token("rita", &["release-manager"]),
    ]
    .concat()
}

pub(crate) async fn config(sections: &str) -> (Config, [Origin; 2]) {
    let origins = [
        origin::answering("stable").await,
        origin::answering("canary").await,
    ];
    let config = config::new()
        .upstream("stable", &[origins[0].address])
        .upstream("canary", &[origins[1].address])
        .split_route("shop", "", &[("stable", 100), ("canary", 0)])
        .section(&staff())
        .section(sections);
    (config, origins)
}

pub(crate) async fn start(sections: &str) -> (Proxy, [Origin; 2]) {
    let (config, origins) = config(sections).await;
    (proxy::start(&config).await, origins)
}

/// The share of the candidate in percent, as it is obeyed.
async fn share(proxy: &Proxy) -> f64 {
    let status = get(proxy, "vera", "/status").await.json();
    let share = &status["routes"]["shop"]["variants"]["canary"]["share"];
    share.as_f64().expect("a share") * 100.0
}

#[track_caller]
fn is_share(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found} % and not {expected} %"
    );
}

pub(crate) async fn has_share(proxy: &Proxy, expected: f64) {
    let what = format!("the candidate has {expected} %");
    wait::until(&what, async || (share(proxy).await - expected).abs() < 1e-9).await;
}

/// Asks something of the release.
async fn asked(proxy: &Proxy, name: &str, command: &str, body: Value) -> Value {
    let path = format!("/releases/shop-2.0/{command}");
    is_done(&send(proxy, name, "POST", &path, &body).await, 200)
}

async fn refused(proxy: &Proxy, name: &str, command: &str, expected: (u16, &str)) -> Value {
    let path = format!("/releases/shop-2.0/{command}");
    let body = json!({ "reason": "because I can" });
    let answer = send(proxy, name, "POST", &path, &body).await;
    is_problem(&answer, expected.0, expected.1)
}

pub(crate) fn why(text: &str) -> Value {
    json!({ "reason": text })
}

#[tokio::test]
async fn a_release_is_led_from_its_start_to_its_end_and_back_by_those_who_may() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let made = get(&proxy, "vera", "/releases/shop-2.0").await.json();
    assert_eq!(
        (&made["phase"], &made["origin"], &made["is_active"]),
        (&"pending".into(), &"file".into(), &true.into())
    );
    let steps = made["steps"].as_array().expect("steps");
    let words: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["what"].as_str())
        .collect();
    assert_eq!(words[1], "50 % for 1h, proven", "{words:?}");

    let started = asked(&proxy, "otto", "start", json!({})).await;
    assert_eq!(started["obeyed"], true);
    has_share(&proxy, 10.0).await;
    let paused = asked(&proxy, "otto", "pause", why("lunch")).await;
    assert_eq!(paused["release"]["paused"]["by"], "otto");
    let held = get(&proxy, "vera", "/releases/shop-2.0/why").await.json();
    assert_eq!(held["holds"][0]["kind"], "manual", "{held}");
    assert_eq!(held["holds"][0]["who_may_clear"], "operator");
    refused(&proxy, "otto", "skip", (409, "refused")).await;
    asked(&proxy, "otto", "resume", json!({})).await;
    wait::until("the hold is gone", async || {
        let why = get(&proxy, "vera", "/releases/shop-2.0/why").await.json();
        why["holds"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let skipped = asked(&proxy, "otto", "skip", why("seen enough")).await;
    assert_eq!(skipped["release"]["step"], 2);
    has_share(&proxy, 50.0).await;

    let closed = refused(&proxy, "zoe", "promote", (409, "refused")).await;
    assert_eq!(closed["detail"], "held by approval:sre");
    asked(&proxy, "sven", "gates/sre/approve", why("p95 is flat")).await;
    let promoted = asked(&proxy, "zoe", "promote", why("all is well")).await;
    assert_eq!(promoted["release"]["phase"], "promoted");
    is_share(share(&proxy).await, 100.0);
    let back = asked(&proxy, "otto", "rollback", why("users complain")).await;
    assert_eq!(back["release"]["phase"], "rolled_back");
    is_share(share(&proxy).await, 0.0);

    let retried = asked(&proxy, "otto", "retry", why("mended")).await;
    assert_eq!(retried["release"]["attempt"], 2);
    has_share(&proxy, 10.0).await;
    let aborted = asked(&proxy, "otto", "abort", why("errors rise")).await;
    assert_eq!(aborted["release"]["phase"], "aborted");
    assert_eq!(aborted["release"]["cause"], "aborted by otto: errors rise");
    is_share(share(&proxy).await, 0.0);
}

#[tokio::test]
async fn who_may_not_is_told_what_it_takes_and_a_record_says_who_tried() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    for (name, command, role) in [
        ("vera", "start", "operator"),
        ("otto", "promote", "approver"),
        ("zoe", "gates/sre/pass", "release-manager"),
        ("rita", "gates/sre/approve", "sre"),
    ] {
        let problem = refused(&proxy, name, command, (403, "role_missing")).await;
        assert_eq!(problem["role"], role, "{problem}");
    }
    let denied = "/audit?action=access.denied";
    wait::until("four records", async || {
        let audit = get(&proxy, "vera", denied).await.json();
        audit["records"].as_array().map(Vec::len) == Some(4)
    })
    .await;
    let audit = get(&proxy, "vera", &format!("{denied}&actor=rita"))
        .await
        .json();
    let record = &audit["records"][0];
    assert_eq!(record["object"]["id"], "release.gate.approve", "{record}");
    assert_eq!(record["after"]["code"], "role_missing");
    assert_eq!(record["actor"]["roles"], json!(["release-manager"]));
    // Over and over is kept a few times, and counted.
    for _ in 0..20 {
        refused(&proxy, "vera", "abort", (403, "role_missing")).await;
    }
    let audit = get(&proxy, "vera", &format!("{denied}&actor=vera"))
        .await
        .json();
    let n_kept = audit["records"].as_array().expect("records").len();
    assert!((1..10).contains(&n_kept), "{n_kept}");
}

#[tokio::test]
async fn a_command_about_what_has_changed_meanwhile_is_refused_and_one_is_carried_out_once() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let pausing = |field: &str, value: &str| {
        sending("POST", "/releases/shop-2.0/pause", &why("wait a while")).field(field, value)
    };
    let seen = get(&proxy, "vera", "/releases/shop-2.0").await;
    let etag = seen.field("etag").expect("an ETag").to_owned();
    assert_eq!(etag, format!("\"{}\"", seen.json()["revision"]));
    let stale = staff::ask(&proxy, "otto", pausing("if-match", "\"1000000\"")).await;
    is_problem(&stale, 412, "precondition_failed");

    let first = staff::ask(&proxy, "otto", pausing("idempotency-key", "k1")).await;
    let done = is_done(&first, 200);
    let again = staff::ask(&proxy, "otto", pausing("idempotency-key", "k1")).await;
    assert_eq!(is_done(&again, 200)["seq"], done["seq"]);
    assert_eq!(again.field("idempotency-replayed"), Some("true"));
    let gone = staff::ask(&proxy, "otto", pausing("if-match", &etag)).await;
    is_problem(&gone, 412, "precondition_failed");
    let audit = get(&proxy, "vera", "/audit?action=release.pause")
        .await
        .json();
    assert_eq!(audit["records"].as_array().map(Vec::len), Some(1));

    let now = get(&proxy, "vera", "/releases/shop-2.0").await;
    let etag = now.field("etag").expect("an ETag").to_owned();
    let named = pausing("if-match", &etag).field("x-request-id", "req-7");
    let answer = staff::ask(&proxy, "otto", named).await;
    is_done(&answer, 200);
    assert_eq!(answer.field("x-request-id"), Some("req-7"));
    let audit = get(&proxy, "vera", "/audit?action=release.pause&order=newest").await;
    assert_eq!(audit.json()["records"][0]["request_id"], "req-7");
}

#[tokio::test]
async fn a_stopped_line_holds_what_goes_forward_and_nothing_that_goes_back() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    asked(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    let line = "/stop-the-line";
    let nameless = send(&proxy, "otto", "PUT", line, &json!({})).await;
    is_problem(&nameless, 422, "reason_missing");
    let stop = why("the database is being moved");
    let stopped = is_done(&send(&proxy, "otto", "PUT", line, &stop).await, 200);
    assert_eq!(stopped["line"]["stopped"]["by"], "otto");
    let held = refused(&proxy, "otto", "skip", (409, "refused")).await;
    assert_eq!(held["detail"], "held by stop_the_line");
    let go = send(&proxy, "otto", "DELETE", line, &why("it is done")).await;
    assert_eq!(
        is_problem(&go, 403, "role_missing")["role"],
        "release-manager"
    );
    asked(&proxy, "otto", "abort", why("not today")).await;
    is_share(share(&proxy).await, 0.0);
    let go = send(&proxy, "rita", "DELETE", line, &why("it is done")).await;
    assert_eq!(is_done(&go, 200)["line"]["is_stopped"], false);
    let line = get(&proxy, "vera", line).await.json();
    assert_eq!(line["is_stopped"], false);
}

#[tokio::test]
async fn a_freeze_is_passed_with_a_reason_and_a_second_person_looks_at_that() {
    let freeze = "[freeze.xmas]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nblocks = [\"start\", \"advance\", \"promote\"]\n";
    let release = RELEASE.replace("start = \"manual\"\n", "");
    let (proxy, _origins) = start(&format!("{SLOW}{release}{freeze}")).await;
    let path = "/releases/shop-2.0";
    wait::until("the freeze holds it", async || {
        let release = get(&proxy, "vera", path).await.json();
        release["holds"][0]["reason"] == "freeze:xmas"
    })
    .await;
    let freezes = get(&proxy, "vera", "/freezes").await.json();
    assert_eq!(freezes["freezes"][0]["is_active"], true, "{freezes}");
    assert_eq!(freezes["closed"][0]["freezes"], json!(["xmas"]));
    let before = get(&proxy, "vera", "/freezes?at=2019-06-01T00:00:00Z").await;
    assert_eq!(before.json()["freezes"][0]["is_active"], false);

    let passing = "/freezes/xmas/override";
    let mut body = json!({ "release": "shop-2.0", "until": "2h", "reason": "a hole is open" });
    let answer = send(&proxy, "otto", "POST", passing, &body).await;
    assert_eq!(
        is_problem(&answer, 403, "role_missing")["role"],
        "release-manager"
    );
    body["until"] = "whenever".into();
    let answer = send(&proxy, "rita", "POST", passing, &body).await;
    assert_eq!(
        is_problem(&answer, 422, "body_invalid")["pointer"],
        "/until"
    );
    body["until"] = "2h".into();
    let passed = send(&proxy, "rita", "POST", passing, &body).await;
    let passed = is_done(&passed, 200);
    assert_eq!(passed["freeze"]["overrides"][0]["by"], "rita", "{passed}");
    has_share(&proxy, 10.0).await;

    let release = get(&proxy, "vera", path).await.json();
    assert_eq!(release["change"], "emergency");
    assert_eq!(release["review_is_required"], true);
    let own = refused(&proxy, "rita", "review", (403, "somebody_else")).await;
    let detail = own["detail"].as_str().expect("words");
    assert!(detail.contains("somebody else has to"), "{detail}");
    let closed = asked(&proxy, "zoe", "review", why("it was right")).await;
    assert_eq!(closed["release"]["review"]["closed"]["by"], "zoe");
    assert_eq!(closed["release"]["review_is_required"], false);
}

#[tokio::test]
async fn weights_are_set_for_a_time_and_given_back_unless_a_release_has_them() {
    let (proxy, _origins) = start(&format!("{SLOW}{RELEASE}")).await;
    let path = "/routes/shop/weights";
    let before = get(&proxy, "vera", path).await;
    assert_eq!(before.field("etag"), Some("\"0\""));
    assert_eq!(before.json()["owner"], "file");
    let mut body = json!({ "weights": { "stable": 3, "canary": 1 }, "reason": "a try" });
    let unless = sending("PUT", path, &body).field("if-match", "\"0\"");
    let set = staff::ask(&proxy, "otto", unless.clone()).await;
    let told = is_done(&set, 200);
    is_share(share(&proxy).await, 25.0);
    assert_eq!(told["route"]["owner"], "override", "{told}");
    assert_eq!(told["route"]["set"]["by"], "otto");
    let stale = staff::ask(&proxy, "otto", unless).await;
    is_problem(&stale, 412, "precondition_failed");
    let drift = get(&proxy, "vera", "/drift").await.json();
    assert_eq!(drift["routes"]["shop"]["cause"], "set", "{drift}");
    let patch = get(&proxy, "vera", "/config/patch").await.text();
    assert!(
        patch.contains("[route.shop.split.canary]\nweight = 1\n"),
        "{patch}"
    );
    let cleared = send(&proxy, "otto", "DELETE", path, &json!({})).await;
    is_done(&cleared, 200);
    is_share(share(&proxy).await, 0.0);

    body["expires"] = "1s".into();
    is_done(&send(&proxy, "otto", "PUT", path, &body).await, 200);
    has_share(&proxy, 0.0).await;
    body["expires"] = "2020-01-01T00:00:00Z".into();
    let past = send(&proxy, "otto", "PUT", path, &body).await;
    assert_eq!(
        is_problem(&past, 422, "body_invalid")["pointer"],
        "/expires"
    );
    let wrong = json!({ "weights": { "stabel": 1 }, "reason": "a typo" });
    let wrong = send(&proxy, "otto", "PUT", path, &wrong).await;
    is_problem(&wrong, 404, "not_found");

    asked(&proxy, "otto", "start", json!({})).await;
    has_share(&proxy, 10.0).await;
    body["expires"] = "1h".into();
    let busy = send(&proxy, "otto", "PUT", path, &body).await;
    is_problem(&busy, 409, "busy");
    let owned = get(&proxy, "vera", path).await.json();
    assert_eq!(owned["release"], "shop-2.0", "{owned}");
    let all = get(&proxy, "vera", "/routes").await.json();
    assert_eq!(all["routes"]["shop"]["owner"], "release");
}

#[tokio::test]
async fn a_release_is_made_by_the_api_as_the_file_would_have_it() {
    let (proxy, _origins) = start(&format!("{SLOW}{STORE}")).await;
    let mut body = json!({
        "id": "shop-3.0", "route": "shop", "stable": "stable", "candidate": "canry",
        "strategy": "slow", "start": "manual", "notes": "New.", "reason": "from the pipeline",
    });
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    let problem = is_problem(&answer, 422, "release_invalid");
    assert_eq!(problem["pointer"], "/candidate", "{problem}");
    let message = problem["problems"][0]["message"].as_str().expect("words");
    assert!(message.contains("did you mean"), "{message}");
    body["candidate"] = "canary".into();
    body["change"] = json!({ "type": "standard" });
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    is_problem(&answer, 403, "role_missing");
    body["change"] = json!({ "type": "normal", "ticket": "CHG-1" });
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    let made = is_done(&answer, 201);
    assert_eq!(made["release"]["origin"], "api", "{made}");
    assert_eq!(made["release"]["created_by"], "otto");
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    is_problem(&answer, 409, "exists");
    body["id"] = "shop-4.0".into();
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    is_problem(&answer, 409, "busy");
    body["id"] = "shop 5".into();
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    is_problem(&answer, 422, "release_invalid");
    body["notes"] = json!({ "file": "/etc/passwd" });
    let answer = send(&proxy, "otto", "POST", "/releases", &body).await;
    assert_eq!(
        is_problem(&answer, 422, "release_invalid")["pointer"],
        "/notes"
    );

    let started = send(
        &proxy,
        "otto",
        "POST",
        "/releases/shop-3.0/start",
        &json!({}),
    )
    .await;
    is_done(&started, 200);
    has_share(&proxy, 10.0).await;
    // The file, read again, lets it be.
    is_done(
        &send(&proxy, "otto", "POST", "/config/reload", &json!({})).await,
        200,
    );
    is_share(share(&proxy).await, 10.0);
    let list = get(&proxy, "vera", "/releases?state=active&route=shop")
        .await
        .json();
    assert_eq!(list["releases"][0]["id"], "shop-3.0", "{list}");
    let none = get(&proxy, "vera", "/releases?state=ended").await.json();
    assert_eq!(none["releases"], json!([]));
    let wrong = get(&proxy, "vera", "/releases?state=done").await;
    is_problem(&wrong, 400, "query_invalid");
}

#[tokio::test]
async fn a_gate_that_is_waited_at_is_listed_and_a_no_ends_the_release() {
    let gated = SLOW.replace("for = \"1h\"", "for = \"1s\", require = \"not-failed\"");
    let release = RELEASE.replace("start = \"manual\"\n", "");
    let (proxy, _origins) = start(&format!("{gated}{release}")).await;
    wait::until("the gate is waited at", async || {
        let gates = get(&proxy, "vera", "/gates").await.json();
        gates["gates"][0]["name"] == "sre" && gates["gates"][0]["is_next"] == true
    })
    .await;
    let gates = get(&proxy, "vera", "/gates").await.json();
    let gate = &gates["gates"][0];
    assert_eq!(gate["state"], "waiting", "{gate}");
    assert_eq!(gate["who_may"], json!(["sre"]));
    assert_eq!(
        gate["checklist"],
        json!([{ "criterion": "notes", "done": true, "detail": "there" }])
    );
    let rejected = asked(&proxy, "sven", "gates/sre/reject", why("not before noon")).await;
    assert_eq!(rejected["release"]["phase"], "aborted");
    is_share(share(&proxy).await, 0.0);
    let unknown = send(
        &proxy,
        "sven",
        "POST",
        "/releases/shop-9/abort",
        &why("gone"),
    )
    .await;
    is_problem(&unknown, 403, "role_missing");
    let unknown = send(
        &proxy,
        "otto",
        "POST",
        "/releases/shop-9/abort",
        &why("gone"),
    )
    .await;
    is_problem(&unknown, 404, "not_found");
}

#[tokio::test]
async fn where_nothing_is_kept_that_is_said() {
    let (proxy, _origins) = start("").await;
    for path in [
        "/releases",
        "/gates",
        "/audit",
        "/routes",
        "/drift",
        "/events",
    ] {
        let answer = get(&proxy, "vera", path).await;
        let problem = is_problem(&answer, 503, "store_missing");
        let detail = problem["detail"].as_str().expect("words");
        assert!(detail.contains("[store]"), "{detail}");
    }
}
