//! The numbers of one variant of a route.

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::telemetry::stats::codes::Codes;
use crate::telemetry::stats::histogram::Histogram;
use crate::telemetry::stats::judged::Judging;
use crate::telemetry::stats::shards::Shards;
use crate::telemetry::stats::{
    AttemptResult, Buckets, Class, Counter, ErrorReason, GrpcStatus, Judged, Outcome, RetryCause,
    RetryResult, Selection, Source, TunnelEnd, VariantTotals,
};

/// What the numbers of a variant are labelled with.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VariantLabels {
    /// The name of the route.
    pub route: Arc<str>,
    /// The name of the variant within the route.
    pub variant: Arc<str>,
    /// The name of the upstream that the variant leads to.
    pub upstream: Arc<str>,
}

/// An exchange that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The status that the client got; 499 when it went away before it got one.
    pub code: u16,
    /// Who made the response.
    pub source: Source,
    /// How the request got its variant.
    pub selection: Selection,
    /// How it went.
    pub outcome: Outcome,
    /// What it says of the variant.
    pub class: Class,
    /// The slice of the requests that it belongs to, by its key; from 0 to 15.
    pub slice: u8,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// From the sending of the request to the upstream's final head, when there was one.
    pub response_headers: Option<Duration>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// What went wrong, if anything did.
    pub error: Option<ErrorReason>,
}

/// The numbers of one variant: of all requests for which it was chosen.
///
/// The counts are kept by worker; [`VariantStats::read`] adds them up.
#[derive(Debug)]
pub struct VariantStats {
    labels: VariantLabels,
    buckets: Arc<Buckets>,
    /// One bit for each selection that is possible on the route.
    selections: AtomicU8,
    /// The status that a route answers by itself, if it does; else 0.
    own_status: AtomicU16,
    shards: Shards<Shard>,
}

impl VariantStats {
    /// Makes the numbers of a variant, all 0.
    pub fn new(labels: VariantLabels, n_workers: usize, buckets: Arc<Buckets>) -> Self {
        Self {
            labels,
            buckets,
            selections: AtomicU8::new(0),
            own_status: AtomicU16::new(0),
            shards: Shards::new(n_workers),
        }
    }

    /// Says that requests may come to the variant in these ways, so that their series are there
    /// before the first request is. What was said before stays true.
    pub fn expect(&self, selections: &[Selection]) {
        let bits = selections
            .iter()
            .fold(0, |bits, &selection| bits | 1 << selection as u8);
        self.selections.fetch_or(bits, Ordering::Relaxed);
    }

    /// Says that no upstream is behind it, and that requests are answered with this status.
    pub fn expect_own(&self, status: u16) {
        self.own_status.store(status, Ordering::Relaxed);
    }

    /// The status that requests are answered with where no upstream is behind it.
    pub fn own_status(&self) -> Option<u16> {
        let status = self.own_status.load(Ordering::Relaxed);
        (status != 0).then_some(status)
    }

    /// The part that belongs to a worker: its thread alone may record there.
    ///
    /// # Panics
    /// When there are not so many workers.
    #[inline]
    pub fn shard(&self, worker: usize) -> &Shard {
        self.shards
            .of(worker, || Shard::new(Arc::clone(&self.buckets)))
    }

    /// What the numbers are labelled with.
    pub fn labels(&self) -> &VariantLabels {
        &self.labels
    }

    /// The bounds of all its histograms.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The selections that are possible on the route.
    pub fn expected(&self) -> impl Iterator<Item = Selection> {
        let bits = self.selections.load(Ordering::Relaxed);
        Selection::ALL
            .iter()
            .copied()
            .filter(move |&selection| bits >> selection as u8 & 1 == 1)
    }

    /// True while it has had no request.
    pub fn is_quiet(&self) -> bool {
        self.shards.is_empty()
    }

    /// What it is judged by: the requests that nobody forced to it, by what they say of it.
    ///
    /// Numbers only grow while the process lives; one that is less than it was is of another process.
    pub fn judged(&self) -> Judged {
        let mut judged = Judged::new(&self.buckets);
        for shard in self.shards.iter() {
            judged.add(&shard.judging);
        }
        judged
    }

    /// Adds up the shards of all workers.
    pub fn read(&self) -> VariantTotals {
        let mut totals = VariantTotals::new(&self.buckets);
        for shard in self.shards.iter() {
            totals.add(shard, &self.buckets);
        }
        totals
    }
}

/// The part of a variant's numbers that one worker records.
///
/// An exchange is `begin`, whatever happens to it, and `finish`. One that becomes a tunnel is
/// finished when the tunnel has opened, so that its latency is that of the handshake; from then on it
/// is `tunnel_closed`, and `passed` with the bytes of its tunnel.
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    buckets: Arc<Buckets>,
    pub(crate) begun: [Counter; Selection::N],
    pub(crate) codes: Codes,
    pub(crate) judging: Judging,
    pub(crate) request_bytes: Counter,
    pub(crate) response_bytes: Counter,
    pub(crate) request_duration: [Histogram; Outcome::N],
    /// Without those by which the variant is judged.
    pub(crate) response_headers: [Histogram; Outcome::N],
    pub(crate) errors: [Counter; ErrorReason::N],
    pub(crate) attempts: [Counter; AttemptResult::N],
    pub(crate) connect_duration: Histogram,
    pub(crate) retries: [[Counter; RetryResult::N]; RetryCause::N],
    pub(crate) tunnels_opened: Counter,
    pub(crate) tunnels_closed: [Counter; TunnelEnd::N],
    /// Calls of gRPC, for variants that have any.
    pub(crate) grpc: OnceLock<Box<[Counter; GrpcStatus::N]>>,
}

impl Shard {
    fn new(buckets: Arc<Buckets>) -> Self {
        Self {
            buckets,
            begun: Default::default(),
            codes: Codes::default(),
            judging: Judging::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            request_duration: Default::default(),
            response_headers: Default::default(),
            errors: Default::default(),
            attempts: Default::default(),
            connect_duration: Histogram::default(),
            retries: Default::default(),
            tunnels_opened: Counter::default(),
            tunnels_closed: Default::default(),
            grpc: OnceLock::new(),
        }
    }

    /// Counts a request for which the variant was just chosen: it is in flight until `finish`.
    #[inline]
    pub fn begin(&self, selection: Selection) {
        self.begun[selection as usize].add(1);
    }

    /// Counts the end of an exchange that was begun; once for each.
    #[inline]
    pub fn finish(&self, finished: &Finished) {
        self.request_bytes.add(finished.request_bytes);
        self.response_bytes.add(finished.response_bytes);
        let outcome = finished.outcome as usize;
        self.request_duration[outcome].record(&self.buckets, finished.duration);
        let is_judged = finished.selection != Selection::Forced;
        if is_judged {
            self.judging.add(finished, &self.buckets);
        }
        if let Some(duration) = finished.response_headers
            && !(is_judged && finished.class.is_answer())
        {
            self.response_headers[outcome].record(&self.buckets, duration);
        }
        if let Some(reason) = finished.error {
            self.errors[reason as usize].add(1);
        }
        self.codes
            .add_end(finished.code, finished.source, finished.selection);
    }

    /// Counts one attempt, the first as well as any retry.
    #[inline]
    pub fn attempt(&self, result: AttemptResult) {
        self.attempts[result as usize].add(1);
    }

    /// Counts a new connection to an endpoint by how long it took, TLS included.
    pub fn connected(&self, took: Duration) {
        self.connect_duration.record(&self.buckets, took);
    }

    /// Counts a retry by what came of it.
    pub fn retried(&self, cause: RetryCause, result: RetryResult) {
        self.retries[cause as usize][result as usize].add(1);
    }

    /// Counts the end of a call of gRPC by what came of it.
    pub fn grpc(&self, status: GrpcStatus) {
        self.grpc.get_or_init(Box::default)[status as usize].add(1);
    }

    /// Counts bytes that passed after its finish.
    pub fn passed(&self, request_bytes: u64, response_bytes: u64) {
        self.request_bytes.add(request_bytes);
        self.response_bytes.add(response_bytes);
    }

    /// Counts an exchange that became a tunnel; then it is finished.
    pub fn tunnel_opened(&self) {
        self.tunnels_opened.add(1);
    }

    /// Counts the end of a tunnel.
    pub fn tunnel_closed(&self, end: TunnelEnd) {
        self.tunnels_closed[end as usize].add_end();
    }
}

#[cfg(test)]
mod tests;
