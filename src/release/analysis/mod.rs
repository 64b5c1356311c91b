//! Analysis: judging a candidate by what became of its requests, compared with the baseline's.
//!
//! The caller reads counters once in an interval and is told a verdict with all its numbers. Evidence
//! is a sequential test, which may be looked at as often as one likes: the chance that a candidate
//! which is no worse than the margin ever fails, in a whole release, is at most alpha. Time alone
//! proves nothing: what was not seen is insufficient, silent or down, never good.
//!
//! Nothing here knows where counters come from, what a release does with a verdict, or what time it
//! is. An [`Analysis`] is a value that survives as JSON, to the bit.

mod counters;
#[cfg(test)]
mod dice;
mod eprocess;
#[cfg(test)]
mod eprocess_tests;
mod evidence;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod life_tests;
mod progress;
#[cfg(test)]
mod property_tests;
mod report;
mod settings;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod trial;
mod window;

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use crate::release::analysis::counters::{
    Arms, Bad, Counters, Mirrored, Reading, Seen, Slice, Tally,
};
pub use crate::release::analysis::progress::{Step, Users};
pub use crate::release::analysis::report::{
    Arm, CheckReport, CheckVerdict, LatencyReport, Percentiles, Report, Restart, Verdict,
};
pub use crate::release::analysis::settings::{
    Baseline, Check, Kind, OnFail, OnInsufficient, OnMissing, Settings, SettingsError,
};

use crate::release::analysis::evidence::{Bar, Evidence, Tick};
use crate::release::analysis::progress::Progress;
use crate::release::analysis::window::Window;

/// The analysis of one attempt of a release.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Analysis {
    baseline: Baseline,
    bounds: Vec<f64>,
    window: Window,
    open: Option<Open>,
    watched: Option<Counters>,
    step: Option<Progress>,
    evidence: BTreeMap<String, Evidence>,
    down: Option<String>,
}

/// The reading that a tick began with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Open {
    at: SystemTime,
    candidate: Counters,
    baseline: Counters,
    slice: Option<Slice>,
    mirrored: Option<Mirrored>,
}

impl Analysis {
    /// Begins a step, once its weight is live everywhere. A reading of this moment saves the time
    /// until the next one.
    pub fn begin_step(
        &mut self,
        settings: &Settings,
        step: Step,
        reading: Option<&Reading>,
        at: SystemTime,
    ) {
        self.follow(settings, at);
        self.open = None;
        if let Some(reading) = reading.filter(|reading| reading.fault().is_none()) {
            self.measure(reading, at);
            self.open = Some(Open::new(reading, at));
        }
        self.step = Some(Progress::new(step, at));
        for evidence in self.evidence.values_mut() {
            evidence.begin_step(step.users, &self.window);
        }
    }

    /// Ends a tick with what the source had to say. To be called once in an interval, before the
    /// first step, too: what the baseline does then is what a step begins with.
    ///
    /// A tick in which counters were started anew, or at whose ends the source was down, is skipped.
    pub fn observe(&mut self, settings: &Settings, seen: &Seen, at: SystemTime) -> Report {
        self.follow(settings, at);
        let reading = match seen {
            Seen::SourceDown(why) => Err(why.as_str()),
            Seen::Reading(reading) => reading.fault().map_or(Ok(reading), Err),
        };
        match reading {
            Ok(reading) => {
                self.down = None;
                self.measure(reading, at);
                self.end_tick(settings, reading, at);
            }
            Err(why) => {
                self.down = Some(why.to_owned());
                self.open = None;
            }
        }
        self.report(settings, at)
    }

    /// Lets the hard stops look at the candidate's own counters, whatever the source is: every
    /// second, and in the warm-up, too.
    pub fn watch(&mut self, settings: &Settings, candidate: &Counters, at: SystemTime) -> Report {
        self.follow(settings, at);
        if candidate.is_sound() {
            let before = self.watched.replace(candidate.clone());
            let added = before.and_then(|before| candidate.since(&before));
            let users = self.step.as_ref().map(|progress| progress.step.users);
            let looks = users.is_some_and(|users| users != Users::AllOnStable);
            if let Some(added) = added.filter(|_| looks) {
                for evidence in self.evidence.values_mut() {
                    evidence.take_candidate(&added);
                }
            }
        }
        self.report(settings, at)
    }

    /// Forgets the reading that the open tick began with: after a restart, when counters count
    /// another life.
    pub fn discard_open_tick(&mut self) {
        self.open = None;
        self.watched = None;
    }

    /// Says what is known, and changes nothing.
    pub fn report(&self, settings: &Settings, at: SystemTime) -> Report {
        let mut checks = Vec::new();
        for (name, check) in &settings.checks {
            if let Some(evidence) = self.evidence.get(name) {
                checks.push(self.check_report(settings, name, check, evidence, at));
            }
        }
        Report {
            verdict: self.verdict(&checks),
            at,
            since: self.step.as_ref().map(|progress| progress.since),
            n_ticks: self.step.as_ref().map_or(0, |progress| progress.n_ticks),
            checks,
        }
    }

    /// Follows the settings: a check that asks something else begins anew, all others go on.
    fn follow(&mut self, settings: &Settings, at: SystemTime) {
        if self.baseline != settings.baseline {
            self.baseline = settings.baseline.clone();
            self.window.clear();
            self.open = None;
            self.restart(Restart::Baseline, at, Kind::compares);
        }
        self.evidence
            .retain(|name, _| settings.checks.contains_key(name));
        for (name, check) in &settings.checks {
            let restarted = match self.evidence.get_mut(name) {
                Some(evidence) if evidence.kind.asks_the_same_as(&check.kind) => {
                    evidence.kind = check.kind.clone();
                    continue;
                }
                Some(_) => Some(Restart::Settings),
                None => None,
            };
            let mut evidence = Evidence::new(check.kind.clone(), at, restarted);
            if let Some(progress) = &self.step {
                evidence.begin_step(progress.step.users, &self.window);
            }
            self.evidence.insert(name.clone(), evidence);
        }
    }

    /// Sees to it that latencies are only compared with those in the same buckets.
    fn measure(&mut self, reading: &Reading, at: SystemTime) {
        if *self.bounds == *reading.bounds {
            return;
        }
        if !self.bounds.is_empty() {
            self.window.clear();
            self.open = None;
            self.restart(Restart::Bounds, at, |kind| {
                matches!(kind, Kind::Latency { .. })
            });
        }
        self.bounds = reading.bounds.to_vec();
    }

    fn restart(&mut self, why: Restart, at: SystemTime, concerns: impl Fn(&Kind) -> bool) {
        for evidence in self.evidence.values_mut() {
            if concerns(&evidence.kind) {
                *evidence = Evidence::new(evidence.kind.clone(), at, Some(why));
                if let Some(progress) = &self.step {
                    evidence.begin_step(progress.step.users, &self.window);
                }
            }
        }
    }

    fn end_tick(&mut self, settings: &Settings, reading: &Reading, at: SystemTime) {
        let Some(open) = self.open.replace(Open::new(reading, at)) else {
            return;
        };
        let Some(baseline) = reading.baseline.since(&open.baseline) else {
            return;
        };
        let candidate = reading.candidate.since(&open.candidate);
        if let (Some(progress), Some(candidate)) = (&mut self.step, candidate)
            && progress.warms_up(open.at, settings.warmup)
        {
            let slices = reading.slice.as_ref().zip(open.slice.as_ref());
            let mirrored = reading.mirrored.zip(open.mirrored);
            let tick = Tick {
                candidate,
                baseline: baseline.clone(),
                slice: slices.and_then(|(now, then)| now.since(then)),
                mirrored: mirrored.and_then(|(now, then)| now.since(&then)),
            };
            progress.hear(&tick);
            for evidence in self.evidence.values_mut() {
                evidence.fix(progress.step.users, &self.window);
                evidence.take(&tick, progress.step.users);
            }
        }
        // After the tick was judged: what it is judged by was known before it.
        self.window.push(baseline);
    }

    fn check_report(
        &self,
        settings: &Settings,
        name: &str,
        check: &Check,
        evidence: &Evidence,
        at: SystemTime,
    ) -> CheckReport {
        let users = self.step.as_ref().map(|progress| progress.step.users);
        let bar = Bar {
            alpha: settings.alpha_of(check),
            beta: settings.beta_pass,
            users,
            time_is_over: self.step.as_ref().is_some_and(|step| step.is_over(at)),
            guarded: settings.aa_guard,
        };
        let guarded = settings.aa_guard && check.kind.compares();
        let step = evidence.step();
        let mut report = CheckReport {
            name: name.to_owned(),
            kind: check.kind.clone(),
            verdict: evidence.verdict(&bar),
            on_fail: check.on_fail,
            dry_run: check.dry_run,
            required: check.required,
            since: evidence.since,
            restarted: evidence.restarted,
            release: evidence.release,
            step,
            candidate_rate: step.candidate.rate(),
            baseline_rate: step.baseline.rate(),
            ln_e: evidence.ln_e(),
            ln_e_needed: evidence.ln_e_needed(&bar),
            over_floor: evidence.is_over_floor(),
            pass_ln_e: evidence.pass_ln_e(),
            pass_ln_e_needed: evidence.pass_ln_e_needed(&bar),
            guard_ln_e: guarded.then(|| evidence.guard_ln_e()),
            needed_requests: evidence.needed_requests(settings.beta_pass),
            phi: evidence.phi(),
            latency: evidence.latency(&self.bounds),
            text: String::new(),
        };
        report.text = text::sentence(&report, settings, users);
        report
    }

    /// The verdict of all checks together, the most decisive case first.
    fn verdict(&self, checks: &[CheckReport]) -> Verdict {
        let deciding = || {
            let deciding = checks.iter().filter(|check| !check.dry_run);
            deciding.filter(|check| check.verdict != CheckVerdict::Idle)
        };
        let failed = deciding().filter(|check| check.verdict == CheckVerdict::Fail);
        if let Some(failed) = failed.min_by_key(|check| check.on_fail) {
            return Verdict::Fail {
                check: failed.name.clone(),
                on_fail: failed.on_fail,
            };
        }
        if let Some(why) = &self.down {
            return Verdict::SourceDown { why: why.clone() };
        }
        let compares = deciding().any(|check| check.kind.compares());
        let looks = deciding().next().is_some();
        let progress = self.step.as_ref().filter(|_| looks);
        if let Some(arm) = progress.and_then(|progress| progress.silent(compares)) {
            return Verdict::NoData { arm };
        }
        if let Some(check) = deciding().find(|check| check.verdict == CheckVerdict::Untrusted) {
            let check = check.name.clone();
            return Verdict::Untrusted { check };
        }
        let all = |good: fn(&CheckReport) -> bool| {
            deciding().any(good) && deciding().filter(|check| check.required).all(good)
        };
        if all(|check| check.verdict == CheckVerdict::Proven) {
            return Verdict::Proven;
        }
        let is_unharmed = |check: &CheckReport| {
            let verdict = check.verdict;
            verdict == CheckVerdict::Proven || verdict == CheckVerdict::NoRegression
        };
        if all(is_unharmed) {
            return Verdict::NoRegression;
        }
        let missing = deciding()
            .filter(|check| check.verdict == CheckVerdict::Insufficient)
            .map(|check| check.needed_requests - check.step.candidate.requests);
        Verdict::Insufficient {
            missing: missing.fold(0.0, f64::max),
        }
    }
}

impl Open {
    fn new(reading: &Reading, at: SystemTime) -> Self {
        Self {
            at,
            candidate: reading.candidate.clone(),
            baseline: reading.baseline.clone(),
            slice: reading.slice.clone(),
            mirrored: reading.mirrored,
        }
    }
}
