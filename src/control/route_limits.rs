//! From what is configured of a route's limits to what the data plane obeys.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::config::RouteConfig;
use crate::control::chance;
use crate::proxy::{RateLimit, RouteLimits};

/// The limits of a route; buckets and counts are those of `before`, as far as it had the same.
pub(crate) fn of(config: &RouteConfig, before: Option<&RouteLimits>) -> Option<Box<RouteLimits>> {
    let limit = config.treatment.requests;
    if config.rates.is_empty() && limit.is_none() {
        return None;
    }
    let rates = config.rates.iter().enumerate().map(|(n, rate)| {
        let known = before.into_iter().flat_map(|before| before.rates.get(n));
        let mut same = known.filter(|known| known.rate() == rate);
        let fresh = || Arc::new(RateLimit::new(rate.clone(), chance::bits()));
        same.next().map_or_else(fresh, Arc::clone)
    });
    let counted = before.and_then(|before| before.requests.as_ref());
    let count = counted.map_or_else(
        || Arc::new(AtomicU32::new(0)),
        |(_, count)| Arc::clone(count),
    );
    Some(Box::new(RouteLimits {
        rates: rates.collect(),
        requests: limit.map(|limit| (limit, count)),
    }))
}
