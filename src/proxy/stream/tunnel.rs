//! The stream of an extended CONNECT (RFC 8441) with an upstream, as a tunnel sees it: bytes both
//! ways.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that was answered with a success.
///
/// It is to be dropped before its lease. Dropped before it was shut down, it is reset with CANCEL,
/// which stands for the reset of a TCP connection (RFC 8441, section 5).
#[derive(Debug)]
pub(crate) struct TunnelStream {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    /// What came and was not read yet.
    data: Bytes,
    is_shut: bool,
}

impl TunnelStream {
    /// Makes one of both sides of a stream; `data` has come already.
    pub(crate) fn new(
        sending: SendStream<Bytes>,
        receiving: RecvStream,
        data: Option<Bytes>,
    ) -> Self {
        Self {
            sending,
            receiving,
            data: data.unwrap_or_default(),
            is_shut: false,
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.data.is_empty() {
            match ready!(this.receiving.poll_data(context)) {
                Some(data) => this.data = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let n = this.data.len().min(buffer.remaining());
        buffer.put_slice(&this.data[..n]);
        this.data.advance(n);
        // It fails only for a stream that is no more, which needs no room.
        let _room = this.receiving.flow_control().release_capacity(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // One byte, and not all: what waits must not claim what others could use.
        self.sending.reserve_capacity(1);
        while self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        // The library raises its claim to what it is given, and sends it as there is room.
        let data = Bytes::copy_from_slice(bytes);
        let sent = self.sending.send_data(data, false);
        Poll::Ready(sent.map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task writes.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        self.is_shut = true;
        let sent = self.sending.send_data(Bytes::new(), true);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}
