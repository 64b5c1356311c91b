//! WebSockets of HTTP/2 clients (RFC 8441), in front of HTTP/1 origins: how they open.
//!
//! What passes through them is in `websocket_h2_tunnel`.

use std::fmt::Write;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::frames::{Event, Frames, Outcome};
use crate::support::http2;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::tunnel::CONNECT;

/// RFC 8441, section 3: SETTINGS_ENABLE_CONNECT_PROTOCOL.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

async fn in_front_of(origin: Origin) -> (Origin, Proxy) {
    let proxy = proxy::start(&config::to(origin.address).http2_too()).await;
    (origin, proxy)
}

#[tokio::test]
async fn a_websocket_passes_over_http_2_as_browsers_open_it() {
    let origin = origin::websocket().await;
    let secure = secure::start(&config::to(origin.address)).await;
    let client = secure.http2().await;
    let mut socket = client.websocket("/ws?room=1").await;
    for n in 0..100 {
        let text = format!("message {n}");
        assert_eq!(socket.echo(&text).await, text);
    }
    let large = "x".repeat(1_000_000);
    assert_eq!(socket.echo(&large).await, large);
    let got = origin.request();
    assert_eq!(got.first_line(), "GET /ws?room=1 HTTP/1.1");
    assert_eq!(got.field("host"), Some("edge.test"));
    assert_eq!(got.field("upgrade"), Some("websocket"));
    assert_eq!(got.field("sec-websocket-version"), Some("13"));
    let key = got.field("sec-websocket-key").unwrap_or_default();
    assert!(key.len() == 24 && key.ends_with("=="), "{}", got.head);
    assert_eq!(got.field("x-forwarded-proto"), Some("https"));
    assert_eq!(got.field("via"), Some("2.0 tidegate"));
    assert!(!got.head.contains("protocol"), "{}", got.head);
    socket.close().await;
    origin.all_closed().await;
    // The connection goes on.
    assert!(!client.is_closed());
}

#[tokio::test]
async fn every_connection_says_that_it_takes_extended_connect() {
    let (_origin, proxy) = in_front_of(origin::websocket().await).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    client.request_head(1, &CONNECT).await;
    assert_eq!(client.event(1).await, Event::Head(200, false));
    assert_eq!(client.setting(ENABLE_CONNECT_PROTOCOL), Some(1));
}

#[tokio::test]
async fn each_websocket_has_a_key_of_its_own_and_the_clients_is_not_passed_on() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    let forged = "dGhlIHNhbXBsZSBub25jZQ==";
    let ask = ask::get("/ws")
        .field("sec-websocket-key", forged)
        .field("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for _ in 0..2 {
        let response = client.connect(&ask).await.expect("a response");
        assert_eq!(response.status(), 200);
    }
    let requests = origin.requests();
    let keys: Vec<_> = requests
        .iter()
        .map(|got| got.values("sec-websocket-key"))
        .collect();
    assert_eq!((keys[0].len(), keys[1].len()), (1, 1), "{keys:?}");
    assert_ne!(keys[0], keys[1]);
    assert!(!keys.concat().contains(&forged), "{keys:?}");
    let field = requests[0].field("sec-websocket-accept");
    assert_eq!(field, None);
}

#[tokio::test]
async fn subprotocols_extensions_and_other_fields_pass_both_ways() {
    let origin = origin::serving(|mut conversation| async move {
        let fields = "sec-websocket-protocol: chat\r\nx-origin: 1\r\n\
                      sec-websocket-extensions: permessage-deflate\r\n";
        origin::open_websocket(&mut conversation, fields).await;
        conversation.wire.rest().await;
    })
    .await;
    let (origin, proxy) = in_front_of(origin).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    let ask = ask::get("/ws")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-protocol", "chat, superchat")
        .field("sec-websocket-extensions", "permessage-deflate")
        .field("origin", "https://edge.test")
        .field("cookie", "a=1")
        .field("cookie", "b=2");
    let response = client.connect(&ask).await.expect("a response");
    assert_eq!(response.status(), 200);
    let field = |name: &str| {
        response
            .headers()
            .get(name)
            .map(http::HeaderValue::as_bytes)
    };
    assert_eq!(field("sec-websocket-protocol"), Some(&b"chat"[..]));
    let extensions = field("sec-websocket-extensions");
    assert_eq!(extensions, Some(&b"permessage-deflate"[..]));
    assert_eq!(field("x-origin"), Some(&b"1"[..]));
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert_eq!(field(name), None, "{response:?}");
    }
    let got = origin.request();
    assert_eq!(got.values("sec-websocket-version"), ["13"]);
    assert_eq!(got.field("sec-websocket-protocol"), Some("chat, superchat"));
    assert_eq!(got.field("origin"), Some("https://edge.test"));
    assert_eq!(got.field("cookie"), Some("a=1; b=2"));
}

#[tokio::test]
async fn it_is_matched_and_divided_as_the_get_that_it_would_be() {
    let plain_origin = origin::answering("no websocket").await;
    let old = origin::websocket().await;
    let new = origin::websocket().await;
    let keys = "match = { methods = [\"GET\"], headers = { upgrade = \"websocket\" } }\n\
                sticky = { keys = [\"header:u\"] }\nforce = { header = \"x-variant\" }";
    let config = config::to(plain_origin.address)
        .upstream("old", &[old.address])
        .upstream("new", &[new.address])
        .split_route("sockets", keys, &[("old", 1), ("new", 1)]);
    let proxy = proxy::start(&config.http2_too()).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    assert_eq!(client.get("/ws").await.text(), "no websocket");
    // Where a user goes by HTTP/1 it goes by HTTP/2.
    let mut by_http1 = Vec::new();
    for user in 0..20 {
        let before = new.n_requests();
        let ask = ask::get("/ws")
            .field("u", user.to_string())
            .field("connection", "upgrade")
            .field("upgrade", "websocket");
        let mut http1 = proxy.connect().await;
        http1.wire.send(ask.http1()).await;
        http1.wire.head().await.expect("an answer");
        by_http1.push(new.n_requests() > before);
    }
    for (user, is_new) in by_http1.iter().enumerate() {
        let before = new.n_requests();
        let ask = ask::get("/ws").field("u", user.to_string());
        let response = client.connect(&ask).await.expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(new.n_requests() > before, *is_new, "user {user}");
    }
    assert!(by_http1.contains(&true) && by_http1.contains(&false));
    let before = new.n_requests();
    let forced = ask::get("/ws").field("x-variant", "new");
    assert_eq!(
        client.connect(&forced).await.expect("a response").status(),
        200
    );
    assert_eq!(new.n_requests(), before + 1);
}

#[tokio::test]
async fn an_answer_without_a_websocket_is_passed_on_as_it_is() {
    for (head, status) in [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
        (
            "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno",
            426,
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 2\r\n\r\nno",
            302,
        ),
        (
            "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            500,
        ),
    ] {
        let (_origin, proxy) = in_front_of(origin::raw(head).await).await;
        let client = http2::begin(client::tcp(proxy.http()).await).await;
        for _ in 0..2 {
            let response = client.connect(&ask::get("/ws")).await.expect("a response");
            let answer = http2::whole(response).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, "no"));
        }
        assert_eq!(client.get("/").await.status, status);
    }
}

#[tokio::test]
async fn an_answer_that_would_open_what_is_no_websocket_is_502() {
    let accept = "sec-websocket-accept: {accept}\r\n";
    let connection = "connection: upgrade\r\n";
    let upgrade = "upgrade: websocket\r\n";
    for (head, fields) in [
        ("101 Switching Protocols", [connection, upgrade, ""]),
        ("101 Switching Protocols", [connection, "", accept]),
        ("101 Switching Protocols", ["", upgrade, accept]),
        (
            "101 Switching Protocols",
            [connection, "upgrade: h2c\r\n", accept],
        ),
        (
            "101 Switching Protocols",
            [
                connection,
                upgrade,
                "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            ],
        ),
        // To the client any success opens the tunnel (RFC 9113, section 8.5).
        ("200 OK", ["content-length: 2\r\n", "", ""]),
        ("204 No Content", ["", "", ""]),
    ] {
        let fields = fields.concat();
        let told = format!("HTTP/1.1 {head}\r\n{fields}\r\n");
        let origin = origin::serving(move |mut conversation| {
            let told = told.clone();
            async move {
                let Some(request) = conversation.request().await else {
                    return;
                };
                let key = request.field("sec-websocket-key").unwrap_or_default();
                let accept =
                    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
                conversation.send(told.replace("{accept}", &accept)).await;
                conversation.wire.rest().await;
            }
        })
        .await;
        let (origin, proxy) = in_front_of(origin).await;
        let client = http2::begin(client::tcp(proxy.http()).await).await;
        let response = client.connect(&ask::get("/ws")).await.expect("a response");
        let answer = http2::whole(response).await;
        assert_eq!(answer.status, 502, "{head} {fields}: {}", answer.text());
        // What came over that connection is nobody's any more.
        origin.all_closed().await;
        let errors = [("reason", "upstream_protocol_error")];
        assert_eq!(
            proxy.metrics().await.sum("tidegate_errors_total", &errors),
            1.0
        );
    }
}

#[tokio::test]
async fn other_protocols_and_plain_connect_are_refused() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let client = http2::begin(client::tcp(proxy.http()).await).await;
    for protocol in ["connect-udp", "connect-ip", "webtransport", "h2c"] {
        let response = client.connect_for(protocol, &ask::get("/ws")).await;
        let answer = http2::whole(response.expect("a response")).await;
        assert_eq!(answer.status, 501, "{protocol}");
        assert!(answer.text().contains("not websocket"), "{}", answer.text());
    }
    let mut frames = Frames::begin(client::tcp(proxy.http()).await).await;
    let tunnel = [(":method", "CONNECT"), (":authority", "edge.test:443")];
    frames.request_head(1, &tunnel).await;
    assert_eq!(frames.outcome(1).await, Outcome::Status(405));
    // A name of a protocol has no case (RFC 9110, section 7.8).
    let response = client.connect_for("WebSocket", &ask::get("/ws")).await;
    assert_eq!(response.expect("a response").status(), 200);
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn a_malformed_extended_connect_is_refused() {
    let (origin, proxy) = in_front_of(origin::websocket().await).await;
    let reset = Outcome::Reset(1);
    let bad = Outcome::Status(400);
    let without = |name: &str| -> Vec<_> {
        let fields = CONNECT.iter().copied();
        fields.filter(|(known, _)| *known != name).collect()
    };
    let with = |name, value| [&CONNECT[..], &[(name, value)]].concat();
    let as_if = |name: &'static str, value| [&without(name)[..], &[(name, value)][..]].concat();
    let mut wrong = String::new();
    for (fields, expected) in [
        (without(":scheme"), reset),
        (without(":path"), reset),
        (without(":authority"), bad),
        (as_if(":scheme", "ws"), bad),
        (as_if(":path", "*"), bad),
        (as_if(":path", "/\u{e9}"), bad),
        (as_if(":authority", "user@edge.test"), bad),
        (with("connection", "upgrade"), reset),
        (with("upgrade", "websocket"), reset),
        (with("transfer-encoding", "chunked"), reset),
        (with("host", "other.test"), bad),
        (with(":protocol", "websocket"), reset),
        (with("x-a", " b"), bad),
        (with("content-length", "5"), reset),
    ] {
        let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
        client.request_head(1, &fields).await;
        let outcome = client.outcome(1).await;
        if outcome != expected {
            writeln!(wrong, "{fields:?} became {outcome:?}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(String::from_utf8_lossy(&origin.bytes()), "");
}
