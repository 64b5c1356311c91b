//! Reads `[freeze.NAME]`.

use std::collections::BTreeSet;

use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::releases::number::moment;
use crate::config::role::roles;
use crate::release::freeze::{Act, ClockTime, Freeze, Kind, Pattern, Span, Weekly, Window, Zone};
use crate::release::spec::FLAG;

/// What belongs where a time of day is.
const TIME: &str = "a time such as \"09:00\"";

/// Reads the section with all of them.
pub(in crate::config::releases) fn all(
    section: &Value<'_>,
    known_routes: &BTreeSet<&str>,
    known_flags: &BTreeSet<&str>,
) -> Vec<Freeze> {
    let flags = known_flags.iter().map(|flag| format!("{FLAG}{flag}"));
    let routes = known_routes.iter().map(|route| (*route).to_owned());
    let known: BTreeSet<String> = routes.chain(flags).collect();
    let freezes = section.names(|name, value| value.table(|table| freeze(name, table, &known))?);
    freezes.into_iter().map(|(_, freeze)| freeze).collect()
}

fn freeze(name: &str, table: &mut Table<'_>, known: &BTreeSet<String>) -> Option<Freeze> {
    let kind = table.required("kind", "\"deny\" or \"allow\"");
    let kind = kind.and_then(|value| value.choice(&[("deny", Kind::Deny), ("allow", Kind::Allow)]));
    let window = window(table);
    let mut blocks = Act::ALL.to_vec();
    table.set("blocks", &mut blocks, |value| {
        let acts = Act::ALL.map(|act| (act.name(), act));
        let what = "a list of what is stopped, such as [\"start\", \"advance\"]";
        let blocks = value.list(what, |value| value.choice(&acts))?;
        some(value, blocks)
    });
    let mut routes = vec![Pattern::Every];
    table.set("routes", &mut routes, |value| {
        let what = "a list of routes such as [\"shop\", \"pay-*\"]";
        let routes = value.list(what, |value| pattern(value, known))?;
        some(value, routes)
    });
    let mut override_roles = Freeze::default_override_roles();
    table.set("override_roles", &mut override_roles, roles);
    Some(Freeze {
        name: name.to_owned(),
        kind: kind?,
        window: window?,
        blocks,
        routes,
        override_roles,
    })
}

/// A list that has something; an empty one is a problem.
fn some<T>(value: &Value<'_>, list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() {
        value.refuse("empty, which would stop nothing; without the key it is all of them");
        return None;
    }
    Some(list)
}

fn pattern(value: &Value<'_>, known: &BTreeSet<String>) -> Option<Pattern> {
    let pattern = match value.string()?.parse::<Pattern>() {
        Ok(pattern) => pattern,
        Err(error) => {
            value.refuse(error.to_string());
            return None;
        }
    };
    match &pattern {
        Pattern::Every => {}
        Pattern::Name(name) => {
            if !known.contains(name) {
                let hint = near::hint(name, known.iter().map(String::as_str));
                let what = if name.starts_with(FLAG) {
                    "flag"
                } else {
                    "route"
                };
                value.refuse(format!("there is no {what} {}{hint}", value.shown()));
                return None;
            }
        }
        Pattern::Prefix(_) => {
            if !known.iter().any(|known| pattern.matches(known)) {
                value.warn("no route is called so");
            }
        }
    }
    Some(pattern)
}

/// Reads when it is: from one moment to another, or every week.
fn window(table: &mut Table<'_>) -> Option<Window> {
    let (from, to) = (table.optional("from"), table.optional("to"));
    let Some(weekly) = table.optional("weekly") else {
        table.refuse_key(
            "tz",
            "has no effect without weekly: moments have an offset of their own",
        );
        if from.is_none() && to.is_none() {
            table.refuse("is at no time; from and to, or weekly, belong here");
            return None;
        }
        let end = to.clone();
        let read = |value: Option<Value<'_>>| match value {
            Some(value) => moment(&value).map(Some),
            None => Some(None),
        };
        let (from, to) = (read(from), read(to));
        return match Span::new(from?, to?) {
            Ok(span) => Some(Window::Span(span)),
            Err(error) => {
                if let Some(end) = end {
                    end.refuse(error.to_string());
                }
                None
            }
        };
    };
    for value in from.iter().chain(&to) {
        value.date_text();
        value.refuse_key("there is weekly already; a freeze has one of the two");
    }
    let zone = table.needed("tz", "a time zone such as \"Europe/Berlin\"");
    let zone = zone.and_then(|value| checked(&value, Zone::new(value.string()?)));
    weekly.table(|table| {
        let days = table.required("days", "a list of days such as [\"mon\", \"fri\"]");
        let days = days.and_then(|value| {
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(|day| (day, day));
            value.list("a list of days", |value| value.choice(&names))
        });
        let mut time = |key| {
            let value = table.required(key, TIME)?;
            value.looks_like(|| "([01][0-9]|2[0-3]):[0-5][0-9]|24:00");
            checked(&value, value.string()?.parse::<ClockTime>())
        };
        let (from, to) = (time("from"), time("to"));
        match Weekly::new(&days?, from?, to?, zone?) {
            Ok(weekly) => Some(Window::Weekly(weekly)),
            Err(error) => {
                table.refuse(error.to_string());
                None
            }
        }
    })?
}

/// What was read of a value; what is wrong with it is a problem there.
fn checked<T, E: ToString>(value: &Value<'_>, result: Result<T, E>) -> Option<T> {
    result.map_err(|error| value.refuse(error.to_string())).ok()
}
