//! A response's body as it comes by a stream of HTTP/2.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;

use crate::http1::PumpError;
use crate::message::Tap;
use crate::proxy::stream::Part;
use crate::proxy::stream::trailers::Dropped;

/// A response's body as it comes.
#[derive(Debug)]
pub(crate) struct Coming {
    response: RecvStream,
    /// What came with the head.
    first: Option<Bytes>,
    /// Bytes still to come, if that was told.
    left: Option<u64>,
    body_bytes: u64,
    dropped: Dropped,
    /// Who watches the body.
    tap: Tap,
}

impl Coming {
    /// Makes one of a body of so many bytes, if that was told, that may have begun to come; trailers
    /// that are dropped are left out.
    pub(crate) fn new(
        response: RecvStream,
        first: Option<Bytes>,
        left: Option<u64>,
        dropped: Dropped,
    ) -> Self {
        Self {
            response,
            first,
            left,
            body_bytes: 0,
            dropped,
            tap: Tap::default(),
        }
    }

    /// Lets somebody watch the body.
    pub(crate) fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = tap;
        self
    }

    /// Bytes of body so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Bytes still to come, if that was told.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Waits for the next piece; once it is taken, the endpoint may send more.
    ///
    /// # Errors
    /// When it breaks off, or is of another length than was told.
    pub(crate) fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<Part, PumpError>> {
        let response = &mut self.response;
        let part = match self.first.take() {
            Some(data) => Part::Data(data, response.is_end_stream()),
            None => match ready!(poll_response(context, response))? {
                Part::End(trailers) => {
                    Part::End(trailers.and_then(|trailers| self.dropped.clean(trailers)))
                }
                data @ Part::Data(..) => data,
            },
        };
        let is_last = match &part {
            Part::Data(data, is_last) => {
                // It fails only for a stream that is no more, which needs no room.
                let _room = response.flow_control().release_capacity(data.len());
                let n = data.len() as u64;
                self.body_bytes += n;
                self.tap.see(data);
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(n).ok_or(PumpError::TooLarge)?;
                }
                *is_last
            }
            Part::End(_) => true,
        };
        if is_last && self.left.is_some_and(|left| left > 0) {
            return Poll::Ready(Err(PumpError::Cut));
        }
        Poll::Ready(Ok(part))
    }
}

/// Reads the next piece of a response's body from its stream.
fn poll_response(
    context: &mut Context<'_>,
    response: &mut RecvStream,
) -> Poll<Result<Part, PumpError>> {
    let failed = |error| PumpError::Read(io::Error::other(error));
    if let Some(data) = ready!(response.poll_data(context)) {
        let data = data.map_err(failed)?;
        let is_last = response.is_end_stream();
        return Poll::Ready(Ok(Part::Data(data, is_last)));
    }
    let trailers = ready!(response.poll_trailers(context)).map_err(failed)?;
    Poll::Ready(Ok(Part::End(trailers)))
}
