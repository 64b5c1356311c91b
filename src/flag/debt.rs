//! Debt: whether a flag still earns its keep, judged by the evidence of its use.
//!
//! Evidence is gathered in looks: what was answered between two moments, while somebody watched. What
//! happened between looks nobody knows, so only time within looks counts, and where the moment of an
//! answer is not known, it counts as the one that claims less. A flag is called unused for 30 days
//! only when 30 days were watched without an evaluation, however long it has been there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::flag::spec::FlagSpec;

/// What was answered between two moments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// When watching began, or the look before ended.
    pub from: SystemTime,
    /// When the look ended.
    pub to: SystemTime,
    /// How often each variant was the answer. Others are not named, or with 0.
    pub answers: BTreeMap<String, u64>,
}

/// The evidence of a flag's use: the sum of all looks, to be kept over restarts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Use {
    /// When it was first watched.
    #[serde(with = "crate::flag::moment")]
    since: SystemTime,
    /// The end of the last look.
    #[serde(with = "crate::flag::moment")]
    until: SystemTime,
    /// How often each variant was the answer, and when last.
    #[serde(default)]
    answers: BTreeMap<String, Answer>,
    /// How long it was watched since the last evaluation, or at all without one.
    idle: Duration,
    /// The answers since the last one that was another.
    #[serde(default)]
    run: Option<Run>,
}

/// How often a variant was the answer, and when last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// How often.
    pub count: u64,
    /// When last, at the latest.
    #[serde(with = "crate::flag::moment")]
    pub last: SystemTime,
}

/// Answers that were all the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Run {
    variant: String,
    /// The first of them, at the latest.
    #[serde(with = "crate::flag::moment")]
    from: SystemTime,
    /// How long was watched between the first and the last of them, at the least.
    watched: Duration,
    /// How long was watched since; it counts when the same answer comes again.
    pending: Duration,
}

/// How long is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// A flag that nobody has evaluated for so long is stale.
    pub unused_after: Duration,
    /// A flag that has given one answer for so long is stale.
    pub constant_after: Duration,
}

/// Why a flag is stale.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stale {
    /// It was to be gone by then.
    Expired {
        /// The moment that its file names.
        at: SystemTime,
    },
    /// All that was answered was the same.
    OneAnswer {
        /// The variant.
        variant: String,
        /// The first of the answers.
        since: SystemTime,
    },
    /// Nobody has evaluated it.
    Unused {
        /// The last evaluation, or when it was first watched.
        since: SystemTime,
    },
}

impl Stale {
    /// The word for it, which is a label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::OneAnswer { .. } => "one_answer",
            Self::Unused { .. } => "unused",
        }
    }
}

/// Judges a flag by its file and by the evidence of its use. A flag that is meant to stay is never
/// stale.
pub fn judge(
    spec: &FlagSpec,
    evidence: Option<&Use>,
    now: SystemTime,
    settings: Settings,
) -> Vec<Stale> {
    let mut stale = Vec::new();
    if spec.permanent {
        return stale;
    }
    if let Some(at) = spec.expires.filter(|at| *at <= now) {
        stale.push(Stale::Expired { at });
    }
    let Some(evidence) = evidence else {
        return stale;
    };
    if let Some(run) = &evidence.run
        && settings.constant_after <= run.watched
        && spec.variants.contains_key(&run.variant)
    {
        stale.push(Stale::OneAnswer {
            variant: run.variant.clone(),
            since: run.from,
        });
    }
    if settings.unused_after <= evidence.idle {
        let since = evidence.last_evaluated().unwrap_or(evidence.since);
        stale.push(Stale::Unused { since });
    }
    stale
}

impl Use {
    /// Begins with what a first look saw.
    pub fn new(look: &Look) -> Self {
        let mut evidence = Self {
            since: look.from,
            until: look.from,
            answers: BTreeMap::new(),
            idle: Duration::ZERO,
            run: None,
        };
        evidence.note(look);
        evidence
    }

    /// Adds what the next look saw. What it has in common with the last one is not watched twice;
    /// where the clock went back, nothing was watched.
    pub fn note(&mut self, look: &Look) {
        let watched = between(look.from.max(self.until), look.to);
        let mut served = look.answers.iter().filter(|(_, count)| **count > 0);
        for (variant, count) in served.clone() {
            let answer = self.answers.entry(variant.clone()).or_insert(Answer {
                count: 0,
                last: look.to,
            });
            answer.count = answer.count.saturating_add(*count);
            answer.last = answer.last.max(look.to);
        }
        self.until = self.until.max(look.to);
        match (served.next(), served.next()) {
            (None, _) => {
                self.idle += watched;
                if let Some(run) = &mut self.run {
                    run.pending += watched;
                }
            }
            (Some((variant, _)), None) => {
                self.idle = Duration::ZERO;
                match &mut self.run {
                    Some(run) if run.variant == *variant => {
                        run.watched += run.pending;
                        run.pending = watched;
                    }
                    _ => {
                        self.run = Some(Run {
                            variant: variant.clone(),
                            from: look.to,
                            watched: Duration::ZERO,
                            pending: Duration::ZERO,
                        });
                    }
                }
            }
            (Some(_), Some(_)) => {
                self.idle = Duration::ZERO;
                self.run = None;
            }
        }
    }

    /// Adds what another instance saw of the same flag, at the same time or at another.
    pub fn merge(&mut self, other: &Self) {
        let (own, others) = (self.last_evaluated(), other.last_evaluated());
        self.idle = match (own, others) {
            (None, None) => self.idle.max(other.idle),
            (Some(_), None) => self.idle,
            (None, Some(_)) => other.idle,
            (Some(a), Some(b)) => joint(a, self.idle, b, other.idle),
        };
        self.run = match (self.run.take(), &other.run) {
            (Some(a), Some(b)) if a.variant == b.variant => {
                let watched = joint(a.from, a.watched, b.from, b.watched);
                Some(Run {
                    variant: a.variant,
                    from: a.from.max(b.from),
                    watched,
                    pending: Duration::ZERO,
                })
            }
            // Who has no run because it has no answers says nothing against the other's.
            (run, None) if others.is_none() => run,
            (None, run) if own.is_none() => run.clone(),
            _ => None,
        };
        for (variant, theirs) in &other.answers {
            let answer = self.answers.entry(variant.clone()).or_insert(Answer {
                count: 0,
                last: theirs.last,
            });
            answer.count = answer.count.saturating_add(theirs.count);
            answer.last = answer.last.max(theirs.last);
        }
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
    }

    /// When it was first watched.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// The end of the last look.
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// When it was last evaluated, at the latest.
    pub fn last_evaluated(&self) -> Option<SystemTime> {
        self.answers.values().map(|answer| answer.last).max()
    }

    /// How often each variant was the answer, and when last.
    pub fn answers(&self) -> &BTreeMap<String, Answer> {
        &self.answers
    }
}

/// How long was surely watched since the later of two moments, where one has watched for so long
/// since the one, and another since the other.
fn joint(a: SystemTime, since_a: Duration, b: SystemTime, since_b: Duration) -> Duration {
    // Of what was watched since the earlier moment at most all between the two was before the later.
    let a_counts = since_a.saturating_sub(between(a, b));
    let b_counts = since_b.saturating_sub(between(b, a));
    a_counts.max(b_counts)
}

fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
