//! A connection as a stream of bytes, with or without TLS, whichever end of it we are.

use std::io::{self, IoSlice, Write};
use std::net;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::http1::{Sink, Wire};
use crate::ring;
use crate::telemetry::stats::{Handshake, KeyExchange, TlsSession, TlsVersion};
use crate::tls::{Acceptor, Fault, HandshakeError};

/// How long a client that is refused may take to hear of it, and how much it may still send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// A connection, of a client or with an upstream.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// As it is, over the worker's ring.
    Ring(ring::Stream),
    /// With TLS; in a box because it is a kilobyte, and plain connections should not pay for it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Does the server's side of a TLS handshake, `within` a time.
    ///
    /// # Errors
    /// When the handshake fails or takes longer; the connection is closed then.
    pub async fn handshake(
        tcp: TcpStream,
        acceptor: &Acceptor,
        within: Duration,
    ) -> Result<Self, HandshakeError> {
        let accepting = TlsAcceptor::from(Arc::clone(&acceptor.config)).accept(tcp);
        match timeout(within, accepting.into_fallible()).await {
            Ok(Ok(stream)) => Ok(Self::Tls(Box::new(stream.into()))),
            Ok(Err((error, tcp))) => {
                if Fault::of(&error).is_some() {
                    // When it takes longer, the client has had its time.
                    let _heard = timeout(LINGER, linger(tcp)).await;
                }
                Err(HandshakeError::Failed(error))
            }
            Err(_) => Err(HandshakeError::TooSlow),
        }
    }

    /// The protocol that the handshake agreed on by ALPN (RFC 7301), such as `h2`, if it did.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) | Self::Ring(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// What the handshake agreed on; none without TLS.
    pub fn agreed(&self) -> Option<Handshake> {
        let Self::Tls(stream) = self else { return None };
        let (_, tls) = stream.get_ref();
        Some(Handshake {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
                _ => TlsVersion::Tls12,
            },
            session: match tls.handshake_kind() {
                Some(HandshakeKind::Resumed) => TlsSession::Resumed,
                _ => TlsSession::New,
            },
            // The groups that outlive quantum computers are those that TLS 1.2 does not have. Who
            // resumes a session of TLS 1.2 exchanges no keys, and goes on with such as it had.
            key_exchange: match tls.negotiated_key_exchange_group() {
                Some(group) if !group.usable_for_version(ProtocolVersion::TLSv1_2) => {
                    KeyExchange::PostQuantum
                }
                _ => KeyExchange::Classical,
            },
        })
    }

    /// The certificate that the peer has proved to be its own, if it showed one.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Plain(_) | Self::Ring(_) => None,
            Self::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// Takes a plain connection that was accepted or made by this worker: over its ring, if it has
    /// one.
    ///
    /// # Errors
    /// When the socket cannot be had from, or given to, what waits for it.
    pub fn plain(tcp: TcpStream) -> io::Result<Self> {
        if ring::is_on() {
            return Ok(Self::Ring(ring::Stream::new(tcp.into_std()?)));
        }
        Ok(Self::Plain(tcp))
    }

    /// Takes a plain connection that nothing waits for yet, and that does not block: over this
    /// worker's ring, if it has one.
    ///
    /// # Errors
    /// When the socket cannot be given to what waits for it.
    pub fn accepted(socket: net::TcpStream) -> io::Result<Self> {
        if ring::is_on() {
            return Ok(Self::Ring(ring::Stream::new(socket)));
        }
        TcpStream::from_std(socket).map(Self::Plain)
    }

    /// Takes note from now on of what the peer says, for [`Stream::is_silent`].
    pub fn watch(&self) {
        match self {
            // The reactor does so anyway.
            Self::Plain(_) | Self::Tls(_) => {}
            Self::Ring(stream) => stream.watch(),
        }
    }

    /// True while the peer has neither closed nor said anything: a connection that waits for its
    /// next request is as it should be.
    ///
    /// The reactor notes what comes when it comes, so that this is no system call.
    pub fn is_silent(&mut self) -> bool {
        match self {
            Self::Plain(stream) => {
                let answer = stream.try_read(&mut [0]);
                matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Ring(stream) => stream.is_silent(),
            // What TLS says for itself, such as a ticket for the next session, is not said to us.
            Self::Tls(stream) => {
                let mut byte = [0];
                let mut context = Context::from_waker(Waker::noop());
                let read = Pin::new(stream.as_mut());
                read.poll_read(&mut context, &mut ReadBuf::new(&mut byte))
                    .is_pending()
            }
        }
    }

    /// Polls for room for bytes that need not leave before the next flush: with TLS they are put
    /// into records, and those leave when they are many.
    ///
    /// # Errors
    /// What the stream below says.
    pub fn poll_write_later(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Ring(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => loop {
                let mut writer = match stream.as_mut() {
                    TlsStream::Client(stream) => stream.get_mut().1.writer(),
                    TlsStream::Server(stream) => stream.get_mut().1.writer(),
                };
                let n = writer.write_vectored(slices)?;
                if n > 0 {
                    return Poll::Ready(Ok(n));
                }
                // It holds as much as it may.
                ready!(Pin::new(stream.as_mut()).poll_flush(context))?;
            },
        }
    }

    /// Makes the connection's close a reset, so that a client which takes the end of the connection
    /// for the end of the body (RFC 9112, section 6.3) does not take a cut body for a whole one.
    /// What was written and has not left yet is lost.
    pub fn abort(&self) {
        // It fails only where there is no connection any more.
        let _ = match self {
            Self::Plain(stream) => stream.set_zero_linger(),
            Self::Ring(stream) => stream.set_zero_linger(),
            Self::Tls(stream) => stream.get_ref().0.set_zero_linger(),
        };
    }
}

/// Ends the sending side, and lets a client that was told why it is refused finish what it is
/// sending: closing on it would be a reset, which could overtake the alert. In TLS 1.3 a client
/// sends its request before it knows whether its certificate is taken.
async fn linger(mut tcp: TcpStream) {
    let mut n_bytes = 0;
    let mut bytes = [0; 4096];
    if tcp.shutdown().await.is_ok() {
        while let Ok(n @ 1..) = tcp.read(&mut bytes).await
            && n_bytes < LINGER_BYTES
        {
            n_bytes += n;
        }
    }
}

impl Wire for Stream {
    fn source(&mut self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Ring(stream) => stream.source(),
            Self::Tls(_) => None,
        }
    }

    fn sink(&self) -> Option<Sink<'_>> {
        match self {
            Self::Plain(stream) => Some(Sink::Reactor(stream)),
            Self::Ring(stream) => Some(Sink::Ring(stream)),
            Self::Tls(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Ring(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Ring(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Ring(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Ring(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Ring(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Ring(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::version::TLS13;
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;

    use crate::tls::fixture::{Files, client, server};
    use crate::tls::{HandshakeError, Stream};

    const WITHIN: Duration = Duration::from_secs(10);

    /// Two ends of a connection: the client's, and the one that was accepted.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_through_tls() {
        let files = Files::new();
        let server = server(vec![files.pair("a", &["a.test"])]);
        let (near, far) = connection().await;
        let connector = TlsConnector::from(Arc::new(client(&[&TLS13], &["h2"])));
        let name = ServerName::try_from("a.test").unwrap();
        let (client, stream) = tokio::join!(
            connector.connect(name, near),
            Stream::handshake(far, &server, WITHIN)
        );
        let (mut client, mut stream) = (client.unwrap(), stream.unwrap());
        assert_eq!(stream.alpn(), Some(&b"h2"[..]));
        assert!(stream.is_write_vectored());

        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");

        stream.write_all(b"pong").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        // It ends well only after a close_notify (RFC 8446, section 6.1).
        client.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"pong");
    }

    #[tokio::test]
    async fn a_client_that_speaks_no_tls_is_refused() {
        let files = Files::new();
        let server = server(vec![files.pair("a", &["a.test"])]);
        let (mut near, far) = connection().await;
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let error = Stream::handshake(far, &server, WITHIN).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Failed(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let files = Files::new();
        let server = server(vec![files.pair("a", &["a.test"])]);
        let (mut near, far) = connection().await;
        let error = Stream::handshake(far, &server, WITHIN).await.unwrap_err();
        assert!(matches!(error, HandshakeError::TooSlow));
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_aborted_connection_does_not_look_finished() {
        let (mut near, far) = connection().await;
        let mut stream = Stream::Plain(far);
        assert_eq!(stream.alpn(), None);
        stream.write_all(b"half").await.unwrap();
        let mut bytes = [0; 4];
        near.read_exact(&mut bytes).await.unwrap();
        stream.abort();
        drop(stream);
        let error = near.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
