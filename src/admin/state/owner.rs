//! Who decides about weights, and how the store is that this is kept in.

use crate::admin::state::rfc3339;
use crate::admin::wire::{BrokenStatus, OwnerStatus, StoreStatus};
use crate::control::Live;
use crate::release::desk::Desk;
use crate::release::ledger::Page;
use crate::release::overlay::{Owner, same_shares};
use crate::release::state::State;
use crate::store::BROKEN;

/// Who decides about the weights of a route; nobody where it is not divided.
pub(in crate::admin) fn owner(
    live: &Live,
    page: Option<&Page>,
    route: &str,
) -> Option<OwnerStatus> {
    let file = live.file.weights.get(route)?;
    let mut status = OwnerStatus {
        kind: "file".to_owned(),
        name: None,
        over: false,
        reason: None,
        since: None,
        until: None,
        drift: false,
    };
    let Some(overlay) = live.overlay.routes.get(route) else {
        return Some(status);
    };
    match &overlay.owner {
        Owner::Release(id) => {
            let state = page.and_then(|page| page.known.releases.get(id));
            status.kind = "release".to_owned();
            status.name = Some(id.clone());
            status.reason = state.map(State::place);
            status.since = state.map(|state| rfc3339(state.entered_at));
        }
        Owner::Person(by) => {
            let set = page.and_then(|page| page.known.overrides.get(route));
            let release = set.and_then(|set| set.release.clone());
            status.over = release.is_some();
            status.kind = match release {
                Some(_) => "release".to_owned(),
                None => "person".to_owned(),
            };
            status.name = Some(release.unwrap_or_else(|| by.clone()));
            status.reason = set.map(|set| set.reason.clone());
            status.since = set.map(|set| rfc3339(set.at));
            status.until = set.and_then(|set| set.expires).map(rfc3339);
            status.drift = !same_shares(file, &overlay.weights);
        }
    }
    Some(status)
}

/// How the store is.
pub(in crate::admin) fn store(desk: &Desk) -> StoreStatus {
    let store = desk.ledger().store();
    let (head, error) = (store.head(), store.writable().err());
    let broken = store.get(BROKEN).map(|entry| BrokenStatus {
        seq: entry.value["seq"].as_u64().unwrap_or_default(),
        why: entry.value["why"].as_str().unwrap_or_default().to_owned(),
    });
    StoreStatus {
        writable: error.is_none(),
        error,
        head_seq: head.seq,
        head_hash: head.hash,
        unwritten_records: store.n_unwritten(),
        broken,
    }
}
