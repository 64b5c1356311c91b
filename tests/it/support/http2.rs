//! An HTTP/2 client, by hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::ask::{self, Ask};
use crate::support::message::{End, Message};
use crate::support::wait::within;
use crate::support::websocket::{self, WebSocket};
use crate::support::wire::Stream;

/// A body that a test feeds frame by frame; an error resets the stream.
pub(crate) struct Feed {
    frames: mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>,
    length: Option<u64>,
}

impl Feed {
    /// A body and the end that feeds it; it ends when the sender is dropped.
    pub(crate) fn new() -> (mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>, Self) {
        let (sender, frames) = mpsc::channel(1);
        let length = None;
        (sender, Self { frames, length })
    }

    /// A body of these bytes, without trailers.
    fn whole(bytes: Option<Vec<u8>>) -> Self {
        let (sender, frames) = mpsc::channel(1);
        let length = Some(bytes.as_ref().map_or(0, Vec::len) as u64);
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            let frame = Frame::data(Bytes::from(bytes));
            sender.try_send(Ok(frame)).expect("room for one frame");
        }
        Self { frames, length }
    }
}

impl Body for Feed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.frames.poll_recv(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }
}

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    sender: SendRequest<Feed>,
    driver: JoinHandle<()>,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Speaks HTTP/2 over a TLS stream.
pub(crate) async fn begin(stream: impl Stream + 'static) -> Http2 {
    let shaking = handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = within("an HTTP/2 handshake", shaking)
        .await
        .expect("an HTTP/2 connection");
    let driver = tokio::spawn(async move {
        // How the connection ended is seen by the requests on it.
        connection.await.unwrap_or_default();
    });
    Http2 { sender, driver }
}

impl Http2 {
    /// Sends a request and reads its response whole; panics when there is none.
    pub(crate) async fn ask(&self, ask: &Ask) -> Message {
        self.try_ask(ask).await.expect("a response")
    }

    /// Sends a request and reads its response whole; an error is a stream or connection that
    /// ended before a response.
    pub(crate) async fn try_ask(&self, ask: &Ask) -> hyper::Result<Message> {
        let response = self.open(ask, Feed::whole(ask.body.clone())).await?;
        Ok(whole(response).await)
    }

    /// Gets a path.
    pub(crate) async fn get(&self, path: &str) -> Message {
        self.ask(&ask::get(path)).await
    }

    /// Sends a request with a body that the test feeds, and waits for the response's head.
    pub(crate) async fn open(
        &self,
        ask: &Ask,
        body: Feed,
    ) -> hyper::Result<http::Response<Incoming>> {
        self.send(request(ask, body)).await
    }

    async fn send(&self, request: http::Request<Feed>) -> hyper::Result<http::Response<Incoming>> {
        let mut sender = self.sender.clone();
        within("an HTTP/2 response", async {
            sender.ready().await?;
            sender.send_request(request).await
        })
        .await
    }

    /// Sends an extended CONNECT (RFC 8441) for a WebSocket, and waits for the response's head.
    pub(crate) async fn connect(&self, ask: &Ask) -> hyper::Result<http::Response<Incoming>> {
        self.connect_for("websocket", ask).await
    }

    /// Sends one for another protocol.
    pub(crate) async fn connect_for(
        &self,
        protocol: &'static str,
        ask: &Ask,
    ) -> hyper::Result<http::Response<Incoming>> {
        let mut request = request(
            &ask::method("CONNECT", &ask.path).like(ask),
            Feed::whole(None),
        );
        let protocol = hyper::ext::Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
        self.send(request).await
    }

    /// Opens a WebSocket on a stream.
    pub(crate) async fn websocket(&self, path: &str) -> WebSocket {
        let response = self.connect(&ask::get(path)).await.expect("a response");
        websocket::opened(upgraded(response).await).await
    }

    /// True when the connection takes no further request.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

fn request(ask: &Ask, body: Feed) -> http::Request<Feed> {
    let uri = format!("https://{}{}", ask.host, ask.path);
    let mut request = http::Request::builder()
        .version(http::Version::HTTP_2)
        .method(ask.method.as_str())
        .uri(uri);
    for (name, value) in &ask.fields {
        request = request.header(name, value);
    }
    request.body(body).expect("a request")
}

/// The stream that a successful response to CONNECT opens.
pub(crate) async fn upgraded(response: http::Response<Incoming>) -> TokioIo<Upgraded> {
    assert_eq!(response.status(), 200, "{response:?}");
    let upgrading = within("the stream of a CONNECT", hyper::upgrade::on(response));
    TokioIo::new(upgrading.await.expect("an open stream"))
}

/// Reads a response's body whole.
pub(crate) async fn whole(response: http::Response<Incoming>) -> Message {
    let (head, mut body) = response.into_parts();
    let mut message = Message {
        head: String::new(),
        status: head.status.as_u16(),
        fields: pairs(&head.headers),
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Clean,
    };
    while let Some(frame) = within("a frame", body.frame()).await {
        let Ok(frame) = frame else {
            message.end = End::Cut;
            break;
        };
        match frame.into_data() {
            Ok(data) => message.body.extend(data),
            Err(frame) => message.trailers = pairs(frame.trailers_ref().expect("trailers")),
        }
    }
    message
}

/// Fields as names and values.
fn pairs(fields: &http::HeaderMap) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
