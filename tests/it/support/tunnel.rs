//! WebSockets by hand, of clients of either version: what is in their frames is nobody's business
//! here.

use crate::support::ask::{self, Ask};
use crate::support::client::{self, Client};
use crate::support::frames::{Event, Frames};
use crate::support::proxy::Proxy;

/// RFC 6455, section 1.3: a key, and what answers it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What HTTP/2 asks with (RFC 8441).
pub(crate) const CONNECT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/ws"),
    (":authority", "edge.test"),
];

/// RFC 9113, section 7: what stands for the reset of a TCP connection (RFC 8441, section 5).
pub(crate) const CANCEL: u32 = 8;

/// What HTTP/1.1 asks with, but for the key.
pub(crate) fn keyless() -> Ask {
    ask::get("/ws")
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-protocol", "chat")
}

/// What HTTP/1.1 asks with.
pub(crate) fn upgrade() -> Ask {
    keyless().field("sec-websocket-key", KEY)
}

/// Opens a tunnel by HTTP/1.1.
pub(crate) async fn http1(proxy: &Proxy) -> Client {
    let mut client = proxy.connect().await;
    client.wire.send(upgrade().http1()).await;
    let answer = client.wire.head().await.expect("an answer");
    assert_eq!(answer.first_line(), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("Upgrade"));
    assert_eq!(answer.values("sec-websocket-accept"), [ACCEPT]);
    client
}

/// Opens a tunnel by HTTP/2, on stream 1 of a connection of its own.
pub(crate) async fn http2(proxy: &Proxy) -> Frames {
    let mut client = asked(proxy).await;
    assert_eq!(client.event(1).await, Event::Head(200, false));
    client
}

/// Asks for a tunnel by HTTP/2.
pub(crate) async fn asked(proxy: &Proxy) -> Frames {
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    client.request_head(1, &CONNECT).await;
    client
}

/// A tunnel, whichever version its client speaks.
pub(crate) enum Tunnel {
    Http1(Client),
    Http2(Frames),
}

/// Opens one of each.
pub(crate) async fn both(proxy: &Proxy) -> [Tunnel; 2] {
    [
        Tunnel::Http1(http1(proxy).await),
        Tunnel::Http2(http2(proxy).await),
    ]
}

impl Tunnel {
    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(client) => client.wire.send(bytes).await,
            Self::Http2(client) => client.data(1, bytes).await,
        }
    }

    /// Ends the writing side.
    pub(crate) async fn finish(&mut self) {
        match self {
            Self::Http1(client) => client.wire.finish().await,
            Self::Http2(client) => client.last_data(1, b"").await,
        }
    }

    /// Reads these bytes, and nothing else.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        let got = match self {
            Self::Http1(client) => client.wire.take(bytes.len()).await,
            Self::Http2(client) => {
                let mut got = Vec::new();
                while got.len() < bytes.len() {
                    match client.event(1).await {
                        Event::Data(data, false) => got.extend(data),
                        other => panic!("{other:?} after {got:?}"),
                    }
                }
                got
            }
        };
        assert!(got == bytes, "{}", String::from_utf8_lossy(&got));
    }

    /// Waits for the end of what comes, in order, with nothing before it.
    pub(crate) async fn ended(&mut self) {
        match self {
            Self::Http1(client) => client.wire.ended().await,
            Self::Http2(client) => {
                assert_eq!(client.event(1).await, Event::Data(Vec::new(), true));
            }
        }
    }
}

/// Waits until so many tunnels of the route `all` have ended so, and none is open.
pub(crate) async fn counted(proxy: &Proxy, end: &str, n: f64) {
    let labels = [("route", "all"), ("end", end)];
    proxy
        .counted(&format!("tunnels ended: {end}"), |metrics| {
            metrics.sum("tidegate_tunnels_total", &labels) == n
                && metrics.sum("tidegate_tunnels_open", &[("route", "all")]) == 0.0
        })
        .await;
}
