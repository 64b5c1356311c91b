//! One flag at a time: what is sent, and what each provider cannot do without.

use http::StatusCode;
use serde_json::{Value, json};

use crate::flag::{Reason, Runtime, Serve};
use crate::ofrep::tests::{Answer, Ask, World, settings};
use crate::ofrep::{Asked, Code};

/// The reasons that the provider for Python knows; any other is an error there.
const KNOWN: [&str; 9] = [
    "STATIC",
    "DEFAULT",
    "TARGETING_MATCH",
    "SPLIT",
    "CACHED",
    "DISABLED",
    "UNKNOWN",
    "STALE",
    "ERROR",
];

/// What a fault has to look like, of a flag or of all.
#[track_caller]
fn check(answer: &Answer, key: Option<&str>, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let json = answer.json();
    assert_eq!(json.get("key").and_then(Value::as_str), key, "{json}");
    assert_eq!(json["errorCode"], code, "{json}");
    let details = json["errorDetails"].as_str().unwrap();
    assert!(!details.is_empty(), "{json}");
}

#[tokio::test]
async fn an_answer_has_key_value_variant_reason_and_metadata() {
    let world = World::new(settings());
    let answer = world.ask(Ask::one("boolean").server()).await;
    let version = world.specs["boolean"].version("boolean");
    assert_eq!(
        answer.body,
        format!(
            "{{\"key\":\"boolean\",\"value\":true,\"variant\":\"on\",\"reason\":\"STATIC\",\
             \"metadata\":{{\"flagVersion\":\"{version}\",\"owner\":\"team \\\"shop\\\"\"}}}}"
        )
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn every_flag_is_answered_with_what_all_providers_need() {
    let world = World::new(settings());
    for flag in world.specs.keys() {
        for context in [json!({}), json!({ "targetingKey": "u", "plan": "gold" })] {
            let answer = world.one(flag, &context).await;
            assert_eq!(answer["key"], flag.as_str());
            assert!(
                !answer["value"].is_null(),
                "a value is never null: {answer}"
            );
            assert!(answer["variant"].is_string(), "{answer}");
            let reason = answer["reason"].as_str().unwrap();
            assert!(KNOWN.contains(&reason), "{answer}");
            let metadata = answer["metadata"].as_object().unwrap();
            let is_plain =
                |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
            assert!(metadata.values().all(is_plain), "{answer}");
        }
    }
    assert!(
        Reason::ALL
            .iter()
            .all(|reason| KNOWN.contains(&reason.name()))
    );
}

#[tokio::test]
async fn a_value_has_the_type_that_its_flag_declares() {
    let world = World::new(settings());
    for (flag, value) in [
        ("boolean", "true"),
        ("string", "\"grüß \\\"dich\\\"\\n\""),
        ("integer", "9223372036854775807"),
        // Without its point the provider for Python takes it for an integer.
        ("float", "1.0"),
        ("huge", "1e+21"),
        (
            "object",
            "{\"title\":\"A \\\"b\\\"\",\"none\":null,\"size\":1.0}",
        ),
    ] {
        let answer = world.ask(Ask::one(flag).server()).await;
        let expected = format!("{{\"key\":\"{flag}\",\"value\":{value},\"variant\":");
        assert!(answer.body.starts_with(&expected), "{}", answer.body);
        answer.json();
    }
}

#[tokio::test]
async fn each_reason_is_told_with_the_rule_that_served() {
    let world = World::new(settings());
    for (flag, context, value, reason, rule) in [
        (
            "string",
            json!({}),
            json!("grüß \"dich\"\n"),
            "STATIC",
            None,
        ),
        (
            "colour",
            json!({ "plan": "free" }),
            json!("A"),
            "DEFAULT",
            None,
        ),
        (
            "colour",
            json!({ "plan": "gold" }),
            json!("B"),
            "TARGETING_MATCH",
            Some("golden \"rule\""),
        ),
        ("half", json!({}), json!("A"), "DEFAULT", None),
        ("disabled", json!({}), json!("B"), "DISABLED", None),
        ("dependent", json!({}), json!("B"), "DISABLED", None),
    ] {
        let answer = world.one(flag, &context).await;
        assert_eq!(answer["value"], value, "{answer}");
        assert_eq!(answer["reason"], reason, "{answer}");
        assert_eq!(
            answer["metadata"].get("rule").and_then(Value::as_str),
            rule,
            "{answer}"
        );
    }
    let split = world.one("half", &json!({ "targetingKey": "ana" })).await;
    assert_eq!(split["reason"], "SPLIT");
    assert_eq!(split["metadata"]["rule"], "rule 1");
    let again = world
        .one("half", &json!({ "targetingKey": "ana", "more": 1 }))
        .await;
    assert_eq!(split, again);
}

#[tokio::test]
async fn a_killed_flag_is_off_and_says_so() {
    let world = World::new(settings());
    assert_eq!(
        world.one("boolean", &json!({})).await["metadata"].get("killed"),
        None
    );
    world.set(
        "boolean",
        Runtime {
            killed: true,
            ..Runtime::default()
        },
    );
    let answer = world.one("boolean", &json!({})).await;
    assert_eq!(answer["value"], false);
    assert_eq!(answer["variant"], "off");
    assert_eq!(answer["reason"], "DISABLED");
    assert_eq!(answer["metadata"]["killed"], true);
    world.set("boolean", Runtime::default());
    assert_eq!(world.one("boolean", &json!({})).await["value"], true);
}

#[tokio::test]
async fn an_override_is_for_everybody() {
    let world = World::new(settings());
    let serve = Some(Serve::Variant("b".to_owned()));
    world.set(
        "colour",
        Runtime {
            serve,
            ..Runtime::default()
        },
    );
    let answer = world.one("colour", &json!({})).await;
    assert_eq!(
        (answer["value"].as_str(), answer["reason"].as_str()),
        (Some("B"), Some("STATIC"))
    );
}

#[tokio::test]
async fn an_expired_flag_says_so_unless_it_is_meant_to_stay() {
    let world = World::new(settings());
    assert_eq!(
        world.one("expired", &json!({})).await["metadata"]["expired"],
        true
    );
    assert_eq!(
        world.one("kept", &json!({})).await["metadata"].get("expired"),
        None
    );
}

#[tokio::test]
async fn a_context_needs_not_have_anything() {
    let world = World::new(settings());
    for body in [
        "",
        "{}",
        "{\"context\":{}}",
        "{\"context\":null}",
        "{\"context\":{\"targetingKey\":null}}",
        "{\"context\":{\"targetingKey\":\"\"},\"more\":[]}",
    ] {
        let answer = world.ask(Ask::one("half").body(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}");
        assert_eq!(answer.json()["reason"], "DEFAULT", "{body}");
    }
}

#[tokio::test]
async fn the_key_is_the_rest_of_the_path_decoded() {
    let world = World::new(settings());
    for path in ["a.b+c", "a.b%2Bc", "%61.b%2bc"] {
        let answer = world.ask(Ask::one(path)).await;
        assert_eq!(answer.json()["key"], "a.b+c", "{path}");
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    for (path, key) in [
        ("team/a%2fb", "team/a/b"),
        ("team%2Fa", "team/a"),
        ("gr%C3%BCn", "grün"),
        ("boolean/", "boolean/"),
        ("", ""),
    ] {
        let answer = world.ask(Ask::one(path)).await;
        check(&answer, Some(key), 404, "FLAG_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_parse_error_with_its_key() {
    let world = World::new(settings());
    for body in [
        "{",
        "[]",
        "[{}]",
        "\"text\"",
        "null",
        "{\"context\":{\"a\":}}",
        "\u{feff}{}",
    ] {
        let answer = world.ask(Ask::one("boolean").body(body)).await;
        check(&answer, Some("boolean"), 400, "PARSE_ERROR");
        let answer = world.ask(Ask::all().body(body)).await;
        check(&answer, None, 400, "PARSE_ERROR");
    }
    let deep = format!("{{\"context\":{}", "[".repeat(10_000));
    check(
        &world.ask(Ask::all().body(&deep)).await,
        None,
        400,
        "PARSE_ERROR",
    );
}

#[tokio::test]
async fn a_context_that_is_none_is_invalid() {
    let world = World::new(settings());
    for context in [
        "[]",
        "\"ana\"",
        "7",
        "{\"targetingKey\":7}",
        "{\"targetingKey\":[\"ana\"]}",
        "{\"targetingKey\":true}",
    ] {
        let body = format!("{{\"context\":{context}}}");
        let answer = world.ask(Ask::one("boolean").body(&body)).await;
        check(&answer, Some("boolean"), 400, "INVALID_CONTEXT");
        let answer = world.ask(Ask::all().body(&body)).await;
        check(&answer, None, 400, "INVALID_CONTEXT");
    }
}

#[tokio::test]
async fn only_json_that_says_so_is_read() {
    let world = World::new(settings());
    let ask = |kind: Option<&str>| {
        let mut ask = Ask::one("boolean");
        let headers = ask.0.headers_mut().unwrap();
        headers.remove("content-type");
        if let Some(kind) = kind {
            headers.insert("content-type", kind.parse().unwrap());
        }
        ask
    };
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        "application/vnd.shop+json",
    ] {
        assert_eq!(
            world.ask(ask(Some(kind))).await.status,
            StatusCode::OK,
            "{kind}"
        );
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("text/json"),
    ] {
        check(
            &world.ask(ask(kind)).await,
            Some("boolean"),
            415,
            "PARSE_ERROR",
        );
        // Where there is no body there is nothing that could be of another kind.
        assert_eq!(world.ask(ask(kind).body("")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn errors_are_counted_by_their_codes() {
    let world = World::new(settings());
    world.ask(Ask::one("no-such-flag")).await;
    world.ask(Ask::one("no-such-flag")).await;
    world.ask(Ask::all().body("{")).await;
    world.ask(Ask::one("boolean").body("{\"context\":7}")).await;
    world
        .ask(Ask::one("boolean").header("x-api-key", "wrong"))
        .await;
    let counted = world.service.totals().read();
    let errors: Vec<(&str, u64)> = Code::ALL
        .iter()
        .map(|code| code.name())
        .zip(counted.errors)
        .collect();
    assert_eq!(
        errors,
        [
            ("PARSE_ERROR", 1),
            ("INVALID_CONTEXT", 1),
            ("FLAG_NOT_FOUND", 2),
            ("GENERAL", 1)
        ]
    );
    assert_eq!(counted.refused, 1);
}

#[tokio::test]
async fn evaluations_are_counted_with_what_they_depended_on() {
    let world = World::new(settings());
    world.one("dependent", &json!({})).await;
    let names: Vec<&String> = world.specs.keys().collect();
    let position = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let notes = std::mem::take(&mut *world.notes.0.lock().unwrap());
    assert_eq!(
        notes,
        [
            (
                position("dependent"),
                1,
                Some((Reason::Disabled, Asked::One))
            ),
            (position("internal"), 1, None),
        ]
    );
    world.ask(Ask::one("no-such-flag")).await;
    world.ask(Ask::one("internal")).await;
    assert!(
        world.notes.0.lock().unwrap().is_empty(),
        "what is not told is not counted"
    );
}
