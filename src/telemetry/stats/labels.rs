//! The closed sets of label values.
//!
//! Each is an enum, so that a label can only have a value that is written here, and the series of
//! all values can be made before the first of them occurs.

/// Makes an enum of label values, with all of them in order, and the text of each.
macro_rules! label_values {
    (
        $(#[$about:meta])*
        $name:ident { $( $(#[$doc:meta])* $value:ident = $label:literal, )+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $( $(#[$doc])* $value, )+
        }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$( Self::$value, )+];
            /// How many there are.
            pub const N: usize = Self::ALL.len();

            /// The text of the label in metrics and logs.
            pub fn label(self) -> &'static str {
                match self {
                    $( Self::$value => $label, )+
                }
            }
        }
    };
}

pub(crate) use label_values;

label_values! {
    /// Who made the response.
    Source {
        /// The upstream did.
        Upstream = "upstream",
        /// tidegate did.
        Proxy = "proxy",
    }
}

label_values! {
    /// How a request got its variant.
    Selection {
        /// By the counter that keeps the shares exact.
        Draw = "draw",
        /// By the hash of its key.
        Hash = "hash",
        /// By a cookie that names the variant.
        Pin = "pin",
        /// The request named it.
        Forced = "forced",
        /// The variant was chosen, and another one answered because it was not available.
        Failover = "failover",
        /// There was none to choose: the route answers by itself.
        None = "none",
    }
}

label_values! {
    /// How an exchange went, as far as latency is concerned.
    Outcome {
        /// It was answered, with a status below 500.
        Success = "success",
        /// It was answered with 500 or above, or its answer was cut.
        Failure = "failure",
        /// The client went away before the end.
        ClientClosed = "client_closed",
    }
}

label_values! {
    /// Why an exchange did not go as it should.
    ErrorReason {
        /// No route matches (404).
        NoRoute = "no_route",
        /// The listener or the route does not take requests of this client (403).
        ClientDenied = "client_denied",
        /// The route's redirect leads to where the request came (508).
        RedirectLoop = "redirect_loop",
        /// No endpoint is available, or the variant is off (503).
        NoHealthyUpstream = "no_healthy_upstream",
        /// No connection to the endpoint: refused, reset, unreachable (502).
        ConnectFailure = "connect_failure",
        /// Not enough descriptors, local ports or memory here for a connection to the endpoint (503).
        LocalShortage = "local_shortage",
        /// No TLS with the endpoint (502).
        TlsFailure = "tls_failure",
        /// No connection to the endpoint in time (504).
        ConnectTimeout = "connect_timeout",
        /// The endpoint closed or reset the connection before its answer began (502).
        UpstreamReset = "upstream_reset",
        /// The endpoint's answer is not valid HTTP (502).
        UpstreamProtocolError = "upstream_protocol_error",
        /// The endpoint's answer did not begin in time (504).
        ResponseTimeout = "response_timeout",
        /// The upstream, or the route, has all that it may have at once (503).
        Overflow = "overflow",
        /// Too many requests to the upstream failed, so that it is left alone for a while (503).
        BreakerOpen = "breaker_open",
        /// The client sends more requests than it may (429).
        RateLimited = "rate_limited",
        /// The client went away (499).
        ClientClosed = "client_closed",
        /// The client's message is not valid HTTP (400).
        ClientProtocolError = "client_protocol_error",
        /// The head of the request is too large (431).
        HeadTooLarge = "head_too_large",
        /// The target of the request is too long (414).
        UriTooLarge = "uri_too_large",
        /// The body of the request is too large (413).
        BodyTooLarge = "body_too_large",
        /// The client's message did not come in time (408).
        ClientTimeout = "client_timeout",
        /// tidegate has more to carry than it can (503).
        Overload = "overload",
        /// tidegate is about to end (503).
        Draining = "draining",
        /// The answer was cut after it had begun.
        Truncated = "truncated",
    }
}

label_values! {
    /// How a tunnel ended.
    TunnelEnd {
        /// The client closed it.
        Client = "client",
        /// The upstream closed it.
        Upstream = "upstream",
        /// Nothing passed through it for too long.
        Idle = "idle",
        /// tidegate ended it, as it was about to end itself.
        Drained = "drained",
        /// tidegate ended it, as its variant was switched off or removed.
        SwitchedOff = "switched_off",
        /// A connection broke.
        Error = "error",
    }
}

label_values! {
    /// What came of one attempt to get an answer from an endpoint.
    AttemptResult {
        /// The head of an answer came, whatever its status.
        Success = "success",
        /// No connection.
        ConnectFailure = "connect_failure",
        /// No TLS.
        TlsFailure = "tls_failure",
        /// No connection in time.
        ConnectTimeout = "connect_timeout",
        /// The connection ended before the answer began.
        Reset = "reset",
        /// The answer is not valid HTTP.
        ProtocolError = "protocol_error",
        /// The answer did not begin in time.
        Timeout = "timeout",
        /// The client went away before the answer began.
        Abandoned = "abandoned",
    }
}

label_values! {
    /// Why an attempt was followed by another one.
    RetryCause {
        /// There was no connection.
        Connect = "connect",
        /// The pooled connection was closed before anything was written to it.
        Unsent = "unsent",
        /// The connection ended before the answer began, and the request is idempotent.
        Reset = "reset",
        /// The endpoint said that it had not processed it (HTTP/2: REFUSED_STREAM, GOAWAY).
        Refused = "refused",
        /// The answer had a status of 502, 503 or 504, and the request is idempotent.
        Status = "status",
        /// The answer did not begin in time, and the request is idempotent.
        Timeout = "timeout",
    }
}

label_values! {
    /// What came of a retry.
    RetryResult {
        /// It brought an answer.
        Success = "success",
        /// It brought none.
        Failure = "failure",
        /// It was not made, as there were too many already.
        BudgetExhausted = "budget_exhausted",
    }
}

label_values! {
    /// What a cookie says by which a client stays where it is.
    StickyKind {
        /// Who the client is.
        Identity = "identity",
        /// Which variant it is on.
        Pin = "pin",
    }
}

label_values! {
    /// Why a variant that a request asked for was not given.
    ForcedRejection {
        /// The route has no variant of that name.
        Unknown = "unknown",
        /// The variant is off.
        Off = "off",
        /// The client is none of those that may.
        Untrusted = "untrusted",
        /// The secret is wrong or missing.
        BadSecret = "bad_secret",
    }
}

label_values! {
    /// The protocol of a downstream connection.
    Protocol {
        /// HTTP/1.0 or 1.1.
        H1 = "h1",
        /// HTTP/2.
        H2 = "h2",
    }
}

label_values! {
    /// Why a downstream connection was refused, or ended before its first request.
    RejectReason {
        /// The TLS handshake failed.
        Tls = "tls",
        /// The first byte or the TLS handshake did not come in time.
        Timeout = "timeout",
        /// It did not begin with the header of the PROXY protocol, or came from nobody trusted.
        ProxyProtocol = "proxy_protocol",
        /// The process has all the connections that it may have.
        Limit = "limit",
        /// The process has more to carry than it can.
        Overload = "overload",
    }
}

label_values! {
    /// Why a downstream connection was ended before its time, by what its client did.
    AbortReason {
        /// It sent more frames, or took back more requests, than anybody has a use for.
        Flood = "flood",
        /// It broke the rules of HTTP/2.
        ProtocolError = "protocol_error",
        /// It did not answer a ping of HTTP/2.
        Unresponsive = "unresponsive",
    }
}

label_values! {
    /// Why a listener accepted nobody for a while.
    PauseReason {
        /// It had all the connections it may have.
        Limit = "limit",
        /// There were no descriptors, or no memory, for another one.
        Resources = "resources",
    }
}

label_values! {
    /// The version of TLS that a handshake agreed on.
    TlsVersion {
        /// RFC 5246.
        Tls12 = "1.2",
        /// RFC 8446.
        Tls13 = "1.3",
    }
}

label_values! {
    /// Whether a TLS session is a new one.
    TlsSession {
        /// It is.
        New = "new",
        /// It goes on with an earlier one.
        Resumed = "resumed",
    }
}

label_values! {
    /// How the keys of a TLS session came about.
    KeyExchange {
        /// In a way that a quantum computer could break.
        Classical = "classical",
        /// In a way that it could not.
        PostQuantum = "post_quantum",
    }
}

label_values! {
    /// What came of asking an endpoint whether it is fit to serve.
    CheckResult {
        /// It is.
        Success = "success",
        /// It is not, or cannot be reached.
        Failure = "failure",
        /// No answer came in time.
        Timeout = "timeout",
    }
}

label_values! {
    /// What there may be so many of, at once and with one upstream.
    Limit {
        /// Open connections.
        Connections = "connections",
        /// Requests under way.
        Requests = "requests",
        /// Requests that wait for a connection.
        Pending = "pending",
    }
}

label_values! {
    /// The state that a breaker is in.
    BreakerState {
        /// All requests go through.
        Closed = "closed",
        /// None does.
        Open = "open",
        /// A few do, on trial.
        HalfOpen = "half_open",
    }
}

label_values! {
    /// What came of looking a name up.
    Resolution {
        /// Addresses did.
        Success = "success",
        /// There is no such name.
        NotFound = "not_found",
        /// The name has no addresses.
        Empty = "empty",
        /// No answer came in time.
        Timeout = "timeout",
        /// Something else went wrong.
        Failure = "failure",
    }
}

label_values! {
    /// Why an upstream connection was closed.
    CloseReason {
        /// It was unused for too long.
        Idle = "idle",
        /// The endpoint closed it, or asked for that.
        Upstream = "upstream",
        /// It broke, or what came over it was not valid.
        Error = "error",
        /// The exchange on it was given up halfway, so that nothing can follow on it.
        Abandoned = "abandoned",
        /// The pool was full.
        Full = "full",
        /// Its endpoint is no longer configured, or tidegate is about to end.
        Removed = "removed",
    }
}

label_values! {
    /// What came of the copy of a request.
    MirrorResult {
        /// It was sent and answered.
        Sent = "sent",
        /// No connection could be had, or it broke, or what came is no answer.
        Error = "error",
        /// It was not answered in time.
        Timeout = "timeout",
        /// As many as there may be were under way.
        DroppedCap = "dropped_cap",
        /// The request's body is larger than what is kept of one.
        DroppedBody = "dropped_body",
        /// No endpoint may be used.
        DroppedUnavailable = "dropped_unavailable",
        /// The request itself did not go out whole.
        DroppedIncomplete = "dropped_incomplete",
    }
}

label_values! {
    /// What two answers to one request differ in.
    Mismatch {
        /// The status, of HTTP or of gRPC; then nothing else is compared.
        Status = "status",
        /// One of the headers that are compared.
        Header = "header",
        /// The body.
        Body = "body",
    }
}
