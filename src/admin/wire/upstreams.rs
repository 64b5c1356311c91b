//! Upstreams, in the words of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::CertificateStatus;

/// One upstream.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct UpstreamStatus {
    /// Its endpoints, in the order of the file.
    pub endpoints: Vec<EndpointStatus>,
    /// The names that lead to them, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameStatus>,
    /// The certificate that its endpoints are shown, if they are shown one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// `connections`, `requests` and `pending`: what of these is limited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, LimitStatus>,
    /// Its breaker, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerStatus>,
}

/// How much of something an upstream has, and how much it may have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LimitStatus {
    /// What there is now, all workers together.
    pub used: u32,
    /// What there may be.
    pub limit: u32,
}

/// The breaker of an upstream.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BreakerStatus {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Until when it refuses everything, RFC 3339, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// One name of endpoints.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct NameStatus {
    /// The name as it is written in the file.
    pub name: String,
    /// When it was last resolved, RFC 3339; null when it never was.
    pub resolved_at: Option<String>,
    /// What is wrong with it, if something is; endpoints that it led to before stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When that was last seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_at: Option<String>,
}

/// One endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct EndpointStatus {
    /// Address and port.
    pub address: String,
    /// The host name that led to it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// True when it may be used now.
    pub available: bool,
    /// What checks say of it, if it is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Until when it is left alone because requests to it failed, RFC 3339, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until: Option<String>,
    /// The part of its share that it gets, 0 to 1, while it begins slowly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<f64>,
}

/// What checks say of an endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct HealthStatus {
    /// Whether it is healthy; null while no check has ended.
    pub healthy: Option<bool>,
    /// What was wrong with it in the last check that failed, also when it is well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When that was, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_at: Option<String>,
}
