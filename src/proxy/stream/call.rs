//! A stream with an upstream, from the request's head to the response's.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::Request;

use crate::http1::codec::Asked;
use crate::listener::ConnectStream;
use crate::message::ResponseHead;
use crate::proxy::Error;
use crate::proxy::attempt::Failure;
use crate::proxy::retry::{self, Failed, Left, Next, is_idempotent};
use crate::proxy::stream::head::read_response;
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::RetryCause;
use crate::upstream::{RetryKind, StreamLease};

/// A stream that was opened with a request's head. Dropped before its end, it is reset with CANCEL.
#[derive(Debug)]
pub(crate) struct Call {
    response: ResponseFuture,
    /// Takes the request's body.
    pub(crate) sending: SendStream<Bytes>,
    /// Ends after the handles above: it notes that the stream has ended.
    pub(crate) lease: StreamLease,
}

/// What came of waiting for a head.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A 1xx; another head follows.
    Interim,
    /// The final head; the body comes by this.
    Final(RecvStream),
}

impl Call {
    /// Opens a stream; `is_whole` when nothing follows the request's head.
    ///
    /// # Errors
    /// When the connection takes no stream any more; then nothing was sent.
    pub(crate) fn open(
        mut lease: StreamLease,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<Self, Error> {
        match lease.open(request, is_whole) {
            Ok((response, sending)) => Ok(Self {
                response,
                sending,
                lease,
            }),
            Err(error) => Err(Trouble::Stream(error).into_error()),
        }
    }

    /// Ends the sending side of a stream that was to be a tunnel, and is none: so it ends without a
    /// reset, of which servers allow a connection only so many.
    pub(crate) fn no_tunnel(&mut self) {
        // It fails only for a stream that is no more.
        let _ended = self.sending.send_data(Bytes::new(), true);
    }

    /// What a tunnel needs of it, once it was answered: `receiving` is what comes of the answer, and
    /// `first` has come already. The stream is to be dropped before its lease.
    pub(crate) fn into_tunnel(
        self,
        receiving: RecvStream,
        first: Option<Bytes>,
    ) -> (ConnectStream, StreamLease) {
        let stream = ConnectStream::new(self.sending, receiving, first);
        (stream, self.lease)
    }

    /// Waits for a head, and reads it into `head`.
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        asked: Asked,
        head: &mut ResponseHead,
    ) -> Poll<Result<Answer, Trouble>> {
        let read = |parts: &http::response::Parts, is_whole, head: &mut ResponseHead| {
            read_response(parts, is_whole, asked, head)
                .map_err(|error| Trouble::Read(crate::http1::ReadError::Head(error)))
        };
        match self.response.poll_informational(context) {
            Poll::Ready(Some(Ok(response))) => {
                let (parts, ()) = response.into_parts();
                return Poll::Ready(read(&parts, false, head).and_then(|()| {
                    // RFC 9113, section 8.6: there is no 101 in HTTP/2.
                    if head.is_interim() {
                        Ok(Answer::Interim)
                    } else {
                        Err(Trouble::Unasked)
                    }
                }));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Trouble::Stream(error))),
            Poll::Ready(None) | Poll::Pending => {}
        }
        match Pin::new(&mut self.response).poll(context) {
            Poll::Ready(Ok(response)) => {
                let (parts, body) = response.into_parts();
                let read = read(&parts, body.is_end_stream(), head);
                Poll::Ready(read.map(|()| Answer::Final(body)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Trouble::Stream(error))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Decides what follows a connection that took no stream any more: another takes its place, as of one
/// that turned out to be closed.
pub(crate) fn not_opened(left: Left, error: Error) -> Failure {
    if left.replaces() {
        Failure::Stale(RetryCause::Unsent)
    } else if left.has(RetryKind::Unsent) {
        Failure::Again(RetryCause::Unsent)
    } else {
        Failure::Final(error)
    }
}

/// Decides what follows an attempt on a stream that came to nothing.
///
/// What was on a connection that had been there before, the endpoint may have closed meanwhile.
pub(crate) fn next(
    trouble: &Trouble,
    lease: &StreamLease,
    left: Left,
    method: &[u8],
    is_replayable: bool,
) -> Next {
    let is_io = matches!(trouble, Trouble::Stream(error) if error.is_io());
    let failed = Failed {
        trouble,
        is_stale: is_io && lease.was_reused(),
        is_unsent: lease.is_unsent(),
        is_idempotent: is_idempotent(method),
        is_replayable,
    };
    retry::next(left, &failed)
}
