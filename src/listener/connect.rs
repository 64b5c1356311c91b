//! The stream of an extended CONNECT (RFC 8441) of HTTP/2: a tunnel for bytes both ways, once it is
//! answered with 200. With a client and with an upstream it is the same.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream of an extended CONNECT that has not been answered; it comes with the request, among
/// its extensions.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Both are on one worker; the lock is for extensions, which must be fit for any thread.
    sides: Arc<Mutex<Sides>>,
}

#[derive(Debug)]
struct Sides {
    receiving: Option<RecvStream>,
    /// Is there once it was answered with 200.
    sending: Option<SendStream<Bytes>>,
}

impl Connect {
    /// Makes it of the side that receives.
    pub(crate) fn new(receiving: RecvStream) -> Self {
        Self {
            sides: Arc::new(Mutex::new(Sides {
                receiving: Some(receiving),
                sending: None,
            })),
        }
    }

    /// Notes that it was answered with 200.
    pub(crate) fn answered(&self, sending: SendStream<Bytes>) {
        self.with(|sides| sides.sending = Some(sending));
    }

    /// The tunnel, once it was answered with 200; `None` for a client that took it back before.
    pub fn open(self) -> Option<ConnectStream> {
        let (sending, receiving) =
            self.with(|sides| Some((sides.sending.take()?, sides.receiving.take()?)))?;
        Some(ConnectStream::new(sending, receiving, None))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Sides) -> T) -> T {
        look(&mut self.sides.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The stream of an extended CONNECT that was answered with 200.
///
/// Dropped before it was shut down, it is reset with CANCEL, which stands for the reset of a TCP
/// connection (RFC 8441, section 5).
#[derive(Debug)]
pub struct ConnectStream {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    /// What came and was not read yet.
    data: Bytes,
    is_shut: bool,
}

impl ConnectStream {
    /// Makes it of both sides of a stream; `data` has come already.
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

    /// Fails once the peer has reset the stream, or is gone, also while nothing is to be sent.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_shut && self.sending.poll_reset(context).is_ready() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for ConnectStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check(context)?;
        while this.data.is_empty() {
            match ready!(this.receiving.poll_data(context)) {
                Some(Ok(data)) => this.data = data,
                // After its own end a peer may let go of the stream.
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
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

impl AsyncWrite for ConnectStream {
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

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task writes.
        Poll::Ready(self.check(context))
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
