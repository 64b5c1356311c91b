//! Making one table of the tables of several files.

use std::rc::Rc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::reader::Document;
use crate::config::reader::trail::Trail;

/// Moves all places in a table to where its file begins in the document.
pub(crate) fn shift(table: &mut DeTable<'_>, by: usize) {
    if by == 0 {
        return;
    }
    for (key, mut value) in std::mem::replace(table, DeTable::new()) {
        shift_value(&mut value, by);
        table.insert(moved(key, by), value);
    }
}

fn shift_value(value: &mut Spanned<DeValue<'_>>, by: usize) {
    match value.get_mut() {
        DeValue::Table(table) => shift(table, by),
        DeValue::Array(values) => values.iter_mut().for_each(|value| shift_value(value, by)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
    let inner = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
    *value = moved(Spanned::new(value.span(), inner), by);
}

fn moved<T>(spanned: Spanned<T>, by: usize) -> Spanned<T> {
    let span = spanned.span();
    Spanned::new(span.start + by..span.end + by, spanned.into_inner())
}

/// Merges the root of another file into that of those before: sections are merged, and each key in
/// them stands in one file only.
pub(crate) fn merge<'d>(document: &Document, into: &mut DeTable<'d>, from: DeTable<'d>) {
    for (key, value) in from {
        let Some((first, mut existing)) = into.remove_entry(&**key.get_ref()) else {
            into.insert(key, value);
            continue;
        };
        let trail = Trail::key(None, key.get_ref());
        match (existing.get_mut(), value.into_inner()) {
            (DeValue::Table(section), DeValue::Table(entries)) => {
                let trail = Rc::new(trail);
                for (key, value) in entries {
                    match section.get_key_value(&**key.get_ref()) {
                        None => {
                            section.insert(key, value);
                        }
                        Some((first, _)) => {
                            let trail = Trail::key(Some(&trail), key.get_ref());
                            stands_twice(document, &trail, key.span().start, first.span().start);
                        }
                    }
                }
            }
            _ => stands_twice(document, &trail, key.span().start, first.span().start),
        }
        into.insert(first, existing);
    }
}

fn stands_twice(document: &Document, trail: &Trail<'_>, at: usize, first: usize) {
    let message = format!("stands in {} already", document.place(first));
    document.problem(at, &trail.text(), message);
}
