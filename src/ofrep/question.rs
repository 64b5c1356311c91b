//! What is asked: the body of a request, and the context in it.

use std::time::{Duration, SystemTime};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::flag::JsonContext;
use crate::ofrep::fault::{Code, Fault};

/// How long a body may take: it fits into one round trip or two.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The member of the body that is the context.
const CONTEXT: &str = "context";

/// Reads the body of a request.
///
/// # Errors
/// When it is too large or too slow, or does not say that it is JSON. A page of any origin may send
/// a text without asking first, but not JSON.
pub(in crate::ofrep) async fn read(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Bytes, Fault> {
    if announced(headers) > most as u64 {
        return Err(too_large(most));
    }
    let reading = Limited::new(body, most).collect();
    let body = match timeout(TIMEOUT, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(most)),
        Ok(Err(error)) => return Err(Fault::parse(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let why = format!("the body did not come within {} s", TIMEOUT.as_secs());
            return Err(Fault::new(StatusCode::REQUEST_TIMEOUT, Code::General, why));
        }
    };
    // Where there is nothing, it does not matter of what kind.
    if !body.is_empty() && !is_json(headers) {
        let why = "the body must be JSON, with Content-Type: application/json";
        return Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::Parse,
            why,
        ));
    }
    Ok(body)
}

/// The context that a body asks with; an empty one where there is none, as a context needs not have
/// anything, a targeting key neither.
///
/// # Errors
/// When the body is no JSON object, or the context cannot be one.
pub(in crate::ofrep) fn context(body: &[u8], now: SystemTime) -> Result<JsonContext, Fault> {
    let mut members: Map<String, Value> = if body.is_empty() {
        Map::new()
    } else {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(Fault::parse("the body is not an object")),
            Err(error) => return Err(Fault::parse(format!("the body is not JSON: {error}"))),
        }
    };
    let attributes = match members.remove(CONTEXT) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(attributes)) => attributes,
        Some(_) => return Err(invalid("`context` is not an object".to_owned())),
    };
    JsonContext::new(attributes, now).map_err(|error| invalid(error.to_string()))
}

fn invalid(details: String) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, Code::InvalidContext, details)
}

fn too_large(most: usize) -> Fault {
    let why = format!("a body has at most {most} bytes here");
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, Code::General, why)
}

fn announced(headers: &HeaderMap) -> u64 {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
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
