//! The control plane's own HTTP client: one request, one answer, and an end to it in any case.
//!
//! Whoever asks says what to send, how long all of it may take and how much of an answer is read.
//! A connection serves one request and is closed: the control plane asks seldom, and a connection
//! that was kept open is one that may have died unseen. Redirects are not followed: a secret goes
//! to whom it was meant for. This module does not know who asks, nor why.

mod client;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod signature;
#[cfg(test)]
mod tests;
mod url;

pub use client::{Answer, Client, Limits, Request, trust};
pub use error::{OutboundError, Stage};
pub use signature::SigningKey;
pub use url::{Url, UrlError};
