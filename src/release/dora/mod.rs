//! The four keys of DORA, and rework: how often, how fast and how well changes reach users.
//!
//! A *deployment* is a release that was promoted. It *failed* when it was rolled back afterwards or
//! has an incident. What was taken back before it had all traffic is no failed deployment but one
//! that was caught, and is counted apart. A figure without data is absent, never zero.
//!
//! Source: DORA, "Software delivery performance metrics" (dora.dev), with the definitions below.

mod journal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use crate::release::dora::journal::{Journal, LONGEST, transition};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a release is, as far as these figures ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The candidate has no traffic yet.
    Waiting,
    /// It has some: preview, steps.
    Partial,
    /// It has all, and bakes.
    Full,
    /// It is the stable one.
    Promoted,
    /// It was, and is not any more.
    RolledBack,
    /// It never became it.
    Aborted,
    /// Another took its place, or it was removed.
    Withdrawn,
}

/// One step of a release from one stage to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transition {
    /// The release.
    pub release: String,
    /// The route that it is for.
    pub route: String,
    /// When.
    pub at: SystemTime,
    /// From where.
    pub from: Stage,
    /// To where.
    pub to: Stage,
    /// When the change was committed, if its file says it.
    pub commit_time: Option<SystemTime>,
    /// When its failure was first seen, where this step answers one.
    pub first_bad_at: Option<SystemTime>,
    /// When every live replica had acknowledged that stable has all traffic again.
    pub stable_at: Option<SystemTime>,
    /// What led to it, such as `analysis`, `operator` or `file`.
    pub cause: String,
    /// The release that this one repairs.
    pub rework_of: Option<String>,
    /// Whether it was not planned: an emergency.
    pub unplanned: bool,
}

/// Something that went wrong for users, and the release that somebody links it with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incident {
    /// The release.
    pub release: String,
    /// When it began.
    pub started_at: SystemTime,
    /// When it was over, if it is.
    pub resolved_at: Option<SystemTime>,
}

/// The time that is looked at, `[from, to)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Window {
    /// Where it begins.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub from: SystemTime,
    /// Where it ends.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub to: SystemTime,
}

/// The figures of one window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The window.
    pub window: Window,
    /// Releases that were promoted in it.
    pub deployments: u64,
    /// Those for each day of it.
    pub deployments_per_day: Option<f64>,
    /// From a deployment's commit to its promotion.
    pub lead_time: Option<Spread>,
    /// Deployments that failed, whenever they did.
    pub failed: u64,
    /// Those as a share of the deployments.
    pub change_failure_rate: Option<f64>,
    /// From the first failing evidence, or the incident's begin, to when stable had all traffic
    /// again; where nothing was rolled back, to when the incident was resolved.
    pub recovery_time: Option<Spread>,
    /// Deployments that repair another or were not planned, as a share of the deployments.
    pub rework_rate: Option<f64>,
    /// What went back in the window before it was promoted.
    pub caught: Caught,
}

/// Releases that were aborted in a window, in whole numbers by what led to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Caught {
    /// Those whose candidate had a part of the traffic.
    pub in_canary: u64,
    /// The same by cause.
    pub in_canary_by_cause: BTreeMap<String, u64>,
    /// Those whose candidate had all of it, and was not promoted yet.
    pub while_baking: u64,
    /// From the first failing evidence of either to when stable had all traffic again.
    pub recovery_time: Option<Spread>,
}

/// Durations in seconds: their quantiles by nearest rank, and how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median: half took no longer.
    pub p50_seconds: f64,
    /// Nine of ten took no longer.
    pub p90_seconds: f64,
    /// How many there were.
    pub samples: u64,
}

/// One promotion, and what became of it.
struct Deployment<'a> {
    promoted: &'a Transition,
    rolled_back: Option<&'a Transition>,
    incidents: Vec<&'a Incident>,
}

/// The figures of a window, of all routes or of one.
///
/// `transitions` are in any order. A deployment is of the window in which it was promoted; what
/// became of it counts there, even if it came later.
pub fn measure(
    transitions: &[Transition],
    incidents: &[Incident],
    window: Window,
    route: Option<&str>,
) -> Figures {
    let here = |of: &&Transition| route.is_none_or(|route| of.route == route);
    let mut steps: Vec<&Transition> = transitions.iter().filter(here).collect();
    steps.sort_by_key(|step| step.at);
    let deployments: Vec<Deployment<'_>> = deployments(&steps, incidents)
        .into_iter()
        .filter(|deployment| window.has(deployment.promoted.at))
        .collect();
    let n = count(deployments.len());
    let share = |part: u64| (n > 0).then(|| ratio(part, n));
    let days = window.days();
    let failed: Vec<&Deployment<'_>> = deployments.iter().filter(|of| of.failed()).collect();
    let rework = deployments.iter().filter(|of| of.promoted.is_rework());
    Figures {
        window,
        deployments: n,
        deployments_per_day: days.filter(|_| n > 0).map(|days| ratio(n, 1) / days),
        lead_time: spread(deployments.iter().filter_map(Deployment::lead_time)),
        failed: count(failed.len()),
        change_failure_rate: share(count(failed.len())),
        recovery_time: spread(failed.iter().filter_map(|of| of.recovery_time())),
        rework_rate: share(count(rework.count())),
        caught: caught(&steps, window),
    }
}

/// The figures of each route that has a transition, by its name.
pub fn by_route(
    transitions: &[Transition],
    incidents: &[Incident],
    window: Window,
) -> BTreeMap<String, Figures> {
    let routes: BTreeSet<&str> = transitions.iter().map(|of| of.route.as_str()).collect();
    let figures = routes.into_iter().map(|route| {
        let figures = measure(transitions, incidents, window, Some(route));
        (route.to_owned(), figures)
    });
    figures.collect()
}

/// The promotions among steps that are sorted by time, with what followed each.
fn deployments<'a>(steps: &[&'a Transition], incidents: &'a [Incident]) -> Vec<Deployment<'a>> {
    let mut deployments: Vec<Deployment<'a>> = Vec::new();
    for step in steps {
        let own = |of: &&mut Deployment<'a>| of.promoted.release == step.release;
        match step.to {
            Stage::Promoted => deployments.push(Deployment {
                promoted: step,
                rolled_back: None,
                incidents: Vec::new(),
            }),
            Stage::RolledBack => {
                if let Some(of) = deployments.iter_mut().rev().find(own) {
                    of.rolled_back = Some(step);
                }
            }
            Stage::Waiting | Stage::Partial | Stage::Full | Stage::Aborted | Stage::Withdrawn => {}
        }
    }
    for incident in incidents {
        // The promotion that it followed; one that began before the first belongs to that.
        let own = |of: &&mut Deployment<'a>| of.promoted.release == incident.release;
        let mut of: Vec<&mut Deployment<'a>> = deployments.iter_mut().filter(own).collect();
        let index = of
            .iter()
            .rposition(|of| of.promoted.at <= incident.started_at)
            .unwrap_or(0);
        if let Some(of) = of.get_mut(index) {
            of.incidents.push(incident);
        }
    }
    deployments
}

fn caught(steps: &[&Transition], window: Window) -> Caught {
    let mut caught = Caught::default();
    let aborted = steps
        .iter()
        .filter(|step| step.to == Stage::Aborted && window.has(step.at));
    let mut recoveries = Vec::new();
    for step in aborted {
        match step.from {
            Stage::Partial => {
                caught.in_canary += 1;
                *caught
                    .in_canary_by_cause
                    .entry(step.cause.clone())
                    .or_default() += 1;
            }
            Stage::Full => caught.while_baking += 1,
            // Nobody had met the candidate, or this is no way to be aborted.
            Stage::Waiting
            | Stage::Promoted
            | Stage::RolledBack
            | Stage::Aborted
            | Stage::Withdrawn => continue,
        }
        recoveries.extend(between(step.first_bad_at, step.stable_at));
    }
    caught.recovery_time = spread(recoveries.into_iter());
    caught
}

impl Window {
    /// Makes the window of that length that ends at `to`.
    pub fn last(length: Duration, to: SystemTime) -> Self {
        let from = to.checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { from, to }
    }

    fn has(self, at: SystemTime) -> bool {
        (self.from..self.to).contains(&at)
    }

    fn days(self) -> Option<f64> {
        let length = self.to.duration_since(self.from).ok()?;
        (!length.is_zero()).then(|| length.as_secs_f64() / DAY.as_secs_f64())
    }
}

impl Transition {
    fn is_rework(&self) -> bool {
        self.unplanned || self.rework_of.is_some()
    }
}

impl Deployment<'_> {
    fn failed(&self) -> bool {
        self.rolled_back.is_some() || !self.incidents.is_empty()
    }

    fn lead_time(&self) -> Option<Duration> {
        between(self.promoted.commit_time, Some(self.promoted.at))
    }

    fn recovery_time(&self) -> Option<Duration> {
        let began = self
            .incidents
            .iter()
            .map(|incident| incident.started_at)
            .min();
        let Some(rolled_back) = self.rolled_back else {
            // While one of them lasts, nothing is recovered.
            let over = self.incidents.iter().map(|incident| incident.resolved_at);
            let over: Option<Vec<SystemTime>> = over.collect();
            return between(began, over?.into_iter().max());
        };
        between(rolled_back.first_bad_at.or(began), rolled_back.stable_at)
    }
}

/// The time from one to the other; none when either is not known, or they are in the wrong order.
fn between(from: Option<SystemTime>, to: Option<SystemTime>) -> Option<Duration> {
    to?.duration_since(from?).ok()
}

fn spread(durations: impl Iterator<Item = Duration>) -> Option<Spread> {
    let mut sorted: Vec<Duration> = durations.collect();
    sorted.sort_unstable();
    let quantile = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).map(Duration::as_secs_f64)
    };
    Some(Spread {
        p50_seconds: quantile(50)?,
        p90_seconds: quantile(90)?,
        samples: count(sorted.len()),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn ratio(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}
