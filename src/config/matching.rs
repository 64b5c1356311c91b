//! Reads a route's `match`.

use crate::config::reader::{Table, Value};
use crate::config::seam::{FieldSpec, MatchSpec, PathSpec, ValueSpec};

/// Reads what a route catches; `None` when a problem was recorded.
pub(crate) fn read(value: &Value<'_>) -> Option<MatchSpec> {
    value.table(matched)?
}

fn matched(table: &mut Table<'_>) -> Option<MatchSpec> {
    let hosts = texts(table, "hosts", "a list of hosts such as [\"example.com\"]");
    let path = path(table);
    let methods = texts(table, "methods", "a list of methods such as [\"GET\"]");
    let headers = fields(table, "headers");
    let query = fields(table, "query");
    Some(MatchSpec {
        hosts: hosts?,
        path: path?,
        methods: methods?,
        headers: headers?,
        query: query?,
    })
}

/// Reads a list of texts; without the key it is empty, with it it may not be.
fn texts(table: &mut Table<'_>, key: &'static str, what: &str) -> Option<Vec<String>> {
    let Some(value) = table.optional(key) else {
        return Some(Vec::new());
    };
    let texts = value.list(what, |value| value.string().map(str::to_owned))?;
    if texts.is_empty() {
        value.refuse("empty, which would match nothing; without the key it matches all");
        return None;
    }
    Some(texts)
}

/// Reads the one kind of path that there may be.
fn path(table: &mut Table<'_>) -> Option<Option<PathSpec>> {
    let kinds: [(&'static str, fn(String) -> PathSpec); 3] = [
        ("path", PathSpec::Prefix),
        ("path_exact", PathSpec::Exact),
        ("path_regex", PathSpec::Regex),
    ];
    let mut result = Some(None);
    for (key, kind) in kinds {
        let Some(value) = table.optional(key) else {
            continue;
        };
        if !matches!(result, Some(None)) {
            value.refuse_key("only one of path, path_exact and path_regex can be given");
            result = None;
            continue;
        }
        result = value.string().map(|text| Some(kind(text.to_owned())));
    }
    result
}

/// Reads what headers or query parameters must be.
fn fields(table: &mut Table<'_>, key: &'static str) -> Option<Vec<FieldSpec>> {
    let Some(value) = table.optional(key) else {
        return Some(Vec::new());
    };
    let mut is_whole = value.is_table();
    let fields = value.entries(|name, value| {
        let value = value_spec(value);
        is_whole &= value.is_some();
        value.map(|value| FieldSpec {
            name: name.to_owned(),
            value,
        })
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
