//! The words for mirrors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of the copies of a route's requests.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MirrorStatus {
    /// The variant that gets them, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The upstream that gets them.
    pub upstream: String,
    /// The part of the requests that is copied, 0 to 100.
    pub percent: f64,
    /// False when the variant is off: then nothing is copied.
    pub active: bool,
    /// Copies that are under way now.
    pub in_flight: usize,
    /// Requests that belonged to the part, by what came of their copies: `sent` (and answered),
    /// `error`, `timeout`, `dropped_cap`, `dropped_body`, `dropped_unavailable`,
    /// `dropped_incomplete`.
    pub results: BTreeMap<String, u64>,
    /// How answers to copies compare with those that clients got, where they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonStatus>,
}

/// How the answers to copies compare with those that clients got.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ComparisonStatus {
    /// How many were compared.
    pub compared: u64,
    /// How many of them differ.
    pub mismatched: u64,
    /// In what they do: `status` (then nothing else is compared), `header`, `body`. One answer may
    /// differ in the last two.
    pub mismatches: BTreeMap<String, u64>,
}

/// Whether a request is copied.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExplainedMirror {
    /// The variant that would get the copy, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The upstream that would get it.
    pub upstream: String,
    /// The part of the requests that is copied, 0 to 100.
    pub percent: f64,
    /// Whether this one is; null when that is drawn for each.
    pub copied: Option<bool>,
    /// Why.
    pub why: String,
}
