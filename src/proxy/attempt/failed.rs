//! The end of an attempt that brought no response, and what follows it.

use std::rc::Rc;

use crate::proxy::attempt::{Attempt, Failure};
use crate::proxy::retry::{self, Failed, is_idempotent};
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::{CloseReason, RetryCause};
use crate::upstream::Pool;

impl Attempt<'_, '_> {
    /// Ends an attempt on a connection that turned out to be closed.
    pub(crate) fn give_up_stale(self) {
        self.lease.close(CloseReason::Upstream);
    }

    /// Ends an attempt that another one follows; tells where it was made.
    pub(crate) fn give_up_for(self, cause: RetryCause) -> Rc<Pool> {
        let pool = Rc::clone(self.lease.pool());
        self.lease.close(match cause {
            RetryCause::Status => CloseReason::Abandoned,
            _ => CloseReason::Error,
        });
        pool
    }

    /// True while all of the request that was read is there still, and the client was told nothing.
    fn is_replayable(&self) -> bool {
        self.replayable && self.interim.sent() == 0
    }

    /// Tells whether the request is sent again after a failure.
    pub(in crate::proxy::attempt) fn classify(&mut self, trouble: Trouble) -> Failure {
        let is_silent = retry::is_silent(&trouble, self.lease.connection().inbox());
        let failed = Failed {
            trouble: &trouble,
            is_stale: is_silent && self.lease.was_reused(),
            is_unsent: self.upload.written() == 0,
            is_idempotent: is_idempotent(self.exchange.request().method()),
            is_replayable: self.is_replayable(),
        };
        let next = retry::next(self.target.left, &failed);
        self.exchange.followed(next, self.lease.pool(), trouble)
    }
}
