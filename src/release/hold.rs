//! Holds: named reasons why a release does not move, with what clears each and who may.

use std::fmt::{Display, Formatter};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::store::instant;

/// Why a release does not move.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody paused it.
    Manual,
    /// Nobody started it.
    NotStarted,
    /// A gate is not open.
    Approval(String),
    /// It lies in a freeze.
    Freeze(String),
    /// Nothing moves forward at all.
    StopTheLine,
    /// The flag that it rolls out is killed: nobody would see what it does.
    FlagKilled,
    /// Too little was seen to tell.
    InsufficientData,
    /// One side has had no request.
    NoData,
    /// The numbers cannot be had.
    MetricsDown,
    /// Stable differs from itself.
    UntrustedMetric,
    /// A check failed, and holding is what it is for.
    CheckFailed(String),
    /// Too little of the candidate is available.
    CandidateUnhealthy,
    /// Stable gets no requests: what it would be given would be another variant's.
    StableIdle,
    /// Not every instance obeys what was decided.
    ReplicaLag,
    /// The file asks for something else.
    ConfigConflict,
    /// What had been decided before may be lost.
    StateLost,
    /// What is decided cannot be kept.
    StoreUnavailable,
    /// Another release comes first.
    Dependency(String),
    /// It is too early.
    Scheduled,
    /// A test of the candidate has not been passed.
    Test(String),
    /// Something that it has to have is missing.
    Incomplete(String),
    /// Its time is over, and a person has to decide.
    Decision,
    /// It takes longer than it may.
    Deadline,
}

impl Reason {
    /// The kind of the reason, as a label's value.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::NotStarted => "not_started",
            Self::Approval(_) => "approval",
            Self::Freeze(_) => "freeze",
            Self::StopTheLine => "stop_the_line",
            Self::FlagKilled => "flag_killed",
            Self::InsufficientData => "insufficient_data",
            Self::NoData => "no_data",
            Self::MetricsDown => "metrics_down",
            Self::UntrustedMetric => "untrusted_metric",
            Self::CheckFailed(_) => "check_failed",
            Self::CandidateUnhealthy => "candidate_unhealthy",
            Self::StableIdle => "stable_idle",
            Self::ReplicaLag => "replica_lag",
            Self::ConfigConflict => "config_conflict",
            Self::StateLost => "state_lost",
            Self::StoreUnavailable => "store_unavailable",
            Self::Dependency(_) => "dependency",
            Self::Scheduled => "scheduled",
            Self::Test(_) => "test",
            Self::Incomplete(_) => "incomplete",
            Self::Decision => "decision",
            Self::Deadline => "deadline",
        }
    }

    /// All kinds.
    pub const NAMES: [&str; 23] = [
        "manual",
        "not_started",
        "approval",
        "freeze",
        "stop_the_line",
        "flag_killed",
        "insufficient_data",
        "no_data",
        "metrics_down",
        "untrusted_metric",
        "check_failed",
        "candidate_unhealthy",
        "stable_idle",
        "replica_lag",
        "config_conflict",
        "state_lost",
        "store_unavailable",
        "dependency",
        "scheduled",
        "test",
        "incomplete",
        "decision",
        "deadline",
    ];

    /// What ends the hold.
    pub fn clears_when(&self) -> String {
        match self {
            Self::Manual => "somebody resumes it".into(),
            Self::NotStarted => "somebody starts it".into(),
            Self::Approval(gate) => format!("the gate `{gate}` is open"),
            Self::Freeze(name) => format!("the freeze `{name}` is over, or overridden"),
            Self::StopTheLine => "the line is let go on".into(),
            Self::FlagKilled => "somebody unkills the flag".into(),
            Self::InsufficientData => "enough requests were seen".into(),
            Self::NoData => "both variants have requests".into(),
            Self::MetricsDown => "the numbers can be had again".into(),
            Self::UntrustedMetric => "somebody retries it, or skips the step".into(),
            Self::CheckFailed(_) => "somebody aborts it, or skips the step".into(),
            Self::CandidateUnhealthy => "enough of the candidate's endpoints are available".into(),
            Self::StableIdle => "the file says which variant is stable by now".into(),
            Self::ReplicaLag => "every instance obeys what was decided".into(),
            Self::ConfigConflict => {
                "the file is put back, or somebody accepts it or keeps what runs".into()
            }
            Self::StateLost => "somebody resumes it, or aborts it".into(),
            Self::StoreUnavailable => "the store can be written to".into(),
            Self::Dependency(release) => format!("the release `{release}` is promoted"),
            Self::Scheduled => "its time has come".into(),
            Self::Test(name) => format!("the test `{name}` is passed"),
            Self::Incomplete(what) => format!("it has {what}"),
            Self::Decision => "somebody promotes it, or aborts it".into(),
            Self::Deadline => "somebody resumes it, promotes it, or aborts it".into(),
        }
    }

    /// The role that may clear it, where a person can; `None` where only what happens can.
    pub fn role(&self) -> Option<&'static str> {
        match self {
            Self::Manual
            | Self::NotStarted
            | Self::UntrustedMetric
            | Self::CheckFailed(_)
            | Self::ConfigConflict
            | Self::StateLost
            | Self::Decision
            | Self::Deadline => Some("operator"),
            Self::Approval(_) => Some("approver"),
            Self::Freeze(_) | Self::StopTheLine | Self::FlagKilled => Some("release-manager"),
            Self::InsufficientData
            | Self::NoData
            | Self::MetricsDown
            | Self::CandidateUnhealthy
            | Self::StableIdle
            | Self::ReplicaLag
            | Self::StoreUnavailable
            | Self::Dependency(_)
            | Self::Scheduled
            | Self::Test(_)
            | Self::Incomplete(_) => None,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Self::Approval(name)
            | Self::Freeze(name)
            | Self::CheckFailed(name)
            | Self::Dependency(name)
            | Self::Test(name)
            | Self::Incomplete(name) => write!(formatter, ":{name}"),
            Self::Manual
            | Self::NotStarted
            | Self::StopTheLine
            | Self::FlagKilled
            | Self::InsufficientData
            | Self::NoData
            | Self::MetricsDown
            | Self::UntrustedMetric
            | Self::CandidateUnhealthy
            | Self::StableIdle
            | Self::ReplicaLag
            | Self::ConfigConflict
            | Self::StateLost
            | Self::StoreUnavailable
            | Self::Scheduled
            | Self::Decision
            | Self::Deadline => Ok(()),
        }
    }
}

/// A hold of a release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// Since when.
    #[serde(with = "instant::rfc3339")]
    pub since: SystemTime,
    /// What exactly, for people.
    pub detail: String,
}

/// The holds of before and those that were found now: what holds on keeps its beginning.
pub fn carry(before: &[Hold], found: Vec<(Reason, String)>, now: SystemTime) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::with_capacity(found.len());
    for (reason, detail) in found {
        if holds.iter().any(|hold| hold.reason == reason) {
            continue;
        }
        let same = before.iter().find(|hold| hold.reason == reason);
        holds.push(Hold {
            since: same.map_or(now, |hold| hold.since),
            reason,
            detail,
        });
    }
    holds
}

/// Whether two lists hold for the same reasons, whatever their details say now.
pub fn same_reasons(one: &[Hold], other: &[Hold]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .all(|hold| other.iter().any(|there| there.reason == hold.reason))
}
