//! Gates: who and what has to agree before releases go on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::releases::Said;

/// The gates that are waited at: the answer of `GET /api/v1/gates`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Gates {
    /// The longest waited for first.
    pub gates: Vec<GateStatus>,
}

/// How a gate stands for a release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct GateStatus {
    /// Its name.
    pub name: String,
    /// The release.
    pub release: String,
    /// The route.
    pub route: String,
    /// `open`, `waiting`, `rejected`, `timed-out`, or `unknown` where no such gate is configured.
    pub state: String,
    /// True when it is the one before what comes next.
    pub is_next: bool,
    /// Who may vote.
    #[serde(default)]
    pub who_may: Vec<String>,
    /// How many people approve.
    pub have: u32,
    /// How many have to.
    pub need: u32,
    /// True when the author's approval counts for nothing.
    #[serde(default)]
    pub distinct_from_author: bool,
    /// Approvals that count, the oldest first.
    #[serde(default)]
    pub approvals: Vec<Approved>,
    /// Those that do not.
    #[serde(default)]
    pub ignored: Vec<IgnoredApproval>,
    /// Who said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Said>,
    /// Who passed it without approvals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Said>,
    /// What has to be true besides.
    #[serde(default)]
    pub checklist: Vec<ChecklistItem>,
    /// What is missing, in a line; empty when nothing is.
    #[serde(default)]
    pub missing: String,
    /// When it was asked; none before it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<String>,
    /// When it times out, or did; of an open one when too few approvals are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// True when its time is over and it waits all the same.
    #[serde(default)]
    pub is_overdue: bool,
}

/// An approval that counts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Approved {
    /// Whose, why and when.
    #[serde(flatten)]
    pub said: Said,
    /// When it no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// An approval that does not count.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct IgnoredApproval {
    /// Whose.
    pub by: String,
    /// When.
    pub at: String,
    /// `other-specification`, `author`, `role` or `expired`.
    pub why: String,
}

/// Something that has to be true.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ChecklistItem {
    /// What, as the configuration has it: `verdict>=proven`.
    pub criterion: String,
    /// Whether it is.
    pub done: bool,
    /// Why it is not, or what says that it is.
    pub detail: String,
}
