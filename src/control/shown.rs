//! What the metrics are told of what is live.

use std::sync::Arc;

use crate::control::Live;
use crate::control::certificates;
use crate::control::mirror;
use crate::split::State;
use crate::telemetry::{self, UpstreamLive, VariantLive, VariantState};
use crate::upstream::Upstream;

/// The endpoints of an upstream whose health is found out, and whether they may be used.
fn endpoints(upstream: &Upstream) -> Vec<(String, bool)> {
    let settings = upstream.settings();
    if settings.health.is_none() && settings.outlier.is_none() {
        return Vec::new();
    }
    let endpoints = upstream.endpoints();
    let endpoints = endpoints.iter().map(|endpoint| {
        let address = endpoint.address().to_string();
        (address, endpoint.is_available_now())
    });
    endpoints.collect()
}

/// What the metrics show of what is live.
pub(crate) fn shown(live: &Live) -> telemetry::Live {
    let snapshot = &live.snapshot;
    let mut variants = Vec::new();
    for route in &snapshot.routes {
        let up: Vec<_> = route
            .variants
            .iter()
            .map(|variant| snapshot.upstreams[variant.upstream].n_available())
            .collect();
        let share = |n: usize| route.split.share(None, n);
        // The runner-up takes the share of who is unavailable, as far as there is one.
        let serving: f64 = (0..up.len()).filter(|&n| up[n] > 0).map(share).sum();
        for (n, (variant, spec)) in route
            .variants
            .iter()
            .zip(route.split.variants())
            .enumerate()
        {
            let upstream = &snapshot.upstreams[variant.upstream];
            variants.push(VariantLive {
                labels: variant.stats.labels().clone(),
                weight: spec.weight,
                share: match (up[n] > 0, route.failover) {
                    (true, true) if serving > 0.0 => share(n) / serving,
                    (true, _) => share(n),
                    (false, _) => 0.0,
                },
                state: match spec.state {
                    State::On => VariantState::On,
                    State::Off => VariantState::Off,
                },
                healthy_endpoints: up[n],
                unhealthy_endpoints: upstream.endpoints().len() - up[n],
            });
        }
    }
    telemetry::Live {
        variants,
        direct: snapshot
            .routes
            .iter()
            .filter_map(|route| route.direct.as_ref())
            .map(|direct| direct.stats.labels().clone())
            .collect(),
        rules: snapshot
            .routes
            .iter()
            .flat_map(|route| &route.rules)
            .map(|rule| rule.stats.labels().clone())
            .collect(),
        mirrors: mirror::live(&snapshot.routes),
        flags: snapshot
            .edge
            .stats
            .iter()
            .flatten()
            .map(|stats| stats.labels().clone())
            .collect(),
        upstreams: snapshot
            .upstreams
            .iter()
            .map(|upstream| UpstreamLive {
                name: Arc::clone(upstream.name()),
                limits: upstream.settings().limits.all().collect(),
                endpoints: endpoints(upstream),
            })
            .collect(),
        listeners: snapshot.listeners.keys().cloned().collect(),
        listener_certificates: certificates::shown(certificates::of_listeners(snapshot)),
        upstream_certificates: certificates::shown(certificates::of_upstreams(snapshot)),
    }
}
