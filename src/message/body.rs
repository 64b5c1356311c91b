//! The one body type where a body is not relayed between two sockets: HTTP/2, and own answers.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use thiserror::Error as ThisError;

/// Why a body ended before its end.
#[derive(Debug, ThisError)]
#[error("body cut short")]
pub struct BodyError(#[source] pub Box<dyn Error + Send + Sync>);

/// A body: nothing, bytes at hand, or a stream that somebody else drives; or what takes its place.
///
/// It is not `Send`: an exchange stays on its worker.
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes, once.
    Full(Bytes),
    /// Nothing more of the message: its connection, or its stream, becomes a tunnel, which this
    /// runs once the head is sent.
    Tunnel(Pin<Box<dyn Future<Output = ()>>>),
    /// Frames as they come.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Tunnel(_) => true,
            Self::Full(_) => false,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Tunnel(_) => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
