//! One simulated release, judged by a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tidegate::release::analysis::{
    Analysis, Bad, Baseline, Check, Counters, Kind, OnFail, OnInsufficient, OnMissing, Reading,
    Seen, Settings, Step, Users, Verdict,
};

use crate::dice::Dice;
use crate::latency::{bounds, latencies};

/// A rate, or another number, at each second of the release.
pub(crate) type At = fn(f64) -> f64;

/// What happens in a release.
#[derive(Clone)]
pub(crate) struct Scenario {
    /// Requests per second of the whole route.
    pub(crate) rps: f64,
    /// The candidate's share of them.
    pub(crate) share: At,
    /// The share of bad requests of the baseline, and of the candidate.
    pub(crate) baseline: At,
    pub(crate) candidate: At,
    /// How many bad requests come together.
    pub(crate) clump: f64,
    /// By how much the candidate is slower, where latencies are looked at.
    pub(crate) slower: Option<f64>,
    pub(crate) tick: f64,
    pub(crate) seconds: f64,
    /// The seconds at which steps begin.
    pub(crate) steps: &'static [f64],
    pub(crate) users: Users,
    /// From when on times are counted.
    pub(crate) onset: f64,
    pub(crate) check: Kind,
}

/// What one tick added to an arm.
struct Added {
    requests: f64,
    bad: f64,
    latency: Vec<f64>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Rule {
    Strikes(u32),
    ZTest,
    Analysis,
}

/// When a release ended in which way, in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct End {
    pub(crate) failed: Option<f64>,
    pub(crate) proven: Option<f64>,
}

pub(crate) fn errors(fail_abs: f64) -> Kind {
    Kind::ErrorRate {
        bad: BTreeSet::from([Bad::ServerError]),
        fail_ratio: 1.25,
        fail_abs,
        pass_ratio: 2.0,
        pass_abs: 0.005,
    }
}

pub(crate) fn p95() -> Kind {
    Kind::Latency {
        quantile: 0.95,
        fail_ratio: 1.25,
        fail_abs: 0.0,
        pass_ratio: 2.0,
    }
}

pub(crate) fn hard_stop() -> Kind {
    Kind::Absolute {
        bad: BTreeSet::from([Bad::ServerError]),
        max: 0.25,
        alpha: 0.001,
    }
}

fn settings(check: Kind, tick: f64) -> Settings {
    let check = Check {
        kind: check,
        on_fail: OnFail::Rollback,
        dry_run: false,
        required: true,
    };
    Settings {
        interval: Duration::from_secs_f64(tick),
        warmup: Duration::ZERO,
        alpha: 0.01,
        beta_pass: 0.05,
        max_wait: Duration::from_secs(7200),
        baseline: Baseline::Stable,
        on_insufficient: OnInsufficient::Hold,
        on_no_data: OnMissing::Hold,
        on_source_down: OnMissing::Hold,
        aa_guard: false,
        checks: BTreeMap::from([("it".to_owned(), check)]),
    }
}

/// A minute's look at an hour with 5 % of the users on the candidate.
pub(crate) fn hour(rps: f64, baseline: At, candidate: At) -> Scenario {
    Scenario {
        rps,
        share: |_| 0.05,
        baseline,
        candidate,
        clump: 1.0,
        slower: None,
        tick: 60.0,
        seconds: 3600.0,
        steps: &[0.0],
        users: Users::Divided,
        onset: 0.0,
        check: errors(0.002),
    }
}

impl Scenario {
    fn added(&self, dice: &mut Dice, rps: f64, rate: f64, slower: f64) -> Added {
        let requests = dice.poisson(rps * self.tick);
        let bad = if self.clump > 1.0 {
            let clumps = dice.poisson(requests * rate / self.clump);
            (clumps * self.clump).min(requests)
        } else {
            dice.binomial(requests, rate)
        };
        let latency = match self.slower {
            Some(_) => latencies(dice, requests, slower),
            None => vec![0.0; bounds().len() + 1],
        };
        Added {
            requests,
            bad,
            latency,
        }
    }

    /// One tick of both arms: the candidate's, the baseline's.
    fn tick(&self, dice: &mut Dice, at: f64) -> [Added; 2] {
        let share = (self.share)(at);
        let slower = self.slower.unwrap_or(1.0);
        [
            self.added(dice, self.rps * share, (self.candidate)(at), slower),
            self.added(dice, self.rps * (1.0 - share), (self.baseline)(at), 1.0),
        ]
    }

    pub(crate) fn run(&self, rule: Rule, dice: &mut Dice) -> End {
        match rule {
            Rule::Strikes(n) => self.strikes(n, dice),
            Rule::ZTest => self.z_test(dice),
            Rule::Analysis => self.analysis(dice),
        }
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let (n, tick) = ((self.seconds / self.tick) as u32, self.tick);
        (0..n).map(move |index| f64::from(index) * tick)
    }

    /// "Success below 99 % in a minute", so many times.
    fn strikes(&self, allowed: u32, dice: &mut Dice) -> End {
        let mut strikes = 0;
        for at in self.times() {
            let [candidate, _] = self.tick(dice, at);
            if candidate.requests > 0.0 && candidate.bad / candidate.requests > 0.01 {
                strikes += 1;
            }
            if strikes >= allowed {
                return failed(at + self.tick);
            }
        }
        End::default()
    }

    /// Two proportions, one-sided at 1 %, of all that was seen so far, each minute.
    fn z_test(&self, dice: &mut Dice) -> End {
        let (mut n, mut x) = ([0.0; 2], [0.0; 2]);
        for at in self.times() {
            for (arm, added) in self.tick(dice, at).into_iter().enumerate() {
                n[arm] += added.requests;
                x[arm] += added.bad;
            }
            let pooled = (x[0] + x[1]) / (n[0] + n[1]);
            let deviation = (pooled * (1.0 - pooled) * (1.0 / n[0] + 1.0 / n[1])).sqrt();
            if deviation > 0.0 && (x[0] / n[0] - x[1] / n[1]) / deviation > 2.326 {
                return failed(at + self.tick);
            }
        }
        End::default()
    }

    fn analysis(&self, dice: &mut Dice) -> End {
        let settings = settings(self.check.clone(), self.tick);
        let start = SystemTime::UNIX_EPOCH;
        let time = |at: f64| start + Duration::from_secs_f64(at + 3600.0);
        let mut analysis = Analysis::default();
        let mut reading = Reading {
            candidate: counters(),
            baseline: counters(),
            slice: None,
            mirrored: None,
            bounds: bounds(),
        };
        let is_hard_stop = matches!(self.check, Kind::Absolute { .. });
        // An hour at most in which everyone is on stable.
        let n_before = if is_hard_stop {
            0
        } else {
            (3600.0 / self.tick).min(60.0) as u32
        };
        for index in (0..n_before).rev() {
            let at = -f64::from(index) * self.tick;
            add(
                &mut reading.baseline,
                &self.added(dice, self.rps, (self.baseline)(at), 1.0),
            );
            analysis.observe(&settings, &Seen::Reading(reading.clone()), time(at));
        }
        let mut end = End::default();
        for at in self.times() {
            if self.steps.contains(&at) {
                let step = Step {
                    users: self.users,
                    at_least: Duration::ZERO,
                };
                analysis.begin_step(&settings, step, Some(&reading), time(at));
                analysis.watch(&settings, &reading.candidate, time(at));
            }
            let [candidate, baseline] = self.tick(dice, at);
            add(&mut reading.candidate, &candidate);
            add(&mut reading.baseline, &baseline);
            let now = at + self.tick;
            let report = if is_hard_stop {
                analysis.watch(&settings, &reading.candidate, time(now))
            } else {
                analysis.observe(&settings, &Seen::Reading(reading.clone()), time(now))
            };
            match report.verdict {
                Verdict::Fail { .. } => {
                    end.failed = Some(now - self.onset);
                    return end;
                }
                Verdict::Proven if now > self.onset => {
                    end.proven = end.proven.or(Some(now - self.onset));
                }
                _ => {}
            }
        }
        end
    }
}

fn failed(at: f64) -> End {
    End {
        failed: Some(at),
        proven: None,
    }
}

fn counters() -> Counters {
    Counters {
        requests: 0.0,
        bad: BTreeMap::from([(Bad::ServerError, 0.0)]),
        latency: vec![0.0; bounds().len() + 1],
    }
}

fn add(counters: &mut Counters, added: &Added) {
    counters.requests += added.requests;
    if let Some(bad) = counters.bad.get_mut(&Bad::ServerError) {
        *bad += added.bad;
    }
    for (count, added) in counters.latency.iter_mut().zip(&added.latency) {
        *count += added;
    }
}
