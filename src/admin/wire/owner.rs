//! Who decides about a route's weights, and the store in which that is kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who decides about the weights of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct OwnerStatus {
    /// `file`; `release`: one that moves the route's traffic, or left the weights when it ended;
    /// `person`: somebody who set them at run time.
    pub kind: String,
    /// Which release, or who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True when the release is over and the file does not say yet what it left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// Why the weights are so: where the release stands, or what was given for a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when, RFC 3339, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// True when the file divides the route otherwise, though no release moves it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drift: bool,
}

impl OwnerStatus {
    /// The same in a sentence; nothing where the file decides.
    pub fn sentence(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        let reason = self.reason.as_deref().unwrap_or_default();
        let who = match (self.kind.as_str(), self.over) {
            ("release", false) => format!("come from the release {name} ({reason})"),
            ("release", true) => format!("are those that the release {name} left ({reason})"),
            _ => format!("were set by {name} ({reason})"),
        };
        Some(format!("its weights {who}, not from the file"))
    }
}

/// The store that releases, weights and the audit log are kept in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StoreStatus {
    /// Whether the last write went through. Without that nothing moves forward.
    pub writable: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The number of the last record on the disk.
    pub head_seq: u64,
    /// Its hash, in hex.
    pub head_hash: String,
    /// Records that are obeyed and not on the disk yet.
    #[serde(default)]
    pub unwritten_records: usize,
    /// What is wrong with the history, while nobody has settled that: releases are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<BrokenStatus>,
}

/// A history that is not what it was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct BrokenStatus {
    /// The record that is not what it should be.
    pub seq: u64,
    /// Why.
    pub why: String,
}
