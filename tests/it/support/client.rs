//! HTTP/1 clients: over TCP and over TLS, byte by byte or request by request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::support::ask::{self, Ask};
use crate::support::message::Message;
use crate::support::wait::{self, within};
use crate::support::wire::{Stream, Wire};

/// A connection on which one request follows the other.
pub(crate) struct Client {
    /// The wire itself, for what [`Client::ask`] does not do.
    pub(crate) wire: Wire,
}

/// Connects over TCP.
pub(crate) async fn connect(address: SocketAddr) -> Client {
    over(tcp(address).await)
}

/// Connects from an address of its own, such as `127.0.0.7`, so that the proxy sees a client of
/// that address.
pub(crate) async fn connect_from(source: &str, address: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    let source = SocketAddr::new(source.parse().expect("an address"), 0);
    socket.bind(source).expect("all of 127/8 is this machine");
    let stream = within("connecting", socket.connect(address)).await;
    over(stream.expect("a connection"))
}

/// Uses a stream that is open.
pub(crate) fn over(stream: impl Stream + 'static) -> Client {
    Client {
        wire: Wire::new(stream),
    }
}

/// Opens a TCP connection.
pub(crate) async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = within("connecting", TcpStream::connect(address))
        .await
        .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Opens a TLS connection to `name`; an error is a handshake that was refused.
pub(crate) async fn tls(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connecting = TlsConnector::from(config).connect(name, tcp(address).await);
    within("a TLS handshake", connecting).await
}

/// Sends one request on a connection of its own.
pub(crate) async fn once(address: SocketAddr, ask: &Ask) -> Message {
    connect(address).await.ask(ask).await
}

/// Sends raw bytes on a connection of its own and reads all that comes back until its end.
pub(crate) async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = connect(address).await;
    // Whoever refuses may do so before it has read all.
    client.wire.try_send(bytes).await.unwrap_or_default();
    client.wire.rest().await
}

impl Client {
    /// Sends a request and reads the final response to it.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Message {
        self.wire.send(ask.http1()).await;
        self.answer(&ask.method).await
    }

    /// Sends a request likewise; when the response is the connection's last, the next one goes on
    /// a new one.
    pub(crate) async fn ask_on(&mut self, address: SocketAddr, ask: &Ask) -> Message {
        let answer = self.ask(ask).await;
        if answer.field("connection") == Some("close") {
            *self = connect(address).await;
        }
        answer
    }

    /// Gets a path.
    pub(crate) async fn get(&mut self, path: &str) -> Message {
        self.ask(&ask::get(path)).await
    }

    /// Reads the final response to a request that was sent before, past the interim ones.
    pub(crate) async fn answer(&mut self, method: &str) -> Message {
        loop {
            let response = self.wire.response(method).await;
            if !matches!(response.status, 102..200 | 100) {
                return response;
            }
        }
    }

    /// Sends the same bytes at every tick until there is an answer.
    pub(crate) async fn drip(&mut self, bytes: &str, period: Duration) -> Message {
        let mut ticks = tokio::time::interval(period);
        wait::until("an answer while it drips", async || {
            ticks.tick().await;
            // Whoever answers may close his side at the same time.
            self.wire.try_send(bytes).await.unwrap_or_default();
            self.wire.poll().await
        })
        .await;
        self.answer("GET").await
    }
}
