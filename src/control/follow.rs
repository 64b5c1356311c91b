//! What becomes of endpoints: those that a name led to, and those that nothing names any more.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tracing::info;

use crate::control::Controller;
use crate::control::resolver::Done;
use crate::proxy::Snapshot;
use crate::upstream::EndpointSpec;

impl Controller {
    /// Lets the upstreams of names follow what came of look-ups.
    pub(in crate::control) fn resolved(&mut self, resolved: Vec<Done>) {
        let live = self.shared.live.load_full();
        let mut changed = false;
        for done in &resolved {
            let upstreams = live.config.upstreams.values().zip(&live.snapshot.upstreams);
            for (config, upstream) in upstreams {
                let is_of = |spec: &EndpointSpec| spec.name().as_ref() == Some(&done.name);
                if !config.endpoints.iter().any(is_of) {
                    continue;
                }
                upstream.stats().resolved(done.result);
                if done.changed && upstream.follow(&self.resolver.places(&config.endpoints)) {
                    let n_endpoints = upstream.endpoints().len();
                    info!(upstream = %upstream.name(), n_endpoints, "endpoints changed");
                    changed = true;
                }
            }
        }
        if changed {
            self.checker.follow(&live.snapshot);
            self.show();
        }
        let names = &self.shared.names;
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        names.extend(resolved.into_iter().map(|done| (done.name, done.status)));
        names.retain(|name, _| self.resolver.knows(name));
    }
}

/// Takes back the ejections of upstreams that eject nothing any more.
pub(in crate::control) fn forgive(snapshot: &Snapshot) {
    for upstream in &snapshot.upstreams {
        if upstream.settings().outlier.is_none() {
            upstream.endpoints().iter().for_each(|one| one.forgive());
        }
    }
}

/// Retires the endpoints that `after` does not have.
pub(in crate::control) fn retire(before: &Snapshot, after: &Snapshot) {
    let after: HashMap<_, _> = after
        .upstreams
        .iter()
        .map(|one| (one.name(), one))
        .collect();
    let none = Arc::default();
    for upstream in &before.upstreams {
        match after.get(upstream.name()) {
            Some(same) if Arc::ptr_eq(same, upstream) => {}
            Some(next) => upstream.endpoints().retire_but(&next.endpoints()),
            None => upstream.endpoints().retire_but(&none),
        }
    }
}
