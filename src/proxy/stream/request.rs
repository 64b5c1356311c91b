//! The body of a request that an HTTP/1 client sends, on its way into a stream of HTTP/2.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;

use crate::http1::{Connection, Incoming, Outgoing, Pump};
use crate::message::{Framing, Known, Limits, RequestHead, Tap, Version};
use crate::proxy::stream::trailers::Dropped;
use crate::proxy::stream::{Part, Upload};
use crate::proxy::trailers::read_trailers;
use crate::proxy::trouble::Trouble;
use crate::proxy::unread::Unread;
use crate::tls::Stream;

/// A request's body, which outlives an attempt that came to nothing.
#[derive(Debug)]
pub(crate) struct Request {
    /// Reads it from the client.
    pump: Pump,
    /// Sends it on.
    pub(crate) upload: Upload,
    /// True while the client waits to be told to send it.
    pub(crate) expects: bool,
}

impl Request {
    /// Makes the one of a request of which nothing but the head was read, of `body_bytes` at most.
    pub(crate) fn new(
        head: &RequestHead,
        limits: &Limits,
        body_bytes: Option<u64>,
        dropped: Dropped,
        tap: Tap,
    ) -> Self {
        let incoming = Incoming::new(head.framing, limits);
        let expects = head.framing != Framing::None
            && head.version == Version::Http11
            && head.known(Known::Expect).next().is_some();
        Self {
            pump: Pump::new(incoming, Outgoing::Raw, body_bytes).with_tap(tap),
            upload: Upload::new(head.framing, body_bytes).without_trailers(dropped),
            expects,
        }
    }

    /// True when there is none, so that the request can go to an HTTP/1 upstream as well.
    pub(crate) fn is_empty(&self) -> bool {
        self.upload.is_empty()
    }

    /// True when all of it was read from the client.
    pub(crate) fn is_read(&self) -> bool {
        self.pump.is_read()
    }

    /// Sends what there is of it.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Connection<Stream>,
        to: &mut SendStream<Bytes>,
    ) -> Poll<Result<(), Trouble>> {
        let Self { pump, upload, .. } = self;
        upload.poll(context, to, |context| poll_part(context, pump, from))
    }

    /// What is left of it when its exchange is answered by somebody else.
    pub(crate) fn into_unread(self) -> Unread {
        Unread::Rest(Box::new(self.pump))
    }
}

/// Reads the next piece of a request's body from the client.
fn poll_part(
    context: &mut Context<'_>,
    pump: &mut Pump,
    connection: &mut Connection<Stream>,
) -> Poll<Result<Part, Trouble>> {
    let mut data = Vec::new();
    ready!(pump.poll_decode(context, connection, &mut data)).map_err(Trouble::Upload)?;
    let trailers = pump.trailers();
    if !data.is_empty() {
        let is_last = pump.is_read() && trailers.is_empty();
        return Poll::Ready(Ok(Part::Data(Bytes::from(data), is_last)));
    }
    let trailers = Some(read_trailers(trailers)).filter(|map| !map.is_empty());
    Poll::Ready(Ok(Part::End(trailers)))
}
