//! WebSockets that clients of either version open at upstreams that speak HTTP/2 (RFC 8441).

use h2::Reason;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::ask::{self, Ask};
use crate::support::certs;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::frames::Event;
use crate::support::http2;
use crate::support::http2_origin;
use crate::support::message::{End, Message};
use crate::support::origin::Origin;
use crate::support::proxy::{self, Proxy};
use crate::support::tunnel::{self, KEY, keyless, upgrade};
use crate::support::wait;

fn to(origin: &Origin) -> Config {
    config::to(origin.address)
        .upstream_keys("only", "protocol = \"h2\"")
        .http2_too()
}

/// What an HTTP/2 client gets for an extended CONNECT that opens nothing.
async fn connect(proxy: &Proxy, ask: &Ask) -> Message {
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    let response = http2.connect(ask).await.expect("a response");
    http2::whole(response).await
}

/// The line of the access log.
async fn logged(proxy: &Proxy) -> Value {
    let mut line = Value::Null;
    wait::until("a line of the log", async || {
        let text = proxy.process.stdout();
        line = text.lines().next().map_or(Value::Null, |line| {
            serde_json::from_str(line).expect("a line of JSON")
        });
        line != Value::Null
    })
    .await;
    line
}

#[tokio::test]
async fn an_upgrade_of_http_1_becomes_an_extended_connect() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    drop(tunnel::http1(&proxy).await);
    let got = origin.request();
    assert_eq!(got.first_line(), "CONNECT /ws");
    assert_eq!(got.field(":protocol"), Some("websocket"));
    assert_eq!(got.field(":scheme"), Some("http"));
    assert_eq!(got.field(":authority"), Some("edge.test"));
    assert_eq!(got.field("sec-websocket-version"), Some("13"));
    assert_eq!(got.field("via"), Some("1.1 tidegate"));
    for name in ["sec-websocket-key", "upgrade", "connection", "host"] {
        assert_eq!(got.field(name), None, "{got:?}");
    }
}

#[tokio::test]
async fn an_extended_connect_stays_one() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    drop(tunnel::http2(&proxy).await);
    let got = origin.request();
    assert_eq!(got.first_line(), "CONNECT /ws");
    assert_eq!(got.field(":protocol"), Some("websocket"));
    assert_eq!(got.field("sec-websocket-version"), Some("13"));
    assert_eq!(got.field("sec-websocket-key"), None);
    assert_eq!(got.field("via"), Some("2.0 tidegate"));
}

#[tokio::test]
async fn subprotocols_extensions_and_other_fields_pass_both_ways() {
    const FIELDS: [(&str, &str); 3] = [
        ("sec-websocket-protocol", "chat"),
        (
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("x-other", "1"),
    ];
    let origin = http2_origin::connecting(|mut turn| async move {
        let key = [("sec-websocket-accept", "of no key"), ("x-more", "2")];
        turn.head(200, &[&FIELDS[..], &key].concat());
        turn.whole().await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let with = |ask: Ask| {
        let ask = ask.field(FIELDS[1].0, FIELDS[1].1);
        ask.field("x-other", "1")
    };
    let mut http1 = proxy.connect().await;
    http1.wire.send(with(upgrade()).http1()).await;
    let answer = http1.wire.head().await.expect("an answer");
    assert_eq!(answer.status, 101);
    assert_eq!(answer.values("sec-websocket-accept"), [tunnel::ACCEPT]);

    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    let ask = with(ask::get("/ws").field("sec-websocket-protocol", "chat"));
    let response = http2.connect(&ask).await.expect("a response");
    assert_eq!(response.status(), 200);
    let fields = response.headers();
    assert_eq!(fields.get("sec-websocket-accept"), None);
    for (name, value) in FIELDS {
        assert_eq!(answer.field(name), Some(value));
        assert_eq!(fields[name], value);
        for got in origin.requests() {
            assert_eq!(got.field(name), Some(value));
        }
    }
    assert_eq!(
        (answer.field("x-more"), &fields["x-more"]),
        (Some("2"), &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn with_tls_it_asks_for_https() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let authority = certs::authority();
    proxy::replace(&dir.path().join("ca.pem"), &authority.pem);
    let tls = authority.pair(&["127.0.0.1"]).server(&["h2"]);
    let origin = http2_origin::serving_tls(tls, |mut turn| async move {
        turn.head(200, &[]);
        turn.whole().await;
        turn.last_data(b"that is all").await;
    })
    .await;
    let config = to(&origin).upstream_keys("only", "tls = { ca = \"ca.pem\" }");
    let proxy = proxy::start_in(dir, &config).await;
    let mut client = tunnel::http1(&proxy).await;
    client.wire.finish().await;
    assert_eq!(client.wire.rest().await, b"that is all");
    assert_eq!(origin.request().field(":scheme"), Some("https"));
}

#[tokio::test]
async fn an_upstream_that_does_not_say_that_it_takes_them_is_not_asked() {
    let origin = http2_origin::answering("hello").await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut client = proxy.connect().await;
    for answer in [
        client.ask(&upgrade()).await,
        connect(&proxy, &ask::get("/ws")).await,
    ] {
        assert_eq!(answer.status, 502);
        let text = answer.text();
        assert!(text.contains("no WebSockets over HTTP/2"), "{text}");
        let status = answer.field("proxy-status").unwrap_or_default();
        assert!(status.contains("error=http_upgrade_failed"), "{status}");
    }
    assert_eq!(logged(&proxy).await["reason"], "upstream_protocol_error");
    assert!(origin.requests().is_empty());
    // It is the WebSocket that it does not take, and nothing else.
    assert_eq!(client.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_refusal_is_passed_on_as_it_is_and_its_stream_ends_in_order() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let origin = http2_origin::connecting(move |mut turn| {
        let ended = ended.clone();
        async move {
            turn.head(403, &[("content-length", "2"), ("x-why", "so")]);
            turn.last_data(b"no").await;
            turn.whole().await;
            ended.send(turn.request.end).expect("a test that listens");
        }
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut client = proxy.connect().await;
    for answer in [
        client.ask(&upgrade()).await,
        client.ask(&upgrade()).await,
        connect(&proxy, &ask::get("/ws")).await,
    ] {
        assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
        assert_eq!(answer.field("x-why"), Some("so"));
    }
    for _ in 0..3 {
        let end = wait::within("the end of a stream", ends.recv()).await;
        assert_eq!(end, Some(End::Clean));
    }
    let refused = [("code", "403"), ("source", "upstream")];
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_requests_total", &refused), 3.0);
    assert_eq!(metrics.sum("tidegate_tunnels_opened_total", &[]), 0.0);
}

#[tokio::test]
async fn an_interim_answer_goes_before_the_one_that_opens() {
    let origin = http2_origin::connecting(|mut turn| async move {
        turn.inform(103, &[("link", "</style.css>")]);
        turn.head(200, &[]);
        turn.last_data(b"hello").await;
        turn.whole().await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut client = proxy.connect().await;
    client.wire.send(upgrade().http1()).await;
    for status in [103, 101] {
        let head = client.wire.head().await.expect("a head");
        assert_eq!(head.status, status);
    }
    assert_eq!(client.wire.rest().await, b"hello");
}

#[tokio::test]
async fn a_handshake_without_a_valid_key_is_refused() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    let with = |key: &str| keyless().field("sec-websocket-key", key);
    for ask in [
        keyless(),
        with("short"),
        with("dGhlIHNhbXBsZSBub25jZ!=="),
        with(KEY).field("sec-websocket-key", KEY),
    ] {
        let answer = proxy.ask(&ask).await;
        assert_eq!(answer.status, 400, "{ask:?}");
        let text = answer.text();
        assert!(text.contains("sec-websocket-key"), "{text}");
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn another_version_is_for_the_upstream_to_judge() {
    let origin = http2_origin::connecting(|mut turn| async move {
        assert_eq!(turn.request.field("sec-websocket-version"), Some("8"));
        turn.only_head(426, &[("sec-websocket-version", "13")]);
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let ask = ask::get("/ws")
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "8")
        .field("sec-websocket-key", KEY);
    let answer = proxy.ask(&ask).await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.field("sec-websocket-version"), Some("13"));
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_takes_its_stream_along() {
    let (reset, mut resets) = mpsc::unbounded_channel();
    let origin = http2_origin::connecting(move |mut turn| {
        let reset = reset.clone();
        async move {
            let reason = turn.reset_by_peer().await;
            reset.send(reason).expect("a test that listens");
        }
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut http1 = proxy.connect().await;
    http1.wire.send(upgrade().http1()).await;
    let mut http2 = tunnel::asked(&proxy).await;
    origin.received(2).await;
    drop(http1);
    http2.reset(1, tunnel::CANCEL).await;
    let closed = [("code", "499"), ("source", "proxy")];
    proxy
        .counted("who went away", |metrics| {
            metrics.sum("tidegate_requests_total", &closed) == 2.0
        })
        .await;
    for _ in 0..2 {
        let reason = wait::within("the reset of a stream", resets.recv()).await;
        assert_eq!(reason, Some(Reason::CANCEL));
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_504() {
    let origin = http2_origin::connecting(|mut turn| async move {
        turn.reset_by_peer().await;
    })
    .await;
    let config = to(&origin).upstream_keys("only", "timeouts = { response = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    assert_eq!(proxy.ask(&upgrade()).await.status, 504);
    assert_eq!(connect(&proxy, &ask::get("/ws")).await.status, 504);
}

#[tokio::test]
async fn what_was_refused_unprocessed_is_asked_for_again() {
    let origin = http2_origin::connecting(|mut turn| async move {
        if turn.is_first() {
            turn.reset(Reason::REFUSED_STREAM);
        } else {
            turn.head(200, &[]);
            turn.whole().await;
            turn.last_data(b"").await;
        }
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    drop(tunnel::http1(&proxy).await);
    assert_eq!(origin.n_requests(), 2);
}

#[tokio::test]
async fn who_has_no_identity_gets_one_with_the_answer() {
    let origin = http2_origin::websocket().await;
    let keys = "sticky = { keys = [\"header:x-user\"], cookie = true }";
    let config = config::split(keys, &[("a", 1, origin.address), ("b", 0, origin.address)])
        .upstream_keys("a", "protocol = \"h2\"")
        .upstream_keys("b", "protocol = \"h2\"")
        .http2_too();
    let proxy = proxy::start(&config).await;
    let mut http1 = proxy.connect().await;
    http1.wire.send(upgrade().http1()).await;
    let answer = http1.wire.head().await.expect("an answer");
    assert_eq!((answer.status, answer.values("set-cookie").len()), (101, 1));
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    let response = http2.connect(&ask::get("/ws")).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn metrics_and_the_log_tell_of_it_as_of_any_other() {
    let origin = http2_origin::connecting(|mut turn| async move {
        turn.head(200, &[]);
        turn.last_data(b"1234567").await;
        turn.whole().await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut client = tunnel::http2(&proxy).await;
    assert_eq!(
        client.event(1).await,
        Event::Data(b"1234567".to_vec(), false)
    );
    client.last_data(1, b"abc").await;
    tunnel::counted(&proxy, "upstream", 1.0).await;
    let line = logged(&proxy).await;
    for (name, value) in [
        ("method", Value::from("GET")),
        ("status", 101.into()),
        ("source", "upstream".into()),
        ("protocol", "HTTP/2.0".into()),
        ("upstream_protocol", "HTTP/2.0".into()),
        ("endpoint", origin.address.to_string().into()),
        ("bytes_in", 3.into()),
        ("bytes_out", 7.into()),
    ] {
        assert_eq!(line[name], value, "{line}");
    }
    assert_eq!(line.get("reason"), None, "{line}");
    let metrics = proxy.metrics().await;
    let all = [("route", "all")];
    assert_eq!(metrics.sum("tidegate_tunnels_opened_total", &all), 1.0);
    assert_eq!(metrics.sum("tidegate_request_bytes_total", &all), 3.0);
    let opened = [("code", "101"), ("source", "upstream")];
    assert_eq!(metrics.sum("tidegate_requests_total", &opened), 1.0);
}
