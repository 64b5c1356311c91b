//! What a route answers by itself, as one would write it.

use serde_json::{Value, json};

use crate::config::direct::{DirectConfig, RespondBody, RespondConfig};
use crate::config::effective::{object, path, treatment};
use crate::message::Scheme;
use crate::proxy::Redirect;

/// The key of a route that says it, and its value.
pub(in crate::config::effective) fn of(direct: &DirectConfig) -> (&'static str, Value) {
    match direct {
        DirectConfig::Redirect(to) => ("redirect", redirect(to)),
        DirectConfig::Respond(page) => ("respond", respond(page)),
    }
}

fn redirect(redirect: &Redirect) -> Value {
    let [prefix, path, regex_path] = treatment::path(redirect.path.as_ref());
    object([
        ("scheme", redirect.scheme.map(Scheme::name).into()),
        ("host", json!(redirect.host)),
        ("port", json!(redirect.port)),
        prefix,
        path,
        regex_path,
        ("query", json!(redirect.query)),
        ("status", json!(redirect.status)),
    ])
}

fn respond(page: &RespondConfig) -> Value {
    let (mut body, mut file) = (Value::Null, Value::Null);
    match &page.body {
        RespondBody::Empty => {}
        RespondBody::Text(text) => body = json!(text),
        RespondBody::File(name, _) => file = path(name),
    }
    let headers = match &page.headers[..] {
        [] => Value::Null,
        headers => treatment::fields(headers),
    };
    object([
        ("status", json!(page.status)),
        ("body", body),
        ("file", file),
        ("content_type", json!(page.content_type)),
        ("headers", headers),
    ])
}
