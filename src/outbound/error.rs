//! Why a question had no answer, and how far it came.
//!
//! No text here holds a path, a query, a field or a body: each may be a secret.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

/// How far a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The host's name was to be turned into addresses.
    Resolve,
    /// A TCP connection was to be opened.
    Connect,
    /// TLS was to be agreed on.
    Tls,
    /// The request was on its way, or the head of its answer was waited for.
    Answer,
    /// The head was there, and the rest of the answer was to come.
    Body,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields are the status that came and what the message names"
)]
pub enum OutboundError {
    /// The host's name has no address that could be found.
    #[error("cannot resolve the host")]
    Resolve(#[source] io::Error),
    /// None of the host's addresses took a connection; the last one's reason.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// There is no TLS: the host is not who it should be, or does not speak it as we do.
    #[error("tls handshake failed")]
    Tls(#[source] io::Error),
    /// The client was made without authorities to trust, and the URL is https.
    #[error("no authorities are known for https")]
    NoTrust,
    /// The request was not sent as a whole.
    #[error("cannot send the request")]
    Send(#[source] hyper::Error),
    /// Instead of an answer came an end, or something that is none.
    #[error("no valid answer")]
    Answer(#[source] hyper::Error),
    /// The answer began and broke off.
    #[error("the answer ({status}) broke off")]
    Cut {
        status: StatusCode,
        #[source]
        source: hyper::Error,
    },
    /// The answer is longer than is read.
    #[error("the answer ({status}) is longer than {limit} bytes")]
    TooLarge { status: StatusCode, limit: usize },
    /// The time for all of it was over.
    #[error("{stage} took too long: {} ms are over", limit.as_millis())]
    TimedOut {
        stage: Stage,
        limit: Duration,
        /// What the answer said, if its head had come.
        status: Option<StatusCode>,
    },
}

impl OutboundError {
    /// How far it came.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Resolve(_) => Stage::Resolve,
            Self::Connect(_) => Stage::Connect,
            Self::Tls(_) | Self::NoTrust => Stage::Tls,
            Self::Send(_) | Self::Answer(_) => Stage::Answer,
            Self::Cut { .. } | Self::TooLarge { .. } => Stage::Body,
            Self::TimedOut { stage, .. } => *stage,
        }
    }

    /// The status of the answer, when its head had come: the other side has decided by then.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Cut { status, .. } | Self::TooLarge { status, .. } => Some(*status),
            Self::TimedOut { status, .. } => *status,
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::NoTrust
            | Self::Send(_)
            | Self::Answer(_) => None,
        }
    }

    /// The error and its causes in one line.
    pub fn in_a_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors say what their cause says.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resolve => "resolving the host",
            Self::Connect => "connecting",
            Self::Tls => "the tls handshake",
            Self::Answer => "the answer",
            Self::Body => "the rest of the answer",
        })
    }
}
