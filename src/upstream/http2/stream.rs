//! A stream in use by one exchange.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Error, Reason, SendStream};
use http::Request;

use crate::upstream::http2::link::Link;
use crate::upstream::{Pool, pool};

/// The right to open a stream on a connection, which counts as under way until it is dropped; to
/// be dropped after the handles of the stream, whose end it notes.
#[derive(Debug)]
pub struct StreamLease {
    link: Rc<Link>,
    pool: Rc<Pool>,
    /// How long it took to connect, if that was done for this exchange.
    connected_in: Option<Duration>,
    /// Bytes of the connection when the stream was opened.
    read: u64,
    written: u64,
}

impl StreamLease {
    pub(crate) fn new(pool: &Rc<Pool>, link: Rc<Link>, connected_in: Option<Duration>) -> Self {
        pool.begin();
        link.begin_stream();
        Self {
            read: link.meter().read(),
            written: link.meter().written(),
            link,
            pool: Rc::clone(pool),
            connected_in,
        }
    }

    /// Opens the stream with a request's head; `is_whole` when nothing follows it.
    ///
    /// # Errors
    /// When the connection takes no stream any more, which says that nothing was sent; or when the
    /// head is none that HTTP/2 could say.
    pub fn open(
        &mut self,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Error> {
        self.read = self.link.meter().read();
        self.written = self.link.meter().written();
        self.link.open(request, is_whole)
    }

    /// True when the endpoint takes CONNECT with a protocol (RFC 8441).
    pub fn takes_extended_connect(&self) -> bool {
        self.link.takes_extended_connect()
    }

    /// True when the connection had been there already, so that the endpoint may have closed it
    /// meanwhile.
    pub fn was_reused(&self) -> bool {
        self.connected_in.is_none()
    }

    /// How long it took to connect, if it was connected for this exchange.
    pub fn connected_in(&self) -> Option<Duration> {
        self.connected_in
    }

    /// True when nothing has left on the connection since the stream was opened.
    pub fn is_unsent(&self) -> bool {
        self.link.meter().written() == self.written
    }

    /// The number of its connection; a later one with the same endpoint has a greater number.
    pub fn connection_number(&self) -> u64 {
        self.link.number
    }

    /// The pool that it is from.
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Notes that the endpoint did not answer in time. When it has said nothing at all on the
    /// connection, that is to get no further streams.
    pub fn timed_out(&self) {
        if self.link.meter().read() == self.read {
            self.link.distrust();
        }
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.pool.end();
        let is_last = self.link.end_stream();
        if let pool::Wire::Http2(connections) = self.pool.wire() {
            connections.ended(&self.link, is_last);
        }
    }
}

/// True when an error says that the endpoint has not processed the request and never will, so that
/// it may be sent again whatever it asks for (RFC 9113, section 8.7).
///
/// After GOAWAY an error is given only to streams beyond the last one that the endpoint named.
pub fn was_not_processed(error: &Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}
