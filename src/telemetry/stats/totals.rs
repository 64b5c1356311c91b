//! The numbers of a variant, added up over all workers.

use std::collections::BTreeMap;

use crate::telemetry::stats::{
    AttemptResult, Buckets, CodeKey, Counter, ErrorReason, GrpcStatus, HistogramTotals, Outcome,
    RetryCause, RetryResult, Selection, Shard, TunnelEnd,
};

/// The numbers of a variant since it was first configured.
///
/// Where a field is an array it is in the order of its label's `ALL`.
#[derive(Clone, Debug)]
pub struct VariantTotals {
    /// Requests that have ended, by status, source and selection.
    pub codes: BTreeMap<CodeKey, u64>,
    /// Requests that have begun, by selection.
    pub selections: [u64; Selection::N],
    /// Bytes of requests' bodies.
    pub request_bytes: u64,
    /// Bytes of responses' bodies.
    pub response_bytes: u64,
    /// From the first byte of the request to the last of the response, by outcome.
    pub request_duration: [HistogramTotals; Outcome::N],
    /// From sending the request to the upstream's final head, by outcome.
    pub response_headers: [HistogramTotals; Outcome::N],
    /// What went wrong.
    pub errors: [u64; ErrorReason::N],
    /// Attempts, retries among them.
    pub attempts: [u64; AttemptResult::N],
    /// How long new connections took.
    pub connect_duration: HistogramTotals,
    /// Retries, by cause and result.
    pub retries: [[u64; RetryResult::N]; RetryCause::N],
    /// Tunnels that were opened.
    pub tunnels_opened: u64,
    /// Tunnels that have ended.
    pub tunnels_closed: [u64; TunnelEnd::N],
    /// Calls of gRPC, once there was any.
    pub grpc: Option<[u64; GrpcStatus::N]>,
}

impl VariantTotals {
    pub(crate) fn new(buckets: &Buckets) -> Self {
        let empty = || HistogramTotals::new(buckets);
        Self {
            codes: BTreeMap::new(),
            selections: [0; Selection::N],
            request_bytes: 0,
            response_bytes: 0,
            request_duration: std::array::from_fn(|_| empty()),
            response_headers: std::array::from_fn(|_| empty()),
            errors: [0; ErrorReason::N],
            attempts: [0; AttemptResult::N],
            connect_duration: empty(),
            retries: [[0; RetryResult::N]; RetryCause::N],
            tunnels_opened: 0,
            tunnels_closed: [0; TunnelEnd::N],
            grpc: None,
        }
    }

    /// Requests that have begun.
    pub fn begun(&self) -> u64 {
        self.selections.iter().sum()
    }

    /// Requests that have ended.
    pub fn finished(&self) -> u64 {
        self.codes.values().sum()
    }

    /// Requests that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.begun().saturating_sub(self.finished())
    }

    /// Tunnels that are open.
    pub fn tunnels_open(&self) -> u64 {
        let closed: u64 = self.tunnels_closed.iter().sum();
        self.tunnels_opened.saturating_sub(closed)
    }

    /// Adds what one worker has recorded.
    pub(crate) fn add(&mut self, shard: &Shard, buckets: &Buckets) {
        // Ends before beginnings, so that a request is rather seen too long than not at all.
        shard.codes.for_each(|key, count| {
            *self.codes.entry(key).or_default() += count;
        });
        for (total, counter) in self.tunnels_closed.iter_mut().zip(&shard.tunnels_closed) {
            *total += counter.ends();
        }
        add_all(&mut self.selections, &shard.begun);
        self.tunnels_opened += shard.tunnels_opened.total();
        if let Some(counters) = shard.grpc.get() {
            add_all(self.grpc.get_or_insert_default(), &**counters);
        }

        self.request_bytes += shard.request_bytes.total();
        self.response_bytes += shard.response_bytes.total();
        for (total, histogram) in self
            .request_duration
            .iter_mut()
            .zip(&shard.request_duration)
        {
            total.add(histogram);
        }
        for (total, histogram) in self
            .response_headers
            .iter_mut()
            .zip(&shard.response_headers)
        {
            total.add(histogram);
        }
        // They were answered.
        let answered = &mut self.response_headers[Outcome::Success as usize];
        answered.add_fine(shard.judging.answers(), buckets);
        add_all(&mut self.errors, &shard.errors);
        add_all(&mut self.attempts, &shard.attempts);
        self.connect_duration.add(&shard.connect_duration);
        for (totals, counters) in self.retries.iter_mut().zip(&shard.retries) {
            add_all(totals, counters);
        }
    }
}

/// Adds each counter to the total at its place.
fn add_all(totals: &mut [u64], counters: &[Counter]) {
    for (total, counter) in totals.iter_mut().zip(counters) {
        *total += counter.total();
    }
}
