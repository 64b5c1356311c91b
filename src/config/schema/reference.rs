//! What the reference says of each key: the comments above it.

use std::collections::BTreeMap;

use crate::config::reader::Shape;

/// The reference: every key there is, with its default, and what it means.
const REFERENCE: &str = include_str!("../../../config/tidegate.toml");

/// The reference with all that is commented out without a space.
pub(crate) fn uncommented() -> String {
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest)
            if rest.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) =>
        {
            rest
        }
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The place of a key in a shape, as text: `listener.*.tls.certificates[].cert`.
///
/// `None` when the shape has no such key.
pub(in crate::config::schema) fn place(shape: &Shape, steps: &[&str]) -> Option<String> {
    let mut here = shape;
    let mut place = String::new();
    for step in steps {
        if let Some(item) = &here.list
            && here.keys.is_none()
        {
            here = item;
            place.push_str("[]");
        }
        let keys = here.keys.iter().flatten();
        let key = keys.into_iter().find(|key| key.name == *step);
        if !place.is_empty() {
            place.push('.');
        }
        if let Some(key) = key {
            place.push_str(step);
            here = &key.shape;
        } else {
            place.push('*');
            here = &here.map.as_ref()?.value;
        }
    }
    Some(place)
}

/// What the comments say, by the place of the key. The first one that has a comment counts, and one
/// comment is for all keys that stand right under it.
pub(in crate::config::schema) fn notes(shape: &Shape) -> BTreeMap<String, String> {
    let mut notes: BTreeMap<String, String> = BTreeMap::new();
    let mut section: Vec<&str> = Vec::new();
    let mut note = String::new();
    let mut is_used = true;
    let mut heading = None;
    for line in REFERENCE.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if comment.starts_with('─') {
                heading = Some(comment.trim_matches(['─', ' ']));
                continue;
            }
            if is_used {
                note.clear();
                is_used = false;
            }
            if !note.is_empty() {
                note.push(' ');
            }
            note.push_str(comment);
            continue;
        }
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.is_empty() {
            // What stands above is about no single key.
            note.clear();
            continue;
        }
        let header = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let key = line.split_once(" = ").map(|(key, _)| key);
        let steps = match (header, key) {
            (Some((header, _)), _) => {
                section = header.trim_start_matches('[').split('.').collect();
                // What stands above the key before is not about a section.
                if is_used {
                    note.clear();
                }
                if let ([kind, _, ..], Some(heading)) = (&*section, heading.take()) {
                    notes
                        .entry((*kind).to_owned())
                        .or_insert_with(|| format!("{heading}."));
                }
                section.clone()
            }
            (None, Some(key)) if !key.contains(' ') => {
                let mut steps = section.clone();
                steps.push(key);
                steps
            }
            // It goes on from the line before.
            _ => continue,
        };
        is_used = true;
        if let Some(place) = place(shape, &steps) {
            notes.entry(place).or_insert_with(|| note.clone());
        }
        if header.is_some() {
            note.clear();
        }
    }
    notes.retain(|_, note| !note.is_empty());
    notes
}
