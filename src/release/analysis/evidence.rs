//! The evidence of one check: what its ticks came to, and what that is worth.
//!
//! Evidence that the candidate is worse goes on over the whole release, whose alpha is one. Evidence
//! that it is good begins anew with each step: what was shown at 1 % says nothing about 50 %.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::release::analysis::eprocess::{
    EProcess, Gains, Sequence, better_than_baseline, better_than_limit, worse_than_baseline,
    worse_than_limit,
};
use crate::release::analysis::window::{Past, Window, percentiles};
use crate::release::analysis::{
    Arms, CheckVerdict, Counters, Kind, LatencyReport, Restart, Slice, Tally, Users,
};

/// The greatest limit that a rate is held against when it comes from the past.
const MAX_LIMIT: f64 = 0.95;

/// What one tick added.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    pub(crate) candidate: Counters,
    pub(crate) baseline: Counters,
    pub(crate) slice: Option<Slice>,
    pub(crate) mirrored: Option<Tally>,
}

/// What a verdict takes besides evidence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
    pub(crate) users: Option<Users>,
    pub(crate) time_is_over: bool,
    pub(crate) guarded: bool,
}

/// The evidence of one check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Evidence {
    pub(crate) kind: Kind,
    pub(crate) since: SystemTime,
    pub(crate) restarted: Option<Restart>,
    pub(crate) release: Arms,
    step: Arms,
    fail: Sequence,
    guard: Sequence,
    pass_by_ratio: EProcess,
    pass_by_limit: EProcess,
    /// Fixed for the step as soon as the window tells.
    phi: Option<f64>,
    threshold: Option<usize>,
    past: Option<Past>,
    /// Of this step, for people.
    candidate_latency: Vec<f64>,
    baseline_latency: Vec<f64>,
}

impl Evidence {
    /// No evidence yet.
    pub(crate) fn new(kind: Kind, since: SystemTime, restarted: Option<Restart>) -> Self {
        Self {
            kind,
            since,
            restarted,
            release: Arms::default(),
            step: Arms::default(),
            fail: Sequence::default(),
            guard: Sequence::default(),
            pass_by_ratio: EProcess::default(),
            pass_by_limit: EProcess::default(),
            phi: None,
            threshold: None,
            past: None,
            candidate_latency: Vec::new(),
            baseline_latency: Vec::new(),
        }
    }

    /// Begins a step: fixes what is fixed for it, and asks for new proof.
    pub(crate) fn begin_step(&mut self, users: Users, window: &Window) {
        self.step = Arms::default();
        self.fail.begin_step();
        self.guard.begin_step();
        for pass in [&mut self.pass_by_ratio, &mut self.pass_by_limit] {
            *pass = EProcess::default();
            pass.bet(1.0);
        }
        (self.phi, self.threshold, self.past) = (None, None, None);
        self.candidate_latency.clear();
        self.baseline_latency.clear();
        self.fix(users, window);
    }

    /// Fixes what could not be fixed at the step's start, for want of ticks of the baseline.
    pub(crate) fn fix(&mut self, users: Users, window: &Window) {
        if let Kind::Latency { quantile, .. } = self.kind {
            self.threshold = self.threshold.or_else(|| window.threshold(quantile));
            if self.threshold.is_none() {
                return;
            }
        }
        if !self.kind.compares() {
            return;
        }
        let tally = |counters: &Counters| self.tally(counters);
        let phi = self.phi.or_else(|| window.dispersion(tally));
        let past = match users {
            Users::AllOnCandidate => self.past.or_else(|| window.past(tally)),
            Users::Divided | Users::AllOnStable => None,
        };
        (self.phi, self.past) = (phi, past);
    }

    /// Takes a tick of the source.
    pub(crate) fn take(&mut self, tick: &Tick, users: Users) {
        match self.kind {
            Kind::Absolute { .. } => {}
            Kind::Mismatch { max } => {
                if let Some(mirrored) = &tick.mirrored {
                    self.take_limit(mirrored, max);
                }
            }
            Kind::Latency { .. } if self.threshold.is_none() => {}
            Kind::ErrorRate { .. } | Kind::Latency { .. } => self.take_arms(tick, users),
        }
    }

    /// Takes what the candidate's own counters added, if this is a hard stop.
    pub(crate) fn take_candidate(&mut self, candidate: &Counters) {
        if let Kind::Absolute { max, .. } = self.kind {
            self.take_limit(&self.tally(candidate), max);
        }
    }

    /// Says what it has to say.
    pub(crate) fn verdict(&self, bar: &Bar) -> CheckVerdict {
        let Some(users) = bar.users.filter(|users| self.looks(*users)) else {
            return CheckVerdict::Idle;
        };
        let needed = self.ln_e_needed(bar);
        if bar.guarded && self.kind.compares() && self.guard.ln_e() >= needed {
            return CheckVerdict::Untrusted;
        }
        let worse = self.fail.ln_e() >= needed;
        if worse && self.is_over_floor() {
            return CheckVerdict::Fail;
        }
        if self.pass_ln_e() >= self.pass_ln_e_needed(bar) {
            return CheckVerdict::Proven;
        }
        // With everyone on the candidate and nothing known of the baseline nobody could have seen
        // a regression.
        let blind = self.kind.compares() && users == Users::AllOnCandidate && self.past.is_none();
        let enough = self.missing(bar.beta) <= 0.0;
        if enough && bar.time_is_over && !worse && !blind {
            return CheckVerdict::NoRegression;
        }
        CheckVerdict::Insufficient
    }

    /// Whether it has anything to look at in a step like this.
    pub(crate) fn looks(&self, users: Users) -> bool {
        match self.kind {
            Kind::Mismatch { .. } => users == Users::AllOnStable,
            Kind::ErrorRate { .. } | Kind::Latency { .. } | Kind::Absolute { .. } => {
                users != Users::AllOnStable
            }
        }
    }

    /// How many requests to the candidate a step takes at least: so many without a bad one show
    /// with confidence 1 − β that the rate is below the limit.
    pub(crate) fn needed_requests(&self, beta: f64) -> f64 {
        let limit = match self.kind {
            Kind::ErrorRate { pass_abs, .. } => pass_abs,
            Kind::Latency {
                quantile,
                pass_ratio,
                ..
            } => pass_ratio * (1.0 - quantile),
            Kind::Absolute { max, .. } | Kind::Mismatch { max } => max,
        };
        let limit = limit.clamp(1e-9, 0.5);
        (beta.ln() / (-limit).ln_1p()).ceil()
    }

    /// How many of them are missing.
    pub(crate) fn missing(&self, beta: f64) -> f64 {
        (self.needed_requests(beta) - self.step.candidate.requests).max(0.0)
    }

    /// Requests and bad ones in this step; the baseline's of before where it has none now.
    pub(crate) fn step(&self) -> Arms {
        Arms {
            candidate: self.step.candidate,
            baseline: self.past.map_or(self.step.baseline, |past| past.tally),
        }
    }

    /// Whether the candidate looks worse by `fail_abs`, over the release or over the step: over the
    /// release a candidate that turned bad looks better than it is.
    pub(crate) fn is_over_floor(&self) -> bool {
        let (Kind::ErrorRate { fail_abs, .. } | Kind::Latency { fail_abs, .. }) = self.kind else {
            return true;
        };
        [self.release, self.step()].iter().any(|arms| {
            let (candidate, baseline) = (arms.candidate.rate(), arms.baseline.rate());
            candidate.unwrap_or(0.0) - baseline.unwrap_or(0.0) > fail_abs
        })
    }

    /// The evidence that the candidate is worse.
    pub(crate) fn ln_e(&self) -> f64 {
        self.fail.ln_e()
    }

    /// From where on it fails.
    pub(crate) fn ln_e_needed(&self, bar: &Bar) -> f64 {
        -bar.alpha.ln()
    }

    /// The evidence that stable differs from itself.
    pub(crate) fn guard_ln_e(&self) -> f64 {
        self.guard.ln_e()
    }

    /// The evidence that the candidate is good.
    pub(crate) fn pass_ln_e(&self) -> f64 {
        self.pass_by_ratio.ln_e().max(self.pass_by_limit.ln_e())
    }

    /// From where on it is proven: an error-rate has two ways to be, which share β.
    pub(crate) fn pass_ln_e_needed(&self, bar: &Bar) -> f64 {
        let n_ways = match self.kind {
            Kind::ErrorRate { .. } => 2.0_f64,
            Kind::Latency { .. } | Kind::Absolute { .. } | Kind::Mismatch { .. } => 1.0,
        };
        (n_ways / bar.beta).ln()
    }

    /// What evidence is divided by.
    pub(crate) fn phi(&self) -> f64 {
        self.phi.unwrap_or(1.0)
    }

    /// The latencies behind it.
    pub(crate) fn latency(&self, bounds: &[f64]) -> Option<LatencyReport> {
        Some(LatencyReport {
            threshold: *bounds.get(self.threshold?)?,
            candidate: percentiles(&self.candidate_latency, bounds),
            baseline: percentiles(&self.baseline_latency, bounds),
        })
    }

    fn take_arms(&mut self, tick: &Tick, users: Users) {
        let arms = Arms {
            candidate: self.tally(&tick.candidate),
            baseline: self.tally(&tick.baseline),
        };
        self.release.add(arms);
        self.step.add(arms);
        tick.candidate.add_latency_to(&mut self.candidate_latency);
        tick.baseline.add_latency_to(&mut self.baseline_latency);
        let (Some(margin), Some(pass)) = (self.margin(), self.pass_ratio()) else {
            return;
        };
        let (phi, n_bad) = (self.phi(), arms.candidate.bad);
        let worse = match users {
            Users::AllOnStable => None,
            Users::Divided => worse_than_baseline(&arms, margin, phi),
            Users::AllOnCandidate => self.past.and_then(|past| {
                let limit = (pass * past.most).max(self.pass_limit()).min(MAX_LIMIT);
                worse_than_limit(&arms.candidate, limit, phi)
            }),
        };
        let better = match users {
            Users::AllOnStable => None,
            Users::Divided => better_than_baseline(&arms, pass, phi),
            Users::AllOnCandidate => self.past.and_then(|past| {
                better_than_limit(&arms.candidate, (pass * past.least).min(MAX_LIMIT), phi)
            }),
        };
        if let Some(gains) = worse {
            self.fail.take(&gains, n_bad);
        }
        multiply(&mut self.pass_by_ratio, better);
        let below = better_than_limit(&arms.candidate, self.pass_limit(), phi);
        multiply(&mut self.pass_by_limit, below);
        if let Some(slice) = &tick.slice {
            let arms = Arms {
                candidate: self.tally(&slice.slice),
                baseline: self.tally(&slice.rest),
            };
            if let Some(gains) = worse_than_baseline(&arms, margin, phi) {
                self.guard.take(&gains, arms.candidate.bad);
            }
        }
    }

    fn take_limit(&mut self, tally: &Tally, max: f64) {
        self.release.candidate.add(*tally);
        self.step.candidate.add(*tally);
        if let Some(gains) = worse_than_limit(tally, max, 1.0) {
            self.fail.take(&gains, tally.bad);
        }
        multiply(&mut self.pass_by_limit, better_than_limit(tally, max, 1.0));
    }

    fn tally(&self, counters: &Counters) -> Tally {
        match (&self.kind, self.threshold) {
            (Kind::ErrorRate { bad, .. } | Kind::Absolute { bad, .. }, _) => counters.tally(bad),
            (Kind::Latency { .. }, Some(threshold)) => counters.slower_than(threshold),
            (Kind::Latency { .. }, None) | (Kind::Mismatch { .. }, _) => Tally::default(),
        }
    }

    fn margin(&self) -> Option<f64> {
        match self.kind {
            Kind::ErrorRate { fail_ratio, .. } | Kind::Latency { fail_ratio, .. } => {
                Some(fail_ratio)
            }
            Kind::Absolute { .. } | Kind::Mismatch { .. } => None,
        }
    }

    fn pass_ratio(&self) -> Option<f64> {
        match self.kind {
            Kind::ErrorRate { pass_ratio, .. } | Kind::Latency { pass_ratio, .. } => {
                Some(pass_ratio)
            }
            Kind::Absolute { .. } | Kind::Mismatch { .. } => None,
        }
    }

    /// The share below which it is proven whatever the baseline does; 0 where there is none.
    fn pass_limit(&self) -> f64 {
        match self.kind {
            Kind::ErrorRate { pass_abs, .. } => pass_abs,
            Kind::Latency { .. } | Kind::Absolute { .. } | Kind::Mismatch { .. } => 0.0,
        }
    }
}

fn multiply(process: &mut EProcess, gains: Option<Gains>) {
    if let Some(gains) = gains {
        process.multiply(&gains);
    }
}
