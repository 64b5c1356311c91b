//! Dependencies: which flags ask which others, and that none asks itself.

use std::collections::BTreeMap;
use std::slice;

use crate::flag::spec::FlagSpec;
use crate::flag::{Fault, Part, Place, Problem};
use crate::segment::{Attribute, Operand, Operator, SegmentSpec};

/// How many flags may depend on each other in a row: each takes a part of the stack while it waits
/// for the next, and nobody overlooks a row that long.
const MAX_DEPTH: usize = 32;

/// What depends on what, by the flags' places in the order of their names.
#[derive(Clone, Debug)]
pub(in crate::flag) struct Dependencies {
    direct: Vec<Vec<usize>>,
}

/// A flag that another one asks, and the place that says so.
#[derive(Clone, Debug)]
struct Edge {
    to: usize,
    place: Place,
}

impl Dependencies {
    /// The dependencies of flags. Those on flags that there are not are left out.
    pub(in crate::flag) fn of(specs: &BTreeMap<String, FlagSpec>) -> Self {
        let direct = edges(specs).into_iter().map(|edges| {
            let mut direct: Vec<_> = edges.into_iter().map(|edge| edge.to).collect();
            direct.sort_unstable();
            direct.dedup();
            direct
        });
        Self {
            direct: direct.collect(),
        }
    }

    /// For each flag those that it depends on by itself, in order.
    pub(in crate::flag) fn into_direct(self) -> Vec<Vec<usize>> {
        self.direct
    }
}

/// What a segment says of flags and cannot mean: the group and the condition in it, from 0, with a
/// flag that there is not, or one that has no such variant.
///
/// It is for segments of routes, too: their `flag:NAME` is asked of the same flags.
pub fn faults_in(
    segment: &SegmentSpec,
    specs: &BTreeMap<String, FlagSpec>,
) -> Vec<(usize, usize, Fault)> {
    let mut faults = Vec::new();
    for (group, conditions) in segment.any.iter().enumerate() {
        for (index, condition) in conditions.iter().enumerate() {
            let Attribute::Flag(flag) = &condition.attribute else {
                continue;
            };
            if !specs.contains_key(flag) {
                let flag = flag.clone();
                faults.push((group, index, Fault::UnknownFlag { flag }));
                continue;
            }
            let names = match condition.operator {
                Operator::Eq | Operator::Ne | Operator::In | Operator::NotIn => &condition.operand,
                // The others may be about parts of names.
                _ => continue,
            };
            let names = match names {
                Operand::Text(name) => slice::from_ref(name),
                Operand::Texts(names) => names,
                Operand::Number(_) | Operand::Presence(_) => continue,
            };
            let unknown = names
                .iter()
                .filter_map(|name| unknown_of(flag, name, specs));
            faults.extend(unknown.map(|fault| (group, index, fault)));
        }
    }
    faults
}

/// What a flag says of others that cannot be.
pub(in crate::flag) fn unknown(
    spec: &FlagSpec,
    specs: &BTreeMap<String, FlagSpec>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, needed) in spec.prerequisites.iter().enumerate() {
        if !specs.contains_key(&needed.flag) {
            let flag = needed.flag.clone();
            problems.push(Fault::UnknownFlag { flag }.at(Place::PrerequisiteFlag(index)));
        } else if let Some(fault) = unknown_of(&needed.flag, &needed.variant, specs) {
            problems.push(fault.at(Place::PrerequisiteVariant(index)));
        }
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        if let Some((_, segment)) = &rule.segment {
            let faults = faults_in(segment.spec(), specs).into_iter();
            let place = Place::Rule(index, Part::Segment);
            problems.extend(faults.map(|(_, _, fault)| fault.at(place.clone())));
        }
    }
    problems
}

/// That a flag which there is has no such variant, if it has none.
fn unknown_of(flag: &str, variant: &str, specs: &BTreeMap<String, FlagSpec>) -> Option<Fault> {
    let variants = &specs[flag].variants;
    if variants.contains_key(variant) {
        return None;
    }
    Some(Fault::UnknownVariantOf {
        flag: flag.to_owned(),
        variant: variant.to_owned(),
        known: variants.keys().cloned().collect(),
    })
}

/// The circles in which flags depend on themselves, each told once, by the first of its flags and
/// the place in it that leads to the next; and the flags at the head of too long a row.
pub(in crate::flag) fn circles(specs: &BTreeMap<String, FlagSpec>) -> Vec<(String, Problem)> {
    let names: Vec<&String> = specs.keys().collect();
    let edges = edges(specs);
    let mut problems = Vec::new();
    // How long the longest row from a flag is; none while it is not known.
    let mut depths: Vec<Option<usize>> = vec![None; edges.len()];
    // Where on the way a flag is, if it is on it.
    let mut places: Vec<Option<usize>> = vec![None; edges.len()];
    for start in 0..edges.len() {
        if depths[start].is_some() {
            continue;
        }
        // Without recursion, as a row may be as long as there are flags: the flags on the way, each
        // with the number of its edges that were followed.
        let mut way = vec![(start, 0)];
        places[start] = Some(0);
        while let Some((at, followed)) = way.last_mut() {
            let (at, next) = (*at, edges[*at].get(*followed));
            *followed += 1;
            let Some(edge) = next else {
                way.pop();
                places[at] = None;
                let below = edges[at].iter().filter_map(|edge| depths[edge.to]);
                let depth = 1 + below.max().unwrap_or(0);
                if depth == MAX_DEPTH + 1 {
                    let fault = Fault::TooDeep { limit: MAX_DEPTH };
                    problems.push((names[at].clone(), fault.at(Place::Flag)));
                }
                depths[at] = Some(depth);
                continue;
            };
            if let Some(first) = places[edge.to] {
                problems.push(circle(&way[first..], &edges, &names));
            } else if depths[edge.to].is_none() {
                places[edge.to] = Some(way.len());
                way.push((edge.to, 0));
            }
        }
    }
    problems
}

/// The problem of a circle, told from the first of its flags by name.
fn circle(way: &[(usize, usize)], edges: &[Vec<Edge>], names: &[&String]) -> (String, Problem) {
    let mut way = way.to_vec();
    let first = (0..way.len()).min_by_key(|at| way[*at].0);
    way.rotate_left(first.unwrap_or(0));
    let (flag, followed) = way[0];
    let place = edges[flag][followed - 1].place.clone();
    let circle = way.iter().chain(&way[..1]);
    let circle = circle.map(|(flag, _)| names[*flag].clone()).collect();
    let problem = Fault::Circle { circle }.at(place);
    (names[flag].clone(), problem)
}

/// For each flag what it asks, in the order in which it says so.
fn edges(specs: &BTreeMap<String, FlagSpec>) -> Vec<Vec<Edge>> {
    let places = specs.keys().enumerate();
    let places: BTreeMap<&str, usize> = places.map(|(at, name)| (name.as_str(), at)).collect();
    let of = |spec: &FlagSpec| {
        let mut edges: Vec<Edge> = Vec::new();
        let mut add = |flag: &str, place: Place| {
            let to = places.get(flag).copied();
            let new = to.filter(|to| edges.iter().all(|edge| edge.to != *to));
            edges.extend(new.map(|to| Edge { to, place }));
        };
        for (index, needed) in spec.prerequisites.iter().enumerate() {
            add(&needed.flag, Place::PrerequisiteFlag(index));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let segment = rule.segment.iter().map(|(_, segment)| segment.spec());
            for condition in segment.flat_map(|spec| spec.any.iter().flatten()) {
                if let Attribute::Flag(flag) = &condition.attribute {
                    add(flag, Place::Rule(index, Part::Segment));
                }
            }
        }
        edges
    };
    specs.values().map(of).collect()
}
