//! WebSockets, by tokio-tungstenite: a client, and the echo that an origin makes.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::wait::within;
use crate::support::wire::{Stream, Wire};

/// An open WebSocket.
pub(crate) struct WebSocket {
    inner: WebSocketStream<Box<dyn Stream>>,
}

/// Opens a WebSocket over a stream.
pub(crate) async fn open(stream: impl Stream + 'static, path: &str) -> WebSocket {
    let request = format!("ws://edge.test{path}")
        .into_client_request()
        .expect("a request");
    let stream: Box<dyn Stream> = Box::new(stream);
    let opening = tokio_tungstenite::client_async(request, stream);
    let (inner, _) = within("a WebSocket handshake", opening)
        .await
        .expect("a WebSocket");
    WebSocket { inner }
}

/// Uses a stream on which the handshake is done.
pub(crate) async fn opened(stream: impl Stream + 'static) -> WebSocket {
    let stream: Box<dyn Stream> = Box::new(stream);
    let inner = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    WebSocket { inner }
}

/// Sends every text back, until the peer closes.
pub(crate) async fn serve(wire: Wire) {
    let (stream, rest) = wire.into_parts();
    let mut socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        // A close is answered by tungstenite itself.
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}

impl WebSocket {
    /// Sends a text and returns the text that comes back.
    pub(crate) async fn echo(&mut self, text: &str) -> String {
        self.send(text).await;
        self.next().await.expect("a message")
    }

    /// Sends a text.
    pub(crate) async fn send(&mut self, text: &str) {
        let sending = self.inner.send(Message::text(text));
        within("sending a message", sending)
            .await
            .expect("an open WebSocket");
    }

    /// Waits for the next text; nothing when the WebSocket ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            match within("a message", self.inner.next()).await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Closes it in good order.
    pub(crate) async fn close(mut self) {
        within("closing", self.inner.close(None))
            .await
            .expect("a closing handshake");
        while self.next().await.is_some() {}
    }
}
