//! Families of variants and of their routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics::{self as names, Family};
use crate::telemetry::registry::{VariantLive, VariantState};
use crate::telemetry::render::code_label;
use crate::telemetry::stats::{
    AttemptResult, Buckets, Class, Code, CodeKey, ErrorReason, ForcedRejection, GrpcStatus,
    HistogramTotals, Outcome, RetryCause, RetryResult, RouteStats, RouteTotals, RuleLabels,
    RuleStats, Selection, Source, StickyKind, TunnelEnd, VariantLabels, VariantStats,
    VariantTotals,
};

/// The statuses whose series are there before the first of them occurs, each with who usually makes
/// it: without a 0 before it, the first failure of a quiet variant would be invisible to `rate`.
const EXPECTED: [(u16, Source); 7] = [
    (200, Source::Upstream),
    (404, Source::Upstream),
    (499, Source::Proxy),
    (500, Source::Upstream),
    (502, Source::Proxy),
    (503, Source::Proxy),
    (504, Source::Proxy),
];

/// The most variants of a route of which every pair is shown before the first failover between
/// them: there are as many pairs as variants, squared.
const ALL_PAIRS: usize = 8;

/// A variant, its labels as text, and its numbers at one moment.
pub(crate) struct VariantRow<'a> {
    stats: &'a VariantStats,
    /// True while it has had no request. Of those, which are most where there are many, only what
    /// is told in advance is shown.
    is_quiet: bool,
    labels: Labels,
    totals: VariantTotals,
}

/// A route likewise.
pub(crate) struct RouteRow<'a> {
    stats: &'a RouteStats,
    labels: Labels,
    totals: RouteTotals,
}

pub(crate) fn variant_rows(variants: &[Arc<VariantStats>]) -> Vec<VariantRow<'_>> {
    let rows = variants.iter().map(|stats| {
        let is_quiet = stats.is_quiet();
        let mut totals = stats.read();
        let own = stats
            .own_status()
            .map(|status| [status, 499].map(|code| (code, Source::Proxy)));
        let codes = own.as_ref().map_or(&EXPECTED[..], |own| own);
        for selection in stats.expected() {
            for &(code, source) in codes {
                let key = CodeKey {
                    code: Code::Exact(code),
                    source,
                    selection,
                };
                totals.codes.entry(key).or_default();
            }
        }
        VariantRow {
            stats,
            is_quiet,
            labels: text_of(stats.labels()),
            totals,
        }
    });
    rows.collect()
}

/// The routes that have had a request; of the others nothing is told in advance.
pub(crate) fn route_rows(routes: &[Arc<RouteStats>]) -> Vec<RouteRow<'_>> {
    let used = routes.iter().filter(|stats| !stats.is_quiet());
    let rows = used.map(|stats| RouteRow {
        stats,
        labels: Labels::new([("route", stats.route())]),
        totals: stats.read(),
    });
    rows.collect()
}

/// Requests: how many, how they ended, how long they took.
pub(crate) fn requests(text: &mut Exposition, rows: &[VariantRow<'_>], routes: &[RouteRow<'_>]) {
    text.family(&names::REQUESTS, |samples| {
        for row in rows {
            for (key, &n) in &row.totals.codes {
                let labels = row.labels.and([
                    ("code", &code_label(key.code)),
                    ("source", key.source.label()),
                    ("selection", key.selection.label()),
                ]);
                samples.value(&labels, n);
            }
        }
    });
    by_outcome(text, &names::REQUEST_DURATION, used(rows), |totals| {
        &totals.request_duration
    });
    by_outcome(text, &names::RESPONSE_HEADERS, called(rows), |totals| {
        &totals.response_headers
    });
    text.family(&names::PROXY_OVERHEAD, |samples| {
        for row in routes {
            samples.histogram(&row.labels, Buckets::overhead(), &row.totals.overhead);
        }
    });
    by_variant(
        text,
        &names::REQUESTS_IN_FLIGHT,
        rows.iter(),
        VariantTotals::in_flight,
    );
    by_variant(text, &names::REQUEST_BYTES, used(rows), |totals| {
        totals.request_bytes
    });
    by_variant(text, &names::RESPONSE_BYTES, used(rows), |totals| {
        totals.response_bytes
    });
    text.family(&names::GRPC_RESPONSES, |samples| {
        // Most variants never see such a call, so its series come with the first.
        for row in used(rows) {
            let counts = row.totals.grpc.unwrap_or_default();
            let statuses = row.totals.grpc.map_or(&[][..], |_| GrpcStatus::ALL);
            for (status, n) in statuses.iter().zip(counts) {
                let labels = row.labels.and([("grpc_status", status.label())]);
                samples.value(&labels, n);
            }
        }
    });
    text.family(&names::ERRORS, |samples| {
        for row in used(rows) {
            for (reason, n) in ErrorReason::ALL.iter().zip(row.totals.errors) {
                samples.value(&row.labels.and([("reason", reason.label())]), n);
            }
        }
    });
    text.family(&names::JUDGED_REQUESTS, |samples| {
        for row in called(rows) {
            for (class, n) in Class::ALL.iter().zip(row.stats.judged().classes()) {
                samples.value(&row.labels.and([("class", class.label())]), n);
            }
        }
    });
}

/// What the live configuration says of each variant.
pub(crate) fn live(text: &mut Exposition, live: &[VariantLive]) {
    text.family(&names::VARIANT_WEIGHT, |samples| {
        for variant in live {
            samples.value(&text_of(&variant.labels), variant.weight);
        }
    });
    text.family(&names::VARIANT_SHARE, |samples| {
        for variant in live {
            samples.value(&text_of(&variant.labels), variant.share);
        }
    });
    text.family(&names::VARIANT_STATE, |samples| {
        for variant in live {
            for state in VariantState::ALL {
                let labels = text_of(&variant.labels).and([("state", state.label())]);
                samples.value(&labels, u8::from(state == variant.state));
            }
        }
    });
}

/// How requests got their variants, and what else happened on that way.
pub(crate) fn selections(
    text: &mut Exposition,
    rows: &[VariantRow<'_>],
    routes: &[RouteRow<'_>],
    rules: &[Arc<RuleStats>],
) {
    text.family(&names::SELECTIONS, |samples| {
        for row in rows {
            let expected: Vec<_> = row.stats.expected().collect();
            for (selection, n) in Selection::ALL.iter().zip(row.totals.selections) {
                if 0 < n || expected.contains(selection) {
                    samples.value(&row.labels.and([("selection", selection.label())]), n);
                }
            }
        }
    });
    text.family(&names::RULE_MATCHES, |samples| {
        for stats in rules {
            let RuleLabels { route, segment } = stats.labels();
            let labels = Labels::new([("route", route), ("segment", segment)]);
            samples.value(&labels, stats.matches());
        }
    });
    text.family(&names::FAILOVERS, |samples| {
        // A pair is shown as long as both of its variants are.
        let mut variants: BTreeMap<&Arc<str>, BTreeSet<&Arc<str>>> = BTreeMap::new();
        for VariantLabels { route, variant, .. } in led_on(rows).map(|row| row.stats.labels()) {
            variants.entry(route).or_default().insert(variant);
        }
        let none = BTreeSet::new();
        for row in routes {
            let variants = variants.get(row.stats.route()).unwrap_or(&none);
            let all = if variants.len() <= ALL_PAIRS {
                variants
            } else {
                &none
            };
            let mut counts = BTreeMap::new();
            for &from in all {
                let others = all.iter().filter(|&&to| to != from);
                counts.extend(others.map(|&to| ((from, to), 0)));
            }
            let known = |name| variants.contains(name);
            let pairs = row.totals.failovers.iter();
            let pairs = pairs.filter(|((from, to), _)| known(from) && known(to));
            counts.extend(pairs.map(|((from, to), &n)| ((from, to), n)));
            for ((from, to), n) in counts {
                samples.value(&row.labels.and([("from", &**from), ("to", &**to)]), n);
            }
        }
    });
    text.family(&names::RETRIES, |samples| {
        for row in called(rows) {
            for (cause, results) in RetryCause::ALL.iter().zip(row.totals.retries) {
                for (&result, n) in RetryResult::ALL.iter().zip(results) {
                    // What is rare has no series until it occurs.
                    if n == 0 && result == RetryResult::BudgetExhausted {
                        continue;
                    }
                    let labels = [("cause", cause.label()), ("result", result.label())];
                    samples.value(&row.labels.and(labels), n);
                }
            }
        }
    });
    text.family(&names::STICKY_COOKIES_SET, |samples| {
        for row in routes {
            for (kind, n) in StickyKind::ALL.iter().zip(row.totals.cookies_set) {
                samples.value(&row.labels.and([("kind", kind.label())]), n);
            }
        }
    });
    text.family(&names::FORCED_REJECTED, |samples| {
        for row in routes {
            let counts = row.totals.forced_rejected;
            for (reason, n) in ForcedRejection::ALL.iter().zip(counts) {
                samples.value(&row.labels.and([("reason", reason.label())]), n);
            }
        }
    });
}

/// Attempts to get an answer.
pub(crate) fn attempts(text: &mut Exposition, rows: &[VariantRow<'_>]) {
    text.family(&names::UPSTREAM_ATTEMPTS, |samples| {
        for row in called(rows) {
            for (result, n) in AttemptResult::ALL.iter().zip(row.totals.attempts) {
                samples.value(&row.labels.and([("result", result.label())]), n);
            }
        }
    });
    text.family(&names::UPSTREAM_CONNECT_DURATION, |samples| {
        for row in called(rows) {
            let buckets = row.stats.buckets();
            samples.histogram(&row.labels, buckets, &row.totals.connect_duration);
        }
    });
}

/// Endpoints of each variant.
pub(crate) fn endpoints(text: &mut Exposition, live: &[VariantLive]) {
    text.family(&names::UPSTREAM_ENDPOINTS, |samples| {
        for variant in live {
            let labels = text_of(&variant.labels);
            let healthy = labels.and([("state", "healthy")]);
            samples.value(&healthy, variant.healthy_endpoints);
            let unhealthy = labels.and([("state", "unhealthy")]);
            samples.value(&unhealthy, variant.unhealthy_endpoints);
        }
    });
}

/// Tunnels.
pub(crate) fn tunnels(text: &mut Exposition, rows: &[VariantRow<'_>]) {
    by_variant(
        text,
        &names::TUNNELS_OPEN,
        led_on(rows),
        VariantTotals::tunnels_open,
    );
    by_variant(text, &names::TUNNELS_OPENED, called(rows), |totals| {
        totals.tunnels_opened
    });
    text.family(&names::TUNNELS, |samples| {
        for row in called(rows) {
            for (end, n) in TunnelEnd::ALL.iter().zip(row.totals.tunnels_closed) {
                samples.value(&row.labels.and([("end", end.label())]), n);
            }
        }
    });
}

/// Those that have had a request.
fn used<'r>(rows: &'r [VariantRow<'r>]) -> impl Iterator<Item = &'r VariantRow<'r>> {
    rows.iter().filter(|row| !row.is_quiet)
}

/// Those of them behind which there is an upstream.
fn called<'r>(rows: &'r [VariantRow<'r>]) -> impl Iterator<Item = &'r VariantRow<'r>> {
    led_on(rows).filter(|row| !row.is_quiet)
}

/// Those behind which there is an upstream.
fn led_on<'r>(rows: &'r [VariantRow<'r>]) -> impl Iterator<Item = &'r VariantRow<'r>> {
    rows.iter().filter(|row| row.stats.own_status().is_none())
}

/// A family with one number for each variant.
fn by_variant<'r>(
    text: &mut Exposition,
    family: &Family,
    rows: impl Iterator<Item = &'r VariantRow<'r>>,
    number: impl Fn(&VariantTotals) -> u64,
) {
    text.family(family, |samples| {
        for row in rows {
            samples.value(&row.labels, number(&row.totals));
        }
    });
}

/// A family with a histogram for each variant and outcome.
fn by_outcome<'r>(
    text: &mut Exposition,
    family: &Family,
    rows: impl Iterator<Item = &'r VariantRow<'r>>,
    histograms: impl Fn(&VariantTotals) -> &[HistogramTotals; Outcome::N],
) {
    text.family(family, |samples| {
        for row in rows {
            for (outcome, histogram) in Outcome::ALL.iter().zip(histograms(&row.totals)) {
                let labels = row.labels.and([("outcome", outcome.label())]);
                samples.histogram(&labels, row.stats.buckets(), histogram);
            }
        }
    });
}

pub(crate) fn text_of(labels: &VariantLabels) -> Labels {
    Labels::new([
        ("route", &labels.route),
        ("variant", &labels.variant),
        ("upstream", &labels.upstream),
    ])
}
