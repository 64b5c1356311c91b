//! What a route does to requests and responses on their way, besides passing them on.

use std::time::Duration;

use crate::proxy::headers::FieldEdits;
use crate::route::PathRewrite;

/// What a route does to requests and responses on their way.
#[derive(Debug)]
pub struct Treatment {
    /// What changes in the fields of a request.
    pub request: FieldEdits,
    /// What changes in the fields of a response, whoever made it.
    pub response: FieldEdits,
    /// What becomes of the path of a request.
    pub path: Option<PathRewrite>,
    /// The host that the upstream is asked for, with or without a port.
    pub host: Option<Box<[u8]>>,
    /// How long things may take.
    pub timeouts: RouteTimeouts,
    /// The largest body of a request, in the place of the listener's limit.
    pub body_bytes: Option<u64>,
}

/// How long things may take on a route: each in the place of what is set elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouteTimeouts {
    /// From the request to the response's head, in the place of the upstream's.
    pub response: Option<Duration>,
    /// Without progress of a body on the upstream's side, in the place of the upstream's.
    pub body: Option<Duration>,
    /// Without a byte through a tunnel, in the place of the listener's.
    pub tunnel: Option<Duration>,
}
