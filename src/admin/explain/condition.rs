//! The conditions of a route, in words.

use crate::route::{FieldSpec, MatchSpec, PathSpec, ValueSpec};

/// Every condition that a request met to be caught.
pub(in crate::admin::explain) fn all(spec: &MatchSpec) -> Vec<String> {
    let mut conditions = Vec::new();
    if !spec.hosts.is_empty() {
        conditions.push(format!("host is {}", spec.hosts.join(" or ")));
    }
    match &spec.path {
        Some(PathSpec::Exact(path)) => conditions.push(format!("path is {path}")),
        Some(PathSpec::Prefix(path)) => conditions.push(format!("path is {path} or below")),
        Some(PathSpec::Regex(regex)) => conditions.push(format!("path matches {regex}")),
        None => {}
    }
    if !spec.methods.is_empty() {
        conditions.push(format!("method is {}", spec.methods.join(" or ")));
    }
    conditions.extend(spec.headers.iter().map(|field| one("header", field)));
    conditions.extend(spec.query.iter().map(|field| one("query parameter", field)));
    if !spec.clients.is_empty() {
        let networks: Vec<_> = spec.clients.iter().map(ToString::to_string).collect();
        conditions.push(format!("client is in {}", networks.join(" or ")));
    }
    if let Some(scheme) = spec.scheme {
        conditions.push(format!("scheme is {}", scheme.name()));
    }
    if conditions.is_empty() {
        conditions.push("any request".to_owned());
    }
    conditions
}

fn one(place: &str, field: &FieldSpec) -> String {
    let name = &field.name;
    match &field.value {
        ValueSpec::Exact(value) => format!("{place} {name} is {value}"),
        ValueSpec::Present => format!("{place} {name} is there"),
        ValueSpec::Absent => format!("{place} {name} is not there"),
        ValueSpec::Regex(regex) => format!("{place} {name} matches {regex}"),
    }
}
