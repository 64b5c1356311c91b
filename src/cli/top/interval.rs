//! What happened between two looks at an instance: counts become rates, histograms quantiles.

use std::time::Duration;

use serde::Serialize;

use crate::admin::wire::{Endpoints, Status, VariantStatus};
use crate::cli::top::quantile::{Quantile, quantile};

/// The selection that says nothing of how traffic is divided: the requests named the variant.
const FORCED: &str = "forced";

/// The variants of an instance over some time, in the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::top) struct Interval {
    /// How long it was; nothing for a first look, which has no rates.
    pub(in crate::cli::top) took: Option<Duration>,
    /// All variants together.
    pub(in crate::cli::top) total: Traffic,
    /// Each variant.
    pub(in crate::cli::top) variants: Vec<VariantSeen>,
}

/// One variant over some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::cli::top) struct VariantSeen {
    #[serde(skip)]
    pub(in crate::cli::top) route: String,
    #[serde(skip)]
    pub(in crate::cli::top) name: String,
    pub(in crate::cli::top) upstream: String,
    pub(in crate::cli::top) weight: u32,
    pub(in crate::cli::top) share: f64,
    /// Its part of the requests of its route that did not name their variant; nothing when there
    /// were none.
    pub(in crate::cli::top) actual_share: Option<f64>,
    #[serde(flatten)]
    pub(in crate::cli::top) traffic: Traffic,
    pub(in crate::cli::top) p50_ms: Option<Quantile>,
    pub(in crate::cli::top) p99_ms: Option<Quantile>,
    pub(in crate::cli::top) endpoints: Endpoints,
    pub(in crate::cli::top) state: &'static str,
}

/// How much there was, and how it fared. What is not known over the time is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::cli::top) struct Traffic {
    pub(in crate::cli::top) requests_per_second: Option<f64>,
    /// The part that failed by no fault of the client's.
    pub(in crate::cli::top) failed: Option<f64>,
    /// The part that tidegate itself answered with a 5xx.
    pub(in crate::cli::top) failed_by_proxy: Option<f64>,
    pub(in crate::cli::top) in_flight: u64,
    pub(in crate::cli::top) tunnels: u64,
}

/// What was counted over some time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counted {
    requests: u64,
    failures: u64,
    /// Requests among which the failures are. An instance goes on while it is read, so that this is
    /// not always as many as the requests; who is in one is in the other.
    failures_of: u64,
    failures_by_proxy: u64,
    /// Requests for which the variant was chosen, and not named.
    chosen: u64,
}

impl Interval {
    /// Makes it of one look, which has no rates yet.
    pub(in crate::cli::top) fn first(after: &Status) -> Self {
        Self::new(None, Duration::ZERO, after)
    }

    /// Makes it of two looks with some time between them. An instance that was started anew has no
    /// rates, as at first.
    pub(in crate::cli::top) fn between(before: &Status, took: Duration, after: &Status) -> Self {
        let same = before.started_at == after.started_at;
        Self::new(same.then_some(before), took, after)
    }

    fn new(before: Option<&Status>, took: Duration, after: &Status) -> Self {
        let mut total = Counted::default();
        let mut all = Traffic::default();
        let mut variants = Vec::new();
        for (route, status) in &after.routes {
            let earlier = before.and_then(|before| before.routes.get(route));
            let seen = status.variants.iter().map(|(name, variant)| {
                let earlier = earlier.and_then(|route| route.variants.get(name));
                let earlier = earlier.filter(|earlier| earlier.upstream == variant.upstream);
                let counted = earlier.and_then(|earlier| Counted::between(earlier, variant));
                (name, variant, earlier, counted)
            });
            let seen: Vec<_> = seen.collect();
            let chosen: u64 = seen
                .iter()
                .filter_map(|(.., counted)| Some((*counted)?.chosen))
                .sum();
            for (name, variant, earlier, counted) in seen {
                let traffic = Traffic::new(counted, took, variant.in_flight, variant.tunnels);
                total.add(counted.unwrap_or_default());
                all.in_flight += variant.in_flight;
                all.tunnels += variant.tunnels;
                let bounds = after.latency_bounds_seconds.as_deref().unwrap_or_default();
                let latency = latency(earlier, variant);
                let quantile = |q| quantile(q, bounds, &latency);
                variants.push(VariantSeen {
                    route: route.clone(),
                    name: name.clone(),
                    upstream: variant.upstream.clone(),
                    weight: variant.weight,
                    share: variant.share,
                    actual_share: counted.and_then(|counted| part(counted.chosen, chosen)),
                    traffic,
                    p50_ms: quantile(0.5),
                    p99_ms: quantile(0.99),
                    endpoints: variant.endpoints,
                    state: state(variant),
                });
            }
        }
        Self {
            took: before.map(|_| took),
            total: Traffic::new(before.map(|_| total), took, all.in_flight, all.tunnels),
            variants,
        }
    }
}

impl Traffic {
    fn new(counted: Option<Counted>, took: Duration, in_flight: u64, tunnels: u64) -> Self {
        let rate = |counted: Counted| counted.requests as f64 / took.as_secs_f64();
        Self {
            requests_per_second: counted.map(rate).filter(|rate| rate.is_finite()),
            failed: counted.and_then(|counted| part(counted.failures, counted.failures_of)),
            failed_by_proxy: counted
                .and_then(|counted| part(counted.failures_by_proxy, counted.requests)),
            in_flight,
            tunnels,
        }
    }
}

impl Counted {
    /// What was counted between two looks; nothing when a count fell, as it does when a variant was
    /// forgotten in between.
    fn between(before: &VariantStatus, after: &VariantStatus) -> Option<Self> {
        Some(Self {
            requests: after.requests.checked_sub(before.requests)?,
            failures: failed(after).checked_sub(failed(before))?,
            failures_of: ended(after).checked_sub(ended(before))?,
            failures_by_proxy: after
                .failures_by_proxy
                .checked_sub(before.failures_by_proxy)?,
            chosen: chosen(after).checked_sub(chosen(before))?,
        })
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.failures_of += other.failures_of;
        self.failures_by_proxy += other.failures_by_proxy;
        self.chosen += other.chosen;
    }
}

fn failed(variant: &VariantStatus) -> u64 {
    variant.detail.as_ref().map_or(0, |detail| detail.failed)
}

/// Requests that have ended, as they were counted together with those that failed.
fn ended(variant: &VariantStatus) -> u64 {
    let durations = variant.detail.iter().map(|detail| &detail.request_duration);
    durations.flat_map(|duration| &duration.counts).sum()
}

fn chosen(variant: &VariantStatus) -> u64 {
    let selections = variant.detail.iter().flat_map(|detail| &detail.selections);
    selections
        .filter(|(selection, _)| *selection != FORCED)
        .map(|(_, count)| count)
        .sum()
}

/// What fell into each bucket between two looks; nothing in any without an earlier one.
fn latency(before: Option<&VariantStatus>, after: &VariantStatus) -> Vec<u64> {
    let pairs = before.and_then(counts).zip(counts(after));
    pairs.map_or_else(Vec::new, |(before, after)| {
        let pairs = after.iter().zip(before);
        pairs
            .map(|(after, before)| after.saturating_sub(*before))
            .collect()
    })
}

fn counts(variant: &VariantStatus) -> Option<&[u64]> {
    let detail = variant.detail.as_ref();
    detail.map(|detail| detail.response_headers.counts.as_slice())
}

fn part(n: u64, of: u64) -> Option<f64> {
    (of != 0).then(|| n as f64 / of as f64)
}

/// One word: whether it may be given requests, and whether it could answer them.
fn state(variant: &VariantStatus) -> &'static str {
    if variant.state != "on" {
        "off"
    } else if variant.endpoints.available == 0 {
        "down"
    } else if variant.drained {
        "drained"
    } else if variant.weight == 0 {
        "draining"
    } else {
        "on"
    }
}

#[cfg(test)]
mod tests;
