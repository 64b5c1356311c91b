//! What the copy of a request is told of its exchange.

use crate::message::{ResponseHead, Tap};
use crate::proxy::exchange::Exchange;
use crate::telemetry::stats::Source;

impl Exchange {
    /// What watches the request's body from its beginning, if anybody does.
    #[inline]
    pub(crate) fn request_tap(&self) -> Tap {
        match &self.mirror {
            Some(copy) => copy.request_tap(),
            None => Tap::default(),
        }
    }

    /// What watches the body of the upstream's response from its beginning, if anybody does.
    #[inline]
    pub(crate) fn response_tap(&self) -> Tap {
        match &self.mirror {
            Some(copy) => copy.response_tap(),
            None => Tap::default(),
        }
    }

    /// Lets the copy follow the request, which is about to be sent.
    #[cold]
    pub(in crate::proxy::exchange) fn dispatch_copy(&self) {
        if let (Some(copy), Some(assigned), Some(route)) =
            (&self.mirror, self.assigned, self.route())
        {
            copy.dispatched(route.variants[assigned.served].upstream);
        }
    }

    /// Tells the copy how the exchange has ended.
    #[cold]
    pub(in crate::proxy::exchange) fn end_copy(&mut self, response: &ResponseHead) {
        let Some(copy) = self.mirror.take() else {
            return;
        };
        copy.abandon();
        if self.complete && self.error.is_none() && self.source == Source::Upstream {
            copy.answered(response, self.grpc);
        }
    }
}
