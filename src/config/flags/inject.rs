//! Reads `[flag.NAME.inject]`: which field tells the upstreams of which routes what a flag is.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;

use crate::config::flags::flag::Around;
use crate::config::reader::{Table, Value};
use crate::config::releases::named;
use crate::config::route::RouteConfig;
use crate::flag::Inject;
use crate::proxy::owner_in_requests;

/// Fields that upstreams need as clients sent them.
const CLIENTS_OWN: [&str; 5] = [
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "range",
];

/// What belongs where routes are.
const ROUTES: &str = "a list of routes such as [\"shop\"]";

/// The flags that tell something by a field on a route, by route and field.
#[derive(Default)]
pub(in crate::config::flags) struct Told<'d> {
    flags: BTreeMap<(&'d str, String), &'d str>,
}

/// Reads it; `None` when a problem was recorded.
pub(in crate::config::flags) fn read<'d>(
    flag: &'d str,
    value: &Value<'d>,
    around: &Around<'_, 'd>,
    told: &mut Told<'d>,
) -> Option<Inject> {
    value.table(|table| inject(flag, table, around, told))?
}

fn inject<'d>(
    flag: &'d str,
    table: &mut Table<'d>,
    around: &Around<'_, 'd>,
    told: &mut Told<'d>,
) -> Option<Inject> {
    let header = table.required(
        "header",
        "the name of a header such as \"x-flag-new-checkout\"",
    );
    let header = header.and_then(|value| Some((header_name(&value, around.request_id)?, value)));
    let routes = table.required("routes", ROUTES);
    let routes = routes.and_then(|value| {
        let mut seen = BTreeSet::new();
        let routes = value.list(ROUTES, |value| {
            let route = route(value, around)?;
            if !seen.insert(route) {
                value.refuse(format!("{} is named twice", value.shown()));
                return None;
            }
            Some((route, value.clone()))
        })?;
        if routes.is_empty() {
            value.refuse("empty; at least one route belongs here");
            return None;
        }
        Some(routes)
    });
    let (header, place) = header?;
    let routes = routes?;
    let mut is_free = true;
    for (route, _) in &routes {
        let config = around.routes.get(*route);
        if config.is_some_and(|config| edits(config, &header)) {
            place.refuse(format!(
                "route {route} has an edit of {header} among its request_headers"
            ));
            is_free = false;
        } else if let Some(other) = told.flags.insert((*route, header.clone()), flag) {
            place.refuse(format!("tells of flag {other} on route {route} already"));
            is_free = false;
        }
    }
    is_free.then(|| Inject {
        header,
        routes: routes
            .iter()
            .map(|(route, _)| (*route).to_owned())
            .collect(),
    })
}

/// Reads the name of a field that tells upstreams something, and gives it in lower case.
fn header_name(value: &Value<'_>, request_id: Option<&str>) -> Option<String> {
    let name = value.parsed("the name of a header", |text| {
        HeaderName::from_bytes(text.as_bytes()).ok()
    })?;
    let name = name.as_str();
    let owner = if request_id == Some(name) {
        Some("trace.request_id names it, and tidegate tells the request's id in it")
    } else if CLIENTS_OWN.contains(&name) {
        Some("what clients say in it would be lost")
    } else {
        owner_in_requests(name)
    };
    if let Some(owner) = owner {
        value.refuse(format!("{name} cannot tell of a flag: {owner}"));
        return None;
    }
    Some(name.to_owned())
}

fn route<'d>(value: &Value<'d>, around: &Around<'_, 'd>) -> Option<&'d str> {
    let name = named(value, "route", around.route_names)?;
    let route = around.routes.get(name);
    if route.is_some_and(|route| route.direct.is_some() || route.ofrep) {
        value.refuse(format!(
            "route {name} is answered by tidegate: there is no upstream that could be told"
        ));
        return None;
    }
    Some(name)
}

fn edits(route: &RouteConfig, header: &str) -> bool {
    let edits = &route.treatment.request_headers;
    let put = edits.set.iter().chain(&edits.add).map(|(name, _)| name);
    edits.remove.iter().chain(put).any(|name| name == header)
}
