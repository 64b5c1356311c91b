//! The paths of the admin API, and what each does.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode, Uri};
use tracing::{error, info};

use crate::admin::explain::Asked;
use crate::admin::guard::{Access, Actor, Guard, Token};
use crate::admin::state::Detail;
use crate::admin::{Admin, Served, reply, state};
use crate::config::with_causes;
use crate::control::UpgradeError;

/// Paths that need no token: they tell no more than a connection to the port does.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/healthz"];
/// Bytes of a body. Nothing here reads one.
const MAX_BODY_BYTES: u64 = 64 * 1024;
/// The content type of the Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of what people and probes read.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Makes the whole of it: paths, and the guard before them.
pub(in crate::admin) fn router(served: Served) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/config", get(config))
        .route("/api/v1/config/reload", post(reload))
        .route("/api/v1/upgrade", post(upgrade))
        .route("/api/v1/explain", get(explain))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(served.clone(), admit))
        .with_state(served)
}

/// Lets in whom the guard lets in. The token is that of the live configuration, so that a reload
/// changes it.
async fn admit(State(served): State<Served>, mut request: Request, next: Next) -> Response {
    let wanted = if PROBES.contains(&request.uri().path()) {
        Access::Probe
    } else {
        Access::Full
    };
    let token = state::token(&served.admin.control);
    let guard = Guard::new(served.bound, token.as_deref().map(Token::new));
    let actor = match guard.admit(wanted, request.uri(), request.headers()) {
        Ok(actor) => actor,
        Err(refusal) => {
            info!(%refusal, method = %request.method(), path = request.uri().path(), "admin request refused");
            return reply::problem(refusal.status(), refusal.to_string());
        }
    };
    if announced_length(request.headers()) > MAX_BODY_BYTES {
        return reply::problem(StatusCode::PAYLOAD_TOO_LARGE, "no body is needed here");
    }
    request.extensions_mut().insert(actor);
    next.run(request).await
}

fn announced_length(headers: &HeaderMap) -> u64 {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

async fn livez() -> Response {
    reply::text(StatusCode::OK, TEXT_TYPE, "ok\n".to_owned())
}

async fn readyz(State(served): State<Served>, uri: Uri) -> Response {
    let checks = served.admin.control.readiness();
    let ready = checks.iter().all(|(_, outcome)| outcome.is_ok());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verdict = if ready { "ready\n" } else { "not ready\n" };
    let mut text = String::new();
    if asks_verbose(uri.query().unwrap_or_default()) {
        for (name, outcome) in &checks {
            match outcome {
                Ok(()) => text.push_str(&format!("[+]{name} ok\n")),
                Err(why) => text.push_str(&format!("[-]{name} failed: {why}\n")),
            }
        }
    }
    text.push_str(verdict);
    reply::text(status, TEXT_TYPE, text)
}

/// `?verbose`, with any value or none, as Kubernetes has it.
fn asks_verbose(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("verbose"))
}

async fn metrics(State(served): State<Served>) -> Response {
    aside(served, |admin| {
        reply::text(StatusCode::OK, METRICS_TYPE, state::metrics(admin))
    })
    .await
}

async fn status(State(served): State<Served>, uri: Uri) -> Response {
    let detail = if asks_verbose(uri.query().unwrap_or_default()) {
        Detail::Long
    } else {
        Detail::Short
    };
    aside(served, move |admin| {
        reply::json(&state::status(admin, detail))
    })
    .await
}

async fn config(State(served): State<Served>) -> Response {
    aside(served, |admin| {
        reply::json(&state::effective(&admin.control))
    })
    .await
}

async fn explain(
    State(served): State<Served>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let pairs = match query {
        Ok(Query(pairs)) => pairs,
        Err(rejection) => return reply::problem(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let asked = match read_asked(pairs) {
        Ok(asked) => asked,
        Err(why) => return reply::problem(StatusCode::BAD_REQUEST, why),
    };
    aside(served, move |admin| {
        match state::explain(&admin.control, &asked) {
            Ok(explained) => reply::json(&explained),
            Err(error) => reply::problem(StatusCode::BAD_REQUEST, error.to_string()),
        }
    })
    .await
}

fn read_asked(pairs: Vec<(String, String)>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for (name, value) in pairs {
        match name.as_str() {
            "url" => asked.url = value,
            "method" => asked.method = Some(value),
            "header" => asked.headers.push(value),
            "key" => asked.key = Some(value),
            "client" => {
                let client = value.parse();
                asked.client = Some(client.map_err(|_| format!("`{value}` is not an IP address"))?);
            }
            _ => {
                return Err(format!(
                    "unknown parameter `{name}`; there are url, method, header, key and client"
                ));
            }
        }
    }
    if asked.url.is_empty() {
        return Err("the parameter url is missing".to_owned());
    }
    Ok(asked)
}

async fn reload(State(served): State<Served>, request: Request) -> Response {
    let actor = request.extensions().get::<Actor>().copied();
    let actor = actor.unwrap_or(Actor::Local);
    // A reload that has begun is brought to its end, also when who asked for it goes away.
    let control = served.admin.control.clone();
    let reloading = async move {
        info!(%actor, "reload asked for");
        state::reload(&control).await
    };
    match served.tasks.spawn(reloading).await {
        Ok(Ok(reloaded)) => reply::json(&reloaded),
        Ok(Err((detail, problems))) => {
            reply::problems(StatusCode::UNPROCESSABLE_ENTITY, detail, problems)
        }
        Err(error) => failed(&error),
    }
}

async fn upgrade(State(served): State<Served>, request: Request) -> Response {
    let actor = request.extensions().get::<Actor>().copied();
    let actor = actor.unwrap_or(Actor::Local);
    let control = served.admin.control.clone();
    let upgrading = async move {
        info!(%actor, "upgrade asked for");
        state::upgrade(&control).await
    };
    match served.tasks.spawn(upgrading).await {
        Ok(Ok(upgraded)) => reply::json(&upgraded),
        Ok(Err(error)) => reply::problem(why_not(&error), with_causes(&error)),
        Err(error) => failed(&error),
    }
}

/// The status for an upgrade that did not happen.
fn why_not(error: &UpgradeError) -> StatusCode {
    match error {
        UpgradeError::UnderWay => StatusCode::CONFLICT,
        UpgradeError::Ending => StatusCode::SERVICE_UNAVAILABLE,
        UpgradeError::FirstProcess
        | UpgradeError::Start { .. }
        | UpgradeError::TooSlow(_)
        | UpgradeError::Refused(_)
        | UpgradeError::Ended(_)
        | UpgradeError::Talk(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

async fn not_found(uri: Uri) -> Response {
    let path = uri.path();
    reply::problem(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}

async fn method_not_allowed(request: Request) -> Response {
    let method = request.method();
    reply::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not what this path is for"),
    )
}

/// Makes an answer that takes more than a moment where it delays neither a probe nor a reload.
async fn aside(served: Served, work: impl FnOnce(&Admin) -> Response + Send + 'static) -> Response {
    // It is never closed; without a permit the answer would still be right, only not bounded.
    let permit = served.large.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&served.admin)
    });
    match done.await {
        Ok(response) => response,
        Err(error) => failed(&error),
    }
}

fn failed(error: &tokio::task::JoinError) -> Response {
    error!(%error, "admin request failed");
    reply::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the request failed; see the log",
    )
}

#[cfg(test)]
mod tests {
    use crate::admin::handlers::{asks_verbose, read_asked};

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn verbose_is_asked_by_name_whatever_its_value() {
        for (query, verbose) in [
            ("verbose", true),
            ("verbose=1", true),
            ("a=b&verbose", true),
            ("verbosely", false),
            ("", false),
        ] {
            assert_eq!(asks_verbose(query), verbose, "{query}");
        }
    }

    #[test]
    fn headers_may_come_several_times() {
        let asked = read_asked(pairs(&[
            ("url", "/x"),
            ("header", "a: 1"),
            ("header", "b: 2"),
            ("client", "::1"),
        ]))
        .unwrap();
        assert_eq!(asked.headers, ["a: 1", "b: 2"]);
        assert!(asked.client.is_some());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            &[("url", "/"), ("kye", "1")][..],
            &[("url", "/"), ("client", "me")],
            &[("key", "1")],
        ] {
            assert!(read_asked(pairs(wrong)).is_err());
        }
    }
}
