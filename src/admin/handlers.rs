//! What each action does, and what stands before all of them.

use std::time::SystemTime;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, ETAG};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use tracing::{error, info, warn};
use utoipa::ToSchema;

use crate::admin::actions::Action;
use crate::admin::actor::{Actor, Via};
use crate::admin::denied::Attempt;
use crate::admin::explain::Asked;
use crate::admin::fault::{Code, Fault, any_of};
use crate::admin::guard::{Guard, Needs};
use crate::admin::mutation::{Mutation, body, carry_out};
use crate::admin::openapi::document;
use crate::admin::server::Peer;
use crate::admin::state::Detail;
use crate::admin::{Admin, Served, reply, state};
use crate::config::with_causes;
use crate::control::UpgradeError;
use crate::ofrep::{Arrival, Client};

/// The content type of the Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of what people and probes read.
pub(in crate::admin) const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Streams of changes of flags at a time: others need connections, too.
const OFREP_STREAMS: usize = 32;

/// Makes the whole of it: paths, and the guard before them.
pub(in crate::admin) fn router(served: Served) -> Router {
    let router = Action::all().fold(Router::new(), |router, action| {
        router.route(action.path, (action.handler)())
    });
    let ofrep = served.admin.control.ofrep().router(Arrival::Direct {
        max_streams: OFREP_STREAMS,
    });
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(served.clone(), admit))
        .with_state(served)
        // Applications have tokens of their own.
        .merge(ofrep.layer(map_request(client)))
}

/// Tells whoever evaluates flags where a request comes from.
async fn client(mut request: Request) -> Request {
    if let Some(peer) = request.extensions().get::<Peer>().map(|peer| peer.0) {
        request.extensions_mut().insert(Client(peer));
    }
    request
}

/// Lets in whom the guard lets in, and who has the role that is needed. The tokens are those of the
/// live configuration, so that a reload changes them.
async fn admit(State(served): State<Served>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let action = path.and_then(|path| Action::of(request.method(), path.as_str()));
    // Also that there is nothing, or nothing by that method, is told only to who may look.
    let needs = action.map_or(Needs::Known, |action| action.needs);
    let live = served.admin.control.live();
    let guard = Guard::new(served.bound, &live.config.admin);
    let (uri, headers) = (request.uri(), request.headers());
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let mut actor = match guard.admit(needs, uri, headers, SystemTime::now()) {
        Ok(actor) => actor,
        Err(refusal) => {
            let fault = Fault::new(refusal.code(), refusal.to_string());
            return denied(&served, &request, action, None, fault);
        }
    };
    actor.addr = peer;
    actor.via = Via::of(headers);
    if let Some(permission) = needs.permission()
        && !actor.roles.may(permission)
    {
        let (roles, has) = (permission.granted_to(), &actor.roles);
        let why = format!(
            "this needs the role {}; {} has {has}",
            any_of(roles),
            actor.id
        );
        let fault = Fault::new(Code::RoleMissing, why).needs(roles);
        return denied(&served, &request, action, Some(&actor), fault);
    }
    if announced_length(request.headers()) > body::MAX_BYTES as u64 {
        return body::too_large().into_response();
    }
    match action.filter(|action| action.is_mutation()) {
        Some(action) => carry_out(served, action, actor, request, next).await,
        None => next.run(request).await,
    }
}

/// Tells of an attempt that is denied: everyone that is passes here.
fn denied(
    served: &Served,
    request: &Request,
    action: Option<&Action>,
    actor: Option<&Actor>,
    fault: Fault,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    warn!(
        code = fault.code().name(),
        why = fault.detail(),
        action = action.map(|action| action.name),
        actor = actor.map(tracing::field::display),
        peer = peer.map(|peer| tracing::field::display(peer.0)),
        method = %request.method(),
        path = request.uri().path(),
        "admin request denied"
    );
    let what = Attempt {
        action: action.map(|action| action.name),
        method: request.method().as_str(),
        path: request.uri().path(),
        peer: peer.map(|peer| peer.0),
        via: Via::of(request.headers()),
    };
    served.denials.of(served, actor, &what, &fault);
    fault.into_response()
}

fn announced_length(headers: &HeaderMap) -> u64 {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// The process serves its admin port.
pub(in crate::admin) async fn livez() -> Response {
    reply::text(StatusCode::OK, TEXT_TYPE, "ok\n".to_owned())
}

/// Whether the instance is ready.
pub(in crate::admin) async fn readyz(State(served): State<Served>, uri: Uri) -> Response {
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

/// The Prometheus text page.
pub(in crate::admin) async fn metrics(State(served): State<Served>) -> Response {
    aside(served, |admin| {
        reply::text(StatusCode::OK, METRICS_TYPE, state::metrics(admin))
    })
    .await
}

/// What is live.
pub(in crate::admin) async fn status(State(served): State<Served>, uri: Uri) -> Response {
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

/// The API, described for programs.
pub(in crate::admin) async fn openapi(State(served): State<Served>) -> Response {
    aside(served, |_| reply::json(&document())).await
}

/// The live configuration, with every default.
pub(in crate::admin) async fn config(State(served): State<Served>) -> Response {
    aside(served, |admin| {
        let live = admin.control.live();
        let mut response = reply::json(&live.config.effective());
        if let Some(etag) = state::etag(&live).value() {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    })
    .await
}

/// Why a request would go where it would go.
pub(in crate::admin) async fn explain(
    State(served): State<Served>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let read = |Query(pairs)| read_asked(pairs);
    let asked = query
        .map_err(|rejection| rejection.body_text())
        .and_then(read);
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => return Fault::new(Code::QueryInvalid, why).into_response(),
    };
    aside(served, move |admin| {
        match state::explain(&admin.control, &asked) {
            Ok(explained) => reply::json(&explained),
            Err(error) => Fault::new(Code::QueryInvalid, error.to_string()).into_response(),
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

/// Reads the configuration again; answers when it is live, or with all that is wrong.
pub(in crate::admin) async fn reload(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    let control = &served.admin.control;
    // What is read is what the files hold then, whoever comes between this and the reload.
    mutation.expects(&state::etag(&control.live()))?;
    tell(&mutation, "reload asked for");
    let reloaded = state::reload(control).await;
    reloaded
        .map(|reloaded| reply::json(&reloaded))
        .map_err(|(detail, problems)| Fault::new(Code::ConfigInvalid, detail).with(problems))
}

/// Has another process take over; answers when it serves, or with why it does not.
pub(in crate::admin) async fn upgrade(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    let control = &served.admin.control;
    mutation.expects(&state::etag(&control.live()))?;
    tell(&mutation, "upgrade asked for");
    let upgraded = state::upgrade(control).await;
    upgraded
        .map(|upgraded| reply::json(&upgraded))
        .map_err(|error| Fault::new(why_not(&error), with_causes(&error)))
}

/// The members of a body that has none besides those of every mutation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Nothing {}

fn tell(mutation: &Mutation, what: &str) {
    let actor = &mutation.actor;
    info!(
        %actor,
        via = actor.via.name(),
        reason = mutation.reason,
        ticket = mutation.ticket,
        "{what}"
    );
}

/// What an upgrade that did not happen is called.
fn why_not(error: &UpgradeError) -> Code {
    match error {
        UpgradeError::UnderWay => Code::UpgradeUnderWay,
        UpgradeError::Ending => Code::Ending,
        UpgradeError::FirstProcess
        | UpgradeError::Start { .. }
        | UpgradeError::TooSlow(_)
        | UpgradeError::Refused(_)
        | UpgradeError::Ended(_)
        | UpgradeError::Talk(_) => Code::UpgradeFailed,
    }
}

async fn not_found(uri: Uri) -> Fault {
    let path = uri.path();
    Fault::new(Code::NotFound, format!("there is nothing at {path}"))
}

async fn method_not_allowed(request: Request) -> Fault {
    let method = request.method();
    let why = format!("{method} is not what this path is for");
    Fault::new(Code::MethodNotAllowed, why)
}

/// Makes an answer that takes more than a moment where it delays neither a probe nor a reload.
pub(in crate::admin) async fn aside(
    served: Served,
    work: impl FnOnce(&Admin) -> Response + Send + 'static,
) -> Response {
    // It is never closed; without a permit the answer would still be right, only not bounded.
    let permit = served.large.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&served.admin)
    });
    match done.await {
        Ok(response) => response,
        Err(error) => failed(&error).into_response(),
    }
}

/// What is said when a task did not come to its end.
pub(in crate::admin) fn failed(error: &tokio::task::JoinError) -> Fault {
    error!(%error, "admin request failed");
    Fault::new(Code::Internal, "the request failed; see the log")
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
