//! Tests of a candidate before it gets users: requests that it has to answer, or somebody else who
//! is asked.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::release::analysis::OnFail;
use crate::store::instant;

/// One test.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Test {
    /// What is done.
    pub kind: TestKind,
    /// What becomes of a release whose candidate does not pass.
    pub on_fail: OnFail,
    /// How often it is tried before it counts as not passed.
    pub attempts: u32,
    /// The time between two tries.
    pub interval: Duration,
    /// How long one try may take.
    pub timeout: Duration,
}

/// What a test does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// Sends requests to an endpoint of the candidate, one after the other.
    Http(Vec<TestRequest>),
    /// Asks somebody else: a POST of what the release is about, and 2xx is a yes.
    Webhook(String),
}

/// A request and what its answer has to be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TestRequest {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Fields.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// What the answer's body has in it.
    pub contains: Option<String>,
}

/// What came of a test.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TestResult {
    /// Whether the candidate passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
    /// When.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
}
