//! Exchanges whose request goes out on a stream of HTTP/2, which it shares a connection with.
//!
//! `call` is the stream itself, `upload` a request's body on its way there; `from_http1` and
//! `from_http2` are the two kinds of clients. Bodies go from one side's flow control into the
//! other's: no side is read from faster than the other takes.

mod call;
mod coming;
mod download;
pub(crate) mod from_http1;
pub(crate) mod from_http2;
mod head;
mod request;
mod trailers;
mod upload;

pub(crate) use call::{Answer, Call};
pub(crate) use coming::Coming;
pub(crate) use request::Request;
pub(crate) use trailers::Dropped;
pub(crate) use upload::{Part, Upload};
