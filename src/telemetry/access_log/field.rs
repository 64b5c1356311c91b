//! The members of a JSON line, by name.

/// Something that a JSON line can tell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is a field of the entry")]
pub enum Field {
    Ts,
    Listener,
    Route,
    Variant,
    ServedVariant,
    Selection,
    KeyHash,
    Method,
    Host,
    Path,
    Query,
    Status,
    Source,
    Reason,
    BytesIn,
    BytesOut,
    DurationMs,
    TtfbMs,
    UpstreamConnectMs,
    Attempts,
    Endpoint,
    ClientIp,
    Protocol,
    Generation,
    RequestId,
    TraceId,
}

impl Field {
    /// All of them, in the order of a line that is not told otherwise.
    pub const ALL: [Self; 26] = [
        Self::Ts,
        Self::Listener,
        Self::Route,
        Self::Variant,
        Self::ServedVariant,
        Self::Selection,
        Self::KeyHash,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Query,
        Self::Status,
        Self::Source,
        Self::Reason,
        Self::BytesIn,
        Self::BytesOut,
        Self::DurationMs,
        Self::TtfbMs,
        Self::UpstreamConnectMs,
        Self::Attempts,
        Self::Endpoint,
        Self::ClientIp,
        Self::Protocol,
        Self::Generation,
        Self::RequestId,
        Self::TraceId,
    ];

    /// The member's name, which is its name in the configuration, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Variant => "variant",
            Self::ServedVariant => "served_variant",
            Self::Selection => "selection",
            Self::KeyHash => "key_hash",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::Status => "status",
            Self::Source => "source",
            Self::Reason => "reason",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::DurationMs => "duration_ms",
            Self::TtfbMs => "ttfb_ms",
            Self::UpstreamConnectMs => "upstream_connect_ms",
            Self::Attempts => "attempts",
            Self::Endpoint => "endpoint",
            Self::ClientIp => "client_ip",
            Self::Protocol => "protocol",
            Self::Generation => "generation",
            Self::RequestId => "request_id",
            Self::TraceId => "trace_id",
        }
    }
}
