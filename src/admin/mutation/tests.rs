//! What a mutation comes with, and what is refused of it.

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::actions::{Action, READ};
use crate::admin::actor::Actor;
use crate::admin::fault::Fault;
use crate::admin::mutation::{Etag, Mutation, body};

const ACTION: Action = Action {
    name: "release.abort",
    method: Method::POST,
    needs_reason: true,
    ..READ
};

fn read(body: &str) -> Result<Mutation, Fault> {
    Mutation::read(&ACTION, Actor::local(), &HeaderMap::new(), body.as_bytes())
}

/// The problem that a fault is answered with.
async fn problem(fault: Fault) -> Value {
    let body = fault.into_response().into_body().collect().await.unwrap();
    serde_json::from_slice(&body.to_bytes()).unwrap()
}

#[track_caller]
fn is(problem: &Value, code: &str, pointer: Option<&str>, detail: &str) {
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["pointer"].as_str(), pointer, "{problem}");
    let said = problem["detail"].as_str().unwrap();
    assert!(said.contains(detail), "{problem}");
}

#[test]
fn a_reason_is_a_text_that_says_something() {
    let read = |body| read(body).unwrap();
    assert_eq!(
        read("{\"reason\": \" errors rise \"}").reason.as_deref(),
        Some("errors rise")
    );
    let both = read("{\"reason\": \"errors\\nrise\", \"ticket\": \"INC-7\"}");
    assert_eq!(both.ticket.as_deref(), Some("INC-7"));
    let long = format!("{{\"reason\": \"{}\"}}", "ü".repeat(1000));
    assert!(read(&long).reason.is_some());
}

#[tokio::test]
async fn what_is_no_reason_is_refused() {
    for (body, code) in [
        ("", "reason_missing"),
        ("{}", "reason_missing"),
        ("{\"reason\": null}", "reason_missing"),
        ("{\"reason\": \"no\"}", "body_invalid"),
        ("{\"reason\": \"      \"}", "body_invalid"),
        ("{\"reason\": 12345}", "body_invalid"),
        ("{\"reason\": \"a\\u0007bell\"}", "body_invalid"),
        (
            &format!("{{\"reason\": \"{}\"}}", "x".repeat(1001)),
            "body_invalid",
        ),
    ] {
        let problem = problem(read(body).unwrap_err()).await;
        is(&problem, code, Some("/reason"), "reason");
        assert_eq!(problem["status"], 422);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_where() {
    for (body, code, status, detail) in [
        ("{\"reason\": ", "body_malformed", 400, "line 1 column 11"),
        (
            "{\n  \"a\": 1,\n}",
            "body_malformed",
            400,
            "line 3 column 1",
        ),
        ("reason=x", "body_malformed", 400, "line 1 column 1"),
        ("{} {}", "body_malformed", 400, "trailing characters"),
        (
            "{\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}",
            "body_invalid",
            422,
            "the member `c` stands there twice at line 1 column 26",
        ),
    ] {
        let problem = problem(read(body).unwrap_err()).await;
        is(&problem, code, None, detail);
        assert_eq!(problem["status"], status, "{body}");
    }
    let problem = problem(read("[1]").unwrap_err()).await;
    is(&problem, "body_invalid", Some(""), "not an object");
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    weights: Vec<Weight>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    #[serde(rename = "a/b")]
    share: u32,
}

#[tokio::test]
async fn what_the_body_has_besides_is_read_as_what_is_asked_for() {
    let body = |weights: &str| {
        let body = format!("{{\"reason\": \"more of it\", \"weights\": {weights}}}");
        read(&body).unwrap().body::<Weights>()
    };
    assert_eq!(body("[{\"a/b\": 5}]").unwrap().weights[0].share, 5);
    let wrong = problem(body("[{\"a/b\": 5}, {\"a/b\": -1}]").unwrap_err()).await;
    is(&wrong, "body_invalid", Some("/weights/1/a~1b"), "-1");
    let unknown = problem(body("[{\"a/b\": 5, \"c\": 1}]").unwrap_err()).await;
    is(
        &unknown,
        "body_invalid",
        Some("/weights/0/c"),
        "unknown field `c`",
    );
    let missing = read("{\"reason\": \"more of it\"}").unwrap();
    let missing = problem(missing.body::<Weights>().unwrap_err()).await;
    is(
        &missing,
        "body_invalid",
        Some(""),
        "missing field `weights`",
    );
}

#[tokio::test]
async fn a_mutation_of_another_state_is_refused() {
    let mut headers = HeaderMap::new();
    headers.insert("if-match", "\"7\"".parse().unwrap());
    let reason = b"{\"reason\": \"errors rise\"}";
    let mutation = Mutation::read(&ACTION, Actor::local(), &headers, reason).unwrap();
    let now = |tag: &str| mutation.expects(&Etag::strong(tag.to_owned()));
    assert!(now("7").is_ok());
    let problem = problem(now("8").unwrap_err()).await;
    is(&problem, "precondition_failed", None, "it is \"8\" now");
    assert_eq!(problem["status"], 412);
}

#[tokio::test]
async fn a_body_is_json_and_not_too_large() {
    let read = async |kind: Option<&str>, body: Vec<u8>| {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        body::read(&headers, Body::from(body)).await
    };
    for kind in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/merge-patch+json",
    ] {
        assert!(read(Some(kind), b"{}".to_vec()).await.is_ok(), "{kind}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("text/x+json"),
    ] {
        let refused = read(kind, b"{}".to_vec()).await.unwrap_err();
        let problem = problem(refused).await;
        is(&problem, "media_type_unsupported", None, "application/json");
        assert!(read(kind, Vec::new()).await.is_ok(), "{kind:?}");
    }
    let json = Some("application/json");
    assert!(read(json, vec![b' '; body::MAX_BYTES]).await.is_ok());
    let refused = read(json, vec![b' '; body::MAX_BYTES + 1]).await;
    let problem = problem(refused.unwrap_err()).await;
    is(&problem, "body_too_large", None, "65536 bytes");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let never = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let read = body::read(&HeaderMap::new(), Body::from_stream(never)).await;
    let problem = problem(read.unwrap_err()).await;
    is(&problem, "body_too_slow", None, "10 s");
    assert_eq!(problem["status"], 408);
}
