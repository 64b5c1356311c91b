//! The end of an exchange, which comes exactly once: it is counted, and logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::proxy::Error;
use crate::proxy::error::Side;
use crate::proxy::exchange::class::{self, Seen};
use crate::proxy::exchange::{Assigned, Exchange};
use crate::proxy::grpc;
use crate::telemetry::stats::{
    Class, ErrorReason, Finished, FlagStats, Outcome, RetryCause, Selection, Source,
};

/// What has become of an exchange.
#[derive(Clone, Copy)]
struct Fate {
    outcome: Outcome,
    class: Class,
    /// Why it did not go as it should, if so.
    reason: Option<ErrorReason>,
}

impl Exchange {
    /// What has become of it, given the status that the client got.
    #[inline]
    fn fate(&self, status: u16) -> Fate {
        let is_plain = self.error.is_none()
            && self.grpc.is_none()
            && self.rescued.is_none()
            && self.source == Source::Upstream
            && status < 400
            && self.assigned.is_some_and(|to| to.served == to.variant);
        // Nearly all are.
        if is_plain {
            return Fate {
                outcome: Outcome::Success,
                class: Class::Ok,
                reason: None,
            };
        }
        self.fate_in_full(status)
    }

    #[cold]
    fn fate_in_full(&self, status: u16) -> Fate {
        let rescued = self.rescued.and_then(|cause| match cause {
            RetryCause::Connect => Some(ErrorReason::ConnectFailure),
            RetryCause::Unsent | RetryCause::Reset | RetryCause::Refused => {
                Some(ErrorReason::UpstreamReset)
            }
            RetryCause::Timeout => Some(ErrorReason::ResponseTimeout),
            // An answer of the upstream's is none of what goes wrong here.
            RetryCause::Status => None,
        });
        Fate {
            outcome: self.outcome(status),
            class: class::of(&Seen {
                error: self.error.as_ref(),
                rescued: self.rescued,
                stood_in: self.assigned.is_some_and(|to| to.served != to.variant),
                source: self.source,
                status,
                grpc: self.grpc,
            }),
            reason: self.error.as_ref().map(Error::reason).or(rescued),
        }
    }

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

    #[inline]
    fn finished(
        &self,
        assigned: Assigned,
        status: u16,
        duration: Duration,
        fate: Fate,
    ) -> Finished {
        Finished {
            code: status,
            source: self.source,
            selection: assigned.selection,
            outcome: fate.outcome,
            class: fate.class,
            slice: assigned.slice,
            duration,
            response_headers: self.response_headers,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            error: fate.reason,
        }
    }

    /// Counts what its end says of variants of flags that it had, unless its own variant was forced:
    /// those who do so are none of the users.
    fn judge<'a>(&self, flags: impl Iterator<Item = &'a Arc<FlagStats>>, finished: &Finished) {
        if finished.selection != Selection::Forced {
            flags.for_each(|stats| stats.finished(self.worker.index, finished));
        }
    }

    /// Counts that it has become a tunnel which is open now: it is judged by its handshake.
    pub(crate) fn opened(&self) {
        if let (Some(shard), Some(assigned), Some(status)) =
            (self.shard(), self.assigned, self.status)
        {
            let duration = self.started.elapsed();
            let finished = self.finished(assigned, status, duration, self.fate(status));
            shard.finish(&finished);
            let flags = self.tunnel.iter().flat_map(|tunnel| &tunnel.flags);
            self.judge(flags, &finished);
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
        let fate = self.fate(status);
        if let Some(call) = self.grpc {
            self.ended_as_call(call, fate.outcome);
        }
        match self.assigned {
            // It was counted when it opened.
            Some(_) if self.tunnel.is_some() => {
                if let Some(shard) = self.shard() {
                    shard.passed(self.request_bytes, self.response_bytes);
                }
            }
            Some(assigned) => {
                if let Some(shard) = self.shard() {
                    let finished = self.finished(assigned, status, duration, fate);
                    shard.finish(&finished);
                    if self.exposures.is_some() {
                        self.judge(self.flags(), &finished);
                    }
                }
            }
            None => {
                let local = self.local();
                local.unrouted(&self.from.listener, self.worker.index, status);
                if fate.reason == Some(ErrorReason::Overload) {
                    local.overloaded(&self.from.listener, self.worker.index);
                }
            }
        }
        self.log(
            status,
            duration,
            fate.outcome,
            fate.reason,
            &scratch.request,
        );
        if self.mirror.is_some() {
            self.end_copy(&scratch.response);
        }
        scratch.response.clear();
        scratch.give();
    }
}
