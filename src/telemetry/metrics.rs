//! The names of all metrics, with their types, labels and help: a metric is here or nowhere.
//!
//! Rendering takes its `# HELP` and `# TYPE` from here, and so does whoever lists them for people.

/// What a family's values are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Numbers that only grow.
    Counter,
    /// Numbers that come and go.
    Gauge,
    /// Counts of values by size.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One family of metrics.
#[derive(Debug, Eq, PartialEq)]
pub struct Family {
    /// The name of its series.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it tells.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// All families, in the order in which they are rendered.
pub fn catalogue() -> &'static [&'static Family] {
    ALL
}

/// Makes a constant for each family, and the list of all of them.
macro_rules! families {
    ($( $constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal; )+) => {
        $(
            pub(crate) static $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )+

        static ALL: &[&Family] = &[$( &$constant, )+];
    };
}

families! {
    REQUESTS = Counter "tidegate_requests_total"
        ["route", "variant", "upstream", "code", "source", "selection"]
        "Requests that have ended, by the variant that was chosen for them.";
    REQUEST_DURATION = Histogram "tidegate_request_duration_seconds"
        ["route", "variant", "upstream", "outcome"]
        "Time from the first byte of the request to the last byte of the response.";
    RESPONSE_HEADERS = Histogram "tidegate_response_headers_seconds"
        ["route", "variant", "upstream", "outcome"]
        "Time from sending the request to the head of the upstream's response.";
    PROXY_OVERHEAD = Histogram "tidegate_proxy_overhead_seconds"
        ["route"]
        "Time from a request's head to its sending, without waiting for a connection.";
    REQUESTS_IN_FLIGHT = Gauge "tidegate_requests_in_flight"
        ["route", "variant", "upstream"]
        "Requests that have begun and not ended.";
    REQUEST_BYTES = Counter "tidegate_request_bytes_total"
        ["route", "variant", "upstream"]
        "Bytes of the bodies of requests.";
    RESPONSE_BYTES = Counter "tidegate_response_bytes_total"
        ["route", "variant", "upstream"]
        "Bytes of the bodies of responses.";
    GRPC_RESPONSES = Counter "tidegate_grpc_responses_total"
        ["route", "variant", "upstream", "grpc_status"]
        "Calls of gRPC that have ended, by the status that the client got; none without one.";
    ERRORS = Counter "tidegate_errors_total"
        ["route", "variant", "upstream", "reason"]
        "Exchanges that did not go as they should, by what went wrong.";
    JUDGED_REQUESTS = Counter "tidegate_variant_judged_requests_total"
        ["route", "variant", "upstream", "class"]
        "Requests that have ended and that nobody forced to the variant, by what they say of it.";
    UNROUTED_REQUESTS = Counter "tidegate_unrouted_requests_total"
        ["listener", "code"]
        "Requests that were answered without a route: no route matches, or the request is not valid.";

    VARIANT_WEIGHT = Gauge "tidegate_variant_weight"
        ["route", "variant", "upstream"]
        "The weight of the variant as configured.";
    VARIANT_SHARE = Gauge "tidegate_variant_share_ratio"
        ["route", "variant", "upstream"]
        "The share of new requests that the variant gets, from 0 to 1.";
    VARIANT_STATE = Gauge "tidegate_variant_state"
        ["route", "variant", "upstream", "state"]
        "1 for the state that the variant is in.";
    SELECTIONS = Counter "tidegate_selections_total"
        ["route", "variant", "upstream", "selection"]
        "Requests for which the variant was chosen, by how.";
    RULE_MATCHES = Counter "tidegate_rule_matches_total"
        ["route", "segment"]
        "Requests that were divided by the weights of a rule, by its segment.";
    FAILOVERS = Counter "tidegate_failovers_total"
        ["route", "from", "to"]
        "Requests that another variant answered because the chosen one was not available.";
    RETRIES = Counter "tidegate_retries_total"
        ["route", "variant", "upstream", "cause", "result"]
        "Attempts after the first one, by why they were made and what came of them.";
    STICKY_COOKIES_SET = Counter "tidegate_sticky_cookies_set_total"
        ["route", "kind"]
        "Cookies that were set so that a client stays on its variant.";
    FORCED_REJECTED = Counter "tidegate_forced_rejected_total"
        ["route", "reason"]
        "Requests that named a variant and did not get it.";

    UPSTREAM_ATTEMPTS = Counter "tidegate_upstream_attempts_total"
        ["route", "variant", "upstream", "result"]
        "Attempts to get an answer from an endpoint, retries among them.";
    UPSTREAM_CONNECT_DURATION = Histogram "tidegate_upstream_connect_duration_seconds"
        ["route", "variant", "upstream"]
        "Time that new connections to endpoints took.";
    UPSTREAM_CONNECTIONS = Gauge "tidegate_upstream_connections"
        ["upstream", "state"]
        "Open connections to endpoints: with an exchange on them, or idle.";
    UPSTREAM_CONNECTIONS_OPENED = Counter "tidegate_upstream_connections_opened_total"
        ["upstream"]
        "Connections to endpoints that were opened.";
    UPSTREAM_CONNECTIONS_CLOSED = Counter "tidegate_upstream_connections_closed_total"
        ["upstream", "reason"]
        "Connections to endpoints that were closed, by why.";
    UPSTREAM_ENDPOINTS = Gauge "tidegate_upstream_endpoints"
        ["route", "variant", "upstream", "state"]
        "Endpoints of the variant, by whether they may be used.";
    UPSTREAM_ENDPOINT_AVAILABLE = Gauge "tidegate_upstream_endpoint_available"
        ["upstream", "endpoint"]
        "1 while the endpoint may be used, where its health is checked or its failures are counted.";
    UPSTREAM_LIMIT = Gauge "tidegate_upstream_limit"
        ["upstream", "limit"]
        "How many of something the upstream may be given at once, where that is limited.";
    UPSTREAM_OVERFLOWS = Counter "tidegate_upstream_overflows_total"
        ["upstream", "limit"]
        "Requests that were refused because there were as many of something as there may be.";
    BREAKER_STATE = Gauge "tidegate_breaker_state"
        ["upstream", "state"]
        "1 for the state that the breaker of the upstream is in.";
    BREAKER_OPENED = Counter "tidegate_breaker_opened_total"
        ["upstream"]
        "How often the breaker of the upstream opened because too many requests failed.";
    UPSTREAM_EJECTIONS = Counter "tidegate_upstream_ejections_total"
        ["upstream"]
        "Endpoints that were left alone for a while because requests to them failed.";
    HEALTH_CHECKS = Counter "tidegate_health_checks_total"
        ["upstream", "result"]
        "Checks of the endpoints of an upstream, by what came of them.";
    DNS_RESOLUTIONS = Counter "tidegate_dns_resolutions_total"
        ["upstream", "result"]
        "Look-ups of the names of an upstream, by what came of them.";
    TUNNELS_OPEN = Gauge "tidegate_tunnels_open"
        ["route", "variant", "upstream"]
        "Tunnels, such as WebSockets, that are open.";
    TUNNELS_OPENED = Counter "tidegate_tunnels_opened_total"
        ["route", "variant", "upstream"]
        "Tunnels that were opened.";
    TUNNELS = Counter "tidegate_tunnels_total"
        ["route", "variant", "upstream", "end"]
        "Tunnels that have ended, by who ended them.";

    MIRROR_REQUESTS = Counter "tidegate_mirror_requests_total"
        ["route", "variant", "upstream", "result"]
        "Requests that were to be mirrored, by what came of their copies.";
    MIRROR_DURATION = Histogram "tidegate_mirror_duration_seconds"
        ["route", "variant", "upstream"]
        "Time from the sending of a copy to the last byte of its answer.";
    MIRROR_COMPARISONS = Counter "tidegate_mirror_comparisons_total"
        ["route", "variant", "upstream", "result"]
        "Answers to copies that were compared with those that clients got.";
    MIRROR_MISMATCHES = Counter "tidegate_mirror_mismatches_total"
        ["route", "variant", "upstream", "kind"]
        "Answers to copies that differ from those that clients got, by what they differ in.";

    FLAG_EVALUATIONS = Counter "tidegate_flag_evaluations_total"
        ["flag", "variant", "reason"]
        "Evaluations of the flag that had the variant, by why; at the edge and over OFREP.";
    FLAG_BUCKETS_MISSING = Counter "tidegate_flag_bucket_missing_total"
        ["flag"]
        "Rules that were passed over as the key by which they divide was not there.";
    FLAG_EXPOSURES = Counter "tidegate_flag_exposures_total"
        ["flag", "variant"]
        "Requests at the edge that had the variant.";
    FLAG_INJECTED = Counter "tidegate_flag_injected_total"
        ["flag", "variant"]
        "Requests whose upstream was told of the variant by a header.";
    FLAG_JUDGED = Counter "tidegate_flag_judged_requests_total"
        ["flag", "variant", "class"]
        "Requests at the edge that had the variant and have ended, by what they say of what served \
         them.";

    OFREP_ERRORS = Counter "tidegate_ofrep_errors_total"
        ["code"]
        "Questions of applications about flags that were answered with an error, by its code.";
    OFREP_REFUSED = Counter "tidegate_ofrep_refused_total"
        ["reason"]
        "Those of them that were refused: without the right token, too often, or for want of a place \
         for a stream.";
    OFREP_BULK = Counter "tidegate_ofrep_bulk_total"
        ["result"]
        "Questions for all flags that were answered, by whether the answer was known already.";
    OFREP_STREAMS = Gauge "tidegate_ofrep_streams"
        []
        "Streams that are open to tell of changes of flags.";
    FLAG_LAST_EVALUATED = Gauge "tidegate_flag_last_evaluated_timestamp_seconds"
        ["flag"]
        "When the flag was last evaluated, in seconds since 1970; kept over restarts.";
    FLAG_KILLED = Gauge "tidegate_flag_killed"
        ["flag"]
        "1 while everybody gets the flag's off variant because somebody killed it.";
    FLAG_OVERRIDDEN = Gauge "tidegate_flag_overridden"
        ["flag"]
        "1 while something set at run time takes the place of what the file says of the flag.";
    FLAG_EXPIRED = Gauge "tidegate_flag_expired"
        ["flag"]
        "1 once the day has come by which the flag was to be gone.";
    FLAG_STALE = Gauge "tidegate_flag_stale"
        ["flag", "cause"]
        "1 for each kind of reason why the flag is stale, so that it should go.";

    DOWNSTREAM_CONNECTIONS = Gauge "tidegate_downstream_connections"
        ["listener", "protocol"]
        "Connections of clients that are open.";
    DOWNSTREAM_CONNECTIONS_TOTAL = Counter "tidegate_downstream_connections_total"
        ["listener", "protocol"]
        "Connections of clients that were opened.";
    DOWNSTREAM_CONNECTIONS_REJECTED = Counter "tidegate_downstream_connections_rejected_total"
        ["listener", "reason"]
        "Connections of clients that were refused, or ended before their first request.";
    DOWNSTREAM_CONNECTIONS_ABORTED = Counter "tidegate_downstream_connections_aborted_total"
        ["listener", "reason"]
        "Connections of clients that were ended before their time, by what the client did.";
    OVERLOAD_REFUSED_REQUESTS = Counter "tidegate_overload_refused_requests_total"
        ["listener"]
        "Requests that were refused because the process has more to carry than it can.";
    ACCEPT_PAUSES = Counter "tidegate_accept_pauses_total"
        ["listener", "reason"]
        "Times that a worker accepted nobody for a while: no place, or no descriptors or memory.";

    TLS_HANDSHAKES = Counter "tidegate_tls_handshakes_total"
        ["listener", "version", "session", "key_exchange"]
        "TLS handshakes with clients that went well, by what was agreed on.";
    TLS_CERTIFICATE_NOT_AFTER = Gauge "tidegate_tls_certificate_not_after_timestamp_seconds"
        ["listener", "name"]
        "When a certificate that is shown to clients, or one of its chain, expires, in seconds since 1970.";
    TLS_UPSTREAM_CERTIFICATE_NOT_AFTER = Gauge
        "tidegate_tls_upstream_certificate_not_after_timestamp_seconds"
        ["upstream", "name"]
        "When a certificate that is shown to upstreams, or one of its chain, expires, in seconds since 1970.";

    RELEASES_LOOKED_AT = Gauge "tidegate_releases_looked_at_timestamp_seconds"
        []
        "When releases were last looked at, which is to be each second, in seconds since 1970.";
    RELEASE_PHASE = Gauge "tidegate_release_phase"
        ["route", "release", "phase"]
        "1 for the phase that the release is in.";
    RELEASE_ENTERED = Gauge "tidegate_release_entered_timestamp_seconds"
        ["route", "release"]
        "When the release came to its phase and its step, in seconds since 1970.";
    RELEASE_STEP = Gauge "tidegate_release_step"
        ["route", "release"]
        "The step that the release is in, from 1 on; 0 before it starts.";
    RELEASE_STEPS = Gauge "tidegate_release_steps"
        ["route", "release"]
        "How many steps the release has.";
    RELEASE_WEIGHT = Gauge "tidegate_release_weight_ratio"
        ["route", "release", "variant"]
        "The share that the release has the variant get, from 0 to 1.";
    RELEASE_SHARE = Gauge "tidegate_release_share_ratio"
        ["route", "release", "variant"]
        "The share of requests that nobody forced that the variant has had since the step began.";
    RELEASE_HOLD = Gauge "tidegate_release_hold"
        ["route", "release", "reason"]
        "1 for each kind of reason why the release does not move.";
    RELEASE_CHECK_EVIDENCE = Gauge "tidegate_release_check_evidence"
        ["route", "release", "check"]
        "Decimal logarithm of the evidence that the candidate is worse than the check allows.";
    RELEASE_CHECK_THRESHOLD = Gauge "tidegate_release_check_evidence_threshold"
        ["route", "release", "check"]
        "Decimal logarithm of the evidence from which on the check fails.";
    RELEASE_CHECK_VERDICT = Gauge "tidegate_release_check_verdict"
        ["route", "release", "check", "verdict"]
        "1 for what the check says of the candidate.";
    RELEASE_TRANSITIONS = Counter "tidegate_release_transitions_total"
        ["route", "to", "cause"]
        "Releases that came to a phase, or took a step in it, by who or what led to it.";
    RELEASE_WORK = Counter "tidegate_release_work_seconds_total"
        ["route", "release"]
        "Time in which nothing held the release: it moved, or its step took its time.";
    RELEASE_WAIT = Counter "tidegate_release_wait_seconds_total"
        ["route", "release", "reason"]
        "Time in which the release was held, by the kind of reason; several at once count each.";
    RELEASE_APPROVALS = Counter "tidegate_release_approvals_total"
        ["gate", "answer"]
        "What was said at gates: approved, rejected, or passed in an emergency.";
    RELEASE_REVIEW_OPEN = Gauge "tidegate_release_review_open"
        ["route", "release"]
        "1 while a second person has to look at what the release passed in an emergency.";
    RELEASE_CONFLICTS = Gauge "tidegate_release_conflicts"
        []
        "Releases of which the file asks for something that it does not get.";
    DRIFT = Gauge "tidegate_drift"
        ["route"]
        "1 for each route that the file divides otherwise, though no release moves it.";
    STOP_THE_LINE = Gauge "tidegate_stop_the_line"
        []
        "1 while nothing moves forward because somebody stopped the line.";
    FREEZE_ACTIVE = Gauge "tidegate_freeze_active"
        ["freeze"]
        "1 while the freeze stops what it is about, by its time.";
    FREEZE_OVERRIDDEN = Gauge "tidegate_freeze_overridden"
        ["freeze"]
        "How many overrides of the freeze are in force.";
    AUDIT_HEAD_SEQ = Gauge "tidegate_audit_head_seq"
        []
        "The number of the last record of the audit log.";
    AUDIT_HEAD_INFO = Gauge "tidegate_audit_head_info"
        ["hash"]
        "1 for the beginning of the hash of the last record of the audit log.";
    STORE_WRITABLE = Gauge "tidegate_store_writable"
        []
        "1 when the last write to the store went through.";
    STORE_BROKEN = Gauge "tidegate_store_broken"
        []
        "1 while the history of the store is not what it was and nobody has settled that.";
    STORE_UNWRITTEN = Gauge "tidegate_store_unwritten_records"
        []
        "Records that are obeyed and not on the disk, because it does not take them.";
    STORE_COMMITS = Counter "tidegate_store_commits_total"
        ["result"]
        "What was to be kept of releases, weights, freezes and the line, by what came of it.";
    NOTIFY_SENT = Counter "tidegate_notify_sent_total"
        ["sink"]
        "Events that the sink has taken.";
    NOTIFY_FAILED = Counter "tidegate_notify_failed_total"
        ["sink"]
        "Attempts to tell the sink that came to nothing; a later one may have succeeded.";
    NOTIFY_DROPPED = Counter "tidegate_notify_dropped_total"
        ["sink"]
        "Events that the sink will never be told of.";
    NOTIFY_WAITING = Gauge "tidegate_notify_waiting"
        ["sink"]
        "Events that wait for the sink.";
    NOTIFY_OLDEST = Gauge "tidegate_notify_oldest_seconds"
        ["sink"]
        "How old the oldest event is that waits for the sink; 0 when none does.";
    DORA_DEPLOYMENTS = Gauge "tidegate_dora_deployments"
        ["window"]
        "Releases that were promoted in the time before now.";
    DORA_LEAD_TIME = Gauge "tidegate_dora_lead_time_seconds"
        ["window", "percentile"]
        "Time from a release's commit to its promotion, of those that say when that was.";
    DORA_CHANGE_FAILURE = Gauge "tidegate_dora_change_failure_ratio"
        ["window"]
        "The part of the promoted releases that failed afterwards, from 0 to 1.";
    DORA_RECOVERY = Gauge "tidegate_dora_recovery_seconds"
        ["window", "percentile"]
        "Time from the first sign of a promoted release's failure to everybody being on stable.";

    CONFIG_RELOADS = Counter "tidegate_config_reloads_total"
        ["result"]
        "Attempts to load the configuration anew.";
    CONFIG_LAST_RELOAD_SUCCESSFUL = Gauge "tidegate_config_last_reload_successful"
        []
        "1 when the last attempt to load the configuration went well.";
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP = Gauge
        "tidegate_config_last_reload_success_timestamp_seconds"
        []
        "When a configuration was last loaded well, in seconds since 1970.";
    CONFIG_GENERATION = Gauge "tidegate_config_generation"
        []
        "The number of the configuration that requests obey.";
    CONFIG_RELOAD_DURATION = Histogram "tidegate_config_reload_duration_seconds"
        []
        "Time that loading a configuration took, until it was live.";
    CONFIG_INFO = Gauge "tidegate_config_info"
        ["sha256"]
        "1 for the beginning of the hash of the configuration file that is live.";
    UPGRADES = Counter "tidegate_upgrades_total"
        ["result"]
        "Attempts to replace the running program, those of the processes before this one among them.";
    OVERLOADED = Gauge "tidegate_overloaded"
        ["cause"]
        "1 while new work is refused: memory or connections have come to their bound.";
    DRAINING = Gauge "tidegate_draining"
        []
        "1 while tidegate is about to end.";
    ACCESS_LOG_DROPPED = Counter "tidegate_access_log_dropped_total"
        []
        "Lines of the access log that were dropped because they could not be written fast enough.";
    BUILD_INFO = Gauge "tidegate_build_info"
        ["version", "revision"]
        "1 for the version that is running.";

    PROCESS_CPU = Counter "process_cpu_seconds_total"
        []
        "Processor time of the process, user and system.";
    PROCESS_RESIDENT_MEMORY = Gauge "process_resident_memory_bytes"
        []
        "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes"
        []
        "Address space of the process.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds"
        []
        "Open file descriptors of the process.";
    PROCESS_MAX_FDS = Gauge "process_max_fds"
        []
        "File descriptors that the process may have open.";
    PROCESS_START_TIME = Gauge "process_start_time_seconds"
        []
        "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::telemetry::metrics::{Kind, catalogue};

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let mut seen = HashSet::new();
        for family in catalogue() {
            let name = family.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(
                name.starts_with("tidegate_") || name.starts_with("process_"),
                "{name}"
            );
            assert_eq!(
                family.kind == Kind::Counter,
                name.ends_with("_total"),
                "{name}"
            );
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
