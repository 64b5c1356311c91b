//! The end of an exchange, which comes exactly once: it is counted, and logged.

use std::time::Instant;

use crate::proxy::Error;
use crate::proxy::error::Side;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc;
use crate::telemetry::stats::{ErrorReason, Finished, GrpcStatus, Outcome, RetryCause};

impl Exchange {
    fn outcome(&self, status: u16) -> Outcome {
        match &self.error {
            Some(error) if error.side() == Side::Client => match error {
                Error::ClientClosed => Outcome::ClientClosed,
                _ => Outcome::Success,
            },
            Some(_) => Outcome::Failure,
            None if status >= 500 || self.rescued.is_some() => Outcome::Failure,
            None if self.grpc.is_some_and(|call| grpc::is_failure(call, status)) => {
                Outcome::Failure
            }
            None => Outcome::Success,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut scratch) = self.scratch.take() else {
            return;
        };
        if !self.complete && self.error.is_none() {
            // Dropped halfway: the task was cut, or HTTP/2 gave the stream up with its client.
            self.failed(Error::ClientClosed);
        }
        let status = self.status.unwrap_or(499);
        let ended = self.ended.unwrap_or_else(Instant::now);
        let duration = ended.duration_since(self.started);
        let outcome = self.outcome(status);
        if outcome == Outcome::ClientClosed && self.grpc == Some(GrpcStatus::None) {
            // That is what both ends take it for.
            self.grpc = Some(GrpcStatus::Cancelled);
        }
        if let Some(call) = self.grpc {
            self.fared_as_call(call);
        }
        let rescued = self.rescued.and_then(|cause| match cause {
            RetryCause::Connect => Some(ErrorReason::ConnectFailure),
            RetryCause::Unsent | RetryCause::Reset | RetryCause::Refused => {
                Some(ErrorReason::UpstreamReset)
            }
            RetryCause::Timeout => Some(ErrorReason::ResponseTimeout),
            // An answer of the upstream's is none of what goes wrong here.
            RetryCause::Status => None,
        });
        let reason = self.error.as_ref().map(Error::reason).or(rescued);
        match self.assigned {
            Some(assigned) => {
                if let Some(shard) = self.shard() {
                    shard.finish(&Finished {
                        code: status,
                        source: self.source,
                        selection: assigned.selection,
                        outcome,
                        duration,
                        response_headers: self.response_headers,
                        request_bytes: self.request_bytes,
                        response_bytes: self.response_bytes,
                        error: reason,
                    });
                    if let Some(status) = self.grpc {
                        shard.grpc(status);
                    }
                }
            }
            None => {
                let local = self.local();
                local.unrouted(&self.from.listener, self.worker.index, status);
                if reason == Some(ErrorReason::Overload) {
                    local.overloaded(&self.from.listener, self.worker.index);
                }
            }
        }
        self.log(status, duration, outcome, reason, &scratch.request);
        if self.mirror.is_some() {
            self.end_copy(&scratch.response);
        }
        scratch.response.clear();
        scratch.give();
    }
}
