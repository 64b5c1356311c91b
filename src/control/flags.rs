//! Flags at the edge, from the configuration.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Config, RouteConfig};
use crate::flag::Flags;
use crate::proxy::{Edge, RouteFlags, ServedFlag};
use crate::segment::Attribute;
use crate::telemetry::Registry;
use crate::telemetry::stats::FlagLabels;

/// All flags, with their numbers.
pub(in crate::control) fn edge(config: &Config, registry: &Registry) -> Edge {
    let flags = Arc::clone(&config.flags.built);
    let stats = (0..flags.len()).map(|flag| {
        let name: Arc<str> = flags.name(flag).into();
        let variants = flags.variants(flag).iter().map(|variant| {
            registry.flag(&FlagLabels {
                flag: Arc::clone(&name),
                variant: variant.as_str().into(),
            })
        });
        variants.collect()
    });
    Edge {
        stats: stats.collect(),
        keys: Arc::new(config.flags.context.clone()),
        flags,
    }
}

/// The headers that tell upstreams of flags, on whichever routes, in lower case.
pub(in crate::control) fn headers(flags: &Flags) -> BTreeSet<String> {
    let injected = (0..flags.len()).filter_map(|flag| flags.spec(flag).inject.as_ref());
    injected
        .map(|inject| inject.header.to_ascii_lowercase())
        .collect()
}

/// A route that lets no client say what tidegate tells of flags: upstreams may have several routes.
pub(in crate::control) fn guarded<'r>(
    route: &'r RouteConfig,
    headers: &BTreeSet<String>,
) -> Cow<'r, RouteConfig> {
    if headers.is_empty() {
        return Cow::Borrowed(route);
    }
    let mut route = route.clone();
    let removed = &mut route.treatment.request_headers.remove;
    removed.extend(headers.iter().cloned());
    Cow::Owned(route)
}

/// What a route has to do with flags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlagsOfRoute {
    /// The flags that it serves, by name: its rules test them, or its upstreams are told of them by a
    /// header, whose name is here in lower case.
    pub served: BTreeMap<String, Option<String>>,
    /// Whether its rules test flags or keys of the evaluation context.
    pub tests: bool,
}

impl FlagsOfRoute {
    /// Finds out what a route of a configuration has to do with flags.
    pub fn of(name: &str, route: &RouteConfig, config: &Config) -> Self {
        let mut found = Self::default();
        let rules = route.split_spec.rules.iter();
        let segments = rules.filter_map(|rule| config.segments.get(&rule.name));
        for condition in segments.flat_map(|segment| segment.spec.any.iter().flatten()) {
            match &condition.attribute {
                Attribute::Flag(flag) => {
                    found.tests = true;
                    found.served.insert(flag.clone(), None);
                }
                Attribute::Context(_) => found.tests = true,
                _ => {}
            }
        }
        let is_divided = route.direct.is_none();
        for (flag, spec) in config.flags.specs.iter().filter(|_| is_divided) {
            let inject = spec.inject.as_ref();
            let inject = inject.filter(|inject| inject.routes.iter().any(|it| it == name));
            if let Some(inject) = inject {
                let header = inject.header.to_ascii_lowercase();
                found.served.insert(flag.clone(), Some(header));
            }
        }
        found
    }
}

/// The flags that a route serves; nothing for a route that has nothing to ask of them.
pub(in crate::control) fn of_route(
    name: &str,
    route: &RouteConfig,
    config: &Config,
    edge: &Edge,
) -> Option<RouteFlags> {
    let FlagsOfRoute { served, tests } = FlagsOfRoute::of(name, route, config);
    if served.is_empty() && !tests {
        return None;
    }
    let served = served.into_iter().filter_map(|(flag, header)| {
        Some(ServedFlag {
            flag: edge.flags.position(&flag)?,
            header: header.map(|header| header.into_bytes().into()),
        })
    });
    Some(RouteFlags {
        edge: edge.clone(),
        served: served.collect(),
    })
}
