//! Reads a route's `match`.

use crate::config::listener::{NETWORKS, network};
use crate::config::reader::{Table, Value};
use crate::message::Scheme;
use crate::route::{FieldSpec, Match, MatchSpec, PathSpec, ValueSpec};

/// One part of a match by itself, with its place, so that the one at fault can be found.
struct Part<'d> {
    value: Value<'d>,
    spec: MatchSpec,
}

/// What a route without a `match` catches.
pub(crate) fn anything() -> Option<(MatchSpec, Match)> {
    let spec = MatchSpec::default();
    Some((spec.clone(), Match::new(spec).ok()?))
}

/// Reads what a route catches, as written and as checked; `None` when a problem was recorded.
pub(crate) fn read<'d>(value: &Value<'d>) -> Option<(MatchSpec, Match)> {
    let spec = value.table(|table| matched(table, &mut |_: &Value<'d>, _| ()))??;
    match Match::new(spec.clone()) {
        Ok(matched) => Some((spec, matched)),
        Err(error) => {
            // Reading it again has no problems that were not told already: there were none.
            let mut parts = Vec::new();
            let mut part = |value: &Value<'d>, spec: MatchSpec| {
                parts.push(Part {
                    value: value.clone(),
                    spec,
                });
            };
            value.table_again(|table| matched(table, &mut part));
            let mut is_found = false;
            for Part { value, spec } in parts {
                if let Err(error) = Match::new(spec) {
                    value.refuse(error.to_string());
                    is_found = true;
                }
            }
            if !is_found {
                // Each part is right by itself.
                value.refuse(error.to_string());
            }
            None
        }
    }
}

/// Reads what a route catches, and hands each part by itself to `part`.
fn matched<'d>(
    table: &mut Table<'d>,
    part: &mut impl FnMut(&Value<'d>, MatchSpec),
) -> Option<MatchSpec> {
    let what = "a list of hosts such as [\"example.com\"]";
    let hosts = texts(table, "hosts", what, |value, host| {
        let hosts = vec![host];
        part(
            value,
            MatchSpec {
                hosts,
                ..MatchSpec::default()
            },
        );
    });
    let path = path(table, |value, path| {
        let path = Some(path);
        part(
            value,
            MatchSpec {
                path,
                ..MatchSpec::default()
            },
        );
    });
    let what = "a list of methods such as [\"GET\"]";
    let methods = texts(table, "methods", what, |value, method| {
        let methods = vec![method];
        part(
            value,
            MatchSpec {
                methods,
                ..MatchSpec::default()
            },
        );
    });
    let headers = fields(table, "headers", |value, field| {
        let headers = vec![field];
        part(
            value,
            MatchSpec {
                headers,
                ..MatchSpec::default()
            },
        );
    });
    let query = fields(table, "query", |value, field| {
        let query = vec![field];
        part(
            value,
            MatchSpec {
                query,
                ..MatchSpec::default()
            },
        );
    });
    let clients = match table.optional("client_ip") {
        Some(value) => value
            .list(NETWORKS, network)
            .filter(|networks| has_some(&value, networks)),
        None => Some(Vec::new()),
    };
    let scheme = match table.optional("scheme") {
        Some(value) => scheme_of(&value).map(Some),
        None => Some(None),
    };
    Some(MatchSpec {
        hosts: hosts?,
        path: path?,
        methods: methods?,
        headers: headers?,
        query: query?,
        clients: clients?,
        scheme: scheme?,
    })
}

/// Reads a list of texts; without the key it is empty, with it it may not be.
fn texts<'d>(
    table: &mut Table<'d>,
    key: &'static str,
    what: &str,
    mut part: impl FnMut(&Value<'d>, String),
) -> Option<Vec<String>> {
    let Some(value) = table.optional(key) else {
        return Some(Vec::new());
    };
    let texts = value.list(what, |value| {
        let text = value.string()?.to_owned();
        part(value, text.clone());
        Some(text)
    })?;
    has_some(&value, &texts).then_some(texts)
}

/// Reads a scheme.
pub(crate) fn scheme_of(value: &Value<'_>) -> Option<Scheme> {
    value.choice(&[Scheme::Http, Scheme::Https].map(|scheme| (scheme.name(), scheme)))
}

/// True when a list has something; an empty one is a problem.
fn has_some<T>(value: &Value<'_>, list: &[T]) -> bool {
    if list.is_empty() {
        value.refuse("empty, which would match nothing; without the key it matches all");
    }
    !list.is_empty()
}

/// Reads the one kind of path that there may be.
fn path<'d>(
    table: &mut Table<'d>,
    mut part: impl FnMut(&Value<'d>, PathSpec),
) -> Option<Option<PathSpec>> {
    let mut result = Some(None);
    let mut n_paths = 0;
    for key in ["path", "path_exact", "path_regex"] {
        let Some(value) = table.optional(key) else {
            continue;
        };
        n_paths += 1;
        if n_paths != 1 {
            value.refuse_key("only one of path, path_exact and path_regex can be given");
            result = None;
            continue;
        }
        result = value.string().map(|text| {
            let text = text.to_owned();
            let path = match key {
                "path" => PathSpec::Prefix(text),
                "path_exact" => PathSpec::Exact(text),
                _ => PathSpec::Regex(text),
            };
            part(&value, path.clone());
            Some(path)
        });
    }
    result
}

/// Reads what headers or query parameters must be.
fn fields<'d>(
    table: &mut Table<'d>,
    key: &'static str,
    mut part: impl FnMut(&Value<'d>, FieldSpec),
) -> Option<Vec<FieldSpec>> {
    let Some(value) = table.optional(key) else {
        return Some(Vec::new());
    };
    let mut is_whole = value.is_table();
    let fields = value.entries(|name, value| {
        let Some(spec) = value_spec(value) else {
            is_whole = false;
            return None;
        };
        let field = FieldSpec {
            name: name.to_owned(),
            value: spec,
        };
        part(value, field.clone());
        Some(field)
    });
    is_whole.then_some(fields)
}

fn value_spec(value: &Value<'_>) -> Option<ValueSpec> {
    if let Some(is_there) = value.as_boolean() {
        return Some(if is_there {
            ValueSpec::Present
        } else {
            ValueSpec::Absent
        });
    }
    if value.is_table() {
        let pattern = value.table(|table| {
            let value = table.required("regex", "a regular expression")?;
            value.string()
        });
        return pattern
            .flatten()
            .map(|text| ValueSpec::Regex(text.to_owned()));
    }
    value
        .parsed("a text, true, false or { regex = \"…\" }", Some)
        .map(|text| ValueSpec::Exact(text.to_owned()))
}
