//! A trial: an analysis, the counters that it reads, and a clock, all moved by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::release::analysis::{
    Analysis, Bad, Baseline, Check, CheckReport, Counters, Kind, Mirrored, OnFail, OnInsufficient,
    OnMissing, Reading, Report, Seen, Settings, Slice, Step, Users, Verdict,
};

pub(crate) const TICK: Duration = Duration::from_secs(30);

/// Requests and bad ones.
pub(crate) type Count = (u32, u32);

pub(crate) struct Trial {
    pub(crate) settings: Settings,
    pub(crate) analysis: Analysis,
    pub(crate) reading: Reading,
    pub(crate) now: SystemTime,
    pub(crate) report: Option<Report>,
}

impl Trial {
    /// With these checks, and one reading, from which the first tick begins.
    pub(crate) fn new(checks: impl IntoIterator<Item = (&'static str, Check)>) -> Self {
        let checks = checks
            .into_iter()
            .map(|(name, check)| (name.to_owned(), check));
        let mut trial = Self {
            settings: Settings {
                interval: TICK,
                warmup: Duration::ZERO,
                alpha: 0.01,
                beta_pass: 0.05,
                max_wait: Duration::from_secs(7200),
                baseline: Baseline::Stable,
                on_insufficient: OnInsufficient::Hold,
                on_no_data: OnMissing::Hold,
                on_source_down: OnMissing::Hold,
                aa_guard: false,
                checks: checks.collect(),
            },
            analysis: Analysis::default(),
            reading: Reading {
                candidate: counters(),
                baseline: counters(),
                slice: None,
                mirrored: None,
                bounds: [0.1, 0.2, 0.4].into(),
            },
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
            report: None,
        };
        trial.now -= TICK;
        trial.observe();
        trial
    }

    /// In the first step of 10 minutes, users on both.
    pub(crate) fn in_a_step(checks: impl IntoIterator<Item = (&'static str, Check)>) -> Self {
        let mut trial = Self::new(checks);
        trial.step(Users::Divided, 600);
        trial
    }

    pub(crate) fn step(&mut self, users: Users, at_least: u64) {
        let at_least = Duration::from_secs(at_least);
        let step = Step { users, at_least };
        self.analysis
            .begin_step(&self.settings, step, Some(&self.reading), self.now);
    }

    /// Lets a tick pass with so many requests for each arm, all of them fast.
    pub(crate) fn tick(&mut self, candidate: Count, baseline: Count) -> Verdict {
        add(&mut self.reading.candidate, candidate, 0);
        add(&mut self.reading.baseline, baseline, 0);
        self.observe()
    }

    /// Many equal ticks; the verdict of the last.
    pub(crate) fn ticks(&mut self, n: u32, candidate: Count, baseline: Count) -> Verdict {
        let mut verdict = None;
        for _ in 0..n {
            verdict = Some(self.tick(candidate, baseline));
        }
        verdict.expect("a trial has ticks")
    }

    /// A tick in which the bad ones are slow instead.
    pub(crate) fn slow_tick(&mut self, candidate: Count, baseline: Count) -> Verdict {
        for (counters, (requests, slow)) in [
            (&mut self.reading.candidate, candidate),
            (&mut self.reading.baseline, baseline),
        ] {
            add(counters, (requests - slow, 0), 0);
            add(counters, (slow, 0), 2);
        }
        self.observe()
    }

    /// A tick with so many in the slice of stable, and in the rest of it.
    pub(crate) fn sliced_tick(&mut self, candidate: Count, slice: Count, rest: Count) -> Verdict {
        add(&mut self.reading.candidate, candidate, 0);
        let slices = self.reading.slice.get_or_insert_with(|| Slice {
            slice: counters(),
            rest: counters(),
        });
        add(&mut slices.slice, slice, 0);
        add(&mut slices.rest, rest, 0);
        add(&mut self.reading.baseline, slice, 0);
        add(&mut self.reading.baseline, rest, 0);
        self.observe()
    }

    /// A tick in which so many pairs were compared, and so many differed.
    pub(crate) fn mirrored_tick(&mut self, (compared, mismatched): Count) -> Verdict {
        let mirrored = self.reading.mirrored.get_or_insert_default();
        *mirrored = Mirrored {
            compared: mirrored.compared + f64::from(compared),
            mismatched: mirrored.mismatched + f64::from(mismatched),
        };
        self.observe()
    }

    pub(crate) fn source_down(&mut self, why: &str) -> Verdict {
        self.see(&Seen::SourceDown(why.to_owned()))
    }

    pub(crate) fn observe(&mut self) -> Verdict {
        self.see(&Seen::Reading(self.reading.clone()))
    }

    /// Lets a second pass with so many requests to the candidate, which only the hard stops see.
    pub(crate) fn second(&mut self, candidate: Count) -> Verdict {
        self.now += Duration::from_secs(1);
        add(&mut self.reading.candidate, candidate, 0);
        let report = self
            .analysis
            .watch(&self.settings, &self.reading.candidate, self.now);
        self.keep(report)
    }

    pub(crate) fn check(&self, name: &str) -> &CheckReport {
        let report = self.report.as_ref().expect("something was observed");
        let found = report.checks.iter().find(|check| check.name == name);
        found.expect("the check is reported")
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        &self.check(name).text
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&self.analysis).unwrap()
    }

    fn see(&mut self, seen: &Seen) -> Verdict {
        self.now += TICK;
        let report = self.analysis.observe(&self.settings, seen, self.now);
        self.keep(report)
    }

    fn keep(&mut self, report: Report) -> Verdict {
        let verdict = report.verdict.clone();
        self.report = Some(report);
        verdict
    }
}

pub(crate) fn counters() -> Counters {
    Counters {
        requests: 0.0,
        bad: BTreeMap::new(),
        latency: vec![0.0; 4],
    }
}

fn add(counters: &mut Counters, (requests, bad): Count, bucket: usize) {
    counters.requests += f64::from(requests);
    *counters.bad.entry(Bad::ServerError).or_default() += f64::from(bad);
    counters.latency[bucket] += f64::from(requests);
}

pub(crate) fn failed(check: &str, on_fail: OnFail) -> Verdict {
    let check = check.to_owned();
    Verdict::Fail { check, on_fail }
}

/// A check that is required, decides, and leads to a rollback.
pub(crate) fn check(kind: Kind) -> Check {
    Check {
        kind,
        on_fail: OnFail::Rollback,
        dry_run: false,
        required: true,
    }
}

pub(crate) fn errors() -> Check {
    check(Kind::ErrorRate {
        bad: BTreeSet::from([Bad::ServerError, Bad::Timeout]),
        fail_ratio: 1.25,
        fail_abs: 0.002,
        pass_ratio: 2.0,
        pass_abs: 0.005,
    })
}

pub(crate) fn p95() -> Check {
    check(Kind::Latency {
        quantile: 0.95,
        fail_ratio: 1.25,
        fail_abs: 0.0,
        pass_ratio: 2.0,
    })
}

pub(crate) fn hard_stop() -> Check {
    check(Kind::Absolute {
        bad: BTreeSet::from([Bad::ServerError]),
        max: 0.25,
        alpha: 0.001,
    })
}

pub(crate) fn mismatches() -> Check {
    check(Kind::Mismatch { max: 0.01 })
}
