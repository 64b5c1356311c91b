//! What the instance is doing, in the words of the API: the one place that reads the live state.

mod mirror;
mod owner;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::admin::explain::{Asked, AskedError, explain as explain_by};
use crate::admin::mutation::Etag;
use crate::admin::upstreams;
use crate::admin::wire::{
    AnswerStatus, CertificateStatus, ConfigProblem, Endpoints, Explained, JudgedDetail,
    LastGoodStatus, Latency, LimitStatus, ListenerStatus, MirrorStatus, OverloadStatus,
    RateLimitStatus, Reloaded, RouteStatus, RuleStatus, Status, UpgradeStatus, Upgraded,
    VariantDetail, VariantStatus,
};
use crate::config::write_rate;
use crate::control::{self, Control, Live, StandsIn, UpgradeError, UpgradeState};
use crate::proxy::{Direct, Route, Snapshot};
use crate::release::ledger::Page;
use crate::split::{Reason, State};
use crate::telemetry::memory;
use crate::telemetry::stats::{
    Class, Code, ErrorReason, HistogramTotals, Judged, Limit, Outcome, Selection, Source,
    VariantTotals,
};
use crate::tls::Summary;
use crate::upstream::Upstream;

/// How much is told of a variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Detail {
    /// What people and controllers look for.
    Short,
    /// Also what rates and latencies are computed of.
    Long,
}

/// The Prometheus text page.
pub(in crate::admin) fn metrics(admin: &Admin) -> String {
    admin.telemetry.render(Instant::now())
}

/// What is live.
pub(in crate::admin) fn status(admin: &Admin, detail: Detail) -> Status {
    let control = &admin.control;
    let live = control.live();
    let desk = control.desk();
    let page = desk.as_deref().map(|desk| desk.ledger().read());
    let ready = control
        .readiness()
        .iter()
        .all(|(_, outcome)| outcome.is_ok());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: live.generation,
        config_sha256: live.config_sha256.clone(),
        applied_at: rfc3339(live.applied_at),
        ready,
        started_at: rfc3339(admin.started_at),
        pid: std::process::id(),
        upgrade: control.last_upgrade().map(last_upgrade),
        io: admin.backend.name().to_owned(),
        latency_bounds_seconds: match detail {
            Detail::Short => None,
            Detail::Long => Some(live.config.metrics.buckets.clone()),
        },
        judged_bounds_seconds: match detail {
            Detail::Short => None,
            Detail::Long => {
                let buckets = admin.telemetry.registry().buckets();
                Some(buckets.fine_seconds().collect())
            }
        },
        warnings: live.warnings.iter().map(ConfigProblem::from).collect(),
        last_good: live.stands_in.as_deref().map(last_good),
        routes: routes(&live, page.as_deref(), detail),
        upstreams: upstreams::of(control, &live),
        listeners: listeners(control, &live),
        overload: overload(control),
        store: desk.as_deref().map(owner::store),
    }
}

/// What the live configuration is, in a word: its generation, which begins anew with the process, and
/// what its files hold.
pub(in crate::admin) fn etag(live: &Live) -> Etag {
    let sha256 = &live.config_sha256;
    let sha256 = sha256.get(..16).unwrap_or(sha256);
    Etag::strong(format!("{}-{sha256}", live.generation))
}

/// Why a request would go where it would go.
pub(in crate::admin) fn explain(control: &Control, asked: &Asked) -> Result<Explained, AskedError> {
    let live = control.live();
    let is_available = |name: &str| {
        let upstreams = &live.snapshot.upstreams;
        let upstream = upstreams.iter().find(|upstream| **upstream.name() == *name);
        upstream.is_some_and(|upstream| upstream.n_available() > 0)
    };
    let mut explained = explain_by(&live.config, asked, is_available)?;
    explained.generation = Some(live.generation);
    let page = control.desk().map(|desk| desk.ledger().read());
    let route = explained.route.as_deref();
    let owner = route.and_then(|route| owner::owner(&live, page.as_deref(), route));
    // Where a rule decides, or the request says what it wants, the weights of the route do not count.
    let counts = explained.segment.is_none() && explained.reason != Reason::Forced.name();
    let told = owner.filter(|_| counts);
    explained
        .notes
        .extend(told.and_then(|owner| owner.sentence()));
    Ok(explained)
}

/// Reloads, or tells everything that is wrong.
pub(in crate::admin) async fn reload(
    control: &Control,
) -> Result<Reloaded, (String, Vec<ConfigProblem>)> {
    match control.reload().await {
        Ok(applied) => Ok(Reloaded {
            generation: applied.generation,
            outcome: match applied.outcome {
                control::Outcome::Applied => "applied",
                control::Outcome::Unchanged => "unchanged",
            }
            .to_owned(),
            took_ms: applied.took.as_secs_f64() * 1000.0,
        }),
        Err(rejected) => {
            let problems = rejected.problems.iter().map(ConfigProblem::from).collect();
            let detail = "the configuration is not valid; the one before it goes on serving";
            Err((detail.to_owned(), problems))
        }
    }
}

/// Lets another process take over, or tells why it does not.
pub(in crate::admin) async fn upgrade(control: &Control) -> Result<Upgraded, UpgradeError> {
    let upgraded = control.upgrade().await?;
    Ok(Upgraded {
        pid: upgraded.pid,
        former_pid: std::process::id(),
        took_ms: upgraded.took.as_secs_f64() * 1000.0,
    })
}

fn last_good(stands_in: &StandsIn) -> LastGoodStatus {
    LastGoodStatus {
        kept_at: rfc3339(stands_in.kept_at),
        problems: stands_in.problems.iter().map(ConfigProblem::from).collect(),
    }
}

fn last_upgrade(upgrade: control::UpgradeStatus) -> UpgradeStatus {
    let (state, error) = match upgrade.state {
        UpgradeState::Starting => ("starting", None),
        UpgradeState::Failed(why) => ("failed", Some(why)),
        UpgradeState::Succeeded => ("succeeded", None),
    };
    UpgradeStatus {
        state: state.to_owned(),
        at: rfc3339(upgrade.at),
        error,
    }
}

fn routes(live: &Live, page: Option<&Page>, detail: Detail) -> BTreeMap<String, RouteStatus> {
    let routes = live.snapshot.routes.iter();
    routes
        .map(|route| {
            let status = RouteStatus {
                owner: owner::owner(live, page, &route.name),
                variants: variants(&live.snapshot, route, detail),
                rules: rules(route),
                answer: route.direct.as_deref().map(answer),
                mirror: mirror(live, route),
                rate_limits: rate_limits(route),
                limits: limits(route),
            };
            (route.name.to_string(), status)
        })
        .collect()
}

fn mirror(live: &Live, route: &Route) -> Option<MirrorStatus> {
    let config = live.config.routes.get(&*route.name)?.mirror.as_ref()?;
    Some(mirror::status(config, route.mirror.as_deref()))
}

fn variants(snapshot: &Snapshot, route: &Route, detail: Detail) -> BTreeMap<String, VariantStatus> {
    let specs = route.split.variants();
    let mut variants = BTreeMap::new();
    for (n, (variant, spec)) in route.variants.iter().zip(specs).enumerate() {
        let on = spec.state == State::On;
        let upstream = &snapshot.upstreams[variant.upstream];
        let totals = variant.stats.read();
        let (in_flight, tunnels) = (totals.in_flight(), totals.tunnels_open());
        let assigned = route.split.may_get(n);
        variants.insert(
            variant.name.to_string(),
            VariantStatus {
                upstream: upstream.name().to_string(),
                weight: spec.weight,
                share: route.split.share(None, n),
                state: if on { "on" } else { "off" }.to_owned(),
                endpoints: endpoints(upstream),
                in_flight,
                tunnels,
                drained: !assigned && in_flight == 0 && tunnels == 0,
                requests: totals.finished(),
                failures: failures(&totals, Source::ALL),
                failures_by_proxy: failures(&totals, &[Source::Proxy]),
                detail: match detail {
                    Detail::Short => None,
                    Detail::Long => Some(long(&totals, &variant.stats.judged())),
                },
            },
        );
    }
    variants
}

fn rate_limits(route: &Route) -> Vec<RateLimitStatus> {
    let limits = route.limits.iter().flat_map(|limits| &limits.rates);
    let limits = limits.map(|limit| {
        let rate = limit.rate();
        RateLimitStatus {
            rate: write_rate(rate),
            burst: rate.burst,
            keys: rate.keys.iter().map(ToString::to_string).collect(),
            n_keys: limit.n_keys(),
            refused: limit.n_refused(),
        }
    });
    limits.collect()
}

fn limits(route: &Route) -> BTreeMap<String, LimitStatus> {
    let limits = route.limits.as_ref();
    let requests = limits.and_then(|limits| limits.requests.as_ref());
    let status = requests.map(|(limit, count)| LimitStatus {
        used: count.load(Ordering::Relaxed),
        limit: *limit,
    });
    let name = Limit::Requests.label().to_owned();
    status.map(|status| (name, status)).into_iter().collect()
}

fn answer(direct: &Direct) -> AnswerStatus {
    let totals = direct.stats.read();
    AnswerStatus {
        kind: direct.kind().to_owned(),
        status: direct.status(),
        in_flight: totals.in_flight(),
        requests: totals.finished(),
        failures: failures(&totals, Source::ALL),
    }
}

fn rules(route: &Route) -> Vec<RuleStatus> {
    let split = &route.split;
    let rules = route.rules.iter().enumerate();
    let rules = rules.map(|(n, rule)| RuleStatus {
        segment: rule.segment.to_string(),
        weights: (0..split.variants().len())
            .map(|variant| {
                let name = split.variants()[variant].name.clone();
                (name, split.weight(Some(n), variant))
            })
            .collect(),
        applies: split.is_open(n),
        requests: rule.stats.matches(),
    });
    rules.collect()
}

/// How many requests were answered with a 5xx by one of these.
fn failures(totals: &VariantTotals, sources: &[Source]) -> u64 {
    let failed = totals.codes.iter().filter(|(key, _)| {
        let is_5xx = match key.code {
            Code::Exact(code) => (500..600).contains(&code),
            Code::Class(digit) => digit == 5,
        };
        is_5xx && sources.contains(&key.source)
    });
    failed.map(|(_, count)| count).sum()
}

fn long(totals: &VariantTotals, judged: &Judged) -> VariantDetail {
    let selections = Selection::ALL.iter().map(|selection| selection.label());
    let errors = ErrorReason::ALL.iter().map(|reason| reason.label());
    VariantDetail {
        failed: totals.request_duration[Outcome::Failure as usize].count(),
        selections: occurred(selections.zip(totals.selections)),
        errors: occurred(errors.zip(totals.errors)),
        response_headers: latency(&totals.response_headers),
        request_duration: latency(&totals.request_duration),
        judged: JudgedDetail {
            classes: classes(judged.classes()),
            latency: judged.latency.clone(),
            slices: judged.slices.iter().copied().map(classes).collect(),
        },
    }
}

fn classes(counts: [u64; Class::N]) -> BTreeMap<String, u64> {
    let labels = Class::ALL.iter().map(|class| class.label());
    occurred(labels.zip(counts))
}

fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts
        .filter(|(_, count)| *count != 0)
        .map(|(label, count)| (label.to_owned(), count))
        .collect()
}

/// All outcomes together.
fn latency(outcomes: &[HistogramTotals]) -> Latency {
    let mut sum = Latency::default();
    for outcome in outcomes {
        sum.counts.resize(outcome.buckets.len(), 0);
        for (count, more) in sum.counts.iter_mut().zip(&outcome.buckets) {
            *count += more;
        }
        sum.sum_seconds += outcome.sum_nanos as f64 / 1e9;
    }
    sum
}

fn endpoints(upstream: &Upstream) -> Endpoints {
    Endpoints {
        available: upstream.n_available(),
        total: upstream.endpoints().len(),
    }
}

fn overload(control: &Control) -> OverloadStatus {
    let bounds = control.overload().bounds();
    let listeners = control.listeners();
    OverloadStatus {
        refuses: control.overload().refuses(),
        memory: memory::resident(),
        memory_bound: bounds.memory,
        connections: listeners.iter().map(|listener| listener.connections).sum(),
        connections_bound: bounds.connections,
    }
}

fn listeners(control: &Control, live: &Live) -> BTreeMap<String, ListenerStatus> {
    let listeners = control.listeners().into_iter();
    listeners
        .map(|listener| {
            let status = ListenerStatus {
                address: listener.address.to_string(),
                protocols: listener.protocols.iter().map(ToString::to_string).collect(),
                tls: listener.tls,
                connections: listener.connections,
                draining: listener.draining,
                certificates: certificates(live, &listener),
            };
            (listener.name.to_string(), status)
        })
        .collect()
}

/// The certificates of a listener; none of one that is being given up.
fn certificates(live: &Live, listener: &control::ListenerStatus) -> Vec<CertificateStatus> {
    let settings = live.snapshot.listeners.get(&listener.name);
    let acceptor = settings.and_then(|settings| settings.tls.as_ref());
    let acceptor = acceptor.filter(|_| !listener.draining);
    let all = acceptor.map(|acceptor| acceptor.certificates());
    all.unwrap_or_default().iter().map(certificate).collect()
}

pub(in crate::admin) fn certificate(certificate: &Summary) -> CertificateStatus {
    let at = |seconds| Timestamp::from_second(seconds).ok();
    CertificateStatus {
        name: certificate.name.clone(),
        names: certificate.names.clone(),
        file: certificate.file.display().to_string(),
        not_after: certificate
            .not_after
            .and_then(at)
            .map(|time| time.to_string()),
        days_left: certificate.days_left(SystemTime::now()),
        fingerprint: certificate.fingerprint.clone(),
    }
}

/// In UTC, to the microsecond.
pub(in crate::admin) fn rfc3339(time: SystemTime) -> String {
    // Out of range is only what lies thousands of years away.
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.6}")
}
