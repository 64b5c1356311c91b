//! The words of the admin API: the shape of its JSON, for the server and for its client alike.
//!
//! Fields are only ever added. A client ignores what it does not know.

mod analysis;
mod audit;
mod detail;
mod flags;
mod freezes;
mod gates;
mod mirror;
mod owner;
mod problem;
mod releases;
mod routes;
mod upstreams;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use analysis::{
    AnalysisStatus, ArmsStatus, CheckStatus, LatencyStatus, PercentilesStatus, ReportStatus,
    TallyStatus,
};
pub use audit::{
    Audit, AuditHead, AuditVerified, Dora, DoraFigures, Drift, FlagDrift, IncidentChanged,
    IncidentStatus, Incidents, LinkIncident, RouteDrift, Spread,
};
pub use detail::{JudgedDetail, Latency, VariantDetail};
pub use flags::{
    Flag, FlagAnswers, FlagChanged, FlagCondition, FlagEvaluation, FlagInject, FlagNeed, FlagRow,
    FlagRule, FlagSet, FlagStep, Flags, OverrideFlag, StaleFlag, StaleFlags, StaleStatus,
    SwitchFlag,
};
pub use freezes::{
    Closed, ClosedPeriod, FreezeOverridden, FreezeOverride, FreezeStatus, Freezes, Line,
    LineChanged, OverrideFreeze, Schedule, ScheduledRelease,
};
pub use gates::{Approved, ChecklistItem, GateStatus, Gates, IgnoredApproval};
pub use mirror::{ComparisonStatus, ExplainedMirror, MirrorStatus};
pub use owner::{BrokenStatus, OwnerStatus, StoreStatus};
pub use problem::{ConfigProblem, Problem};
pub use releases::{
    Changed, EndpointsStatus, ExceptionStatus, HoldStatus, Release, ReleaseChanged, ReleaseRow,
    Releases, ReviewStatus, RollBack, Said, StepStatus, TestStatus, Why,
};
pub use routes::{RouteWeights, Routes, SetWeights, WeightsChanged};
pub use upstreams::{
    BreakerStatus, EndpointStatus, HealthStatus, LimitStatus, NameStatus, UpstreamStatus,
};

/// What is live on this instance: the answer of `GET /api/v1/status`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The number of the configuration that serves now; it grows by one with each that is applied.
    pub generation: u64,
    /// SHA-256 of that configuration's file, in hex; of all of its files, one after the other, when it
    /// includes others.
    pub config_sha256: String,
    /// When it was applied, RFC 3339.
    pub applied_at: String,
    /// True when `/readyz` says so.
    pub ready: bool,
    /// When the process started, RFC 3339. Counts begin there.
    #[serde(default)]
    pub started_at: String,
    /// The process.
    #[serde(default)]
    pub pid: u32,
    /// The last attempt to replace the program, if there was one: by this process, or the one that
    /// started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// By what plain connections are read and written: `epoll` or `io_uring`.
    #[serde(default)]
    pub io: String,
    /// The upper bounds of the buckets of [`VariantDetail`], when those were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_bounds_seconds: Option<Vec<f64>>,
    /// The upper bounds of the buckets of [`JudgedDetail`], likewise: each at most √2 times the one
    /// before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_bounds_seconds: Option<Vec<f64>>,
    /// What is allowed in that configuration and hardly meant.
    #[serde(default)]
    pub warnings: Vec<ConfigProblem>,
    /// Why that is the last good configuration and not the file's, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGoodStatus>,
    /// Routes by name.
    pub routes: BTreeMap<String, RouteStatus>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, UpstreamStatus>,
    /// Listeners by name; one that drains after a reload is listed until its last connection ends.
    pub listeners: BTreeMap<String, ListenerStatus>,
    /// Whether anything new is taken on.
    #[serde(default)]
    pub overload: OverloadStatus,
    /// The store, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStatus>,
}

/// Why an instance obeys the last good configuration: it was started so, with a file that is refused.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct LastGoodStatus {
    /// When that configuration was applied, RFC 3339.
    pub kept_at: String,
    /// What was wrong with the file at the start.
    pub problems: Vec<ConfigProblem>,
}

/// How much the process carries.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct OverloadStatus {
    /// True while new work is refused for want of memory.
    pub refuses: bool,
    /// Memory of the process that is in RAM, in bytes.
    pub memory: u64,
    /// From how many bytes on new work is refused, if there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bound: Option<u64>,
    /// Connections of clients, of all listeners together.
    pub connections: usize,
    /// How many of them there may be, if there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_bound: Option<usize>,
}

/// An attempt to replace the program.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct UpgradeStatus {
    /// `starting`: a new process gets ready; `failed`: it did not, and this one serves on;
    /// `succeeded`: this process is the new one.
    pub state: String,
    /// Since when that is so, RFC 3339.
    pub at: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An upgrade that went well: the answer of `POST /api/v1/upgrade`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Upgraded {
    /// The process that serves now.
    pub pid: u32,
    /// The process that did before, and now brings to an end what it has begun.
    pub former_pid: u32,
    /// Milliseconds from the start of the new process to its readiness.
    pub took_ms: f64,
}

/// One route.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RouteStatus {
    /// Who decides about its weights, where it is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerStatus>,
    /// Variants by name.
    pub variants: BTreeMap<String, VariantStatus>,
    /// Rules, in their order; the first whose segment holds decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleStatus>,
    /// What the route answers by itself; then it has no variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerStatus>,
    /// What came of the copies of its requests, if it has a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// How many requests it takes in a time, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitStatus>,
    /// `requests`: how many may be under way, if that is limited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, LimitStatus>,
}

/// How many requests a route takes in a time.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RateLimitStatus {
    /// The rate, such as `100/s`.
    pub rate: String,
    /// How many may come at once.
    pub burst: u32,
    /// What tells whose requests are counted together; empty for all.
    pub keys: Vec<String>,
    /// Keys that are known now.
    pub n_keys: usize,
    /// Requests that came too early, since it was configured.
    pub refused: u64,
}

/// What a route answers by itself.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AnswerStatus {
    /// `redirect` or `respond`.
    pub kind: String,
    /// The status that everybody gets.
    pub status: u16,
    /// Requests that are being answered now.
    pub in_flight: u64,
    /// Requests answered since the start of the process.
    pub requests: u64,
    /// Those of them that were answered with a 5xx, be it meant so or not.
    pub failures: u64,
}

/// One rule of a route.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RuleStatus {
    /// Its segment.
    pub segment: String,
    /// The weight of each variant.
    pub weights: BTreeMap<String, u32>,
    /// False when every variant that has a weight is off: then the rule is passed over.
    pub applies: bool,
    /// Requests that it has divided since the route was first configured.
    pub requests: u64,
}

/// One variant of a route.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct VariantStatus {
    /// The upstream that serves it.
    pub upstream: String,
    /// The configured weight.
    pub weight: u32,
    /// The weight over the sum of the weights, 0 to 1.
    pub share: f64,
    /// `on` or `off`.
    pub state: String,
    /// How many endpoints it has, and how many of them may be used now.
    pub endpoints: Endpoints,
    /// Requests that are being served now.
    pub in_flight: u64,
    /// Tunnels (WebSocket and the like) that are open now.
    pub tunnels: u64,
    /// True when nothing new is assigned to it and nothing runs on it: it may be taken away.
    pub drained: bool,
    /// Requests finished since the start of the process.
    pub requests: u64,
    /// Those of them that were answered with a 5xx, by whomever.
    pub failures: u64,
    /// Those of the failures that tidegate itself answered.
    #[serde(default)]
    pub failures_by_proxy: u64,
    /// What it takes to compute rates and latencies: for `?verbose` alone, because it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<VariantDetail>,
}

/// A count of endpoints.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Endpoints {
    /// Those that may be used now.
    pub available: usize,
    /// All.
    pub total: usize,
}

/// One listener.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListenerStatus {
    /// The address that it is bound to: the port is the real one, also where the file says 0.
    pub address: String,
    /// The protocols that it speaks.
    pub protocols: Vec<String>,
    /// True when it speaks TLS.
    pub tls: bool,
    /// Connections that are open now.
    pub connections: usize,
    /// True when it takes no new connections.
    pub draining: bool,
    /// The certificates that clients are shown, the one for who asks for no known name first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
}

/// One certificate.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CertificateStatus {
    /// What it is called in metrics: its first name, else its subject's, else its file's.
    pub name: String,
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The file that it came from.
    pub file: String,
    /// When it expires, or what of its chain does so first, RFC 3339; null when it cannot be read.
    pub not_after: Option<String>,
    /// The whole days until then; less than 0 afterwards.
    pub days_left: Option<i64>,
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: String,
}

/// Why a request goes where it goes: the answer of `GET /api/v1/explain`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Explained {
    /// The configuration that was asked; absent when it was a file and no running instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The route that catches the request; null when none does (404).
    pub route: Option<String>,
    /// The conditions of that route, all of which the request meets.
    pub matched: Vec<String>,
    /// The variant that is chosen; null when there is no route, or when each request is drawn anew.
    pub variant: Option<String>,
    /// The variant that answers in its place, while the chosen one has no available endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// Why: `forced`, `pin`, `hash`, `draw`, or `no route`.
    pub reason: String,
    /// The segment whose rule has the weights that decide; absent where those of the route do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The rules of the route, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ExplainedRule>,
    /// The key that was hashed, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the route answers by itself, with no upstream behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ExplainedAnswer>,
    /// What the upstream is asked for, where the route makes that another target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<ExplainedTarget>,
    /// Whether it is copied, where the route has a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<ExplainedMirror>,
    /// The flags that the route serves, and which variants of them the request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<ExplainedFlag>,
    /// Remarks, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Every variant of the route.
    pub variants: Vec<ExplainedVariant>,
}

/// One rule of a route, seen from one request.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExplainedRule {
    /// Its segment.
    pub segment: String,
    /// True when the segment holds. The first rule of which it does decides, unless all variants
    /// that have a weight there are off.
    pub holds: bool,
    /// The segment's conditions: it holds when all of any group do.
    pub any: Vec<Vec<ExplainedCondition>>,
    /// The weight of each variant.
    pub weights: BTreeMap<String, u32>,
}

/// A flag that a route serves, seen from one request.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExplainedFlag {
    /// Its name.
    pub flag: String,
    /// The variant that the request has.
    pub variant: String,
    /// Why, in the words of OpenFeature: `STATIC`, `DEFAULT`, `TARGETING_MATCH`, `SPLIT`, `DISABLED`.
    pub reason: String,
    /// The rule that decided, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The header that tells the upstream of it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// One condition of a segment.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExplainedCondition {
    /// Attribute, operator and what it compares with.
    pub condition: String,
    /// True when it holds.
    pub holds: bool,
}

/// What a route answers by itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ExplainedAnswer {
    /// `redirect` or `respond`.
    pub kind: String,
    /// The status.
    pub status: u16,
    /// Where a redirect leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The type of what is said, and how many bytes that is, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How many bytes it has.
    pub bytes: usize,
}

/// What an upstream is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ExplainedTarget {
    /// The host, with its port if it has one.
    pub host: String,
    /// The path with its query.
    pub target: String,
}

/// One variant, seen from one request.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExplainedVariant {
    /// Its name.
    pub name: String,
    /// The upstream that serves it.
    pub upstream: String,
    /// `on` or `off`.
    pub state: String,
    /// The weight that counts for this request: that of the rule which decides, else the route's.
    pub weight: u32,
    /// The weight over the sum of the weights, 0 to 1.
    pub share: f64,
    /// The weight over `-ln u` of the hash: the variant with the greatest score is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The share of this variant above which this key is on it and below which it is not, while
    /// the other weights keep their proportions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flips_at: Option<f64>,
}

/// A reload that is live: the answer of `POST /api/v1/config/reload`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Reloaded {
    /// The configuration that serves now.
    pub generation: u64,
    /// `applied`, or `unchanged` when the file holds the same bytes as before.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}
