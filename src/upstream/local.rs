//! One worker's view of the upstreams: its pools, and which of them a request may go to.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use xxhash_rust::xxh3::xxh3_64;

use crate::message::RequestHead;
use crate::upstream::rendezvous::Rendezvous;
use crate::upstream::{
    Admission, Balance, EndpointSet, Guard, Pool, Refused, Upstream, balance, endpoint,
};

/// One worker's view of an upstream.
#[derive(Debug)]
pub struct LocalUpstream {
    upstream: Arc<Upstream>,
    /// The endpoints of now. Looking costs one read of what nobody writes while nothing changes.
    source: RefCell<Cache<Arc<ArcSwap<EndpointSet>>, Arc<EndpointSet>>>,
    view: RefCell<View>,
    pools: Pools,
    worker: usize,
    picker: balance::Picker,
}

/// The endpoints as this worker last saw them.
#[derive(Debug)]
struct View {
    endpoints: Arc<EndpointSet>,
    /// Their pools, in the same order.
    pools: Vec<Rc<Pool>>,
    /// Which of them has a key, where that matters.
    rendezvous: Option<Rendezvous>,
}

impl LocalUpstream {
    /// The upstream itself.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// True when at least one endpoint would be tried now.
    pub fn is_available(&self) -> bool {
        let view = self.view();
        // Endpoints that refuse are rare: the clock is read only once one does.
        view.pools.iter().any(|pool| !pool.endpoint().is_suspect()) || {
            let now = endpoint::now();
            view.pools
                .iter()
                .any(|pool| pool.endpoint().is_available(now))
        }
    }

    /// True when an endpoint that is left alone for its failures would be tried now if there were no
    /// other.
    pub fn has_ejected(&self) -> bool {
        let now = endpoint::now();
        let view = self.view();
        view.pools
            .iter()
            .any(|pool| pool.endpoint().is_better_than_none(now))
    }

    /// What keeps a request with one endpoint, if anything does.
    pub fn key(&self, request: &RequestHead, client: IpAddr) -> Option<u64> {
        let Balance::ConsistentHash(keys) = &self.upstream.settings.balance else {
            return None;
        };
        let key = keys.iter().find_map(|key| key.of(request, client))?;
        Some(xxh3_64(key.as_bytes()))
    }

    /// Picks the pool of an endpoint for a new attempt of a request with this key; not the one in
    /// `tried` while there is another. `None` when none is available.
    pub fn pick(&self, key: Option<u64>, tried: Option<&Rc<Pool>>) -> Option<Rc<Pool>> {
        let view = self.view();
        if let (Some(key), Some(rendezvous)) = (key, &view.rendezvous) {
            return balance::pick_by_key(key, rendezvous, &view.pools, tried).cloned();
        }
        let balance = &self.upstream.settings.balance;
        self.picker.pick(balance, &view.pools, tried).cloned()
    }

    /// Picks the pool of an endpoint that is left alone for its failures: where there is no other, the
    /// last ones are not given up.
    pub fn pick_ejected(&self, tried: Option<&Rc<Pool>>) -> Option<Rc<Pool>> {
        let view = self.view();
        self.picker.pick_ejected(&view.pools, tried).cloned()
    }

    /// Asks for a request to go there, where there are limits or a breaker.
    ///
    /// # Errors
    /// When there are as many requests as there may be, or the breaker is open.
    pub fn admit(&self) -> Result<Option<Admission>, Refused> {
        let settings = &self.upstream.settings;
        if settings.limits.requests.is_none() && settings.breaker.is_none() {
            return Ok(None);
        }
        let admission = self.upstream.guard.admit(settings, self.worker)?;
        Ok(Some(admission))
    }

    /// Takes note of endpoints that came and went, also when no request comes; and of how requests
    /// fare, for the breaker.
    pub fn follow(&self) {
        let _current = self.view();
        self.upstream.mark();
    }

    /// The endpoints of now.
    fn view(&self) -> Ref<'_, View> {
        let mut source = self.source.borrow_mut();
        let current = source.load();
        if !Arc::ptr_eq(current, &self.view.borrow().endpoints) {
            let view = self.pools.view(&self.upstream, current, self.worker);
            *self.view.borrow_mut() = view;
        }
        self.view.borrow()
    }
}

/// All pools of one worker, by endpoint: they outlive the snapshots.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    by_endpoint: Rc<RefCell<HashMap<u64, Rc<Pool>>>>,
    /// True when nothing that happens in them is noted with the endpoints.
    is_quiet: bool,
}

impl Pools {
    /// Pools beside those of requests: what happens in them says nothing of the endpoints to others.
    pub fn quiet() -> Self {
        Self {
            is_quiet: true,
            ..Self::default()
        }
    }

    /// The worker's view of an upstream, over the pools that exist already.
    pub fn local(&self, upstream: &Arc<Upstream>, worker: usize) -> LocalUpstream {
        upstream.mark();
        LocalUpstream {
            upstream: Arc::clone(upstream),
            source: RefCell::new(Cache::new(Arc::clone(&upstream.endpoints))),
            view: RefCell::new(self.view(upstream, &upstream.endpoints(), worker)),
            pools: self.clone(),
            worker,
            picker: balance::Picker::new(worker),
        }
    }

    fn view(&self, upstream: &Upstream, endpoints: &Arc<EndpointSet>, worker: usize) -> View {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let pools = endpoints.iter().map(|endpoint| {
            let pool = by_endpoint.entry(endpoint.id()).or_insert_with(|| {
                let guard = if self.is_quiet {
                    Arc::new(Guard::new(Arc::clone(upstream.stats())))
                } else {
                    Arc::clone(&upstream.guard)
                };
                let tls = upstream
                    .settings
                    .tls
                    .as_ref()
                    .map(|tls| tls.towards(endpoint.tls_name(), endpoint.address().ip()));
                let protocol = upstream.settings.protocol;
                Rc::new(Pool::new(
                    Arc::clone(endpoint),
                    protocol,
                    guard,
                    worker,
                    tls,
                ))
            });
            pool.obey(&upstream.settings);
            if self.is_quiet {
                pool.be_quiet();
            }
            Rc::clone(pool)
        });
        let is_hashed = matches!(upstream.settings.balance, Balance::ConsistentHash(_));
        let addresses = endpoints.iter().map(|endpoint| endpoint.address());
        View {
            pools: pools.collect(),
            rendezvous: is_hashed.then(|| Rendezvous::new(addresses)),
            endpoints: Arc::clone(endpoints),
        }
    }

    /// Closes connections that waited too long, that the endpoint closed, or whose endpoint is no
    /// more, and forgets the pools of endpoints that no configuration names any more. Called every
    /// second or so.
    pub fn sweep(&self) {
        let pools: Vec<_> = self.by_endpoint.borrow().values().cloned().collect();
        for pool in pools {
            pool.sweep();
        }
        self.by_endpoint
            .borrow_mut()
            .retain(|_, pool| !pool.endpoint().is_retired() || pool.is_busy());
    }
}
