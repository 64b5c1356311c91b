//! The snapshot: everything that the data plane obeys, immutable, behind one pointer.
//!
//! `control` builds and stores it. A worker looks at the pointer once per request and keeps what it
//! needs of its own, its pools and its view of the upstreams, in a [`Local`] that a request holds
//! by a count nobody else touches: a request sees one configuration from beginning to end, and no
//! memory is written that another worker reads.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::listener;
use crate::message::{AccessList, RequestHead};
use crate::proxy::Direct;
use crate::proxy::Edge;
use crate::proxy::Mirror;
use crate::proxy::RouteFlags;
use crate::proxy::RouteLimits;
use crate::proxy::Treatment;
use crate::proxy::TunnelSwitch;
use crate::proxy::headers::{FieldEdits, Rewritten};
use crate::route::{PathRewrite, Table};
use crate::split::{Asked, Draw, Nowhere, Split};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::stats::{RouteStats, RuleStats, VariantStats};
use crate::upstream::{LocalUpstream, Pools, Upstream};

/// A branch of a route: where it leads and what is counted of it.
#[derive(Debug)]
pub struct Variant {
    /// Its name.
    pub name: Arc<str>,
    /// Where in [`Snapshot::upstreams`] its upstream is.
    pub upstream: usize,
    /// Its numbers.
    pub stats: Arc<VariantStats>,
    /// What changes in the fields of requests that it serves, where those tell that it does; else it
    /// is what changes in all of the route.
    pub request: Option<Box<FieldEdits>>,
    /// What changes in the fields of responses to requests for which it was chosen, likewise.
    pub response: Option<Box<FieldEdits>>,
    /// The switch of its tunnels; it outlives the snapshot.
    pub tunnels: Arc<TunnelSwitch>,
}

/// A rule of a route: what of it outlives the snapshot.
#[derive(Debug)]
pub struct Rule {
    /// The name of its segment.
    pub segment: Arc<str>,
    /// Its own draw: a counter that two divisions share would be exact for neither.
    pub draw: Arc<Draw>,
    /// Its numbers.
    pub stats: Arc<RuleStats>,
}

/// A route with its split; one without a split has one variant.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// How its requests are divided; its variants are those of `variants`, in the same order.
    pub split: Arc<Split>,
    /// The draw for requests without a key; it outlives the snapshot.
    pub draw: Arc<Draw>,
    /// The rules of its split, in the same order.
    pub rules: Vec<Rule>,
    /// Its variants.
    pub variants: Vec<Variant>,
    /// Its numbers that belong to no variant.
    pub stats: Arc<RouteStats>,
    /// True when the runner-up serves for a variant that is unavailable.
    pub failover: bool,
    /// What it does to requests and responses on their way; `None` leaves them as they are.
    pub treatment: Option<Box<Treatment>>,
    /// What it answers by itself; then it has no variants.
    pub direct: Option<Box<Direct>>,
    /// Whose requests it takes; `None` is everybody's.
    pub access: Option<Box<AccessList>>,
    /// What of its requests is mirrored, if anything is.
    pub mirror: Option<Box<Mirror>>,
    /// Whether queries of its requests hold secrets that are for nobody's eyes.
    pub hides_query: bool,
    /// The flags that it serves, if it serves any.
    pub flags: Option<Box<RouteFlags>>,
    /// How many requests it takes; `None` is without bound.
    pub limits: Option<Box<RouteLimits>>,
}

impl Route {
    /// The numbers that a request is charged to: those of the variant that was chosen for it, or of
    /// what the route answers by itself.
    pub(crate) fn charged(&self, chosen: usize) -> &Arc<VariantStats> {
        match &self.direct {
            Some(direct) => &direct.stats,
            None => &self.variants[chosen].stats,
        }
    }

    /// A request, as the route is asked about it.
    pub(crate) fn asked<'a>(&'a self, request: &'a RequestHead, client: IpAddr) -> Asked<'a> {
        Asked {
            request,
            client,
            elsewhere: match &self.flags {
                Some(flags) => &flags.edge,
                None => &Nowhere,
            },
        }
    }

    /// What changes in the fields of requests that a variant serves.
    pub(crate) fn request_edits(&self, served: usize) -> Option<&FieldEdits> {
        let own = self.variants.get(served)?.request.as_deref();
        own.or_else(|| Some(&self.treatment.as_ref()?.request))
    }

    /// The target that its requests have behind the proxy; `path` is what became of the path, if
    /// anything did.
    pub(crate) fn rewritten<'a>(&'a self, path: &'a [u8]) -> Rewritten<'a> {
        let Some(treatment) = &self.treatment else {
            return Rewritten::default();
        };
        let rewrite = treatment.path.as_ref();
        Rewritten {
            path: rewrite.map(|_| path),
            host: treatment.host.as_deref(),
            prefix: rewrite.and_then(PathRewrite::stripped),
        }
    }

    /// What changes in the fields of responses to requests for which a variant was chosen.
    pub(crate) fn response_edits(&self, chosen: usize) -> Option<&FieldEdits> {
        let variant = self.variants.get(chosen);
        let own = variant.and_then(|variant| variant.response.as_deref());
        own.or_else(|| Some(&self.treatment.as_ref()?.response))
    }
}

/// Everything that the data plane obeys.
#[derive(Debug)]
pub struct Snapshot {
    /// Its number; each change has a greater one.
    pub generation: u64,
    /// The settings of each listener.
    pub listeners: BTreeMap<Arc<str>, Arc<listener::Settings>>,
    /// Which route catches a request, by its place in `routes`.
    pub table: Arc<Table<usize>>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The upstreams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The name of the field with the id of each request, in lower case, if requests have ids.
    pub request_id: Option<Box<[u8]>>,
    /// The flags.
    pub edge: Edge,
    /// Where finished exchanges are logged, if they are.
    pub access_log: Option<Arc<AccessLog>>,
}

/// One worker's view of a snapshot.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) snapshot: Arc<Snapshot>,
    upstreams: Vec<OnceCell<LocalUpstream>>,
    /// Those that copies go to, on connections of their own.
    mirrored: RefCell<BTreeMap<usize, Rc<LocalUpstream>>>,
}

impl Local {
    /// Makes a view; what it holds of upstreams is made when it is first asked for, so that a
    /// large configuration stops no request.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let upstreams = snapshot.upstreams.iter().map(|_| OnceCell::new()).collect();
        Self {
            snapshot,
            upstreams,
            mirrored: RefCell::default(),
        }
    }

    /// The worker's view of an upstream.
    pub(crate) fn upstream(&self, index: usize, pools: &Pools, worker: usize) -> &LocalUpstream {
        self.upstreams[index].get_or_init(|| pools.local(&self.snapshot.upstreams[index], worker))
    }

    /// The worker's view of an upstream that copies go to.
    pub(crate) fn mirrored(&self, index: usize, pools: &Pools, worker: usize) -> Rc<LocalUpstream> {
        let mut mirrored = self.mirrored.borrow_mut();
        let upstream = &self.snapshot.upstreams[index];
        let view = mirrored
            .entry(index)
            .or_insert_with(|| Rc::new(pools.local(upstream, worker)));
        Rc::clone(view)
    }

    /// Lets go of endpoints that went away, also while no request asks for their upstream.
    pub(crate) fn follow(&self) {
        for upstream in self.upstreams.iter().filter_map(OnceCell::get) {
            upstream.follow();
        }
        for upstream in self.mirrored.borrow().values() {
            upstream.follow();
        }
    }

    /// Counts a request that was answered before it had a route.
    pub(crate) fn unrouted(&self, listener: &str, worker: usize, status: u16) {
        if let Some(settings) = self.snapshot.listeners.get(listener) {
            settings.stats.shard(worker).unrouted(status);
        }
    }

    /// Counts a request that was refused by overload.
    pub(crate) fn overloaded(&self, listener: &str, worker: usize) {
        if let Some(settings) = self.snapshot.listeners.get(listener) {
            settings.stats.shard(worker).overloaded();
        }
    }
}
