//! What the deliverer needs of the world: somebody who asks, a clock and dice.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method;

use crate::notify::render::Outgoing;
use crate::notify::sink::Sink;
use crate::notify::work::Work;
use crate::outbound::{Answer, Limits, OutboundError, Request};

/// The most of an answer that is read: those that say why are short.
const MAX_ANSWER: usize = 64 << 10;

/// The world.
pub struct Edge {
    /// Sends a request to a sink.
    #[expect(clippy::type_complexity, reason = "it is said once")]
    pub ask: Box<dyn Fn(Arc<Sink>, Outgoing) -> Work<Result<Answer, OutboundError>> + Send + Sync>,
    /// Tells the time.
    pub now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// Draws a number from 0 to 1.
    pub random: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Edge {
    /// The real one.
    pub fn real() -> Self {
        Self {
            ask: Box::new(|sink, outgoing| Work::new(ask(sink, outgoing))),
            now: Box::new(SystemTime::now),
            random: Box::new(random),
        }
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Edge").finish_non_exhaustive()
    }
}

async fn ask(sink: Arc<Sink>, outgoing: Outgoing) -> Result<Answer, OutboundError> {
    let below = outgoing.below.and_then(|path| sink.url.below(path).ok());
    let request = Request {
        method: Method::POST,
        url: below.as_ref().unwrap_or(&sink.url),
        fields: outgoing.fields,
        body: outgoing.body,
    };
    let limits = Limits {
        time: sink.timeout,
        answer: MAX_ANSWER,
    };
    sink.client.ask(request, limits).await
}

/// A number from 0 to 1; without dice the middle, which is as good as any for one machine.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}
