//! Flags over HTTP: what is told of them, what they answer, and what may be asked of them.
//!
//! What is asked goes to the desk, and is answered when the data plane obeys it. What a flag answers
//! here is no evidence of its use.

mod change;
mod evaluate;
mod view;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;

use crate::admin::fault::{Code, Fault};
use crate::admin::flags::view::Seen;
use crate::admin::handlers::aside;
use crate::admin::params::{Params, invalid};
use crate::admin::releases::{desk, with_etag};
use crate::admin::trail;
use crate::admin::wire::{Flags, StaleFlags};
use crate::admin::{Served, reply};
use crate::config::hint;
use crate::store::{Order, Query};

pub(in crate::admin) use crate::admin::flags::change::{clear, disable, enable, kill, set, unkill};
pub(in crate::admin) use crate::admin::flags::evaluate::evaluate;
pub use crate::admin::flags::evaluate::{evaluated, explained};
pub(in crate::admin) use crate::admin::flags::view::drifted;

/// The most records of a flag's history in one answer.
const MOST: u64 = 1000;

/// Records that are told of where nobody says how many.
const USUAL: u64 = 100;

/// All flags.
pub(in crate::admin) async fn list(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    Ok(aside(served, |admin| {
        let seen = Seen::of(admin);
        let flags = (0..seen.flags().len()).map(|flag| seen.row(flag));
        reply::json(&Flags {
            flags: flags.collect(),
        })
    })
    .await)
}

/// One flag.
pub(in crate::admin) async fn one(
    State(served): State<Served>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let seen = Seen::of(&served.admin);
    let flag = seen.flag(position(&seen, &name)?);
    let revision = flag.row.revision;
    Ok(with_etag(reply::json(&flag), revision))
}

/// The flags that should be taken out.
pub(in crate::admin) async fn stale(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    Ok(aside(served, |admin| {
        let seen = Seen::of(admin);
        let flags = (0..seen.flags().len()).filter_map(|flag| seen.stale_flag(flag));
        reply::json(&StaleFlags {
            flags: flags.collect(),
        })
    })
    .await)
}

/// What was done to a flag; the last first.
pub(in crate::admin) async fn history(
    State(served): State<Served>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["limit", "until"])?;
    let limit = params.whole("limit")?.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(invalid(format!("limit: {limit} is not from 1 to {MOST}")));
    }
    let query = Query {
        until: params.whole("until")?,
        object_kind: Some("flag".to_owned()),
        object_id: Some(name),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        order: Order::Newest,
        ..Query::default()
    };
    let desk = desk(&served)?;
    Ok(aside(served, move |_| trail::answered(&desk, &query)).await)
}

/// The place of a flag among all.
///
/// # Errors
/// Where there is none of that name; a name that is near is told.
fn position(seen: &Seen, name: &str) -> Result<usize, Fault> {
    let flags = seen.flags();
    flags.position(name).ok_or_else(|| {
        let near = hint(name, (0..flags.len()).map(|flag| flags.name(flag)));
        let killed = seen.killed(name).map_or_else(String::new, |said| {
            format!("; it is not in the file, and {} has killed it", said.by)
        });
        let why = format!("there is no flag `{name}`{near}{killed}");
        Fault::new(Code::NotFound, why)
    })
}
