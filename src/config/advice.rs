//! Warnings: what is allowed and hardly meant.
//!
//! A warning must be worth reading every time: what a careful operator would do on purpose gets
//! none. What concerns one value alone is warned of where that value is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::direct::DirectConfig;
use crate::config::reader::Value;
use crate::config::route::RouteConfig;
use crate::config::settings::ListenerConfig;
use crate::config::unit::write_duration;
use crate::message::Scheme;
use crate::split::{State, VariantSpec};

/// How long common servers keep an idle connection at most: 60 s to 75 s.
const ENDPOINTS_IDLE: Duration = Duration::from_secs(60);

/// Warns of each upstream that no route leads to.
pub(crate) fn unused_upstreams(section: &Value<'_>, routes: &BTreeMap<String, RouteConfig>) {
    let used: HashSet<&str> = routes
        .values()
        .flat_map(|route| {
            let mirror = route.mirror.as_ref().map(|mirror| &mirror.upstream);
            route.upstreams.iter().chain(mirror)
        })
        .map(String::as_str)
        .collect();
    section.entries(|name, value| {
        if !used.contains(name) {
            value.warn_key("no route leads here");
        }
        None::<()>
    });
}

/// Warns of each segment that neither a route nor a flag has a rule for; `of_flags` are those that
/// flags have one for.
pub(crate) fn unused_segments(
    section: &Value<'_>,
    routes: &BTreeMap<String, RouteConfig>,
    of_flags: Option<BTreeSet<&str>>,
) {
    let used: HashSet<&str> = routes
        .values()
        .flat_map(|route| &route.split_spec.rules)
        .map(|rule| rule.name.as_str())
        .chain(of_flags.into_iter().flatten())
        .collect();
    section.entries(|name, value| {
        if !used.contains(name) {
            value.warn_key("neither a route nor a flag has a rule for it");
        }
        None::<()>
    });
}

/// Warns of a redirect that leads some of what its route catches to where it came from.
pub(crate) fn redirect(
    value: &Value<'_>,
    route: &RouteConfig,
    listeners: &BTreeMap<String, ListenerConfig>,
) {
    let Some(DirectConfig::Redirect(redirect)) = &route.direct else {
        return;
    };
    let matched = &route.match_spec;
    let keeps_host = match &redirect.host {
        None => true,
        Some(host) => matched.hosts.iter().any(|it| it.eq_ignore_ascii_case(host)),
    };
    let keeps_rest = redirect.port.is_none() && redirect.path.is_none() && redirect.query;
    if !keeps_host || !keeps_rest {
        return;
    }
    for scheme in [Scheme::Http, Scheme::Https] {
        let may_come = listeners.values().any(|listener| {
            let own = if listener.tls.is_some() {
                Scheme::Https
            } else {
                Scheme::Http
            };
            own == scheme || !listener.trusted_proxies.is_empty()
        });
        let is_caught = matched.scheme.is_none_or(|only| only == scheme);
        let stays = redirect.scheme.is_none_or(|to| to == scheme);
        if may_come && is_caught && stays {
            let other = match scheme {
                Scheme::Http => Scheme::Https,
                Scheme::Https => Scheme::Http,
            };
            value.warn_key(format!(
                "what comes by {} is redirected to where it came, and so answered 508; \
                 match = {{ scheme = \"{}\" }} leaves it out",
                scheme.name(),
                other.name()
            ));
        }
    }
}

/// Warns of a rule whose variants are off: turning them off has to be possible, but it is not what
/// the rule says.
pub(crate) fn closed_rule(value: &Value<'_>, variants: &[VariantSpec], weights: &[u32]) {
    let is_closed = variants
        .iter()
        .zip(weights)
        .all(|(variant, &weight)| weight == 0 || variant.state == State::Off);
    if is_closed {
        value.warn_key("every variant that has a weight here is off, so the rule is passed over");
    }
}

/// Warns of an idle time that endpoints will not wait for.
pub(crate) fn idle(value: &Value<'_>, idle: Duration) {
    if ENDPOINTS_IDLE < idle {
        value.warn(format!(
            "endpoints that close idle connections before {} make requests fail; few wait longer than {}",
            write_duration(idle),
            write_duration(ENDPOINTS_IDLE)
        ));
    }
}

/// Warns of a network that everybody is in, where it is asked whom to trust.
pub(crate) fn trusted(value: &Value<'_>, network: IpNet) {
    if network.prefix_len() == 0 {
        value.warn("every client can claim any address: this trusts everybody");
    }
}

/// Warns of a network that everybody is in, where it is asked who may force.
pub(crate) fn all_trusted(value: &Value<'_>, network: IpNet) {
    if network.prefix_len() == 0 {
        value.warn("every client is in this network: it keeps nobody from forcing");
    }
}

/// Warns of pins that are not signed.
pub(crate) fn unsigned(value: &Value<'_>) {
    value.warn("anybody can make a pin and so choose a variant, also one of weight 0");
}

/// Warns of endpoints that anybody can pretend to be.
pub(crate) fn unverified(value: &Value<'_>) {
    value.warn("whoever answers at an endpoint's address is taken for it: nothing is verified");
}

/// Warns of more connections than this process may ever have open: each takes two files, one
/// towards the client and one towards the upstream.
pub(crate) fn connections(value: &Value<'_>, connections: usize) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if let Some(limit) = limit
        && limit / 2 < connections as u64
    {
        value.warn(format!(
            "{connections} connections need twice as many open files, and this machine allows {limit}"
        ));
    }
}

/// Warns of a split that divides nothing.
pub(crate) fn single_variant(split: &Value<'_>, n_variants: usize) {
    if n_variants == 1 {
        split.warn_key("one variant alone divides nothing; `upstream = …` says the same");
    }
}
