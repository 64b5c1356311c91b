//! Weights of routes, and what of them is set at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::releases::{Changed, Said};

/// The weights of routes that are divided: the answer of `GET /api/v1/routes`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Routes {
    /// By name.
    pub routes: BTreeMap<String, RouteWeights>,
}

/// The weights of a route: the answer of `GET /api/v1/routes/{route}/weights`, with its revision as
/// `ETag` (`"0"` where nothing was set). `PUT` sets them and `DELETE` gives the file its say again;
/// both answer [`WeightsChanged`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RouteWeights {
    /// What is obeyed, by variant.
    pub weights: BTreeMap<String, u32>,
    /// What the file says.
    pub file: BTreeMap<String, u32>,
    /// Who decides: `file`, `release` or `override`.
    pub owner: String,
    /// The release that owns them, or left them when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Who set them at run time, why and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Said>,
    /// Until when they hold, if not until the file changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The revision of what was set; 0 where nothing is.
    pub revision: u64,
}

/// What `PUT /api/v1/routes/{route}/weights` takes, besides `reason` and `ticket`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWeights {
    /// By variant; one that is not named gets nothing.
    pub weights: BTreeMap<String, u32>,
    /// Until when: an instant, or a duration from now such as `2h`. Without one they hold until the
    /// file changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What came of setting weights.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct WeightsChanged {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The weights now.
    pub route: RouteWeights,
}
