//! What may be asked of a flag: to be killed, switched, overridden, and all of that taken back.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use crate::admin::Served;
use crate::admin::fault::{Code, Fault};
use crate::admin::flags::position;
use crate::admin::flags::view::Seen;
use crate::admin::handlers::Nothing;
use crate::admin::mutation::Mutation;
use crate::admin::params::until;
use crate::admin::releases::{answer, cause, desk, refused, settled};
use crate::admin::wire::{FlagChanged, OverrideFlag, SwitchFlag};
use crate::flag::Serve;
use crate::release::flags::{FlagCommand, Lasts};

/// Kills it.
pub(in crate::admin) async fn kill(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    change(&served, &name, FlagCommand::Kill, &mutation).await
}

/// Takes a kill back.
pub(in crate::admin) async fn unkill(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    change(&served, &name, FlagCommand::Unkill, &mutation).await
}

/// Switches it on.
pub(in crate::admin) async fn enable(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: SwitchFlag = mutation.body()?;
    let lasts = lasts(asked.expires.as_deref(), asked.permanent)?;
    change(&served, &name, FlagCommand::Enable(lasts), &mutation).await
}

/// Switches it off.
pub(in crate::admin) async fn disable(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: SwitchFlag = mutation.body()?;
    let lasts = lasts(asked.expires.as_deref(), asked.permanent)?;
    change(&served, &name, FlagCommand::Disable(lasts), &mutation).await
}

/// Sets what it serves to everyone.
pub(in crate::admin) async fn set(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: OverrideFlag = mutation.body()?;
    let lasts = lasts(asked.expires.as_deref(), asked.permanent)?;
    let serve = match (asked.variant, asked.split) {
        (Some(variant), None) => Serve::Variant(variant),
        (None, Some(split)) => Serve::Split(split),
        (Some(_), Some(_)) | (None, None) => {
            let why = "either a variant or a split is what everyone is to get";
            return Err(Fault::new(Code::BodyInvalid, why).at("/variant"));
        }
    };
    change(
        &served,
        &name,
        FlagCommand::Override(serve, lasts),
        &mutation,
    )
    .await
}

/// Takes that back.
pub(in crate::admin) async fn clear(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    change(&served, &name, FlagCommand::Clear, &mutation).await
}

async fn change(
    served: &Served,
    name: &str,
    command: FlagCommand,
    mutation: &Mutation,
) -> Result<Response, Fault> {
    let desk = desk(served)?;
    let seen = Seen::of(&served.admin);
    if seen.killed(name).is_none() {
        position(&seen, name)?;
    }
    let revision = mutation.expects_revision(seen.revision(name))?;
    let cause = cause(served, mutation, command.action());
    let roles = &mutation.actor.roles;
    let written = desk.flag(name, &command, roles, revision, &cause).await;
    let (_, committed) = written.map_err(|error| refused(served, mutation, error))?;
    let changed = settled(served, committed).await;
    let seen = Seen::of(&served.admin);
    let flag = seen.flags().position(name).map(|flag| seen.flag(flag));
    let revision = seen.revision(name);
    let body = FlagChanged {
        changed: changed.clone(),
        flag,
    };
    Ok(answer(StatusCode::OK, &changed, revision, &body))
}

/// How long something is to hold.
fn lasts(expires: Option<&str>, is_permanent: bool) -> Result<Lasts, Fault> {
    let wrong = |why: &str| Fault::new(Code::BodyInvalid, why).at("/expires");
    match (expires, is_permanent) {
        (None, false) => Ok(Lasts::Usual),
        (None, true) => Ok(Lasts::Permanent),
        (Some(_), true) => Err(wrong("what is permanent does not expire")),
        (Some(text), false) => {
            let at = until(text, SystemTime::now());
            let why = "it is neither an instant to come nor a duration such as 2h";
            at.map(Lasts::Until).ok_or_else(|| wrong(why))
        }
    }
}
