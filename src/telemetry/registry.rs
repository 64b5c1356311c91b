//! All numbers by name, kept from one configuration to the next.
//!
//! A reload asks for the numbers of the names it has and gets those that are there already, so no
//! counter begins anew. What the new configuration no longer names is dropped some time later, so
//! that a scraper sees its last values.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::stats::{
    Buckets, FlagLabels, FlagStats, Limit, ListenerStats, MirrorStats, RouteStats, RuleLabels,
    RuleStats, Selection, UpstreamStats, VariantLabels, VariantStats,
};

/// How long the numbers of a removed variant are still shown: several scrapes even of a slow
/// scraper, and not for ever.
const KEEP_REMOVED: Duration = Duration::from_secs(15 * 60);

/// Whether a variant may get requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VariantState {
    /// It may.
    On,
    /// It gets none, not even forced ones.
    Off,
}

impl VariantState {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// The text of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// What the live configuration says of a variant.
#[derive(Clone, Debug)]
pub struct VariantLive {
    /// What its numbers are labelled with.
    pub labels: VariantLabels,
    /// Its weight as configured.
    pub weight: u32,
    /// The share of new requests that it gets now, from 0 to 1.
    pub share: f64,
    /// Whether it may get requests.
    pub state: VariantState,
    /// Endpoints of its upstream that may be used now.
    pub healthy_endpoints: usize,
    /// Endpoints of its upstream that may not.
    pub unhealthy_endpoints: usize,
}

/// What the live configuration says of an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamLive {
    /// Its name.
    pub name: Arc<str>,
    /// How many there may be of what is limited.
    pub limits: Vec<(Limit, u32)>,
    /// The addresses of its endpoints, and whether they may be used, where that is found out.
    pub endpoints: Vec<(String, bool)>,
}

/// A certificate of the live configuration.
#[derive(Clone, Debug)]
pub struct CertificateLive {
    /// The listener or the upstream that it belongs to.
    pub owner: Arc<str>,
    /// What it is called; no other of the same owner is called so.
    pub name: String,
    /// The last second in which it holds, in Unix time.
    pub not_after: i64,
}

/// What the live configuration has: its numbers are shown, and others only for a while.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The variants of all routes.
    pub variants: Vec<VariantLive>,
    /// What stands for a variant of each route that answers by itself.
    pub direct: Vec<VariantLabels>,
    /// The rules of all routes.
    pub rules: Vec<RuleLabels>,
    /// The mirrors of all routes.
    pub mirrors: Vec<VariantLabels>,
    /// The variants of all flags.
    pub flags: Vec<FlagLabels>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamLive>,
    /// The listeners.
    pub listeners: Vec<Arc<str>>,
    /// The certificates that listeners show to clients.
    pub listener_certificates: Vec<CertificateLive>,
    /// The certificates that we show to upstreams.
    pub upstream_certificates: Vec<CertificateLive>,
}

/// The numbers that workers record, by name.
///
/// It is locked when a snapshot is built and when metrics are rendered, never by a request.
#[derive(Debug)]
pub struct Registry {
    n_workers: usize,
    buckets: Arc<Buckets>,
    families: Mutex<Families>,
}

/// Numbers, and since when the configuration no longer names them.
#[derive(Debug)]
struct Kept<S> {
    stats: Arc<S>,
    removed_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Families {
    variants: HashMap<VariantLabels, Kept<VariantStats>>,
    routes: HashMap<Arc<str>, Kept<RouteStats>>,
    rules: HashMap<RuleLabels, Kept<RuleStats>>,
    mirrors: HashMap<VariantLabels, Kept<MirrorStats>>,
    flags: HashMap<FlagLabels, Kept<FlagStats>>,
    upstreams: HashMap<Arc<str>, Kept<UpstreamStats>>,
    listeners: HashMap<Arc<str>, Kept<ListenerStats>>,
    live: Arc<Live>,
}

/// What there is to show at one moment.
pub(crate) struct Shown {
    pub(crate) variants: Vec<Arc<VariantStats>>,
    pub(crate) routes: Vec<Arc<RouteStats>>,
    pub(crate) rules: Vec<Arc<RuleStats>>,
    pub(crate) mirrors: Vec<Arc<MirrorStats>>,
    pub(crate) flags: Vec<Arc<FlagStats>>,
    pub(crate) upstreams: Vec<Arc<UpstreamStats>>,
    pub(crate) listeners: Vec<Arc<ListenerStats>>,
    pub(crate) live: Arc<Live>,
}

impl Registry {
    /// Makes an empty one.
    pub fn new(n_workers: usize, buckets: Arc<Buckets>) -> Self {
        Self {
            n_workers,
            buckets,
            families: Mutex::default(),
        }
    }

    /// The bounds of the histograms of all variants.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The numbers of a variant to which requests may come in these ways.
    pub fn variant(&self, labels: &VariantLabels, selections: &[Selection]) -> Arc<VariantStats> {
        let stats = keep(&mut self.lock().variants, labels, || {
            VariantStats::new(labels.clone(), self.n_workers, Arc::clone(&self.buckets))
        });
        stats.expect(selections);
        stats
    }

    /// The numbers of a route that belong to none of its variants.
    pub fn route(&self, name: &Arc<str>) -> Arc<RouteStats> {
        keep(&mut self.lock().routes, name, || {
            RouteStats::new(Arc::clone(name), self.n_workers)
        })
    }

    /// The numbers of a rule of a route.
    pub fn rule(&self, labels: &RuleLabels) -> Arc<RuleStats> {
        keep(&mut self.lock().rules, labels, || {
            RuleStats::new(labels.clone(), self.n_workers)
        })
    }

    /// The numbers of the mirror of a route that leads there.
    pub fn mirror(&self, labels: &VariantLabels) -> Arc<MirrorStats> {
        keep(&mut self.lock().mirrors, labels, || {
            MirrorStats::new(labels.clone(), self.n_workers, Arc::clone(&self.buckets))
        })
    }

    /// The numbers of a variant of a flag.
    pub fn flag(&self, labels: &FlagLabels) -> Arc<FlagStats> {
        keep(&mut self.lock().flags, labels, || {
            FlagStats::new(labels.clone(), self.n_workers, Arc::clone(&self.buckets))
        })
    }

    /// The numbers of the variants of all flags, in the order of their names.
    pub fn flags(&self) -> Vec<Arc<FlagStats>> {
        all(&self.lock().flags)
    }

    /// The numbers of an upstream's connections.
    pub fn upstream(&self, name: &Arc<str>) -> Arc<UpstreamStats> {
        keep(&mut self.lock().upstreams, name, || {
            UpstreamStats::new(Arc::clone(name), self.n_workers)
        })
    }

    /// The numbers of a listener.
    pub fn listener(&self, name: &Arc<str>) -> Arc<ListenerStats> {
        keep(&mut self.lock().listeners, name, || {
            ListenerStats::new(Arc::clone(name), self.n_workers)
        })
    }

    /// Tells what is live from `now` on. Numbers of other names are dropped 15 minutes later,
    /// those of a variant not before its last request and its last tunnel have ended.
    ///
    /// To be called at every commit, and again whenever a share or an endpoint has changed.
    pub fn set_live(&self, live: Live, now: Instant) {
        let variants = live.variants.iter().map(|live| &live.labels);
        let variants: HashSet<_> = variants.chain(&live.direct).collect();
        let routes: HashSet<_> = variants.iter().map(|labels| &labels.route).collect();
        let rules: HashSet<_> = live.rules.iter().collect();
        let mirrors: HashSet<_> = live.mirrors.iter().collect();
        let flags: HashSet<_> = live.flags.iter().collect();
        let upstreams: HashSet<_> = live.upstreams.iter().map(|one| &one.name).collect();
        let listeners: HashSet<_> = live.listeners.iter().collect();
        let mut families = self.lock();
        mark(&mut families.variants, &variants, now);
        mark(&mut families.routes, &routes, now);
        mark(&mut families.rules, &rules, now);
        mark(&mut families.mirrors, &mirrors, now);
        mark(&mut families.flags, &flags, now);
        mark(&mut families.upstreams, &upstreams, now);
        mark(&mut families.listeners, &listeners, now);
        families.live = Arc::new(live);
    }

    /// Drops what was removed long ago and tells what is left, everything in the order of names.
    pub(crate) fn shown(&self, now: Instant) -> Shown {
        let mut families = self.lock();
        drop_old(&mut families.variants, now, |stats| {
            let totals = stats.read();
            totals.in_flight() == 0 && totals.tunnels_open() == 0
        });
        drop_old(&mut families.routes, now, |_| true);
        drop_old(&mut families.rules, now, |_| true);
        drop_old(&mut families.mirrors, now, |_| true);
        drop_old(&mut families.flags, now, |_| true);
        drop_old(&mut families.upstreams, now, |_| true);
        drop_old(&mut families.listeners, now, |_| true);
        Shown {
            variants: all(&families.variants),
            routes: all(&families.routes),
            rules: all(&families.rules),
            mirrors: all(&families.mirrors),
            flags: all(&families.flags),
            upstreams: all(&families.upstreams),
            listeners: all(&families.listeners),
            live: Arc::clone(&families.live),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        // A panic while it was held leaves the maps whole: each change is one insertion or one
        // removal.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of this key, made if there are none.
fn keep<K: Clone + Eq + Hash, S>(
    kept: &mut HashMap<K, Kept<S>>,
    key: &K,
    make: impl FnOnce() -> S,
) -> Arc<S> {
    let kept = kept.entry(key.clone()).or_insert_with(|| Kept {
        stats: Arc::new(make()),
        removed_at: None,
    });
    Arc::clone(&kept.stats)
}

/// Notes since when each is no longer live.
fn mark<K: Eq + Hash, S>(kept: &mut HashMap<K, Kept<S>>, live: &HashSet<&K>, now: Instant) {
    for (key, kept) in kept {
        if live.contains(key) {
            kept.removed_at = None;
        } else {
            kept.removed_at.get_or_insert(now);
        }
    }
}

/// Drops what was removed long ago and has come to rest.
fn drop_old<K, S>(kept: &mut HashMap<K, Kept<S>>, now: Instant, rests: impl Fn(&S) -> bool) {
    kept.retain(|_, kept| {
        let old = kept
            .removed_at
            .is_some_and(|removed_at| KEEP_REMOVED <= now.saturating_duration_since(removed_at));
        !(old && rests(&kept.stats))
    });
}

/// All numbers in the order of their keys.
fn all<K: Ord, S>(kept: &HashMap<K, Kept<S>>) -> Vec<Arc<S>> {
    let mut all: Vec<_> = kept.iter().collect();
    all.sort_unstable_by_key(|&(key, _)| key);
    let stats = all.into_iter().map(|(_, kept)| Arc::clone(&kept.stats));
    stats.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::telemetry::registry::{
        KEEP_REMOVED, Live, Registry, UpstreamLive, VariantLive, VariantState,
    };
    use crate::telemetry::stats::{Buckets, RuleLabels, Selection, TunnelEnd, VariantLabels};

    fn registry() -> Registry {
        Registry::new(1, Arc::new(Buckets::default()))
    }

    fn labels(variant: &str) -> VariantLabels {
        VariantLabels {
            route: "shop".into(),
            variant: variant.into(),
            upstream: "u".into(),
        }
    }

    fn live(variants: &[&str]) -> Live {
        Live {
            variants: variants
                .iter()
                .map(|variant| VariantLive {
                    labels: labels(variant),
                    weight: 1,
                    share: 1.0,
                    state: VariantState::On,
                    healthy_endpoints: 1,
                    unhealthy_endpoints: 0,
                })
                .collect(),
            rules: Vec::new(),
            upstreams: vec![UpstreamLive {
                name: "u".into(),
                limits: Vec::new(),
                endpoints: Vec::new(),
            }],
            listeners: vec!["http".into()],
            ..Live::default()
        }
    }

    fn shown(registry: &Registry, now: Instant) -> Vec<String> {
        let shown = registry.shown(now);
        shown
            .variants
            .iter()
            .map(|stats| stats.labels().variant.to_string())
            .collect()
    }

    #[test]
    fn counters_survive_a_reload() {
        let registry = registry();
        let before = registry.variant(&labels("a"), &[Selection::Draw]);
        before.shard(0).begin(Selection::Draw);
        registry.set_live(live(&["a"]), Instant::now());
        let after = registry.variant(&labels("a"), &[Selection::Hash]);
        assert!(Arc::ptr_eq(&before, &after));
        assert_eq!(after.read().begun(), 1);
    }

    #[test]
    fn a_removed_variant_is_shown_for_a_quarter_of_an_hour() {
        let registry = registry();
        let start = Instant::now();
        registry.variant(&labels("a"), &[]);
        registry.variant(&labels("b"), &[]);
        registry.set_live(live(&["a"]), start);
        let later = start + KEEP_REMOVED - Duration::from_secs(1);
        // Another commit does not begin the time anew.
        registry.set_live(live(&["a"]), later);
        assert_eq!(shown(&registry, later), ["a", "b"]);
        assert_eq!(shown(&registry, start + KEEP_REMOVED), ["a"]);
    }

    #[test]
    fn a_variant_that_comes_back_stays() {
        let registry = registry();
        let start = Instant::now();
        registry.variant(&labels("a"), &[]);
        registry.set_live(live(&[]), start);
        registry.set_live(live(&["a"]), start + Duration::from_secs(60));
        assert_eq!(shown(&registry, start + 2 * KEEP_REMOVED), ["a"]);
    }

    #[test]
    fn a_removed_variant_with_an_open_tunnel_stays() {
        let registry = registry();
        let start = Instant::now();
        let stats = registry.variant(&labels("a"), &[]);
        stats.shard(0).tunnel_opened();
        registry.set_live(live(&[]), start);
        let end = start + 2 * KEEP_REMOVED;
        assert_eq!(shown(&registry, end), ["a"]);
        stats.shard(0).tunnel_closed(TunnelEnd::Client);
        assert!(shown(&registry, end).is_empty());
    }

    #[test]
    fn removed_routes_rules_upstreams_and_listeners_go_too() {
        let registry = registry();
        let start = Instant::now();
        registry.rule(&RuleLabels {
            route: "shop".into(),
            segment: "old".into(),
        });
        registry.route(&"old".into());
        registry.upstream(&"old".into());
        registry.listener(&"old".into());
        registry.upstream(&"u".into());
        registry.set_live(live(&["a"]), start);
        let shown = registry.shown(start + KEEP_REMOVED);
        assert!(shown.routes.is_empty());
        assert!(shown.rules.is_empty());
        assert!(shown.listeners.is_empty());
        assert_eq!(shown.upstreams.len(), 1);
    }
}
