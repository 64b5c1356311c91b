//! What the status says of upstreams.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::admin::state::{certificate, rfc3339};
use crate::admin::wire::{
    BreakerStatus, EndpointStatus, HealthStatus, LimitStatus, NameStatus, UpstreamStatus,
};
use crate::config::UpstreamConfig;
use crate::control::{self, Control, Live};
use crate::upstream::{EndpointSpec, Health, Upstream};

/// All of them.
pub(in crate::admin) fn of(control: &Control, live: &Live) -> BTreeMap<String, UpstreamStatus> {
    let fare = control.names();
    let status = |config: &UpstreamConfig, upstream: &Upstream| UpstreamStatus {
        endpoints: upstream
            .endpoints()
            .iter()
            .map(|endpoint| EndpointStatus {
                address: endpoint.address().to_string(),
                host: endpoint.host().map(ToString::to_string),
                available: endpoint.is_available_now(),
                health: upstream
                    .settings()
                    .health
                    .is_some()
                    .then(|| health(endpoint.health())),
                ejected_until: endpoint
                    .ejected_for()
                    .map(|left| rfc3339(SystemTime::now() + left)),
                slow_start: endpoint.warmth(upstream.settings().slow_start),
            })
            .collect(),
        names: config
            .endpoints
            .iter()
            .filter_map(|spec| Some(name(spec, fare.get(&spec.name()?))))
            .collect(),
        certificate: upstream
            .settings()
            .tls
            .as_ref()
            .and_then(|connector| connector.certificate())
            .map(certificate),
        limits: limits(upstream),
        breaker: upstream
            .settings()
            .breaker
            .is_some()
            .then(|| breaker(upstream)),
    };
    let configs = live.config.upstreams.values();
    configs
        .zip(&live.snapshot.upstreams)
        .map(|(config, upstream)| (upstream.name().to_string(), status(config, upstream)))
        .collect()
}

fn limits(upstream: &Upstream) -> BTreeMap<String, LimitStatus> {
    let limits = upstream.settings().limits.all();
    let status = limits.map(|(kind, limit)| {
        let used = upstream.guard().used(kind);
        (kind.label().to_owned(), LimitStatus { used, limit })
    });
    status.collect()
}

fn breaker(upstream: &Upstream) -> BreakerStatus {
    let (state, left) = upstream.guard().breaker();
    BreakerStatus {
        state: state.label().to_owned(),
        until: (!left.is_zero()).then(|| rfc3339(SystemTime::now() + left)),
    }
}

fn health(health: Health) -> HealthStatus {
    let (error, error_at) = health.trouble.unzip();
    HealthStatus {
        healthy: health.is_healthy,
        error,
        error_at: error_at.map(rfc3339),
    }
}

fn name(spec: &EndpointSpec, fares: Option<&control::NameStatus>) -> NameStatus {
    let error = fares.and_then(|fares| fares.error.as_ref());
    NameStatus {
        name: spec.to_string(),
        resolved_at: fares.and_then(|fares| fares.resolved_at).map(rfc3339),
        error: error.map(|(error, _)| error.clone()),
        error_at: error.map(|(_, at)| rfc3339(*at)),
    }
}
