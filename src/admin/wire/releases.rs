//! Releases, as they are told of: a row of the list, all of one, why it does not move, and what came
//! of asking something of it.
//!
//! Instants are RFC 3339 in UTC, shares are percent with up to two decimals, durations are seconds.
//! Steps are numbered from 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::gates::{Approved, GateStatus};

/// The answer of `GET /api/v1/releases`, which `?state=` (a phase, `active` or `ended`; several with
/// commas) and `?route=` narrow: those that are not over first, then the one that ended last.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Releases {
    /// The releases.
    pub releases: Vec<ReleaseRow>,
}

/// A release in a few words.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ReleaseRow {
    /// Its identity.
    pub id: String,
    /// The revision of what is kept of it: its `ETag`, without the quotes.
    pub revision: u64,
    /// The route whose traffic it moves.
    pub route: String,
    /// The variant that the traffic comes from.
    pub stable: String,
    /// The variant that it goes to.
    pub candidate: String,
    /// `canary`, `blue-green`, `mirror-first` or `ab`.
    pub kind: String,
    /// `pending`, `preview`, `progressing`, `baking`, `promoted`, `rolled_back`, `aborted`,
    /// `superseded` or `cancelled`.
    pub phase: String,
    /// True while it may still move by itself.
    pub is_active: bool,
    /// How often it was begun; 1 at first.
    pub attempt: u32,
    /// The step that it is in, or was in when it ended; none before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// How many steps there are.
    pub n_steps: usize,
    /// The share that the candidate is to get.
    pub weight_percent: f64,
    /// The share that it had of the requests that were judged in this step; none before there are
    /// any, and where one variant has everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// What the analysis says: `fail`, `proven`, `no-regression`, `insufficient`, `no-data`,
    /// `source-down` or `untrusted`; none before it has anything to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why it does not move.
    #[serde(default)]
    pub holds: Vec<HoldStatus>,
    /// When the least time of the step is over; none while not every instance obeys it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// True while an emergency of it waits for a second person.
    #[serde(default)]
    pub review_is_required: bool,
    /// When it was wished for.
    pub created_at: String,
    /// When this attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When the phase or the step was entered.
    pub entered_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Why a release does not move.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct HoldStatus {
    /// The reason with what it is about: `freeze:xmas`.
    pub reason: String,
    /// The kind of it: `freeze`.
    pub kind: String,
    /// Since when.
    pub since: String,
    /// What exactly, for people.
    pub detail: String,
    /// What ends it.
    pub clears_when: String,
    /// Who can.
    pub who_may_clear: String,
}

/// All of a release: the answer of `GET /api/v1/releases/{id}`, with its revision as `ETag`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Release {
    /// What the list says.
    #[serde(flatten)]
    pub row: ReleaseRow,
    /// `file`, or `api` where somebody made it by the API.
    pub origin: String,
    /// Who that was.
    pub created_by: String,
    /// The SHA-256 of what an approval is given for.
    pub spec_sha256: String,
    /// What is released, as a package URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// The commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_time: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `standard`, `normal` or `emergency`, which it becomes by an exception.
    pub change: String,
    /// `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Its ticket elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The documents that are there: `notes`, `rollback_plan`, `procedure`, `ticket`.
    #[serde(default)]
    pub documents: Vec<String>,
    /// It starts no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Releases that have to be promoted first.
    #[serde(default)]
    pub after: Vec<String>,
    /// The release that this one mends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rework_of: Option<String>,
    /// `auto`, or `manual` where somebody has to start it.
    pub start: String,
    /// The name of the strategy; empty where the release has one of its own.
    pub strategy: String,
    /// The steps, in order.
    pub steps: Vec<StepStatus>,
    /// The gates on its way, in order.
    #[serde(default)]
    pub gates: Vec<GateStatus>,
    /// The tests of the candidate, by name.
    #[serde(default)]
    pub tests: BTreeMap<String, TestStatus>,
    /// What the analysis says, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_text: Option<String>,
    /// Stable's endpoints; none while the release is over, or the route is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_endpoints: Option<EndpointsStatus>,
    /// The candidate's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_endpoints: Option<EndpointsStatus>,
    /// Since when routes obey what was decided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<String>,
    /// When it has to be over, if it is in time for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<String>,
    /// Until when it can be rolled back at once; only of one that is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_until: Option<String>,
    /// When the candidate was first seen to be worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_at: Option<String>,
    /// What was bad after its promotion, where it was not taken back for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// Who paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Said>,
    /// Who started it, where it waited for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Said>,
    /// Who let it go on past its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Said>,
    /// Who let steps be passed over that the analysis had not allowed.
    #[serde(default)]
    pub skipped: Vec<Said>,
    /// The candidate gets no more than this, because the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_percent: Option<f64>,
    /// What the file asks for and does not get: `accept-file` or `keep` decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// What was passed in an emergency, and who looked at it.
    #[serde(default)]
    pub review: ReviewStatus,
}

/// One step of the plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct StepStatus {
    /// What it does, in words: `25 % for 30m, proven`.
    pub what: String,
    /// `preview`, `mirror` or `weight`.
    pub action: String,
    /// The share of the requests that the candidate gets, or gets copies of.
    pub percent: f64,
    /// The least time, from when every instance obeys it.
    pub at_least_seconds: f64,
    /// `not-failed`, `no-regression` or `proven`: what the analysis has to say before the next.
    pub require: String,
    /// The gate before the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// `done`, `current`, `ahead`, `skipped` or `not-reached`.
    pub progress: String,
}

/// What came of a test.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct TestStatus {
    /// `http` or `webhook`.
    pub kind: String,
    /// `passed`, `failed` or `pending`.
    pub state: String,
    /// What was seen.
    #[serde(default)]
    pub detail: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How many endpoints a variant has.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct EndpointsStatus {
    /// Those that may be used.
    pub available: usize,
    /// All.
    pub total: usize,
}

/// Who did something, and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
}

/// What was passed in an emergency.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ReviewStatus {
    /// True while a second person has to look at it.
    pub is_required: bool,
    /// What was passed, in order.
    #[serde(default)]
    pub exceptions: Vec<ExceptionStatus>,
    /// Who has looked at it, and found what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Said>,
}

/// Something that was passed without what it asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ExceptionStatus {
    /// `freeze` or `gate`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Who passed it, and why.
    #[serde(flatten)]
    pub said: Said,
}

/// Why a release stands where it stands: the answer of `GET /api/v1/releases/{id}/why`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Why {
    /// Its identity.
    pub id: String,
    /// Its phase.
    pub phase: String,
    /// Where it stands, in a few words: `progressing 3/6 at 25 %`.
    pub place: String,
    /// In one sentence: what it waits for, or why it ended.
    pub text: String,
    /// What comes next when nothing holds it: `step 4 of 6: 50 % for 30m, proven`, `promotion`; none
    /// when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When the least time of the step is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What holds it, what ends that, and who can.
    #[serde(default)]
    pub holds: Vec<HoldStatus>,
    /// What the analysis says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_text: Option<String>,
    /// The gate before what comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateStatus>,
    /// Approvals at that gate that count.
    #[serde(default)]
    pub approvals: Vec<Approved>,
    /// What the file asks for and does not get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// What `POST /api/v1/releases/{id}/rollback` takes, besides `reason` and `ticket`; the other
/// commands take nothing else. They are `start`, `pause`, `resume`, `skip`, `abort`, `rollback`,
/// `retry`, `promote`, `review`, `accept-file` and `keep`. `POST /api/v1/releases` takes what a
/// `[release.ID]` of the configuration has, in JSON, with its `id`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// True where it is to be rolled back although its window is over, or stable not available.
    #[serde(default)]
    pub force: bool,
}

/// What came of asking something of a release: the answer of `POST /api/v1/releases` (201) and of
/// `POST /api/v1/releases/{id}/…`, with the new revision as `ETag`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ReleaseChanged {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The release as it is now.
    pub release: Release,
}

/// What came of a change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Changed {
    /// True when routes obey it; false (with the status 202) when they will, and did not yet when
    /// this was answered.
    pub obeyed: bool,
    /// The number of its record in the audit trail: the new revision of what it is about.
    pub seq: u64,
    /// The identity of the record, and of its event.
    pub record: String,
}
