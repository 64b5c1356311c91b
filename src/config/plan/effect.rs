//! What a change of configuration means for sockets, connections and running requests.

use serde::Serialize;

use crate::config::plan::flags;
use crate::config::plan::keys::quoted;
use crate::config::{Config, ListenerConfig, UpstreamConfig};
use crate::release::spec::{Difference, Spec, Start};

/// What would happen because of a change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Effect {
    /// The key of what changes, such as `upstream.shop.tls`.
    pub key: String,
    /// What happens: a clause without a full stop.
    pub message: String,
}

/// The keys that differ and of which a change needs a restart.
pub(crate) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let keys = [
        (
            "runtime.workers",
            old.runtime.workers != new.runtime.workers,
        ),
        ("runtime.io", old.runtime.io != new.runtime.io),
        ("metrics.buckets", old.metrics != new.metrics),
        ("admin.address", old.admin.address != new.admin.address),
        ("store", store_changes(old, new)),
        (
            "cluster.id",
            old.releases.has_store
                && new.releases.has_store
                && old.releases.cluster != new.releases.cluster,
        ),
    ];
    let changed = keys.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(key, _)| key).collect()
}

/// Whether another store would have to be opened; one that is no longer asked for stays open.
fn store_changes(old: &Config, new: &Config) -> bool {
    let (old, new) = (&old.releases, &new.releases);
    new.has_store && (!old.has_store || old.store.path != new.store.path)
}

/// What would happen.
pub(in crate::config::plan) fn effects(old: &Config, new: &Config) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut tell = |key: String, message: String| effects.push(Effect { key, message });
    for (name, listener) in &new.listeners {
        let key = format!("listener.{name}");
        match old.listeners.get(name) {
            None => tell(key, format!("{} is listened on", listener.address)),
            Some(before) => listener_changes(&key, before, listener, &mut tell),
        }
    }
    for (name, listener) in &old.listeners {
        if !new.listeners.contains_key(name) {
            let message = format!(
                "{} takes no new connection; those that are open drain",
                listener.address
            );
            tell(format!("listener.{name}"), message);
        }
    }
    for (name, upstream) in &new.upstreams {
        if let Some(before) = old.upstreams.get(name) {
            upstream_changes(&format!("upstream.{name}"), before, upstream, &mut tell);
        }
    }
    for (name, upstream) in &old.upstreams {
        if !new.upstreams.contains_key(name) {
            let n_endpoints = upstream.endpoints.len();
            let message =
                format!("its {n_endpoints} endpoints get no new request; what runs there finishes");
            tell(format!("upstream.{name}"), message);
        }
    }
    flags::changes(old, new, &mut tell);
    releases(old, new, &mut tell);
    effects
}

/// What would become of releases, as far as it does not depend on how far they are.
fn releases(old: &Config, new: &Config, tell: &mut impl FnMut(String, String)) {
    let (old, new) = (&old.releases.specs, &new.releases.specs);
    for (id, spec) in new {
        let key = format!("release.{}", quoted(id));
        let (target, candidate) = (said(spec), &spec.candidate);
        let Some(before) = old.get(id) else {
            let message = match spec.start {
                Start::Auto => "starts as soon as nothing speaks against it",
                Start::Manual => "waits for somebody to start it",
            };
            let message = format!("{message}: {target}, from {} to {candidate}", spec.stable);
            tell(key, message);
            continue;
        };
        match before.difference(spec, None) {
            Difference::None | Difference::Adoptable => {}
            Difference::Candidate => {
                let message = format!(
                    "{} gives everything back if it is under way, and {candidate} takes its place",
                    before.candidate
                );
                tell(key, message);
            }
            Difference::Conflict(what) => {
                let message = format!("{what} is another: a conflict if it is under way");
                tell(key, message);
            }
        }
    }
    for (id, spec) in old {
        if !new.contains_key(id) {
            let message = format!(
                "is aborted if it is under way: {} goes back to {}",
                said(spec),
                spec.stable
            );
            tell(format!("release.{}", quoted(id)), message);
        }
    }
}

/// What a release moves, in words.
fn said(spec: &Spec) -> String {
    match spec.flag() {
        Some(flag) => format!("flag {flag}"),
        None => format!("route {}", spec.route),
    }
}

fn listener_changes(
    key: &str,
    old: &ListenerConfig,
    new: &ListenerConfig,
    tell: &mut impl FnMut(String, String),
) {
    if old.address != new.address {
        let message = format!(
            "{} is listened on; {} takes no new connection, and those that are open drain",
            new.address, old.address
        );
        tell(format!("{key}.address"), message);
    } else if old.tls != new.tls || old.protocols != new.protocols {
        let message = "is for new connections; those that are open go on";
        tell(format!("{key}.tls"), message.to_owned());
    }
}

fn upstream_changes(
    key: &str,
    old: &UpstreamConfig,
    new: &UpstreamConfig,
    tell: &mut impl FnMut(String, String),
) {
    if old.tls != new.tls {
        let message = "connections with its endpoints are made anew";
        tell(format!("{key}.tls"), message.to_owned());
    } else if old.protocol != new.protocol {
        let message = "connections with its endpoints are made anew";
        tell(format!("{key}.protocol"), message.to_owned());
    }
    for endpoint in &old.endpoints {
        if !new.endpoints.contains(endpoint) {
            let message = format!("{endpoint} gets no new request; what runs there finishes");
            tell(format!("{key}.endpoints"), message);
        }
    }
}
