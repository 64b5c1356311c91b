//! Incidents: what went wrong for users, linked with the release that it came of.

use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::error;

use crate::admin::fault::{Code, Fault};
use crate::admin::mutation::Mutation;
use crate::admin::params::{Params, moment};
use crate::admin::releases::{View, answer, cause, desk, of_store, settled, stamp, unknown};
use crate::admin::wire::{IncidentChanged, IncidentStatus, Incidents, LinkIncident};
use crate::admin::{Served, reply};
use crate::release::dora::Incident;
use crate::store::{Commit, Draft, Object, Store};

/// Where in the store they lie: `incident/RELEASE/START`.
const INCIDENTS: &str = "incident/";

/// An incident as it is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Kept {
    release: String,
    #[serde(with = "crate::store::instant::rfc3339")]
    started: SystemTime,
    #[serde(default, with = "crate::store::instant::rfc3339_option")]
    resolved: Option<SystemTime>,
    by: String,
    reason: String,
}

/// All of them.
pub(in crate::admin) async fn incidents(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    let desk = desk(&served)?;
    let mut kept = kept(desk.ledger().store());
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.started));
    Ok(reply::json(&Incidents {
        incidents: kept.iter().map(told).collect(),
    }))
}

/// Links one, or says when one was over.
pub(in crate::admin) async fn link(
    State(served): State<Served>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: LinkIncident = mutation.body()?;
    let desk = desk(&served)?;
    if !View::of(&desk)
        .page
        .known
        .releases
        .contains_key(&asked.release)
    {
        return Err(unknown("release", &asked.release));
    }
    let read = |text: &str, place: &str| {
        let why = "it is not an instant such as 2026-11-24T09:00:00Z";
        moment(text).ok_or_else(|| Fault::new(Code::BodyInvalid, why).at(place))
    };
    let started = read(&asked.started, "/started")?;
    let resolved = asked.resolved.as_deref();
    let resolved = resolved.map(|text| read(text, "/resolved")).transpose()?;
    if resolved.is_some_and(|resolved| resolved < started) {
        let why = "it would be over before it began";
        return Err(Fault::new(Code::BodyInvalid, why).at("/resolved"));
    }
    let cause = cause(&served, &mutation, "incident.link");
    let incident = Kept {
        release: asked.release,
        started,
        resolved,
        by: cause.actor.id.clone(),
        reason: cause.reason.clone(),
    };
    let told = told(&incident);
    let store = desk.ledger().store();
    let key = format!("{INCIDENTS}{}", told.id);
    let before = store.get(&key);
    let mut draft = Draft::new(
        cause.actor,
        "incident.link",
        Object::new("incident", &told.id),
    );
    draft.reason = Some(cause.reason);
    draft.ticket = cause.ticket;
    draft.request_id = cause.request_id;
    draft.config = cause.config;
    draft.before = before.as_ref().map(|entry| entry.value.clone());
    draft.after = Some(json!(incident));
    let revision = before.map_or(0, |entry| entry.revision);
    let commit = Commit::new(cause.at, draft)
        .expect(&key, revision)
        .put(key, json!(incident));
    let committed = store
        .commit(commit)
        .await
        .map_err(|error| of_store(&error))?;
    let revision = committed.revision;
    let changed = settled(&served, committed).await;
    let body = IncidentChanged {
        changed: changed.clone(),
        incident: told,
    };
    Ok(answer(StatusCode::CREATED, &changed, revision, &body))
}

fn kept(store: &Store) -> Vec<Kept> {
    let entries = store.list(INCIDENTS).into_iter();
    let kept = entries.filter_map(|(key, entry)| match serde_json::from_value(entry.value) {
        Ok(kept) => Some(kept),
        Err(error) => {
            error!(key, %error, "what is kept cannot be read");
            None
        }
    });
    kept.collect()
}

fn told(kept: &Kept) -> IncidentStatus {
    IncidentStatus {
        id: format!("{}/{}", kept.release, stamp(kept.started)),
        release: kept.release.clone(),
        started_at: stamp(kept.started),
        resolved_at: kept.resolved.map(stamp),
        by: kept.by.clone(),
        reason: kept.reason.clone(),
    }
}

/// All of them, for the figures.
pub(in crate::admin) fn all(store: &Store) -> Vec<Incident> {
    let kept = kept(store).into_iter().map(|kept| Incident {
        release: kept.release,
        started_at: kept.started,
        resolved_at: kept.resolved,
    });
    kept.collect()
}
