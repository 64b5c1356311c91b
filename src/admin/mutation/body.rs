//! The body of a mutation: JSON, bounded, read whole.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use tokio::time::timeout;

use crate::admin::fault::{Code, Fault};
use crate::admin::mutation::strict::Strict;

/// Bytes of a body: the longest reason and a release many times over.
pub(in crate::admin) const MAX_BYTES: usize = 64 * 1024;
/// How long a body may take: it fits into one round trip or two.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body.
///
/// # Errors
/// When it is too large or too slow, or says that it is something else than JSON.
pub(in crate::admin::mutation) async fn read(
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Fault> {
    let reading = Limited::new(body, MAX_BYTES).collect();
    let body = match timeout(TIMEOUT, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => {
            let why = format!("the body cannot be read: {error}");
            return Err(Fault::new(Code::BodyMalformed, why));
        }
        Err(_) => {
            let why = format!("the body did not come within {} s", TIMEOUT.as_secs());
            return Err(Fault::new(Code::BodyTooSlow, why));
        }
    };
    // Where there is nothing, it does not matter of what kind.
    if !body.is_empty() && !is_json(headers) {
        let why = "the body must be JSON, with Content-Type: application/json";
        return Err(Fault::new(Code::MediaTypeUnsupported, why));
    }
    Ok(body)
}

/// What a body is that is too large.
pub(in crate::admin) fn too_large() -> Fault {
    let why = format!("a body has at most {MAX_BYTES} bytes here");
    Fault::new(Code::BodyTooLarge, why)
}

/// `application/json`, whatever its parameters (RFC 8259, section 11), and what is made of it
/// (RFC 6839, section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
}

/// The members of a body; none where there is nothing.
///
/// # Errors
/// When it is no JSON, or no object, or has a member twice.
pub(in crate::admin::mutation) fn members(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let value = serde_json::from_slice(body).map_err(|error| {
        let code = match error.classify() {
            Category::Io | Category::Syntax | Category::Eof => Code::BodyMalformed,
            Category::Data => Code::BodyInvalid,
        };
        Fault::new(code, format!("the body: {error}"))
    })?;
    match value {
        Strict(Value::Object(members)) => Ok(members),
        Strict(_) => Err(Fault::new(Code::BodyInvalid, "the body is not an object").at("")),
    }
}

/// Reads members as what they are to be.
///
/// # Errors
/// When they are not; the fault points at the first that is not.
pub(in crate::admin::mutation) fn parse<T: DeserializeOwned>(
    members: &Map<String, Value>,
) -> Result<T, Fault> {
    let members = Value::Object(members.clone());
    serde_path_to_error::deserialize(members).map_err(|error| {
        let place = pointer(error.path());
        Fault::new(Code::BodyInvalid, error.inner().to_string()).at(&place)
    })
}

/// A path as a JSON Pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // They are no places in the text.
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}
