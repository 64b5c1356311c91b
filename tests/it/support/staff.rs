//! People with tokens, and what they ask the admin API.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::ask::{self, Ask};
use crate::support::message::Message;
use crate::support::proxy::Proxy;

/// The section of a token; its secret is made of the name.
pub(crate) fn token(name: &str, roles: &[&str]) -> String {
    let sha256: String = Sha256::digest(secret(name))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("[admin.tokens.{name}]\nroles = {roles:?}\nsha256 = \"{sha256}\"\n")
}

/// The secret of a token.
pub(crate) fn secret(name: &str) -> String {
    format!("the-secret-of-{name}")
}

/// Asks with the secret of a token.
pub(crate) async fn ask(proxy: &Proxy, name: &str, ask: Ask) -> Message {
    let authorization = format!("Bearer {}", secret(name));
    proxy
        .ask_admin(ask.field("authorization", authorization))
        .await
}

/// Gets what is at a path below `/api/v1`.
pub(crate) async fn get(proxy: &Proxy, name: &str, path: &str) -> Message {
    ask(proxy, name, ask::get(&format!("/api/v1{path}"))).await
}

/// A request with JSON to a path below `/api/v1`.
pub(crate) fn sending(method: &str, path: &str, body: &Value) -> Ask {
    ask::method(method, &format!("/api/v1{path}"))
        .field("content-type", "application/json")
        .body(body.to_string())
}

/// Sends JSON to a path below `/api/v1`.
pub(crate) async fn send(
    proxy: &Proxy,
    name: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Message {
    ask(proxy, name, sending(method, path, body)).await
}

/// Holds that an answer is such a problem.
#[track_caller]
pub(crate) fn is_problem(answer: &Message, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let content_type = answer.field("content-type");
    assert_eq!(content_type, Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    let kind = format!("urn:tidegate:problem:{code}");
    assert_eq!(problem["type"], kind.as_str());
    problem
}

/// Holds that an answer says that it was done, and gives what it says.
#[track_caller]
pub(crate) fn is_done(answer: &Message, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer.json()
}
