//! What goes on, gathered for the release plane from what is live and from the numbers of variants.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::Live;
use crate::proxy::{Route, Snapshot};
use crate::release::analysis::{Bad, Baseline, Counters, Mirrored, Reading, Seen, Slice};
use crate::release::controller::{Counted, Tested, World};
use crate::release::look::RouteSeen;
use crate::release::overlay::share;
use crate::release::state::State;
use crate::release::step::Endpoints;
use crate::store::ConfigOrigin;
use crate::telemetry::stats::{Class, Judged, N_SLICES};

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
        let mut routes = snapshot.routes.iter();
        let Some(route) = routes.find(|route| *route.name == *spec.route) else {
            continue;
        };
        let seen = RouteSeen {
            obeyed: live.overlay.routes.get(&spec.route).cloned(),
            variants: endpoints(snapshot, route),
        };
        world.routes.insert(spec.route.clone(), seen);
        if let Some(counted) = counted(route, state) {
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

/// What was counted of a release's variants; nothing where one of them is gone.
fn counted(route: &Route, state: &State) -> Option<Counted> {
    let spec = &state.spec;
    let variant = |name: &str| route.variants.iter().find(|variant| *variant.name == *name);
    let candidate = variant(&spec.candidate)?.stats.judged();
    let stable = variant(&spec.stable)?.stats.judged();
    let n_slices = slices_like(state);
    let (slice, rest) = stable.parted(n_slices);
    let none = vec![0.0; stable.latency.len()];
    let part = |classes: &[u64; Class::N]| counters(classes, none.clone());
    let of = |judged: &Judged| counters(&judged.classes(), floats(&judged.latency));
    let baseline = match &spec.strategy.analysis.baseline {
        Baseline::Stable => of(&stable),
        Baseline::Slice => part(&slice),
        Baseline::Variant(name) => of(&variant(name)?.stats.judged()),
    };
    let mirror = route
        .mirror
        .as_ref()
        .filter(|mirror| *mirror.name == *spec.candidate);
    let mirrored = mirror.map(|mirror| {
        let totals = mirror.stats.read();
        Mirrored {
            compared: float(totals.alike + totals.different),
            mismatched: float(totals.different),
        }
    });
    let buckets = variant(&spec.stable)?.stats.buckets();
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
