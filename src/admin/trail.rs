//! The audit trail: its records, its end, and whether it is whole.

use axum::extract::State;
use axum::response::Response;
use http::Uri;

use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::aside;
use crate::admin::params::{Params, invalid, moment};
use crate::admin::releases::desk;
use crate::admin::wire::{Audit, AuditHead, AuditVerified};
use crate::admin::{Served, reply};
use crate::config::with_causes;
use crate::release::desk::Desk;
use crate::store::{Broken, Head, Order, Query, verify};

/// The most records of an answer; who wants more goes on from there.
const MOST: u64 = 1000;

/// Records that are told of where nobody says how many.
const USUAL: u64 = 100;

/// The parameters.
const PARAMS: [&str; 7] = [
    "since", "until", "object", "actor", "action", "limit", "order",
];

/// Records.
pub(in crate::admin) async fn audit(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &PARAMS)?;
    let mut query = narrowed(&params)?;
    match params
        .text("since")
        .map(|text| (text.parse().ok(), moment(text)))
    {
        None => {}
        Some((Some(seq), _)) => query.since = Some(seq),
        Some((None, Some(at))) => query.not_before = Some(at),
        Some((None, None)) => return Err(neither("since")),
    }
    match params
        .text("until")
        .map(|text| (text.parse().ok(), moment(text)))
    {
        None => {}
        Some((Some(seq), _)) => query.until = Some(seq),
        Some((None, Some(at))) => query.not_after = Some(at),
        Some((None, None)) => return Err(neither("until")),
    }
    let limit = params.whole("limit")?.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(invalid(format!("limit: {limit} is not from 1 to {MOST}")));
    }
    query.limit = usize::try_from(limit).unwrap_or(usize::MAX);
    query.order = match params.text("order") {
        None | Some("oldest") => Order::Oldest,
        Some("newest") => Order::Newest,
        Some(other) => {
            let why = format!("order: `{other}` is neither oldest nor newest");
            return Err(invalid(why));
        }
    };
    let desk = desk(&served)?;
    Ok(aside(served, move |_| answered(&desk, &query)).await)
}

/// The records of a query, as they are answered.
pub(in crate::admin) fn answered(desk: &Desk, query: &Query) -> Response {
    let store = desk.ledger().store();
    let head = *store.watch().borrow();
    match store.records(query) {
        Ok(records) => {
            let is_full = query.limit <= records.len();
            let last = records.last().map(|record| record.seq).filter(|_| is_full);
            let next = last.and_then(|last| match query.order {
                Order::Oldest => last.checked_add(1).filter(|next| *next <= head),
                Order::Newest => last.checked_sub(1).filter(|next| 0 < *next),
            });
            reply::json(&Audit {
                records,
                head,
                next,
            })
        }
        Err(error) => reply::fault(Fault::new(Code::Internal, with_causes(&error))),
    }
}

fn neither(name: &str) -> Fault {
    invalid(format!(
        "{name}: neither the number of a record nor an instant such as 2026-11-24T09:00:00Z"
    ))
}

/// The query of `?object=`, `?actor=` and `?action=`.
///
/// # Errors
/// When one of them says nothing.
pub(in crate::admin) fn narrowed(params: &Params) -> Result<Query, Fault> {
    let owned = |text: &str| text.to_owned();
    let (kind, id) = match params.text("object") {
        None => (None, None),
        Some(object) => match object.split_once([':', '/']) {
            None => (Some(owned(object)), None),
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                (Some(owned(kind)), Some(owned(id)))
            }
            Some(_) => {
                let why = format!("object: `{object}` is neither KIND nor KIND:NAME");
                return Err(invalid(why));
            }
        },
    };
    Ok(Query {
        object_kind: kind,
        object_id: id,
        actor: params.text("actor").map(owned),
        action: params.text("action").map(owned),
        ..Query::default()
    })
}

/// The end of the trail.
pub(in crate::admin) async fn head(State(served): State<Served>) -> Result<Response, Fault> {
    let desk = desk(&served)?;
    let store = desk.ledger().store();
    let head = store.head();
    Ok(reply::json(&AuditHead {
        anchor: head.to_string(),
        seq: head.seq,
        hash: head.hash,
        n_unwritten: store.n_unwritten(),
        unwritable: store.writable().err(),
    }))
}

/// Whether it is whole: it is read from the disk, all of it.
pub(in crate::admin) async fn verified(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["anchor"])?;
    let anchor = params.text("anchor").map(str::parse::<Head>).transpose();
    let anchor = anchor.map_err(|error| invalid(format!("anchor: {error}")))?;
    desk(&served)?;
    Ok(aside(served, move |admin| {
        let live = admin.control.live();
        let folder = &live.written.releases.store.path;
        match verify(folder, anchor.as_ref()) {
            Ok(verified) => reply::json(&AuditVerified {
                is_whole: true,
                broken: None,
                first: verified.first,
                last: verified.head.seq,
                n_records: verified.n_records,
                n_snapshots: verified.n_snapshots,
                is_anchored: verified.anchored,
            }),
            Err(error @ Broken::Unreadable { .. }) => {
                reply::fault(Fault::new(Code::Internal, with_causes(&error)))
            }
            Err(broken) => reply::json(&AuditVerified {
                is_whole: false,
                broken: Some(broken.to_string()),
                first: 0,
                last: 0,
                n_records: 0,
                n_snapshots: 0,
                is_anchored: false,
            }),
        }
    })
    .await)
}
