//! The routes that serve a flag: whose upstreams are told of it, or that are divided by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;
use crate::config::settings::Config;
use crate::flag::FlagSpec;
use crate::segment::Attribute;

impl Config {
    /// The routes whose requests a flag is evaluated for: those whose upstreams are told of it, and
    /// those with a rule whose segment asks for it.
    pub fn routes_of_flag(&self, flag: &str) -> BTreeSet<&str> {
        routes_of(flag, &self.flags.specs, &self.segments, &self.routes)
    }
}

/// The routes that serve a flag.
pub(crate) fn routes_of<'c>(
    flag: &str,
    specs: &'c BTreeMap<String, FlagSpec>,
    segments: &BTreeMap<String, SegmentConfig>,
    routes: &'c BTreeMap<String, RouteConfig>,
) -> BTreeSet<&'c str> {
    let inject = specs.get(flag).and_then(|spec| spec.inject.as_ref());
    let told = inject.into_iter().flat_map(|inject| &inject.routes);
    let asks = |segment: &str| {
        let segment = segments.get(segment);
        let mut conditions = segment
            .into_iter()
            .flat_map(|segment| segment.spec.any.iter().flatten());
        conditions.any(|it| matches!(&it.attribute, Attribute::Flag(name) if name == flag))
    };
    let divided = routes.iter().filter(|(_, route)| {
        let mut rules = route.split_spec.rules.iter();
        rules.any(|rule| asks(&rule.name))
    });
    let divided = divided.map(|(name, _)| name);
    told.chain(divided).map(String::as_str).collect()
}
