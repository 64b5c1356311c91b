//! The figures of deliveries, from the records of releases.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::extract::State as Extract;
use axum::response::Response;
use http::Uri;

use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::aside;
use crate::admin::incidents;
use crate::admin::params::{Params, invalid};
use crate::admin::releases::{desk, stamp};
use crate::admin::wire::{Dora, DoraFigures, Spread};
use crate::admin::{Served, reply};
use crate::config::{read_duration, with_causes};
use crate::release::dora::{self, Figures, Incident, Transition, Window, transition};
use crate::store::{Query, ReadError, Store};

/// How far is looked back where nobody says it.
const USUAL: &str = "90d";

/// How far is looked back at most: two years.
const MOST: Duration = Duration::from_secs(731 * 24 * 60 * 60);

/// How many records are read at a time.
const AT_ONCE: usize = 1000;

/// The figures of a window that ends now.
pub(in crate::admin) async fn figures(
    Extract(served): Extract<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["window", "route"])?;
    let text = params.text("window").unwrap_or(USUAL);
    let length = read_duration(text).filter(|length| !length.is_zero() && *length <= MOST);
    let length = length.ok_or_else(|| {
        invalid(format!(
            "window: `{text}` is not a duration such as 90d, of 731d at most"
        ))
    })?;
    let route = params.text("route").map(str::to_owned);
    let desk = desk(&served)?;
    Ok(aside(served, move |_| {
        let store = desk.ledger().store();
        let window = Window::last(length, SystemTime::now());
        let transitions = match transitions(store, window) {
            Ok(transitions) => transitions,
            Err(error) => {
                return reply::fault(Fault::new(Code::Internal, with_causes(&error)));
            }
        };
        reply::json(&measured(
            &transitions,
            &incidents::all(store),
            window,
            route.as_deref(),
        ))
    })
    .await)
}

fn measured(
    transitions: &[Transition],
    incidents: &[Incident],
    window: Window,
    route: Option<&str>,
) -> Dora {
    let routes = dora::by_route(transitions, incidents, window);
    let routes: BTreeMap<String, DoraFigures> = routes
        .iter()
        .filter(|(name, _)| route.is_none_or(|route| route == *name))
        .map(|(name, figures)| (name.clone(), told(figures)))
        .collect();
    Dora {
        all: told(&dora::measure(transitions, incidents, window, route)),
        routes,
    }
}

fn told(figures: &Figures) -> DoraFigures {
    let spread = |spread: dora::Spread| Spread {
        p50_seconds: spread.p50_seconds,
        p90_seconds: spread.p90_seconds,
        samples: spread.samples,
    };
    let caught = &figures.caught;
    DoraFigures {
        from: stamp(figures.window.from),
        to: stamp(figures.window.to),
        deployments: figures.deployments,
        deployments_per_day: figures.deployments_per_day,
        lead_time: figures.lead_time.map(spread),
        failed: figures.failed,
        change_failure_rate: figures.change_failure_rate,
        recovery_time: figures.recovery_time.map(spread),
        rework_rate: figures.rework_rate,
        caught_in_canary: caught.in_canary,
        caught_by_cause: caught.in_canary_by_cause.clone(),
        caught_while_baking: caught.while_baking,
        caught_recovery_time: caught.recovery_time.map(spread),
    }
}

/// The transitions in a window.
fn transitions(store: &Store, window: Window) -> Result<Vec<Transition>, ReadError> {
    let mut query = Query {
        object_kind: Some("release".to_owned()),
        not_before: Some(window.from),
        limit: AT_ONCE,
        ..Query::default()
    };
    let mut transitions = Vec::new();
    loop {
        let records = store.records(&query)?;
        let Some(last) = records.last() else {
            return Ok(transitions);
        };
        query.since = Some(last.seq + 1);
        transitions.extend(records.iter().filter_map(transition));
    }
}
