//! Flags by the admin API: what is set at run time is in force in the next evaluation, and who may set
//! what.

use serde_json::{Value, json};

use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::staff::{self, get, is_done, is_problem, send, sending, token};
use crate::support::wait;

/// A flag that is on for one country and a share of the others, one that operators may not kill, and one
/// that needs the first.
const FLAGS: &str = r#"
[segment.germans]
any = [{ all = [{ attr = "country", op = "eq", value = "DE" }] }]

[flag.checkout]
type = "boolean"
owner = "team-shop"
kill_switch = true
variants = { on = true, off = false }
off_variant = "off"
default_variant = "off"
rules = [{ name = "germans", segment = "germans", serve = "on" }]

[flag.billing]
type = "string"
kill_switch = false
variants = { old = "v1", new = "v2" }
off_variant = "old"
default_variant = "new"

[flag.express]
type = "boolean"
variants = { on = true, off = false }
off_variant = "off"
default_variant = "on"
prerequisites = [{ flag = "checkout", variant = "on" }]
"#;

const STORE: &str = "[store]\npath = \"state\"\n";

/// Vera looks, Otto operates, Fay edits flags, Rita answers for the calendar.
fn staff() -> String {
    [
        token("vera", &["viewer"]),
        token("otto", &["operator"]),
        token("fay", &["flag-editor"]),
        token("rita", &["release-manager"]),
    ]
    .concat()
}

async fn config(sections: &str) -> (Config, Origin) {
    let origin = origin::answering("shop").await;
    let config = config::new()
        .upstream("shop", &[origin.address])
        .route("shop", "upstream = \"shop\"")
        .section(&staff())
        .section(STORE)
        .section(sections);
    (config, origin)
}

async fn start(sections: &str) -> (Proxy, Origin) {
    let (config, origin) = config(sections).await;
    (proxy::start(&config).await, origin)
}

/// Evaluates a flag for a context.
async fn evaluated(proxy: &Proxy, flag: &str, context: &str) -> Value {
    let context = context.replace('{', "%7B").replace('}', "%7D");
    let context = context.replace('"', "%22").replace(' ', "");
    let path = format!("/flags/{flag}/evaluate?context={context}");
    is_done(&get(proxy, "vera", &path).await, 200)
}

const GERMAN: &str = r#"{"country":"DE"}"#;

#[track_caller]
fn answers(evaluation: &Value, variant: &str, reason: &str, cause: &str) {
    let found = (
        &evaluation["variant"],
        &evaluation["reason"],
        &evaluation["cause"],
    );
    let expected = (&json!(variant), &json!(reason), &json!(cause));
    assert_eq!(found, expected, "{evaluation}");
}

/// Asks something of a flag.
async fn asked(proxy: &Proxy, name: &str, flag: &str, what: &str, mut body: Value) -> Value {
    body["reason"] = "because it must".into();
    let path = format!("/flags/{flag}/{what}");
    is_done(&send(proxy, name, "POST", &path, &body).await, 200)
}

async fn refused(
    proxy: &Proxy,
    name: &str,
    path: &str,
    mut body: Value,
    expected: (u16, &str),
) -> Value {
    body["reason"] = "because it must".into();
    let answer = send(proxy, name, "POST", &format!("/flags/{path}"), &body).await;
    is_problem(&answer, expected.0, expected.1)
}

#[tokio::test]
async fn a_kill_is_in_force_in_the_next_evaluation_until_somebody_takes_it_back() {
    let (proxy, _origin) = start(FLAGS).await;
    let before = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&before, "on", "TARGETING_MATCH", "rule");
    assert_eq!(
        (&before["value"], &before["by"]),
        (&json!(true), &json!("germans"))
    );
    let killed = asked(&proxy, "otto", "checkout", "kill", json!({})).await;
    assert_eq!(killed["obeyed"], true);
    assert_eq!(killed["flag"]["killed"]["by"], "otto", "{killed}");
    assert_eq!(killed["flag"]["decided_by"], "killed");
    let after = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&after, "off", "DISABLED", "killed");
    assert_eq!(after["value"], false);
    // Who needs it is off, too.
    let dependent = evaluated(&proxy, "express", GERMAN).await;
    answers(&dependent, "off", "DISABLED", "prerequisite");
    assert_eq!(dependent["by"], "checkout");
    let unkilled = asked(&proxy, "fay", "checkout", "unkill", json!({})).await;
    assert_eq!(unkilled["flag"]["decided_by"], "file");
    let again = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&again, "on", "TARGETING_MATCH", "rule");
}

#[tokio::test]
async fn a_kill_survives_reloads_and_restarts_and_a_file_that_loses_the_flag() {
    let (config, _origin) = config(FLAGS).await;
    let proxy = proxy::start(&config).await;
    asked(&proxy, "otto", "checkout", "kill", json!({})).await;
    let more = FLAGS.replace("default_variant = \"off\"", "default_variant = \"on\"");
    let text = config.text().replace(FLAGS, &more);
    reload(&proxy, &text).await;
    let reloaded = evaluated(&proxy, "checkout", "{}").await;
    answers(&reloaded, "off", "DISABLED", "killed");

    let dir = proxy.kill_and_keep().await;
    let proxy = proxy::start_in(dir, &config).await;
    let restarted = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&restarted, "off", "DISABLED", "killed");

    let gone = text.replace(&more, "");
    reload(&proxy, &gone).await;
    let missing = get(&proxy, "vera", "/flags/checkout").await;
    let detail = is_problem(&missing, 404, "not_found")["detail"].clone();
    assert!(
        detail
            .as_str()
            .expect("words")
            .contains("otto has killed it"),
        "{detail}"
    );
    let drift = get(&proxy, "vera", "/drift").await.json();
    assert_eq!(drift["has_drifted"], true);
    assert_eq!(drift["flags"][0]["cause"], "killed", "{drift}");
    reload(&proxy, &config.text()).await;
    let back = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&back, "off", "DISABLED", "killed");
    asked(&proxy, "fay", "checkout", "unkill", json!({})).await;
    let drift = get(&proxy, "vera", "/drift").await.json();
    assert_eq!(drift["has_drifted"], false, "{drift}");
}

/// Replaces the file, and waits until it is obeyed.
async fn reload(proxy: &Proxy, text: &str) {
    proxy::replace(&proxy.file(), text);
    let answer = send(proxy, "otto", "POST", "/config/reload", &json!({})).await;
    is_done(&answer, 200);
}

#[tokio::test]
async fn an_override_stays_while_the_flag_is_unchanged_and_gives_way_when_it_changes() {
    let (config, _origin) = config(FLAGS).await;
    let proxy = proxy::start(&config).await;
    let on = json!({ "variant": "on" });
    let set = asked(&proxy, "fay", "checkout", "override", on.clone()).await;
    assert_eq!(set["flag"]["overridden"]["value"], "on", "{set}");
    assert!(set["flag"]["overridden"]["expires_at"].is_string(), "a day");
    let everyone = evaluated(&proxy, "checkout", "{}").await;
    answers(&everyone, "on", "STATIC", "override");
    let drift = get(&proxy, "vera", "/drift").await.json();
    let told = &drift["flags"][0];
    assert_eq!(
        (&told["cause"], &told["by"]),
        (&json!("override"), &json!("fay"))
    );
    assert!(told["expires_at"].is_string(), "{drift}");

    // Another flag changes: that is no wish about this one.
    let other = FLAGS.replace("new = \"v2\"", "new = \"v3\"");
    reload(&proxy, &config.text().replace(FLAGS, &other)).await;
    let still = evaluated(&proxy, "checkout", "{}").await;
    answers(&still, "on", "STATIC", "override");

    // It changes to what was set: there is nothing to set any more.
    let rules = "rules = [{ name = \"germans\", segment = \"germans\", serve = \"on\" }]\n";
    let on_for_all = FLAGS.replacen("default_variant = \"off\"", "default_variant = \"on\"", 1);
    let on_for_all = on_for_all.replace(rules, "");
    reload(&proxy, &config.text().replace(FLAGS, &on_for_all)).await;
    let absorbed = evaluated(&proxy, "checkout", "{}").await;
    answers(&absorbed, "on", "STATIC", "default");

    // It changes to something else: the file wins.
    asked(&proxy, "fay", "checkout", "override", on).await;
    let split = FLAGS.replace(rules, "rules = [{ split = { on = 1, off = 99 } }]\n");
    reload(&proxy, &config.text().replace(FLAGS, &split)).await;
    let shown = get(&proxy, "vera", "/flags/checkout").await.json();
    assert_eq!(shown["decided_by"], "file", "{shown}");
    let history = get(&proxy, "vera", "/flags/checkout/history").await.json();
    let records = history["records"].as_array().expect("records");
    let actions: Vec<&str> = records
        .iter()
        .filter_map(|record| record["action"].as_str())
        .collect();
    let expected = [
        "flag.file",
        "flag.drop",
        "flag.override",
        "flag.file",
        "flag.absorb",
        "flag.override",
        "flag.file",
    ];
    assert_eq!(actions, expected, "{history}");
    assert_eq!(records[1]["actor"]["kind"], "file");
}

#[tokio::test]
async fn an_override_runs_out_by_itself() {
    let (proxy, _origin) = start(FLAGS).await;
    let body = json!({ "split": { "new": 0, "old": 1 }, "expires": "2s" });
    let set = asked(&proxy, "fay", "billing", "override", body).await;
    assert_eq!(set["flag"]["serves"], "new=0 old=1", "{set}");
    wait::until("the file decides again", async || {
        let evaluation = evaluated(&proxy, "billing", "{}").await;
        evaluation["variant"] == "new"
    })
    .await;
    wait::until("a record says so", async || {
        let history = get(&proxy, "vera", "/flags/billing/history").await.json();
        history["records"][0]["action"] == "flag.expire"
    })
    .await;
}

#[tokio::test]
async fn a_freeze_blocks_what_goes_forward_and_never_a_kill() {
    let freeze = "[freeze.xmas]\nkind = \"deny\"\nfrom = 2020-01-01T00:00:00Z\n\
                  to = 2100-01-01T00:00:00Z\nblocks = [\"flag\"]\nroutes = [\"*\"]\n";
    let (proxy, _origin) = start(&format!("{FLAGS}{freeze}")).await;
    let on = json!({ "variant": "on" });
    let held = refused(
        &proxy,
        "fay",
        "checkout/override",
        on.clone(),
        (409, "refused"),
    )
    .await;
    let detail = held["detail"].as_str().expect("words");
    assert!(
        detail.starts_with("the freeze xmas is in the way"),
        "{detail}"
    );
    asked(&proxy, "otto", "checkout", "kill", json!({})).await;
    asked(&proxy, "fay", "billing", "disable", json!({})).await;
    let killed = evaluated(&proxy, "checkout", GERMAN).await;
    answers(&killed, "off", "DISABLED", "killed");
    for what in ["checkout/unkill", "billing/enable"] {
        refused(&proxy, "fay", what, json!({}), (409, "refused")).await;
    }
    let passing = json!({ "until": "1h", "reason": "users cannot pay" });
    let passed = send(&proxy, "rita", "POST", "/freezes/xmas/override", &passing).await;
    is_done(&passed, 200);
    asked(&proxy, "fay", "checkout", "unkill", json!({})).await;
    asked(&proxy, "fay", "checkout", "override", on).await;
}

#[tokio::test]
async fn a_stopped_line_holds_what_goes_forward_and_never_a_kill() {
    let (proxy, _origin) = start(FLAGS).await;
    let why = json!({ "reason": "the database is being moved" });
    let stopped = send(&proxy, "otto", "PUT", "/stop-the-line", &why).await;
    is_done(&stopped, 200);
    let on = json!({ "variant": "on" });
    let held = refused(&proxy, "fay", "checkout/override", on, (409, "refused")).await;
    assert_eq!(
        held["detail"],
        "the line is stopped by otto: the database is being moved"
    );
    asked(&proxy, "otto", "checkout", "kill", json!({})).await;
}

#[tokio::test]
async fn who_may_not_is_told_what_it_takes() {
    let (proxy, _origin) = start(FLAGS).await;
    let role = "release-manager or flag-editor";
    for (name, what, expected) in [
        ("vera", "checkout/kill", "operator or flag-editor"),
        ("otto", "checkout/unkill", role),
        ("otto", "checkout/enable", role),
        // It has no kill switch.
        ("otto", "billing/kill", role),
    ] {
        let problem = refused(&proxy, name, what, json!({}), (403, "role_missing")).await;
        assert_eq!(problem["role"], expected, "{what}: {problem}");
    }
    asked(&proxy, "fay", "billing", "kill", json!({})).await;
    let answer = send(&proxy, "otto", "POST", "/flags/checkout/kill", &json!({})).await;
    is_problem(&answer, 422, "reason_missing");
    wait::until("a record of each attempt", async || {
        let audit = get(&proxy, "vera", "/audit?action=access.denied")
            .await
            .json();
        audit["records"].as_array().map(Vec::len) == Some(4)
    })
    .await;
}

#[tokio::test]
async fn a_record_tells_who_did_what_to_a_flag_and_why() {
    let (proxy, _origin) = start(FLAGS).await;
    asked(
        &proxy,
        "otto",
        "checkout",
        "kill",
        json!({ "ticket": "INC-7" }),
    )
    .await;
    let audit = get(
        &proxy,
        "vera",
        "/audit?object=flag:checkout&action=flag.kill",
    )
    .await
    .json();
    let record = &audit["records"][0];
    assert_eq!(record["action"], "flag.kill", "{audit}");
    assert_eq!(
        record["object"],
        json!({ "kind": "flag", "id": "checkout" })
    );
    assert_eq!(record["actor"]["id"], "otto");
    assert_eq!(record["reason"], "because it must");
    assert_eq!(record["ticket"], "INC-7");
    assert_eq!(record["after"]["killed"]["by"], "otto");
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_refused_and_one_request_is_carried_out_once() {
    let (proxy, _origin) = start(FLAGS).await;
    let shown = get(&proxy, "vera", "/flags/checkout").await;
    assert_eq!(shown.field("etag"), Some("\"0\""));
    let why = json!({ "reason": "it burns" });
    let killing = |field: &str, value: &str| {
        sending("POST", "/flags/checkout/kill", &why).field(field, value)
    };
    let first = staff::ask(&proxy, "otto", killing("idempotency-key", "k1")).await;
    let seq = is_done(&first, 200)["seq"].clone();
    assert_eq!(first.field("etag"), Some(format!("\"{seq}\"").as_str()));
    let again = staff::ask(&proxy, "otto", killing("idempotency-key", "k1")).await;
    assert_eq!(is_done(&again, 200)["seq"], seq);
    let stale = staff::ask(&proxy, "otto", killing("if-match", "\"0\"")).await;
    is_problem(&stale, 412, "precondition_failed");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let (proxy, _origin) = start(FLAGS).await;
    let missing = get(&proxy, "vera", "/flags/chekout").await;
    let problem = is_problem(&missing, 404, "not_found");
    assert_eq!(
        problem["detail"],
        "there is no flag `chekout`, did you mean \"checkout\"?"
    );
    for (body, pointer) in [
        (json!({}), "/variant"),
        (json!({ "variant": "on", "split": { "on": 1 } }), "/variant"),
        (json!({ "variant": "blue" }), "/variant"),
        (json!({ "split": { "on": 0 } }), "/split"),
        (json!({ "variant": "on", "expires": "soon" }), "/expires"),
        (
            json!({ "variant": "on", "expires": "1h", "permanent": true }),
            "/expires",
        ),
    ] {
        let expected = (422, "body_invalid");
        let problem = refused(&proxy, "fay", "checkout/override", body.clone(), expected).await;
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    refused(
        &proxy,
        "fay",
        "checkout/unkill",
        json!({}),
        (409, "refused"),
    )
    .await;
    for query in [
        "context=%5B%5D",
        "context=x",
        "context=%7B%22targetingKey%22:1%7D",
        "kontext=",
    ] {
        let path = format!("/flags/checkout/evaluate?{query}");
        is_problem(&get(&proxy, "vera", &path).await, 400, "query_invalid");
    }
}

#[tokio::test]
async fn an_evaluation_is_explained_line_by_line() {
    let (proxy, _origin) = start(FLAGS).await;
    let path = "/flags/checkout/evaluate?context=%7B%22country%22:%22FR%22%7D&explain";
    let told = is_done(&get(&proxy, "vera", path).await, 200);
    let steps = told["steps"].as_array().expect("steps");
    let lines: Vec<(&str, &str)> = steps
        .iter()
        .map(|step| {
            let text = |name: &str| step[name].as_str().expect("a text");
            (text("line"), text("outcome"))
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("kill", "not_set"),
            ("disable", "not_set"),
            ("override", "not_set"),
            ("rule", "segment_fails"),
            ("default", "decided"),
        ],
        "{told}"
    );
    let rule = &steps[3];
    assert_eq!(rule["about"], "germans (segment germans)");
    assert_eq!(rule["groups"][0][0]["holds"], false);
}

#[tokio::test]
async fn flags_are_listed_and_those_that_were_to_be_gone_are_stale() {
    let old = r#"
[flag.old]
type = "integer"
owner = "ana"
created = 2019-01-01
expires = 2020-01-01
variants = { few = 1, many = 100 }
off_variant = "few"
default_variant = "few"
rules = [{ split = { few = 1, many = 1 } }]
"#;
    let (proxy, _origin) = start(&format!("{FLAGS}{old}")).await;
    let list = get(&proxy, "vera", "/flags").await.json();
    let flags = list["flags"].as_array().expect("flags");
    let rows: Vec<(&str, &str, &str)> = flags
        .iter()
        .map(|flag| {
            let text = |name: &str| flag[name].as_str().expect("a text");
            (text("name"), text("type"), text("serves"))
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("billing", "string", "new"),
            ("checkout", "boolean", "1 rule, else off"),
            ("express", "boolean", "on"),
            ("old", "integer", "few=1 many=1"),
        ]
    );
    let stale = get(&proxy, "vera", "/flags/stale").await.json();
    let stale = stale["flags"].as_array().expect("flags");
    assert_eq!(stale.len(), 1, "{stale:?}");
    assert_eq!(
        (&stale[0]["name"], &stale[0]["owner"]),
        (&json!("old"), &json!("ana"))
    );
    assert_eq!(stale[0]["stale"][0]["cause"], "expired");
}
