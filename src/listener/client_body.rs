//! A request's body as it comes by a stream of HTTP/2.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Error, Reason, RecvStream};
use http_body::{Body, Frame};

/// A request's body, of a client that speaks HTTP/2.
///
/// What was taken of it makes room for more: who takes nothing keeps the client from sending.
#[derive(Debug)]
pub struct ClientBody {
    /// `None` for a stream that is to become a tunnel.
    stream: Option<RecvStream>,
    /// True once only trailers may follow.
    is_read: bool,
}

impl ClientBody {
    /// Makes one of a stream, or one of nothing.
    pub(crate) fn new(stream: Option<RecvStream>) -> Self {
        Self {
            stream,
            is_read: false,
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        if !this.is_read {
            match ready!(stream.poll_data(context)) {
                Some(Ok(data)) => {
                    // It fails only for a stream that is no more, which needs no room.
                    let _room = stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(given_up(error)),
                None => this.is_read = true,
            }
        }
        Poll::Ready(match ready!(stream.poll_trailers(context)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => given_up(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }
}

/// A reset without an error says that the rest is not needed (RFC 9113, section 8.1).
fn given_up(error: Error) -> Option<Result<Frame<Bytes>, Error>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error))
}
