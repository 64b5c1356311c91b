//! Releases over HTTP: what is told of them, and what may be asked of them.
//!
//! What is asked goes to the desk, and is answered when routes obey it. Nothing is decided here.

mod commands;
mod create;
mod document;
mod gates;
mod read;
mod refused;
mod report;
mod step;
mod view;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::response::Response;
use http::StatusCode;
use http::header::ETAG;
use serde::Serialize;
use tokio::time::timeout;
use tracing::info;

pub(in crate::admin) use crate::admin::releases::commands::command;
pub(in crate::admin) use crate::admin::releases::create::create;
pub(in crate::admin) use crate::admin::releases::gates::{approve, pass, reject, waited_at};
pub(in crate::admin) use crate::admin::releases::read::{analysis, document, list, one, why};
pub(in crate::admin) use crate::admin::releases::refused::{OF_STORE, of_store, refused, unknown};
pub(in crate::admin) use crate::admin::releases::view::{View, said, stamp};

use crate::admin::fault::{Code, Fault};
use crate::admin::mutation::{Etag, Mutation};
use crate::admin::wire::Changed;
use crate::admin::{Served, reply};
use crate::release::desk::Desk;
use crate::release::ledger::Cause;
use crate::store::{Committed, ConfigOrigin};

/// How long a change is waited for until routes obey it: it takes milliseconds, unless a reload of a
/// very large configuration is under way.
const OBEYED_WITHIN: Duration = Duration::from_secs(5);

/// Where one asks something of releases.
///
/// # Errors
/// Where nothing is kept.
pub(in crate::admin) fn desk(served: &Served) -> Result<Arc<Desk>, Fault> {
    served.admin.control.desk().ok_or_else(|| {
        let why =
            "nothing is kept of releases here: add [store], or a release, to the configuration";
        Fault::new(Code::StoreMissing, why)
    })
}

/// Who changes something, why, and in which circumstances. The log hears of it, too.
pub(in crate::admin) fn cause(served: &Served, mutation: &Mutation, what: &str) -> Cause {
    let actor = &mutation.actor;
    info!(
        %actor,
        via = actor.via.name(),
        reason = mutation.reason,
        ticket = mutation.ticket,
        request_id = mutation.request_id,
        what,
        "asked for"
    );
    Cause {
        actor: actor.into(),
        reason: mutation.reason.clone().unwrap_or_default(),
        at: SystemTime::now(),
        config: Some(ConfigOrigin {
            sha256: served.admin.control.live().config_sha256.clone(),
            revision: None,
        }),
        evidence: None,
        request_id: Some(mutation.request_id.clone()),
        ticket: mutation.ticket.clone(),
    }
}

/// Waits until routes obey what was written, but not for long.
pub(in crate::admin) async fn settled(served: &Served, committed: Committed) -> Changed {
    let obeys = served.admin.control.obeys(committed.revision);
    Changed {
        obeyed: timeout(OBEYED_WITHIN, obeys).await.is_ok(),
        seq: committed.seq,
        record: committed.id,
    }
}

/// Answers what came of a change: with `done`, or 202 where routes do not obey it yet.
pub(in crate::admin) fn answer(
    done: StatusCode,
    changed: &Changed,
    revision: u64,
    body: &impl Serialize,
) -> Response {
    let status = if changed.obeyed {
        done
    } else {
        StatusCode::ACCEPTED
    };
    with_etag(reply::encode(status, "application/json", body), revision)
}

/// Adds the revision of what is told of.
pub(in crate::admin) fn with_etag(mut response: Response, revision: u64) -> Response {
    if let Some(etag) = Etag::strong(revision.to_string()).value() {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}
