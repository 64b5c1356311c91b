//! Upstreams: from a decision to a connection with an endpoint.
