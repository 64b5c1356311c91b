//! From what is configured of a route's mirror to what the data plane obeys.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{MirrorConfig, RouteConfig};
use crate::control::treatment;
use crate::proxy::{Cap, Mirror, Route};
use crate::split::{Draw, Sample, State};
use crate::telemetry::Registry;
use crate::telemetry::stats::VariantLabels;

/// Copies that may be under way at a time, of all routes: with 64 KiB of a body each they hold 64 MiB.
pub(in crate::control) const MOST_COPIES: usize = 1024;

/// What mirrors are made with.
pub(in crate::control) struct Workshop<'a> {
    pub(in crate::control) registry: &'a Registry,
    /// Where upstreams are in the snapshot, by name.
    pub(in crate::control) places: &'a HashMap<&'a str, usize>,
    /// How many copies may be under way at a time, of all routes.
    pub(in crate::control) copies: &'a Arc<Cap>,
    /// Makes a draw that begins anywhere.
    pub(in crate::control) fresh: &'a dyn Fn() -> Arc<Draw>,
}

impl Workshop<'_> {
    /// Makes the mirror of a route; what of the one before outlives it is taken over. None where it
    /// leads to a variant that is off, which gets nothing at all.
    pub(in crate::control) fn mirror(
        &self,
        name: &Arc<str>,
        route: &RouteConfig,
        before: Option<&Route>,
    ) -> Option<Box<Mirror>> {
        let config = route.mirror.as_ref()?;
        if is_off(config, route) {
            return None;
        }
        let &upstream = self.places.get(config.upstream.as_str())?;
        let labels = VariantLabels {
            route: Arc::clone(name),
            variant: config.variant.as_deref().unwrap_or_default().into(),
            upstream: config.upstream.as_str().into(),
        };
        let before = before.and_then(|before| before.mirror.as_deref());
        let cap = before.map(|before| &before.caps[0]);
        let cap = cap.filter(|cap| cap.most() == config.concurrent);
        Some(Box::new(Mirror {
            name: config
                .variant
                .as_ref()
                .unwrap_or(&config.upstream)
                .as_str()
                .into(),
            upstream,
            sample: Sample::new(config.percent, &route.split_spec.salt),
            draw: before.map_or_else(self.fresh, |before| Arc::clone(&before.draw)),
            methods: config
                .methods
                .iter()
                .map(|name| name.as_bytes().into())
                .collect(),
            timeout: config.timeout,
            body_bytes: config.body_bytes,
            compare: config.compare.clone(),
            request: treatment::mirrored(&route.treatment, name, config.variant.as_deref()),
            caps: [
                cap.map_or_else(|| Arc::new(Cap::new(config.concurrent)), Arc::clone),
                Arc::clone(self.copies),
            ],
            stats: self.registry.mirror(&labels),
        }))
    }
}

/// What the numbers of the mirrors of routes are labelled with.
pub(in crate::control) fn live(routes: &[Route]) -> Vec<VariantLabels> {
    let mirrors = routes.iter().filter_map(|route| route.mirror.as_ref());
    mirrors
        .map(|mirror| mirror.stats.labels().clone())
        .collect()
}

/// True when the variant that it leads to is off.
fn is_off(config: &MirrorConfig, route: &RouteConfig) -> bool {
    let mut variants = route.split_spec.variants.iter();
    variants.any(|variant| {
        Some(&variant.name) == config.variant.as_ref() && variant.state == State::Off
    })
}
