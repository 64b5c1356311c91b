//! Gauges: what the metrics show of the release plane, gathered each second from what is kept and what
//! the last tick made of it.

mod flags;

use std::collections::BTreeSet;
use std::f64::consts::LN_10;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::control::Live;
use crate::control::ofrep;
use crate::control::releases::accounts::{Account, Accounts, Answered};
use crate::control::releases::world;
use crate::notify::SinkStats;
use crate::ofrep::Service;
use crate::release::analysis::{CheckReport, CheckVerdict};
use crate::release::desk::{Board, Desk};
use crate::release::dora::{Journal, Spread};
use crate::release::freeze::{Freeze, Kind};
use crate::release::ledger::Page;
use crate::release::look::Rules;
use crate::release::overlay::{Owner, same_shares};
use crate::release::spec::flag_of;
use crate::release::state::{Phase, State};
use crate::release::tally::{AtGate, By, Counts, Kept};
use crate::store::{BROKEN, Store};
use crate::telemetry::{
    CheckLive, DoraLive, FreezeLive, PlaneLive, ReleaseLive, SinkLive, StoreLive, TransitionLive,
};

/// How long a release that is over is shown at least: long enough to be found by who comes in the
/// next morning.
const SHOWN: Duration = Duration::from_secs(24 * 60 * 60);

/// How many releases that are over are shown at most; the latest.
const MOST_OVER: usize = 64;

/// How many letters of the hash of the last record are shown: enough to tell two apart.
const HASH_SHOWN: usize = 12;

/// How often the figures of DORA are measured anew: they are about days.
const MEASURED: Duration = Duration::from_secs(60);

/// The windows of those figures.
const WINDOWS: [(&str, Duration); 2] = [
    ("30d", Duration::from_secs(30 * 24 * 60 * 60)),
    ("90d", Duration::from_secs(90 * 24 * 60 * 60)),
];

/// Gathers, and remembers what nobody else does.
#[derive(Default)]
pub(in crate::control) struct Gauges {
    accounts: Accounts,
    looked_at: Option<Instant>,
    deployments: Deployments,
}

impl Gauges {
    /// Looks at everything once; to be called once a tick.
    pub(in crate::control) async fn look(
        &mut self,
        live: &Live,
        desk: &Desk,
        (sinks, ofrep): (&[SinkStats], &Service),
        now: SystemTime,
    ) -> PlaneLive {
        let (page, board) = (desk.ledger().read(), desk.board());
        let store = desk.ledger().store();
        let began = Instant::now();
        let spent = self.looked_at.replace(began);
        let spent = spent.map_or(Duration::ZERO, |before| began - before);
        let shown = shown(&page, now);
        let ids: BTreeSet<&str> = shown.iter().map(|state| state.spec.id.as_str()).collect();
        self.accounts.keep(|id| ids.contains(id));
        for state in &shown {
            let answered = if state.phase.is_active() {
                answered(live, &state.spec.route)
            } else {
                Answered::new()
            };
            self.accounts.add(state, &answered, spent);
        }
        let releases = shown
            .iter()
            .map(|state| release(state, &board, self.accounts.of(&state.spec.id)))
            .collect();
        let counts = desk.ledger().counts();
        let rules = &live.written.releases.rules;
        let routes: BTreeSet<&str> = shown.iter().map(|state| &*state.spec.route).collect();
        PlaneLive {
            flags: flags::shown(live, &desk.uses(), now),
            ofrep: ofrep::shown(ofrep),
            looked_at: since_1970(now),
            releases,
            transitions: transitions(&counts, &routes),
            approvals: approvals(&counts, rules),
            drifting: drifting(live),
            is_stopped: page.line.is_some(),
            freezes: rules
                .freezes
                .iter()
                .map(|one| freeze(one, &page, now))
                .collect(),
            store: kept(store, &counts),
            sinks: sinks.iter().map(|stats| sink(stats, now)).collect(),
            dora: self.deployments.look(store, now).await.to_vec(),
        }
    }
}

/// The figures of DORA, read and measured aside now and then.
#[derive(Default)]
struct Deployments {
    /// What was read of the journal; away while it is read on.
    journal: Journal,
    reading: Option<AbortOnDropHandle<(Journal, Vec<DoraLive>)>>,
    begun_at: Option<Instant>,
    figures: Vec<DoraLive>,
}

impl Deployments {
    /// The latest figures; begins to measure new ones when it is time.
    async fn look(&mut self, store: &Store, now: SystemTime) -> &[DoraLive] {
        if let Some(reading) = self.reading.take_if(|reading| reading.is_finished()) {
            // Whoever panicked has lost what was read, and reads it again.
            (self.journal, self.figures) = reading.await.unwrap_or_default();
        }
        let is_due = self
            .begun_at
            .is_none_or(|begun| MEASURED <= begun.elapsed());
        if is_due && self.reading.is_none() {
            self.begun_at = Some(Instant::now());
            let (mut journal, store) = (std::mem::take(&mut self.journal), store.clone());
            let work = tokio::task::spawn_blocking(move || {
                if let Err(error) = journal.follow(&store, now) {
                    warn!(%error, "deployments cannot be counted");
                }
                let figures = measured(&journal, now);
                (journal, figures)
            });
            self.reading = Some(AbortOnDropHandle::new(work));
        }
        &self.figures
    }
}

/// The figures of all windows.
fn measured(journal: &Journal, now: SystemTime) -> Vec<DoraLive> {
    let windows = WINDOWS.iter().map(|&(window, length)| {
        let figures = journal.figures(&[], length, now);
        DoraLive {
            window,
            deployments: figures.deployments,
            lead_time: percentiles(figures.lead_time),
            change_failure: figures.change_failure_rate,
            recovery: percentiles(figures.recovery_time),
        }
    });
    windows.collect()
}

fn percentiles(spread: Option<Spread>) -> Vec<(&'static str, f64)> {
    let all = spread.map(|spread| [("50", spread.p50_seconds), ("90", spread.p90_seconds)]);
    all.into_iter().flatten().collect()
}

/// The releases that are shown: those that are not over, those that somebody may still want to take
/// back or has to look at, and those that were over a short while ago.
fn shown(page: &Page, now: SystemTime) -> Vec<&State> {
    let all = || page.known.releases.values();
    let mut over: Vec<&State> = all().filter(|state| !state.phase.is_active()).collect();
    over.retain(|state| {
        let window = match state.phase {
            Phase::Promoted => state.spec.strategy.rollback_window.max(SHOWN),
            Phase::Pending
            | Phase::Preview
            | Phase::Progressing
            | Phase::Baking
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Superseded
            | Phase::Cancelled => SHOWN,
        };
        let ended = state.ended_at.unwrap_or(state.entered_at);
        // A clock that was put back makes nothing old.
        let is_old = now.duration_since(ended).is_ok_and(|since| window <= since);
        !is_old || state.review.is_required()
    });
    over.sort_by_key(|state| std::cmp::Reverse(state.ended_at));
    over.truncate(MOST_OVER);
    let mut shown: Vec<&State> = all().filter(|state| state.phase.is_active()).collect();
    shown.extend(over);
    shown.sort_by(|a, b| (&a.spec.route, &a.spec.id).cmp(&(&b.spec.route, &b.spec.id)));
    shown
}

/// How many requests that nobody forced the variants of a route have answered.
fn answered(live: &Live, route: &str) -> Answered {
    if let Some(flag) = flag_of(route) {
        let variants = world::flag_arms(&live.snapshot, flag).iter();
        return variants
            .map(|stats| {
                let n = stats.judged().requests();
                (stats.labels().variant.to_string(), n)
            })
            .collect();
    }
    let mut routes = live.snapshot.routes.iter();
    let route = routes.find(|known| *known.name == *route);
    let variants = route.iter().flat_map(|route| &route.variants);
    variants
        .map(|variant| {
            let n = variant.stats.judged().requests();
            (variant.name.to_string(), n)
        })
        .collect()
}

fn release(state: &State, board: &Board, account: Option<&Account>) -> ReleaseLive {
    let spec = &state.spec;
    let told = board.releases.get(&spec.id);
    let report = told.and_then(|told| told.report.as_ref());
    let checks = report.filter(|_| state.phase.is_active());
    let weight = state.weight.percent() / 100.0;
    let weights = state.started_at.map(|_| {
        let stable = state.weight.rest().percent() / 100.0;
        [
            (spec.stable.clone(), stable),
            (spec.candidate.clone(), weight),
        ]
    });
    let mut holds: Vec<&'static str> = state.holds.iter().map(|hold| hold.reason.name()).collect();
    holds.sort_unstable();
    holds.dedup();
    ReleaseLive {
        route: spec.route.clone(),
        release: spec.id.clone(),
        phases: Phase::ALL
            .map(|phase| (phase.name(), phase == state.phase))
            .to_vec(),
        entered_at: since_1970(state.entered_at),
        step: state.step.map_or(0, |step| step + 1),
        n_steps: spec.strategy.steps.len(),
        weights: weights.into_iter().flatten().collect(),
        shares: account.map_or_else(Vec::new, |account| account.shares().to_vec()),
        holds,
        checks: checks
            .iter()
            .flat_map(|report| &report.checks)
            .map(check)
            .collect(),
        worked: account.map_or(Duration::ZERO, Account::worked),
        waited: account.map_or_else(Vec::new, Account::waited),
        is_review_open: state.review.is_required(),
        is_in_conflict: state.conflict.is_some(),
    }
}

fn check(report: &CheckReport) -> CheckLive {
    const ALL: [(CheckVerdict, &str); 6] = [
        (CheckVerdict::Fail, "fail"),
        (CheckVerdict::Untrusted, "untrusted"),
        (CheckVerdict::Idle, "idle"),
        (CheckVerdict::Insufficient, "insufficient"),
        (CheckVerdict::NoRegression, "no_regression"),
        (CheckVerdict::Proven, "proven"),
    ];
    CheckLive {
        name: report.name.clone(),
        evidence: report.ln_e / LN_10,
        threshold: report.ln_e_needed / LN_10,
        verdicts: ALL
            .map(|(verdict, name)| (name, verdict == report.verdict))
            .to_vec(),
    }
}

/// What was counted of these routes, and what can be counted as 0.
fn transitions(counts: &Counts, routes: &BTreeSet<&str>) -> Vec<TransitionLive> {
    let mut all = Vec::new();
    for &route in routes {
        for to in Phase::ALL {
            for by in By::ALL {
                let n = counts.transitions.get(&(route.to_owned(), to, by));
                if n.is_none() && !By::possible(to).contains(&by) {
                    continue;
                }
                all.push(TransitionLive {
                    route: route.to_owned(),
                    to: to.name(),
                    cause: by.name(),
                    n: n.copied().unwrap_or_default(),
                });
            }
        }
    }
    all
}

/// What was said at the gates that are configured.
fn approvals(counts: &Counts, rules: &Rules) -> Vec<(String, &'static str, u64)> {
    let gates = rules.gates.keys();
    let all = gates.flat_map(|gate| AtGate::ALL.map(|said| (gate.clone(), said)));
    let all = all.map(|key| {
        let n = counts.approvals.get(&key).copied().unwrap_or_default();
        (key.0, key.1.name(), n)
    });
    all.collect()
}

/// The routes that somebody, or a release that is over, has divided otherwise than the file does.
fn drifting(live: &Live) -> Vec<String> {
    let routes = live.overlay.routes.iter();
    let routes = routes.filter(|(name, _)| flag_of(name).is_none());
    let drifting = routes.filter(|(name, overlay)| match &overlay.owner {
        Owner::Release(_) => false,
        Owner::Person(_) => {
            let file = live.file.weights.get(*name);
            file.is_some_and(|file| !same_shares(file, &overlay.weights))
        }
    });
    drifting.map(|(name, _)| name.clone()).collect()
}

fn freeze(freeze: &Freeze, page: &Page, now: SystemTime) -> FreezeLive {
    let is_within = freeze.window.contains(now);
    let overrides = page.overridden.iter();
    let in_force = overrides.filter(|by| by.freeze == freeze.name && now < by.expires_at);
    FreezeLive {
        name: freeze.name.clone(),
        is_active: match freeze.kind {
            Kind::Deny => is_within,
            Kind::Allow => !is_within,
        },
        overridden: in_force.count() as u64,
    }
}

fn kept(store: &Store, counts: &Counts) -> StoreLive {
    let head = store.head();
    let commits = Kept::ALL.map(|kept| {
        let n = counts.commits.get(&kept).copied().unwrap_or_default();
        (kept.name(), n)
    });
    StoreLive {
        head_seq: head.seq,
        head_hash: head.hash.chars().take(HASH_SHOWN).collect(),
        is_writable: store.writable().is_ok(),
        is_broken: store.get(BROKEN).is_some(),
        unwritten: store.n_unwritten() as u64,
        commits: commits.to_vec(),
    }
}

fn sink(stats: &SinkStats, now: SystemTime) -> SinkLive {
    let age = |oldest: SystemTime| now.duration_since(oldest).unwrap_or_default();
    SinkLive {
        name: stats.sink.clone(),
        sent: stats.sent,
        failed: stats.failed,
        dropped: stats.dropped,
        waiting: stats.waiting,
        oldest: stats.oldest.map_or(Duration::ZERO, age),
    }
}

fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

#[cfg(test)]
pub(in crate::control::releases) mod tests;
