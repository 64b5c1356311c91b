//! One connection of an origin, and the record of what came on all of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::support::message::{End, Message};
use crate::support::wait;
use crate::support::wire::{Stream, Wire};

/// How many bytes of one connection are written down; a large body goes uncounted past it.
const RECORDED: usize = 4 * 1024 * 1024;

/// The record of what an origin got, which tells when there is more.
pub(crate) struct Record {
    inner: Mutex<Recorded>,
    changed: watch::Sender<()>,
    releases: Semaphore,
}

/// What an origin got so far.
#[derive(Default)]
pub(crate) struct Recorded {
    /// The requests, in the order in which their heads came; a body is there once it was read.
    pub(crate) requests: Vec<Message>,
    /// The bytes of each connection.
    pub(crate) connections: Vec<Vec<u8>>,
    /// How many connections are open.
    pub(crate) n_open: usize,
}

/// One connection of an origin.
pub(crate) struct Conversation {
    /// The wire itself.
    pub(crate) wire: Wire,
    record: Arc<Record>,
    last: usize,
    linger: socket2::Socket,
}

impl Record {
    /// Makes an empty record.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
            releases: Semaphore::new(0),
        }
    }

    /// Lets one waiting conversation go on.
    pub(crate) fn release(&self) {
        self.releases.add_permits(1);
    }

    /// Waits until the test lets one go on.
    pub(crate) async fn released(&self) {
        let released = self.releases.acquire();
        let permit = wait::within("a release by the test", released).await;
        permit.expect("the semaphore is never closed").forget();
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Looks at the record.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Recorded) -> T) -> T {
        read(&self.inner.lock().expect("no panic while it was held"))
    }

    /// Changes the record and tells those who wait for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Recorded) -> T) -> T {
        let changed = change(&mut self.inner.lock().expect("no panic while it was held"));
        self.changed.send_replace(());
        changed
    }
}

impl Conversation {
    /// Begins to serve a connection and to write down what comes.
    pub(crate) fn new(stream: TcpStream, record: &Arc<Record>) -> Self {
        stream.set_nodelay(true).expect("an option");
        let linger = SockRef::from(&stream).try_clone().expect("a second handle");
        Self::over(stream, linger, record)
    }

    /// Begins to serve what runs over a socket, of which `linger` is a second handle.
    pub(crate) fn over(
        stream: impl Stream + 'static,
        linger: socket2::Socket,
        record: &Arc<Record>,
    ) -> Self {
        let connection = record.change(|recorded| {
            recorded.connections.push(Vec::new());
            recorded.connections.len() - 1
        });
        let shared = Arc::clone(record);
        let tap = move |bytes: &[u8]| {
            shared.change(|recorded| {
                let kept = &mut recorded.connections[connection];
                let room = RECORDED.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(&bytes[..room]);
            });
        };
        Self {
            wire: Wire::new(stream).tapped(Box::new(tap)),
            record: Arc::clone(record),
            last: 0,
            linger,
        }
    }

    /// Reads the next request with its whole body; nothing when the peer closed.
    pub(crate) async fn request(&mut self) -> Option<Message> {
        let mut request = self.request_head().await?;
        self.body(&mut request).await;
        (request.end == End::Clean).then_some(request)
    }

    /// Reads the next request's head; nothing when the peer closed.
    pub(crate) async fn request_head(&mut self) -> Option<Message> {
        let request = self.wire.head().await?;
        let received = request.clone();
        self.last = self.record.change(|recorded| {
            recorded.requests.push(received);
            recorded.requests.len() - 1
        });
        Some(request)
    }

    /// Reads the body that follows a request's head.
    pub(crate) async fn body(&mut self, request: &mut Message) {
        self.wire.request_body(request).await;
        let (last, kept) = (self.last, request.clone());
        self.record
            .change(|recorded| recorded.requests[last] = kept);
    }

    /// Sends bytes; that the proxy hung up is no concern of an origin.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.try_send(bytes).await.unwrap_or_default();
    }

    /// Answers 200 with a body, or only with its head where the last request was a HEAD.
    pub(crate) async fn ok(&mut self, body: &[u8]) {
        let last = self.last;
        let head_only = self
            .record
            .read(|recorded| recorded.requests[last].method() == "HEAD");
        let length = body.len();
        let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        if !head_only {
            bytes.extend_from_slice(body);
        }
        self.send(bytes).await;
    }

    /// Waits until the test releases it.
    pub(crate) async fn released(&mut self) {
        self.record.released().await;
    }

    /// Closes the connection by a reset.
    pub(crate) fn reset(self) {
        let at_once = Some(Duration::ZERO);
        self.linger.set_linger(at_once).expect("an option");
    }
}
