//! The audit trail, what runs against the file, incidents, and the figures of deliveries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::releases::{Changed, Said};
use crate::store::Record;

/// Records: the answer of `GET /api/v1/audit`. `?since=` (a number, or an instant), `?until=`,
/// `?object=KIND` or `?object=KIND:NAME`, `?actor=`, `?action=` (what it begins with) and `?limit=` (100, at most
/// 1000) narrow it; `?order=newest` turns it around.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Audit {
    /// The records, whole, so that their hashes can be checked.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<Record>,
    /// The last record that there is.
    pub head: u64,
    /// Where to go on (`?since=`, or `?until=` from the newest), when there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The end of the trail: the answer of `GET /api/v1/audit/head`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditHead {
    /// The number of the last record that is on the disk; 0 where there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// Both, as `audit verify --anchor` takes them.
    pub anchor: String,
    /// Records that are obeyed and not on the disk, because it fails.
    pub n_unwritten: usize,
    /// Why nothing can be written, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritable: Option<String>,
}

/// Whether the trail is whole: the answer of `GET /api/v1/audit/verify?anchor=SEQ:HASH`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditVerified {
    /// True when nothing is wrong with it.
    pub is_whole: bool,
    /// The first thing that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// The first record that is there; those before it were retired.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// How many there are.
    pub n_records: u64,
    /// How many snapshots were held against them.
    pub n_snapshots: usize,
    /// True when the anchor was found in its place.
    pub is_anchored: bool,
}

/// What runs against the file: the answer of `GET /api/v1/drift`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Drift {
    /// True when something does.
    pub has_drifted: bool,
    /// Each route whose traffic is not divided as the file says, by name.
    pub routes: BTreeMap<String, RouteDrift>,
    /// What of flags is not as the file says.
    #[serde(default)]
    pub flags: Vec<FlagDrift>,
    /// What `stable` is to be of releases in the file that have not started and whose stable variant has
    /// been replaced since, by their identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stable: BTreeMap<String, String>,
}

/// A route that is not divided as the file says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RouteDrift {
    /// What the file says.
    pub file: BTreeMap<String, u32>,
    /// What is obeyed.
    pub weights: BTreeMap<String, u32>,
    /// `release` while one moves them, `left` where one left them when it ended, `set` where somebody
    /// set them.
    pub cause: String,
    /// The release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Who, of what was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Until when, of what was set for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What to do about it, for people.
    pub advice: String,
}

/// A flag that is not as the file says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FlagDrift {
    /// The flag.
    pub flag: String,
    /// What the file says, in words.
    pub file: String,
    /// What is obeyed, in words.
    pub obeyed: String,
    /// `killed`, `enabled`, `disabled`, `override`, `release` while one rolls it out, `left` where one
    /// left it so when it ended.
    pub cause: String,
    /// Who did it, why and when.
    #[serde(flatten)]
    pub said: Said,
    /// Until when, of what was set for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What to do about it, for people.
    pub advice: String,
}

/// Incidents that are linked with releases: the answer of `GET /api/v1/incidents`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Incidents {
    /// The one that began last first.
    pub incidents: Vec<IncidentStatus>,
}

/// An incident.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct IncidentStatus {
    /// Its identity: the release and when it began.
    pub id: String,
    /// The release that it is linked with.
    pub release: String,
    /// When it began.
    pub started_at: String,
    /// When it was over, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<String>,
    /// Who linked it, and why.
    pub by: String,
    /// What it was.
    #[serde(default)]
    pub reason: String,
}

/// What came of linking an incident.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct IncidentChanged {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The incident now.
    pub incident: IncidentStatus,
}

/// What `POST /api/v1/incidents` takes, besides `reason` and `ticket`. The same release and start
/// again change the incident that there is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIncident {
    /// The release.
    pub release: String,
    /// When it began.
    pub started: String,
    /// When it was over, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// The four keys: the answer of `GET /api/v1/dora?window=90d&route=`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Dora {
    /// Of all routes, or of the one that was asked for.
    pub all: DoraFigures,
    /// Of each route that had a release.
    pub routes: BTreeMap<String, DoraFigures>,
}

/// The figures of a time. What there is no data for is absent, never zero.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct DoraFigures {
    /// Where the time begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Releases that were promoted.
    pub deployments: u64,
    /// Those for each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments_per_day: Option<f64>,
    /// From commit to promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_time: Option<Spread>,
    /// Deployments that failed.
    pub failed: u64,
    /// Those as a share of the deployments, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_failure_rate: Option<f64>,
    /// From the first failing evidence, or the incident's begin, to when stable had everything again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_time: Option<Spread>,
    /// Deployments that mend another or were not planned, as a share of the deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rework_rate: Option<f64>,
    /// Releases that went back while the candidate had a part of the traffic.
    pub caught_in_canary: u64,
    /// The same by what led to it.
    #[serde(default)]
    pub caught_by_cause: BTreeMap<String, u64>,
    /// Releases that went back while the candidate had everything, and was not promoted.
    pub caught_while_baking: u64,
    /// How long that took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_recovery_time: Option<Spread>,
}

/// Durations: quantiles by nearest rank.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Spread {
    /// Half took no longer.
    pub p50_seconds: f64,
    /// Nine of ten took no longer.
    pub p90_seconds: f64,
    /// How many there were.
    pub samples: u64,
}
