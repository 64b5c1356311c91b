//! Families of connections: of clients by listener, to endpoints by upstream.

use std::sync::Arc;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics as names;
use crate::telemetry::registry::UpstreamLive;
use crate::telemetry::render::code_label;
use crate::telemetry::stats::{
    AbortReason, BreakerState, CheckResult, CloseReason, Code, Limit, ListenerStats,
    ListenerTotals, PauseReason, Protocol, RejectReason, Resolution, UpstreamStats, UpstreamTotals,
};

/// The statuses of requests without a route whose series are there before the first one occurs.
const EXPECTED: [u16; 2] = [400, 404];

/// Labels as text, and the numbers of one moment.
pub(crate) struct Row<T> {
    pub(crate) labels: Labels,
    pub(crate) totals: T,
}

pub(crate) fn listener_rows(listeners: &[Arc<ListenerStats>]) -> Vec<Row<ListenerTotals>> {
    let rows = listeners.iter().map(|stats| {
        let mut totals = stats.read();
        for code in EXPECTED {
            totals.unrouted.entry(Code::Exact(code)).or_default();
        }
        Row {
            labels: Labels::new([("listener", stats.listener())]),
            totals,
        }
    });
    rows.collect()
}

pub(crate) fn upstream_rows(upstreams: &[Arc<UpstreamStats>]) -> Vec<Row<UpstreamTotals>> {
    let rows = upstreams.iter().map(|stats| Row {
        labels: Labels::new([("upstream", stats.upstream())]),
        totals: stats.read(),
    });
    rows.collect()
}

/// Requests that had no route.
pub(crate) fn unrouted(text: &mut Exposition, rows: &[Row<ListenerTotals>]) {
    text.family(&names::UNROUTED_REQUESTS, |samples| {
        for row in rows {
            for (&code, &n) in &row.totals.unrouted {
                samples.value(&row.labels.and([("code", &code_label(code))]), n);
            }
        }
    });
}

/// Connections to endpoints.
pub(crate) fn upstream_connections(text: &mut Exposition, rows: &[Row<UpstreamTotals>]) {
    text.family(&names::UPSTREAM_CONNECTIONS, |samples| {
        for Row { labels, totals } in rows {
            samples.value(&labels.and([("state", "active")]), totals.active());
            samples.value(&labels.and([("state", "idle")]), totals.idle());
        }
    });
    text.family(&names::UPSTREAM_CONNECTIONS_OPENED, |samples| {
        for Row { labels, totals } in rows {
            samples.value(labels, totals.opened);
        }
    });
    text.family(&names::UPSTREAM_CONNECTIONS_CLOSED, |samples| {
        for Row { labels, totals } in rows {
            for (reason, n) in CloseReason::ALL.iter().zip(totals.closed) {
                samples.value(&labels.and([("reason", reason.label())]), n);
            }
        }
    });
}

/// Checks of endpoints, and those that were ejected.
pub(crate) fn health(text: &mut Exposition, rows: &[Row<UpstreamTotals>]) {
    text.family(&names::UPSTREAM_EJECTIONS, |samples| {
        for Row { labels, totals } in rows {
            samples.value(labels, totals.ejections);
        }
    });
    text.family(&names::HEALTH_CHECKS, |samples| {
        for Row { labels, totals } in rows {
            for (result, n) in CheckResult::ALL.iter().zip(totals.checks.iter().flatten()) {
                samples.value(&labels.and([("result", result.label())]), *n);
            }
        }
    });
}

/// Endpoints of upstreams, limits and breakers.
pub(crate) fn guards(text: &mut Exposition, live: &[UpstreamLive], rows: &[Row<UpstreamTotals>]) {
    let of = |one: &UpstreamLive| Labels::new([("upstream", &one.name)]);
    text.family(&names::UPSTREAM_ENDPOINT_AVAILABLE, |samples| {
        for one in live {
            for (endpoint, is_available) in &one.endpoints {
                let labels = of(one).and([("endpoint", endpoint)]);
                samples.value(&labels, u8::from(*is_available));
            }
        }
    });
    text.family(&names::UPSTREAM_LIMIT, |samples| {
        for one in live {
            for (limit, most) in &one.limits {
                samples.value(&of(one).and([("limit", limit.label())]), *most);
            }
        }
    });
    text.family(&names::UPSTREAM_OVERFLOWS, |samples| {
        for Row { labels, totals } in rows {
            for (limit, n) in Limit::ALL.iter().zip(totals.overflows) {
                samples.value(&labels.and([("limit", limit.label())]), n);
            }
        }
    });
    let with_breaker = |row: &&Row<UpstreamTotals>| row.totals.breaker.is_some();
    text.family(&names::BREAKER_STATE, |samples| {
        for Row { labels, totals } in rows.iter().filter(with_breaker) {
            for &state in BreakerState::ALL {
                let is_in = u8::from(totals.breaker == Some(state));
                samples.value(&labels.and([("state", state.label())]), is_in);
            }
        }
    });
    text.family(&names::BREAKER_OPENED, |samples| {
        for Row { labels, totals } in rows.iter().filter(with_breaker) {
            samples.value(labels, totals.breaker_opened);
        }
    });
}

/// Look-ups of names.
pub(crate) fn resolutions(text: &mut Exposition, rows: &[Row<UpstreamTotals>]) {
    text.family(&names::DNS_RESOLUTIONS, |samples| {
        for Row { labels, totals } in rows {
            for (result, n) in Resolution::ALL
                .iter()
                .zip(totals.resolutions.iter().flatten())
            {
                samples.value(&labels.and([("result", result.label())]), *n);
            }
        }
    });
}

/// Connections of clients.
pub(crate) fn downstream_connections(text: &mut Exposition, rows: &[Row<ListenerTotals>]) {
    text.family(&names::DOWNSTREAM_CONNECTIONS, |samples| {
        for Row { labels, totals } in rows {
            for &protocol in Protocol::ALL {
                let labels = labels.and([("protocol", protocol.label())]);
                samples.value(&labels, totals.open(protocol));
            }
        }
    });
    text.family(&names::DOWNSTREAM_CONNECTIONS_TOTAL, |samples| {
        for Row { labels, totals } in rows {
            for (protocol, n) in Protocol::ALL.iter().zip(totals.opened) {
                samples.value(&labels.and([("protocol", protocol.label())]), n);
            }
        }
    });
    text.family(&names::DOWNSTREAM_CONNECTIONS_REJECTED, |samples| {
        for Row { labels, totals } in rows {
            for (reason, n) in RejectReason::ALL.iter().zip(totals.rejected) {
                samples.value(&labels.and([("reason", reason.label())]), n);
            }
        }
    });
    text.family(&names::DOWNSTREAM_CONNECTIONS_ABORTED, |samples| {
        for Row { labels, totals } in rows {
            for (reason, n) in AbortReason::ALL.iter().zip(totals.aborted) {
                samples.value(&labels.and([("reason", reason.label())]), n);
            }
        }
    });
    text.family(&names::OVERLOAD_REFUSED_REQUESTS, |samples| {
        for Row { labels, totals } in rows {
            samples.value(labels, totals.overloaded);
        }
    });
    text.family(&names::ACCEPT_PAUSES, |samples| {
        for Row { labels, totals } in rows {
            for (reason, n) in PauseReason::ALL.iter().zip(totals.pauses) {
                samples.value(&labels.and([("reason", reason.label())]), n);
            }
        }
    });
}
