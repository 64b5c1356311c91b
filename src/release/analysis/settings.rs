//! What is checked, and how strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::release::analysis::Bad;

/// How releases of a strategy are judged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Settings {
    /// How long a tick is. The caller keeps time: it calls `observe` once in this interval.
    pub interval: Duration,
    /// How long after a step's start nothing is held against or for the candidate, except by checks
    /// of the kind `absolute`.
    pub warmup: Duration,
    /// The chance of a false FAIL over the whole release, of all comparing checks together.
    pub alpha: f64,
    /// The chance of a false PROVEN in one step.
    pub beta_pass: f64,
    /// How long after a step's time it may go on for want of data, before someone is told.
    pub max_wait: Duration,
    /// What the candidate is compared with.
    pub baseline: Baseline,
    /// What the caller does after `max_wait` with too few requests.
    pub on_insufficient: OnInsufficient,
    /// What the caller does after `max_wait` with an arm that gets no requests.
    pub on_no_data: OnMissing,
    /// What the caller does after `max_wait` with a source that does not answer.
    pub on_source_down: OnMissing,
    /// Whether a slice of stable is held against the rest, to see whether the test itself can be
    /// trusted.
    pub aa_guard: bool,
    /// The checks by their names.
    pub checks: BTreeMap<String, Check>,
}

/// What a candidate is compared with.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// All of the release's stable variant.
    #[default]
    Stable,
    /// A slice of it, about as large as the candidate.
    Slice,
    /// Another variant of the route.
    Variant(String),
}

/// What too few requests lead to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInsufficient {
    /// The release waits.
    #[default]
    Hold,
    /// The release is aborted.
    Rollback,
    /// The release goes on, for changes that are authorised without looking.
    Pass,
}

/// What an arm or a source that is silent leads to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// The release waits.
    #[default]
    Hold,
    /// The release is aborted.
    Rollback,
}

/// What a failed check leads to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFail {
    /// The release is aborted.
    #[default]
    Rollback,
    /// The release waits for a person.
    Hold,
}

/// One check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Check {
    /// What it looks at.
    #[serde(flatten)]
    pub kind: Kind,
    /// What follows when it fails.
    pub on_fail: OnFail,
    /// Whether it is shown and decides nothing.
    pub dry_run: bool,
    /// Whether a candidate is proven only when this check has shown it, too.
    pub required: bool,
}

/// What a check looks at. Shares and ratios are of requests: 0.002 is 0.2 %.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The share of bad requests, compared with the baseline's.
    ErrorRate {
        /// Which ways to end are bad.
        bad: BTreeSet<Bad>,
        /// It fails when shown to be worse than so many times the baseline …
        fail_ratio: f64,
        /// … and, as it looks, worse by so many requests of one.
        fail_abs: f64,
        /// It is proven when shown to be better than so many times the baseline …
        pass_ratio: f64,
        /// … or better than this share.
        pass_abs: f64,
    },
    /// The share of requests that are slower than a quantile of the baseline was before the step.
    Latency {
        /// Which quantile: 0.95 for the p95.
        quantile: f64,
        /// It fails when shown to be worse than so many times the baseline's share …
        fail_ratio: f64,
        /// … and, as it looks, worse by so many requests of one.
        fail_abs: f64,
        /// It is proven when shown to be better than so many times the baseline's share.
        pass_ratio: f64,
    },
    /// The hard stop: the share of bad requests, compared with nothing, looked at all the time.
    Absolute {
        /// Which ways to end are bad.
        bad: BTreeSet<Bad>,
        /// It fails when shown to be above, and is proven when shown to be below.
        max: f64,
        /// The chance of a false FAIL over the whole release, of this check alone.
        alpha: f64,
    },
    /// The share of mirrored requests that the candidate answers in another way than stable.
    Mismatch {
        /// It fails when shown to be above, and is proven when shown to be below.
        max: f64,
    },
}

/// Why settings are none.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SettingsError {
    /// A number is out of its range.
    #[error("{key}: {value} is not from {least} to {most}")]
    Range {
        /// Where it is, from the settings on: `check.errors.fail_ratio`.
        key: String,
        /// What it is.
        value: f64,
        /// The least it may be.
        least: f64,
        /// The most it may be.
        most: f64,
    },
    /// A check of bad requests says of none that it is bad.
    #[error("check.{check}.bad: names nothing that is bad")]
    NothingBad {
        /// The name of the check.
        check: String,
    },
    /// A tick takes no time.
    #[error("interval: is 0")]
    NoInterval,
}

impl Settings {
    /// Looks for what makes no sense. The analysis survives whatever it is given; a person deserves
    /// to be told.
    ///
    /// # Errors
    /// With the first problem, in the order of the fields.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if self.interval.is_zero() {
            return Err(SettingsError::NoInterval);
        }
        let range = |key: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let key = key.to_owned();
            Err(SettingsError::Range {
                key,
                value,
                least,
                most,
            })
        };
        range("alpha", self.alpha, 1e-9, 0.5)?;
        range("beta_pass", self.beta_pass, 1e-9, 0.5)?;
        for (name, check) in &self.checks {
            let is = |field: &str, value: f64, least: f64, most: f64| {
                range(&format!("check.{name}.{field}"), value, least, most)
            };
            match &check.kind {
                Kind::ErrorRate {
                    fail_ratio,
                    fail_abs,
                    pass_ratio,
                    pass_abs,
                    ..
                } => {
                    is("fail_ratio", *fail_ratio, 1.0, 1000.0)?;
                    is("fail_abs", *fail_abs, 0.0, 1.0)?;
                    is("pass_ratio", *pass_ratio, 1.0, 1000.0)?;
                    is("pass_abs", *pass_abs, 1e-6, 0.5)?;
                }
                Kind::Latency {
                    quantile,
                    fail_ratio,
                    fail_abs,
                    pass_ratio,
                } => {
                    is("quantile", *quantile, 0.01, 0.9999)?;
                    is("fail_ratio", *fail_ratio, 1.0, 1000.0)?;
                    is("fail_abs", *fail_abs, 0.0, 1.0)?;
                    is("pass_ratio", *pass_ratio, 1.0, 1000.0)?;
                }
                Kind::Absolute { max, alpha, .. } => {
                    is("max", *max, 1e-6, 0.99)?;
                    is("alpha", *alpha, 1e-9, 0.5)?;
                }
                Kind::Mismatch { max } => is("max", *max, 1e-6, 0.99)?,
            }
            if check.kind.bad().is_some_and(BTreeSet::is_empty) {
                let check = name.clone();
                return Err(SettingsError::NothingBad { check });
            }
        }
        Ok(())
    }

    /// The chance of a false FAIL that this check has: its own, or its share of all. Shares may be
    /// added up whatever the checks have to do with each other (Bonferroni).
    pub(crate) fn alpha_of(&self, check: &Check) -> f64 {
        if let Kind::Absolute { alpha, .. } = check.kind {
            return alpha;
        }
        let shared = |check: &&Check| !check.dry_run && !check.kind.is_absolute();
        let n_sharing = self.checks.values().filter(shared).count();
        self.alpha / n_sharing.max(1) as f64
    }
}

impl Kind {
    /// Which ways to end are bad for it.
    pub(crate) fn bad(&self) -> Option<&BTreeSet<Bad>> {
        match self {
            Self::ErrorRate { bad, .. } | Self::Absolute { bad, .. } => Some(bad),
            Self::Latency { .. } | Self::Mismatch { .. } => None,
        }
    }

    /// Whether it compares the arms.
    pub(crate) fn compares(&self) -> bool {
        matches!(self, Self::ErrorRate { .. } | Self::Latency { .. })
    }

    /// Whether it is a hard stop.
    pub(crate) fn is_absolute(&self) -> bool {
        matches!(self, Self::Absolute { .. })
    }

    /// Whether evidence that was gathered for `self` counts for `other`. What chance of a false
    /// verdict is allowed has no part in the evidence.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Absolute { bad, max, .. },
                Self::Absolute {
                    bad: other_bad,
                    max: other_max,
                    ..
                },
            ) => bad == other_bad && max == other_max,
            _ => self == other,
        }
    }
}
