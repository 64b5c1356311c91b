//! What follows an attempt that brought no response.

use crate::proxy::attempt::Failure;
use crate::proxy::stream::call::next;
use crate::proxy::stream::from_http1::Attempt;
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::RetryCause;

impl Attempt<'_, '_> {
    /// True while all of the request that was read is there still, and the client was told nothing:
    /// once it was, it is this endpoint's.
    fn is_replayable(&self) -> bool {
        self.request.upload.is_replayable() && self.interim.sent() == 0
    }

    /// True when another attempt is made for the status of the answer.
    pub(in crate::proxy::stream::from_http1) fn wants_another(&self) -> bool {
        let status = self.exchange.response().status;
        self.target.left.has_status(status)
            && self.is_replayable()
            && self
                .exchange
                .may_retry(self.call.lease.pool(), RetryCause::Status)
    }

    /// Tells whether the request is sent again after a failure.
    pub(in crate::proxy::stream::from_http1) fn classify(&self, trouble: Trouble) -> Failure {
        let lease = &self.call.lease;
        let method = self.exchange.request().method();
        let is_replayable = self.is_replayable();
        let next = next(&trouble, lease, self.target.left, method, is_replayable);
        self.exchange.followed(next, lease.pool(), trouble)
    }
}
