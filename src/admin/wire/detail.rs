//! What rates, latencies and verdicts of a variant are computed of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// More numbers of a variant, all since the start of the process.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct VariantDetail {
    /// Requests that failed by no fault of the client's: answered with a 5xx, cut before their end,
    /// or calls of gRPC that failed by the service's fault.
    #[serde(default)]
    pub failed: u64,
    /// Requests for which it was chosen, by how: `draw`, `hash`, `forced`, … Those that never
    /// occurred are left out.
    pub selections: BTreeMap<String, u64>,
    /// What went wrong, by reason. What never did is left out.
    pub errors: BTreeMap<String, u64>,
    /// From sending the request to the head of the upstream's response.
    pub response_headers: Latency,
    /// From the first byte of the request to the last of the response.
    pub request_duration: Latency,
    /// What it is judged by.
    #[serde(default)]
    pub judged: JudgedDetail,
}

/// What a variant is judged by: its requests that have ended and that nobody forced to it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct JudgedDetail {
    /// Requests by what they say of it: `ok`, `client_error`, `server_error`, `timeout`, `reset`,
    /// `grpc`, `unavailable`, `client_closed` or `excused`. What never occurred is left out.
    pub classes: BTreeMap<String, u64>,
    /// From sending the request to the head of the answer, of answers below 500, and how long
    /// timeouts took: how many fell between each bound and the one before it, and last how many were
    /// beyond all.
    pub latency: Vec<u64>,
    /// The same as `classes` for each of 16 slices, by the hash of the request's key.
    pub slices: Vec<BTreeMap<String, u64>>,
}

/// How long something took, counted by buckets.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Latency {
    /// How many fell between each bound and the one before it, and last how many were beyond all.
    pub counts: Vec<u64>,
    /// The sum of all, in seconds.
    pub sum_seconds: f64,
}
