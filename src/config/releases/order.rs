//! Releases that wait for each other: none may wait for itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::reader::Value;
use crate::release::spec::Spec;

/// Refuses each circle, once: at the first release of it.
pub(in crate::config::releases) fn refuse_circles(
    section: &Value<'_>,
    specs: &BTreeMap<String, Spec>,
) {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for id in specs.keys() {
        if told.contains(id.as_str()) {
            continue;
        }
        let Some(circle) = circle(id, specs) else {
            continue;
        };
        told.extend(&circle);
        let place = section.entry(id).and_then(|release| release.entry("after"));
        if let Some(place) = place {
            let way = [&circle[..], &[id.as_str()]].concat().join(" → ");
            place.refuse(format!("it would wait for itself: {way}"));
        }
    }
}

/// The shortest way from a release to itself, along what each waits for.
fn circle<'s>(id: &'s str, specs: &'s BTreeMap<String, Spec>) -> Option<Vec<&'s str>> {
    let after = |id: &str| specs.get(id).map(|spec| &spec.after).into_iter().flatten();
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ways = VecDeque::from([id]);
    while let Some(here) = ways.pop_front() {
        for next in after(here) {
            if next == id {
                let mut way = vec![here];
                let mut at = here;
                while let Some(before) = from.get(at).filter(|_| at != id) {
                    way.push(before);
                    at = before;
                }
                way.reverse();
                return Some(way);
            }
            if !from.contains_key(next.as_str()) {
                from.insert(next, here);
                ways.push_back(next);
            }
        }
    }
    None
}
