//! Pins that would undo each other: a client has one cookie of a name for a whole host, so routes
//! that pin by the same cookie on the same host must agree on what its values mean.

use std::collections::{BTreeMap, HashMap};

use crate::config::reader::Value;
use crate::config::route::RouteConfig;
use crate::split::PinSpec;

/// What the pins of a route mean: routes of which all of this is equal share them.
#[derive(Eq, PartialEq)]
struct Meaning<'r> {
    pin: &'r PinSpec,
    salt: &'r str,
    /// In the order of their names, as the file's tables are.
    variants: Vec<&'r str>,
}

/// A route that pins.
struct Pinning<'r> {
    name: &'r str,
    meaning: Meaning<'r>,
    hosts: Vec<Hosts>,
}

/// The hosts of one pattern, in lower case.
#[derive(Clone, Eq, Hash, PartialEq)]
enum Hosts {
    Any,
    /// All names that end with this, such as `.example.com`.
    Below(String),
    One(String),
}

impl Hosts {
    fn of(pattern: &str) -> Self {
        let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('*') {
            Some(suffix) => Self::Below(suffix.to_owned()),
            None => Self::One(pattern),
        }
    }

    /// The patterns that take all of these hosts, itself first.
    fn covers(&self) -> Vec<Self> {
        let mut covers = vec![self.clone()];
        if let Self::Below(name) | Self::One(name) = self {
            let dots = name.match_indices('.').map(|(at, _)| at);
            let suffixes = dots.map(|at| Self::Below(name[at..].to_owned()));
            covers.extend(suffixes.filter(|suffix| suffix != self));
            covers.push(Self::Any);
        }
        covers
    }
}

/// Refuses each route whose pins another route, on the same host and by the same cookie, would take
/// for invalid and replace: their users would be assigned anew again and again. `section` is where
/// the routes are written.
pub(crate) fn refuse_clashes(routes: &BTreeMap<String, RouteConfig>, section: Option<&Value<'_>>) {
    let pinning: Vec<Pinning<'_>> = routes.iter().filter_map(pinning).collect();
    let mut seen: HashMap<(&str, &Hosts), &Pinning<'_>> = HashMap::new();
    for route in &pinning {
        for hosts in &route.hosts {
            seen.entry((route.meaning.cookie(), hosts)).or_insert(route);
        }
    }
    for route in &pinning {
        let cookie = route.meaning.cookie();
        let others = route.hosts.iter().flat_map(Hosts::covers);
        let mut others = others.filter_map(|hosts| seen.get(&(cookie, &hosts)).copied());
        let other = others.find(|other| other.meaning != route.meaning);
        if let Some(other) = other
            && let Some(place) = section.and_then(|section| section.entry(route.name))
        {
            place.refuse_key(format!(
                "pins by the cookie {cookie} as route {} does, on the same host and with another \
                 meaning, so each would undo the other's; give one another sticky.cookie.name, or \
                 both one salt, epoch and secret and variants of the same names",
                other.name
            ));
        }
    }
}

fn pinning<'r>((name, route): (&'r String, &'r RouteConfig)) -> Option<Pinning<'r>> {
    let spec = &route.split_spec;
    let hosts = &route.match_spec.hosts;
    Some(Pinning {
        name,
        meaning: Meaning {
            pin: spec.sticky.as_ref()?.pin.as_ref()?,
            salt: &spec.salt,
            variants: spec.variants.iter().map(|it| it.name.as_str()).collect(),
        },
        hosts: match &hosts[..] {
            [] => vec![Hosts::Any],
            hosts => hosts.iter().map(|host| Hosts::of(host)).collect(),
        },
    })
}

impl<'r> Meaning<'r> {
    fn cookie(&self) -> &'r str {
        &self.pin.cookie.name
    }
}
