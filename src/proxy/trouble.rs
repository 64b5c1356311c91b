//! Trouble on a wire, before it is known what it means for the exchange.

use std::io;

use crate::http1::{PumpError, ReadError};
use crate::proxy::Error;
use crate::tls::Fault;

/// What went wrong on one of the two connections.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// With the request's body.
    Upload(PumpError),
    /// With the response's body.
    Download(PumpError),
    /// The upstream closed before a response.
    Closed,
    /// The upstream's response has no head that can be read.
    Read(ReadError),
    /// The upstream's stream of HTTP/2 ended before a response.
    Stream(h2::Error),
    /// The upstream switched protocols, and nobody had asked for it.
    Unasked,
    /// The upstream answered well, and did not open the WebSocket that was asked for.
    NotOpened,
    /// The upstream sent 1xx and no end of it.
    Endless,
    /// The upstream's answer has a status after which another attempt is made.
    Unwanted,
    /// The upstream said nothing in time.
    Silent,
    /// The client's body did not come in time.
    SlowClient,
}

impl Trouble {
    /// True when the client is to blame, so that no answer of the upstream's is waited for.
    pub(crate) fn is_the_clients(&self) -> bool {
        match self {
            Self::Upload(error) => !matches!(error, PumpError::Write(_)),
            Self::Download(error) => matches!(error, PumpError::Write(_)),
            Self::SlowClient => true,
            Self::Closed
            | Self::Read(_)
            | Self::Stream(_)
            | Self::Unasked
            | Self::NotOpened
            | Self::Endless
            | Self::Unwanted
            | Self::Silent => false,
        }
    }

    /// What it means for the exchange.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Upload(PumpError::Read(_) | PumpError::Cut) => Error::ClientClosed,
            Self::Upload(PumpError::TooLarge) => Error::BodyTooLarge,
            Self::Upload(error @ PumpError::Chunk(_)) => Error::BadBody(error),
            Self::Upload(PumpError::Write(error)) => {
                Error::UpstreamReset(Some(ReadError::Io(error)))
            }
            Self::Download(PumpError::Write(_)) => Error::ClientClosed,
            Self::Download(error) => Error::Truncated(Some(error)),
            Self::Closed => Error::UpstreamReset(None),
            Self::Read(ReadError::Head(error)) => Error::UpstreamProtocol(Some(error)),
            Self::Read(ReadError::Io(source)) if let Some(fault) = Fault::of(&source) => {
                Error::UpstreamTls { fault, source }
            }
            Self::Read(error) => Error::UpstreamReset(Some(error)),
            // What the library itself finds wrong is what the upstream sent.
            Self::Stream(error) if error.is_library() => Error::UpstreamProtocol(None),
            Self::Stream(error) => {
                let text = error.to_string();
                let error = error.into_io().unwrap_or_else(|| io::Error::other(text));
                match Fault::of(&error) {
                    Some(fault) => Error::UpstreamTls {
                        fault,
                        source: error,
                    },
                    None => Error::UpstreamReset(Some(ReadError::Io(error))),
                }
            }
            Self::Unasked | Self::Endless => Error::UpstreamProtocol(None),
            Self::NotOpened => Error::NotOpened,
            // Another attempt follows, so that it is not asked for.
            Self::Unwanted => Error::Unavailable,
            Self::Silent => Error::ResponseTimeout,
            Self::SlowClient => Error::ClientTimeout,
        }
    }
}
