//! What goes on, gathered for the release plane from what is live and from the numbers of variants.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::Live;
use crate::proxy::{Route, Snapshot};
use crate::release::analysis::{Bad, Baseline, Counters, Mirrored, Reading, Seen, Slice};
use crate::release::controller::{Counted, Tested, World};
use crate::release::look::RouteSeen;
use crate::release::overlay::{Weights, share};
use crate::release::spec::flag_of;
use crate::release::state::State;
use crate::release::step::Endpoints;
use crate::store::ConfigOrigin;
use crate::telemetry::stats::{Buckets, Class, FlagStats, Judged, N_SLICES};

/// Gathers what goes on around the releases that are not over.
pub(in crate::control) fn world<'a>(
    live: &Live,
    releases: impl Iterator<Item = &'a State>,
    tests: Vec<Tested>,
) -> World {
    let mut world = World {
        file: Arc::clone(&live.file),
        rules: Arc::clone(&live.written.releases.rules),
        routes: BTreeMap::new(),
        counted: BTreeMap::new(),
        tests,
        config: Some(ConfigOrigin {
            sha256: live.config_sha256.clone(),
            revision: None,
        }),
        generation: live.generation,
    };
    for state in releases {
        let spec = &state.spec;
        let snapshot = &live.snapshot;
        let (variants, counted) = match flag_of(&spec.route) {
            Some(flag) => {
                let arms = flag_arms(snapshot, flag);
                let judged = |name: &str| Some(arm(arms, name)?.judged());
                let bounds = || arms.first().map(|stats| stats.buckets());
                let names = live.file.weights.get(&spec.route);
                let names = names.into_iter().flat_map(Weights::keys);
                // What a flag's variants are is in the file: they are always there.
                let always = Endpoints {
                    available: 1,
                    total: 1,
                };
                let variants = names.map(|name| (name.clone(), always)).collect();
                (variants, counted(state, judged, None, bounds))
            }
            None => {
                let mut routes = snapshot.routes.iter();
                let Some(route) = routes.find(|route| *route.name == *spec.route) else {
                    continue;
                };
                let stats = |name: &str| {
                    let mut variants = route.variants.iter();
                    variants.find(|variant| *variant.name == *name)
                };
                let judged = |name: &str| Some(stats(name)?.stats.judged());
                let bounds = || Some(stats(&spec.stable)?.stats.buckets());
                let counted = counted(state, judged, mirrored(route, state), bounds);
                (endpoints(snapshot, route), counted)
            }
        };
        let seen = RouteSeen {
            obeyed: live.overlay.routes.get(&spec.route).cloned(),
            variants,
        };
        world.routes.insert(spec.route.clone(), seen);
        if let Some(counted) = counted {
            world.counted.insert(spec.id.clone(), counted);
        }
    }
    world
}

fn endpoints(snapshot: &Snapshot, route: &Route) -> BTreeMap<String, Endpoints> {
    let variants = route.variants.iter().map(|variant| {
        let upstream = &snapshot.upstreams[variant.upstream];
        let endpoints = Endpoints {
            available: upstream.n_available(),
            total: upstream.endpoints().len(),
        };
        (variant.name.to_string(), endpoints)
    });
    variants.collect()
}

/// The numbers of a flag's variants at the edge; none of a flag that is gone.
pub(in crate::control::releases) fn flag_arms<'s>(
    snapshot: &'s Snapshot,
    flag: &str,
) -> &'s [Arc<FlagStats>] {
    let place = snapshot.edge.flags.position(flag);
    place.map_or(&[], |place| &snapshot.edge.stats[place])
}

fn arm<'s>(arms: &'s [Arc<FlagStats>], name: &str) -> Option<&'s Arc<FlagStats>> {
    arms.iter().find(|stats| *stats.labels().variant == *name)
}

/// What was compared of copies of a route's requests that a release's candidate got.
fn mirrored(route: &Route, state: &State) -> Option<Mirrored> {
    let mirror = route.mirror.as_ref()?;
    if *mirror.name != *state.spec.candidate {
        return None;
    }
    let totals = mirror.stats.read();
    Some(Mirrored {
        compared: float(totals.alike + totals.different),
        mismatched: float(totals.different),
    })
}

/// What was counted of a release's variants; nothing where one of them is gone.
fn counted<'s>(
    state: &State,
    judged: impl Fn(&str) -> Option<Judged>,
    mirrored: Option<Mirrored>,
    buckets: impl Fn() -> Option<&'s Buckets>,
) -> Option<Counted> {
    let spec = &state.spec;
    let candidate = judged(&spec.candidate)?;
    let stable = judged(&spec.stable)?;
    let n_slices = slices_like(state);
    let (slice, rest) = stable.parted(n_slices);
    let none = vec![0.0; stable.latency.len()];
    let part = |classes: &[u64; Class::N]| counters(classes, none.clone());
    let of = |judged: &Judged| counters(&judged.classes(), floats(&judged.latency));
    let baseline = match &spec.strategy.analysis.baseline {
        Baseline::Stable => of(&stable),
        Baseline::Slice => part(&slice),
        Baseline::Variant(name) => of(&judged(name)?),
    };
    let buckets = buckets()?;
    let candidate = of(&candidate);
    Some(Counted {
        candidate: candidate.clone(),
        source: Seen::Reading(Reading {
            candidate,
            baseline,
            slice: Some(Slice {
                slice: part(&slice),
                rest: part(&rest),
            }),
            mirrored,
            bounds: buckets.fine_seconds().collect(),
        }),
    })
}

/// How many slices of stable are about as large as the candidate: one at least, and half of them at
/// most, so that something is left to compare them with.
fn slices_like(state: &State) -> usize {
    let weights = crate::release::overlay::weights("stable", "candidate", state.weight);
    let (candidate, stable) = (share(&weights, "candidate"), share(&weights, "stable"));
    let relative = candidate.percent() / stable.percent().max(0.01);
    let slices = (relative * N_SLICES as f64).round();
    (1..=N_SLICES / 2)
        .rev()
        .find(|&n| n as f64 <= slices)
        .unwrap_or(1)
}

fn counters(classes: &[u64; Class::N], latency: Vec<f64>) -> Counters {
    let of = |class: Class| classes[class as usize];
    let all: u64 = classes.iter().sum();
    // Who went away, and what says nothing of the variant, is neither good nor bad.
    let told = all - of(Class::ClientClosed) - of(Class::Excused);
    let bad = [
        (
            Bad::ServerError,
            of(Class::ServerError) + of(Class::Unavailable),
        ),
        (Bad::Timeout, of(Class::Timeout)),
        (Bad::Reset, of(Class::Reset)),
        (Bad::ClientError, of(Class::ClientError)),
        (Bad::Grpc, of(Class::Grpc)),
    ];
    Counters {
        requests: float(told),
        bad: bad.into_iter().map(|(bad, n)| (bad, float(n))).collect(),
        latency,
    }
}

fn floats(counts: &[u64]) -> Vec<f64> {
    counts.iter().map(|&count| float(count)).collect()
}

/// Exact up to 2^53 requests.
fn float(count: u64) -> f64 {
    count as f64
}
