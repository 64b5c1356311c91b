//! What is asked of a release that there is.

use axum::extract::{MatchedPath, Path, State};
use axum::response::Response;
use http::StatusCode;

use crate::admin::Served;
use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::Nothing;
use crate::admin::mutation::Mutation;
use crate::admin::releases::view::View;
use crate::admin::releases::{answer, cause, desk, refused, settled, unknown};
use crate::admin::wire::{ReleaseChanged, RollBack};
use crate::release::command::Command;

/// Asks what the path's last part says.
pub(in crate::admin) async fn command(
    State(served): State<Served>,
    path: MatchedPath,
    Path(id): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let command = match path.as_str().rsplit('/').next() {
        Some("start") => Command::Start,
        Some("pause") => Command::Pause,
        Some("resume") => Command::Resume,
        Some("skip") => Command::Skip,
        Some("promote") => Command::Promote,
        Some("abort") => Command::Abort,
        Some("rollback") => {
            let RollBack { force } = mutation.body()?;
            return ask(&served, &id, &Command::Rollback(force), &mutation).await;
        }
        Some("retry") => Command::Retry,
        Some("review") => Command::Review,
        Some("accept-file") => Command::AcceptFile,
        Some("keep") => Command::KeepRunning,
        Some(_) | None => return Err(Fault::new(Code::Internal, "nobody knows this command")),
    };
    let Nothing {} = mutation.body()?;
    ask(&served, &id, &command, &mutation).await
}

/// Asks something of a release, and tells what it is then.
pub(in crate::admin::releases) async fn ask(
    served: &Served,
    id: &str,
    command: &Command,
    mutation: &Mutation,
) -> Result<Response, Fault> {
    let desk = desk(served)?;
    let view = View::of(&desk);
    if !view.page.known.releases.contains_key(id) {
        return Err(unknown("release", id));
    }
    let revision = mutation.expects_revision(view.revision(id))?;
    let cause = cause(served, mutation, command.action());
    let roles = &mutation.actor.roles;
    let obeyed = desk.command(id, command, roles, revision, &cause).await;
    let (state, committed) = obeyed.map_err(|error| refused(served, mutation, error))?;
    let changed = settled(served, committed).await;
    let view = View::of(&desk);
    // Meanwhile the controller may have taken it further.
    let state = view.page.known.releases.get(id).unwrap_or(&state);
    let body = ReleaseChanged {
        changed: changed.clone(),
        release: view.release(state),
    };
    Ok(answer(StatusCode::OK, &changed, view.revision(id), &body))
}
