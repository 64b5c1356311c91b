//! Origins: HTTP/1 servers on raw sockets that write down the exact bytes of what they get.
//!
//! What an origin does with a connection is a function over a [`Conversation`]; the usual ones have
//! a name here. Everything stops, and every connection closes, when the origin is dropped.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::support::conversation::{Conversation, Record, Recorded};
use crate::support::message::Message;
use crate::support::wait;
use crate::support::websocket;

/// A running origin.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    record: Arc<Record>,
    accepting: AbortHandle,
}

/// Starts an origin that does `serve` with each connection.
pub(crate) async fn serving<F>(serve: impl Fn(Conversation) -> F + Send + 'static) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    serving_at(any, serve).await
}

/// Starts an origin at an address that was another one's before.
async fn serving_at<F>(
    address: SocketAddr,
    serve: impl Fn(Conversation) -> F + Send + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    accepting_at(address, move |stream, record| {
        serve(Conversation::new(stream, record))
    })
    .await
}

/// Starts an origin at an address that does `serve` with each connection that is accepted.
pub(crate) async fn accepting_at<F>(
    address: SocketAddr,
    serve: impl Fn(TcpStream, &Arc<Record>) -> F + Send + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let record = Arc::new(Record::new());
    let shared = Arc::clone(&record);
    let accepting = tokio::spawn(async move {
        let mut conversations = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            shared.change(|recorded| recorded.n_open += 1);
            let serving = serve(stream, &shared);
            let record = Arc::clone(&shared);
            conversations.spawn(async move {
                serving.await;
                record.change(|recorded| recorded.n_open -= 1);
            });
        }
    });
    Origin {
        address,
        record,
        accepting: accepting.abort_handle(),
    }
}

/// Answers every request with 200 and this body.
pub(crate) async fn answering(body: impl Into<Vec<u8>>) -> Origin {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    answering_at(any, body).await
}

/// Answers likewise at an address that was another origin's before.
pub(crate) async fn answering_at(address: SocketAddr, body: impl Into<Vec<u8>>) -> Origin {
    let body = Arc::new(body.into());
    serving_at(address, move |mut conversation| {
        let body = Arc::clone(&body);
        async move {
            while conversation.request().await.is_some() {
                conversation.ok(&body).await;
            }
        }
    })
    .await
}

/// Tells every client to go on with its body, not before it is released, and sends that back.
pub(crate) async fn continuing() -> Origin {
    serving(|mut conversation| async move {
        while let Some(mut request) = conversation.request_head().await {
            conversation.released().await;
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            conversation.body(&mut request).await;
            conversation.ok(&request.body).await;
        }
    })
    .await
}

/// Answers every request with 200 and this body, those for `/hold` not before they are released.
pub(crate) async fn held(body: &'static str) -> Origin {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    held_at(any, body).await
}

/// Answers likewise at a certain address.
pub(crate) async fn held_at(address: SocketAddr, body: &'static str) -> Origin {
    serving_at(address, move |mut conversation| async move {
        while let Some(request) = conversation.request().await {
            if request.target() == "/hold" {
                conversation.released().await;
            }
            conversation.ok(body.as_bytes()).await;
        }
    })
    .await
}

/// Answers every request with exactly these bytes, and keeps the connection.
pub(crate) async fn raw(bytes: impl Into<Vec<u8>>) -> Origin {
    let bytes = Arc::new(bytes.into());
    serving(move |mut conversation| {
        let bytes = Arc::clone(&bytes);
        async move {
            while conversation.request().await.is_some() {
                conversation.send(bytes.as_slice()).await;
            }
        }
    })
    .await
}

/// Answers the first request of each connection with exactly these bytes and closes.
pub(crate) async fn raw_then_close(bytes: impl Into<Vec<u8>>) -> Origin {
    let bytes = Arc::new(bytes.into());
    serving(move |mut conversation| {
        let bytes = Arc::clone(&bytes);
        async move {
            if conversation.request().await.is_some() {
                conversation.send(bytes.as_slice()).await;
                conversation.wire.finish().await;
                conversation.wire.rest().await;
            }
        }
    })
    .await
}

/// Answers every request with its own body.
pub(crate) async fn echo() -> Origin {
    serving(|mut conversation| async move {
        while let Some(request) = conversation.request().await {
            conversation.ok(&request.body).await;
        }
    })
    .await
}

/// Reads requests and never answers.
pub(crate) async fn silent() -> Origin {
    serving(|mut conversation| async move { while conversation.request().await.is_some() {} }).await
}

/// Upgrades every request to a WebSocket that sends back what it gets.
pub(crate) async fn websocket() -> Origin {
    serving(upgrade).await
}

/// Upgrades a connection at its first request likewise.
pub(crate) async fn upgrade(mut conversation: Conversation) {
    if open_websocket(&mut conversation, "").await.is_some() {
        websocket::serve(conversation.wire).await;
    }
}

/// Reads a request and opens the WebSocket that it asks for, with these further fields in the answer.
pub(crate) async fn open_websocket(
    conversation: &mut Conversation,
    fields: &str,
) -> Option<Message> {
    let request = conversation.request().await?;
    let key = request.field("sec-websocket-key").unwrap_or_default();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\n{fields}\r\n"
    );
    conversation.send(head).await;
    Some(request)
}

/// An address that refuses connections for as long as this value lives: bound, not listening.
pub(crate) struct Refusing {
    /// The address.
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

/// Takes an address that refuses connections.
pub(crate) fn refusing() -> Refusing {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a port");
    let address = socket.local_addr().expect("an address");
    Refusing {
        address,
        _socket: socket,
    }
}

/// An address that neither accepts nor refuses: its queue of connections is full.
pub(crate) struct Unreachable {
    /// The address.
    pub(crate) address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

/// Takes an address where connecting gets no answer, as with a host that drops packets.
pub(crate) fn unreachable() -> Unreachable {
    let new = || {
        let kind = socket2::Type::STREAM;
        socket2::Socket::new(socket2::Domain::IPV4, kind, None).expect("a socket")
    };
    let listener = new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a port");
    listener.listen(0).expect("a queue of one");
    let local = listener.local_addr().expect("an address");
    let address = local.as_socket().expect("of IPv4");
    // The kernel takes one or two more than it was told; after those it drops the first packet.
    let queued = (0..8).map(|_| {
        let socket = new();
        socket.set_nonblocking(true).expect("an option");
        // It is under way or in the queue; both are what is wanted.
        socket.connect(&address.into()).unwrap_or_default();
        socket
    });
    let queued = queued.collect();
    Unreachable {
        address,
        _listener: listener,
        _queued: queued,
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Origin {
    /// Stops it: its port is closed, and so are its connections.
    pub(crate) async fn stop(self) {
        let address = self.address;
        drop(self);
        wait::until("the origin stops", async || {
            TcpStream::connect(address).await.is_err()
        })
        .await;
    }

    /// Lets go on whatever of its conversations waits in [`Conversation::released`], now or later,
    /// once.
    pub(crate) fn release(&self) {
        self.record.release();
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.record.read(|recorded| recorded.requests.clone())
    }

    /// How many requests there were so far.
    pub(crate) fn n_requests(&self) -> usize {
        self.record.read(|recorded| recorded.requests.len())
    }

    /// The only request so far; panics when there is none, or another one.
    pub(crate) fn request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "not one request: {requests:#?}");
        requests.remove(0)
    }

    /// How many connections there were so far.
    pub(crate) fn n_connections(&self) -> usize {
        self.record.read(|recorded| recorded.connections.len())
    }

    /// How many connections are open.
    pub(crate) fn n_open(&self) -> usize {
        self.record.read(|recorded| recorded.n_open)
    }

    /// Every byte that came on any connection so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.record.read(|recorded| recorded.connections.concat())
    }

    /// Waits until there were this many requests.
    pub(crate) async fn received(&self, n: usize) {
        self.reached("requests at the origin", |recorded| {
            recorded.requests.len() >= n
        })
        .await;
    }

    /// Waits until the bytes of all connections are as `condition` says.
    pub(crate) async fn got(&self, what: &str, condition: impl Fn(&[u8]) -> bool) {
        self.reached(what, |recorded| condition(&recorded.connections.concat()))
            .await;
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        self.reached("no connection at the origin", |recorded| {
            recorded.n_open == 0
        })
        .await;
    }

    async fn reached(&self, what: &str, condition: impl Fn(&Recorded) -> bool) {
        let mut changed = self.record.changes();
        let waiting = async {
            while !self.record.read(&condition) {
                changed.changed().await.expect("the record is alive");
            }
        };
        wait::within(what, waiting).await;
    }
}
