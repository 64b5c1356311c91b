//! What each kind of sink is sent, to the byte where it matters.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::notify::event::{Entry, Event, Link, Severity};
use crate::notify::fixture::sink;
use crate::notify::render::{Outgoing, requests};
use crate::notify::sink::{Kind, Labels, Sink};
use crate::outbound::SigningKey;

const NOW: SystemTime = UNIX_EPOCH;

fn entry(kind: &str) -> Entry {
    let at = UNIX_EPOCH + Duration::from_millis(1_763_869_055_511);
    Entry {
        seq: 7,
        id: "01J8".to_owned(),
        event: Event {
            release: Some("shop-2".to_owned()),
            route: Some("shop".to_owned()),
            stable: Some("v1".to_owned()),
            candidate: Some("v2".to_owned()),
            step: Some(1),
            weight: Some(5.0),
            reason: Some("<!here> & now".to_owned()),
            artifact: Some("pkg:oci/shop@sha256:12".to_owned()),
            stable_artifact: Some("pkg:oci/shop@sha256:11".to_owned()),
            links: vec![Link {
                title: "why".to_owned(),
                url: "https://edge/why?a|b".to_owned(),
            }],
            ..Event::new(at, kind, Severity::Warning, "prod eu")
        },
    }
}

fn labelled(kind: Kind) -> Sink {
    let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    Sink {
        labels: Labels::new(labels).unwrap(),
        ..sink("a", kind, &["*"])
    }
}

fn field<'a>(request: &'a Outgoing, name: &str) -> &'a str {
    let value = request.fields.get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

fn body(request: &Outgoing) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn a_webhook_has_the_event_its_id_and_a_signature() {
    let key = SigningKey::new(b"hunter2");
    let sink = labelled(Kind::Webhook {
        key: Some(key.clone()),
    });
    let request = requests(&sink, &entry("release.step"), NOW).remove(0);
    assert_eq!(field(&request, "content-type"), "application/json");
    assert_eq!(field(&request, "idempotency-key"), "01J8");
    assert_eq!(field(&request, "x-tidegate-timestamp"), "0");
    let [_, (name, signature)] = key.sign(&request.body, NOW);
    assert_eq!(request.fields[name], signature);
    let body = body(&request);
    assert_eq!(body["id"], "01J8");
    assert_eq!(body["kind"], "release.step");
    assert_eq!(body["at"], "2025-11-23T03:37:35.511Z");
    assert_eq!(body["weight"], 5.0);
    assert_eq!(body["labels"], json!({ "team": "shop" }));
    assert_eq!(body["attempt"], Value::Null);

    let sink = labelled(Kind::Webhook { key: None });
    let request = requests(&sink, &entry("release.step"), NOW).remove(0);
    assert_eq!(field(&request, "x-tidegate-signature"), "");
}

#[test]
fn a_cloudevent_has_its_attributes_in_fields() {
    let sink = labelled(Kind::CloudEvents { cdevents: None });
    let requests = requests(&sink, &entry("release.rolled_back"), NOW);
    assert_eq!(requests.len(), 1);
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "01J8"),
        ("ce-source", "/tidegate/prod%2520eu"),
        ("ce-type", "dev.tidegate.release.rolled_back.v1"),
        ("ce-subject", "shop-2"),
        ("ce-time", "2025-11-23T03:37:35.511Z"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(field(&requests[0], name), value);
    }
    assert_eq!(body(&requests[0])["release"], "shop-2");
}

#[track_caller]
fn check_cdevents(entry: &Entry, expected: &[(&str, Option<&str>)]) {
    let sink = labelled(Kind::CloudEvents {
        cdevents: Some("production".to_owned()),
    });
    let requests = requests(&sink, entry, NOW);
    let cdevents = &requests[1..];
    assert_eq!(cdevents.len(), expected.len());
    for (request, (word, artifact)) in cdevents.iter().zip(expected) {
        let body = body(request);
        let kind = format!("dev.cdevents.service.{word}.0.3.0");
        assert_eq!(field(request, "content-type"), "application/cdevents+json");
        assert_eq!(field(request, "ce-type"), kind);
        assert_eq!(field(request, "ce-id"), format!("01J8-{word}"));
        assert_eq!(field(request, "ce-subject"), "service/shop");
        assert_eq!(
            body["context"],
            json!({
                "specversion": "0.5.0",
                "id": format!("01J8-{word}"),
                "source": "/tidegate/prod%20eu",
                "type": kind,
                "timestamp": "2025-11-23T03:37:35.511Z",
            })
        );
        let mut content = json!({ "environment": { "id": "production" } });
        if let Some(artifact) = artifact {
            content["artifactId"] = json!(artifact);
        }
        assert_eq!(
            body["subject"],
            json!({
                "id": "service/shop",
                "source": "/tidegate/prod%20eu",
                "type": "service",
                "content": content,
            })
        );
    }
}

#[test]
fn cdevents_tell_of_deployments_whose_artifact_is_known() {
    let new = Some("pkg:oci/shop@sha256:12");
    let old = Some("pkg:oci/shop@sha256:11");
    check_cdevents(&entry("release.started"), &[("deployed", new)]);
    let promoted = entry("release.promoted");
    check_cdevents(&promoted, &[("upgraded", new), ("published", None)]);
    check_cdevents(&entry("release.rolled_back"), &[("rolledback", old)]);
    check_cdevents(&entry("release.step"), &[]);
    for kind in ["release.started", "release.promoted", "release.rolled_back"] {
        let mut entry = entry(kind);
        entry.event.artifact = None;
        entry.event.stable_artifact = Some("shop:11".to_owned());
        check_cdevents(&entry, &[]);
    }
}

#[test]
fn a_slack_message_has_a_text_and_blocks_and_calls_nobody() {
    let request = requests(&labelled(Kind::Slack), &entry("release.step"), NOW).remove(0);
    let body = body(&request);
    assert_eq!(body["text"], "warning: shop-2: step 2, 5 % to v2");
    assert_eq!(
        body["blocks"],
        json!([
            {
                "type": "header",
                "text": {
                    "type": "plain_text",
                    "text": "shop-2: step 2, 5 % to v2",
                    "emoji": false,
                },
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "_Reason:_ &lt;!here&gt; &amp; now\n<https://edge/why?a%7Cb|why>",
                },
            },
            {
                "type": "section",
                "fields": [
                    { "type": "mrkdwn", "text": "*Route*\nshop" },
                    { "type": "mrkdwn", "text": "*Variants*\nv1 → v2" },
                    { "type": "mrkdwn", "text": "*Weight*\n5 %" },
                    { "type": "mrkdwn", "text": "*Artifact*\npkg:oci/shop@sha256:12" },
                ],
            },
            {
                "type": "context",
                "elements": [{
                    "type": "mrkdwn",
                    "text": "warning: prod eu · release.step · 2025-11-23T03:37:35.511Z · 01J8 · team=shop",
                }],
            },
        ])
    );
}

#[test]
fn a_slack_message_keeps_within_slacks_bounds() {
    let mut entry = entry("release.held");
    entry.event.release = Some("r".repeat(5000));
    entry.event.detail = Some("ü&".repeat(5000));
    entry.event.actor = Some("a".repeat(5000));
    let body = body(&requests(&labelled(Kind::Slack), &entry, NOW)[0]);
    let n_chars = |value: &Value| value.as_str().unwrap().chars().count();
    let blocks = &body["blocks"];
    assert_eq!(n_chars(&blocks[0]["text"]["text"]), 150);
    assert!(n_chars(&blocks[1]["text"]["text"]) <= 3000);
    let fields = blocks[2]["fields"].as_array().unwrap();
    assert!(fields.len() <= 10);
    assert!(fields.iter().all(|field| n_chars(&field["text"]) <= 2000));
}

#[test]
fn what_is_rendered_twice_is_the_same() {
    for kind in [
        Kind::Slack,
        Kind::CloudEvents {
            cdevents: Some("production".to_owned()),
        },
        Kind::Webhook { key: None },
    ] {
        let sink = labelled(kind);
        let entry = entry("release.promoted");
        let later = NOW + Duration::from_secs(60);
        assert_eq!(requests(&sink, &entry, NOW), requests(&sink, &entry, later));
    }
}
