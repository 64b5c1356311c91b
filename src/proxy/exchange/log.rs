//! What is logged of an exchange at its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use crate::message::RequestHead;
use crate::proxy::Direct;
use crate::proxy::exchange::Exchange;
use crate::proxy::trace_context::trace_id;
use crate::split::HashKey;
use crate::telemetry::access_log::{AccessLog, Entry};
use crate::telemetry::stats::{ErrorReason, FlagStats, GrpcStatus, Outcome, Selection};

impl Exchange {
    /// A hash of the key that the client is known by, so that its lines can be found together
    /// without telling who it is.
    fn key_hash(&self, request: &RequestHead, access_log: &AccessLog) -> Option<u64> {
        let key = self.route()?.split.key(request, self.client.address)?;
        // There are few enough addresses to find one by its hash.
        let tells_address = matches!(key, HashKey::Client(_)) && access_log.hides_client();
        (!tells_address).then(|| xxh3_64(key.as_bytes()))
    }

    /// Leaves a line in the access log, if it is to have one.
    pub(in crate::proxy::exchange) fn log(
        &self,
        status: u16,
        duration: Duration,
        outcome: Outcome,
        reason: Option<ErrorReason>,
        request: &RequestHead,
    ) {
        let (access_log, generation) = match (&self.tunnel, &self.local) {
            (Some(tunnel), _) => (&tunnel.access_log, tunnel.generation),
            (None, Some(local)) => (&local.snapshot.access_log, local.snapshot.generation),
            (None, None) => return,
        };
        let Some(access_log) = access_log else {
            return;
        };
        if !access_log.wants(outcome != Outcome::Success || reason.is_some()) {
            return;
        }
        let tells_agent = access_log.tells_agent();
        let agent = |name: &[u8]| tells_agent.then(|| request.field(name)).flatten();
        let (route, variant, served) = match (&self.tunnel, self.route().zip(self.assigned)) {
            (Some(tunnel), _) => (
                Some(&tunnel.route),
                Some(&tunnel.variant),
                Some(&tunnel.served),
            ),
            (None, Some((route, assigned))) => {
                let name = |n: usize| route.variants.get(n).map(|variant| &variant.name);
                (
                    Some(&route.name),
                    name(assigned.variant),
                    name(assigned.served),
                )
            }
            (None, None) => (None, None, None),
        };
        let segment = match (&self.tunnel, self.route().zip(self.assigned)) {
            (Some(tunnel), _) => tunnel.segment.as_ref(),
            (None, Some((route, assigned))) => assigned.rule.map(|rule| &route.rules[rule].segment),
            (None, None) => None,
        };
        let hides_query = self.route().is_some_and(|route| route.hides_query);
        let flags: Vec<_> = match &self.tunnel {
            Some(tunnel) => tunnel.flags.iter().map(names).collect(),
            None => self.flags().map(names).collect(),
        };
        access_log.record(&Entry {
            at: SystemTime::now(),
            listener: &self.from.listener,
            route: route.map(|route| &**route),
            variant: variant.map(|variant| &**variant),
            served_variant: served.map(|served| &**served),
            selection: self
                .assigned
                .map(|to| to.selection)
                .filter(|&selection| selection != Selection::None),
            segment: segment.map(|segment| &**segment),
            flags: &flags,
            key_hash: self.key_hash(request, access_log),
            method: request.method(),
            host: request.authority(),
            path: request.path(),
            query: request.query().filter(|_| !hides_query),
            referer: agent(b"referer"),
            user_agent: agent(b"user-agent"),
            status,
            source: self.source,
            reason: reason
                .map(ErrorReason::label)
                .or_else(|| self.direct().map(Direct::kind)),
            bytes_in: self.request_bytes,
            bytes_out: self.response_bytes,
            duration,
            response_headers: self.response_headers,
            upstream_connect: self.connected_in,
            attempts: self.n_attempts,
            mirror: self.mirror.as_ref().and_then(|copy| copy.sent_to()),
            endpoint: self.endpoint.as_ref(),
            client_ip: self.client.address,
            protocol: request.version,
            upstream_protocol: self.upstream_protocol,
            grpc_status: self.grpc.map(GrpcStatus::label),
            generation,
            request_id: self.request_id.map(|id| id.of(&request.text)),
            trace_id: access_log
                .tells_trace()
                .then(|| trace_id(request))
                .flatten(),
        });
    }
}

/// The names of a flag and of its variant.
fn names(stats: &Arc<FlagStats>) -> (&str, &str) {
    let labels = stats.labels();
    (&labels.flag, &labels.variant)
}
