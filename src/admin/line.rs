//! The line: one switch that stops everything that moves forward.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::admin::Served;
use crate::admin::fault::Fault;
use crate::admin::handlers::Nothing;
use crate::admin::mutation::Mutation;
use crate::admin::releases::{View, answer, cause, desk, refused, said, settled, with_etag};
use crate::admin::reply;
use crate::admin::wire::{Line, LineChanged};
use crate::release::keys;

/// Whether it is stopped.
pub(in crate::admin) async fn line(State(served): State<Served>) -> Result<Response, Fault> {
    let line = told(&View::of(&*desk(&served)?));
    let revision = line.revision;
    Ok(with_etag(reply::json(&line), revision))
}

/// Stops it.
pub(in crate::admin) async fn stop(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    switch(&served, true, &mutation).await
}

/// Lets it go on.
pub(in crate::admin) async fn go(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    switch(&served, false, &mutation).await
}

async fn switch(served: &Served, stop: bool, mutation: &Mutation) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    let desk = desk(served)?;
    mutation.expects_revision(told(&View::of(&desk)).revision)?;
    let cause = cause(served, mutation, if stop { "line.stop" } else { "line.go" });
    let written = desk.line(stop, &cause).await;
    let committed = written.map_err(|error| refused(served, mutation, error))?;
    let changed = settled(served, committed).await;
    let line = told(&View::of(&desk));
    let revision = line.revision;
    let body = LineChanged {
        changed: changed.clone(),
        line,
    };
    Ok(answer(StatusCode::OK, &changed, revision, &body))
}

fn told(view: &View) -> Line {
    Line {
        is_stopped: view.page.line.is_some(),
        stopped: view.page.line.as_ref().map(said),
        revision: view.page.revision(keys::LINE),
    }
}
