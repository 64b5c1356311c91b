//! What passes through WebSockets of HTTP/2 clients, and how they end.
//!
//! By hand, frame by frame: what is in the frames of a WebSocket is nobody's business here.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::conversation::Conversation;
use crate::support::frames::{Event, Frames};
use crate::support::http2::{self, Http2};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::tunnel::{CANCEL, CONNECT};
use crate::support::wait;

/// RFC 9113, section 7.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;

/// An origin that opens every WebSocket and goes on with `then`.
async fn opening<F>(then: impl Fn(Conversation) -> F + Clone + Send + 'static) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    origin::serving(move |mut conversation| {
        let then = then.clone();
        async move {
            if origin::open_websocket(&mut conversation, "")
                .await
                .is_some()
            {
                then(conversation).await;
            }
        }
    })
    .await
}

/// Opens a tunnel by hand.
async fn tunnel(config: &Config) -> (Proxy, Frames) {
    let proxy = proxy::start(config).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    client.request_head(1, &CONNECT).await;
    assert_eq!(client.event(1).await, Event::Head(200, false));
    (proxy, client)
}

async fn http2(proxy: &Proxy) -> Http2 {
    http2::begin(client::tcp(proxy.http()).await).await
}

/// Reads data until there are these bytes, and nothing else.
async fn expect(client: &mut Frames, bytes: &[u8]) {
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        match client.event(1).await {
            Event::Data(data, false) => got.extend(data),
            other => panic!("{other:?} after {got:?}"),
        }
    }
    assert_eq!(got, bytes);
}

/// Waits for the end of the data.
async fn ended(client: &mut Frames) {
    assert_eq!(client.event(1).await, Event::Data(Vec::new(), true));
}

/// The lines of the access log.
fn logged(proxy: &Proxy) -> Vec<Value> {
    let text = proxy.process.stdout();
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("a line of JSON")).collect()
}

/// Waits until a tunnel has ended so.
async fn counted(proxy: &Proxy, end: &str) {
    let labels = [("route", "all"), ("end", end)];
    proxy
        .counted(&format!("a tunnel ended: {end}"), |metrics| {
            metrics.sum("tidegate_tunnels_total", &labels) == 1.0
                && metrics.sum("tidegate_tunnels_open", &[("route", "all")]) == 0.0
        })
        .await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_hears_the_other() {
    let origin = opening(|mut conversation| async move {
        let all = conversation.wire.rest().await;
        conversation.send(all).await;
    })
    .await;
    let (proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
    client.data(1, b"that is ").await;
    client.last_data(1, b"all").await;
    expect(&mut client, b"that is all").await;
    ended(&mut client).await;
    origin.all_closed().await;
    counted(&proxy, "client").await;
}

#[tokio::test]
async fn an_origin_that_ends_its_side_still_hears_the_other() {
    let origin = opening(|mut conversation| async move {
        conversation.send("that is all").await;
        conversation.wire.finish().await;
        conversation.wire.rest().await;
    })
    .await;
    let (proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
    expect(&mut client, b"that is all").await;
    ended(&mut client).await;
    client.last_data(1, b"not from here").await;
    origin
        .got("what comes after the end", |bytes| {
            bytes.ends_with(b"not from here")
        })
        .await;
    origin.all_closed().await;
    counted(&proxy, "upstream").await;
}

#[tokio::test]
async fn what_comes_together_with_the_answer_is_not_lost() {
    let origin = origin::serving(|mut conversation| async move {
        origin::open_websocket(&mut conversation, "\r\nearly").await;
        conversation.wire.rest().await;
    })
    .await;
    // The empty line ends the head; what follows it in the same piece is the tunnel's.
    let (_proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
    expect(&mut client, b"early\r\n").await;
}

#[tokio::test]
async fn what_a_client_sends_before_the_answer_is_not_lost() {
    let origin = opening(|mut conversation| async move {
        let got = conversation.wire.take(5).await;
        conversation.send(got).await;
    })
    .await;
    let proxy = proxy::start(&config::to(origin.address).http2_too()).await;
    let mut client = Frames::begin(client::tcp(proxy.http()).await).await;
    client.request_head(1, &CONNECT).await;
    client.data(1, b"eager").await;
    assert_eq!(client.event(1).await, Event::Head(200, false));
    expect(&mut client, b"eager").await;
}

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_its_tunnel() {
    for code in [CANCEL, NO_ERROR, INTERNAL_ERROR] {
        // Neither side says anything, so that nothing but the reset can be noticed.
        let origin = opening(|mut conversation| async move {
            conversation.wire.rest().await;
            conversation.released().await;
        })
        .await;
        let (proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
        client.reset(1, code).await;
        counted(&proxy, "client").await;
        // The connection goes on.
        client.request_head(3, &CONNECT).await;
        assert_eq!(client.event(3).await, Event::Head(200, false));
        origin.release();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_tunnels() {
    let origin = opening(|mut conversation| async move {
        conversation.wire.rest().await;
    })
    .await;
    let (proxy, client) = tunnel(&config::to(origin.address).http2_too()).await;
    drop(client);
    origin.all_closed().await;
    counted(&proxy, "client").await;
}

#[tokio::test]
async fn an_origin_whose_connection_breaks_resets_the_stream() {
    let origin = opening(|mut conversation| async move {
        conversation.released().await;
        conversation.reset();
    })
    .await;
    let (proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
    origin.release();
    // RFC 8441, section 5: what stands for the reset of a TCP connection.
    assert_eq!(client.event(1).await, Event::Reset(CANCEL));
    counted(&proxy, "upstream").await;
}

#[tokio::test]
async fn an_idle_tunnel_is_ended_in_order() {
    let origin = opening(|mut conversation| async move {
        conversation.wire.rest().await;
    })
    .await;
    let config = config::to(origin.address).http("timeouts = { tunnel = \"200ms\" }");
    let (proxy, mut client) = tunnel(&config.http2_too()).await;
    ended(&mut client).await;
    origin.all_closed().await;
    counted(&proxy, "idle").await;
    // It is the tunnel that was idle, and not the connection.
    client.request_head(3, &CONNECT).await;
    assert_eq!(client.event(3).await, Event::Head(200, false));
}

#[tokio::test]
async fn a_tunnel_keeps_its_connection_from_being_idle() {
    let origin = origin::websocket().await;
    let timeouts = "timeouts = { idle = \"100ms\", body = \"100ms\", first_byte = \"100ms\" }";
    let proxy = proxy::start(&config::to(origin.address).http2_too().http(timeouts)).await;
    let client = http2(&proxy).await;
    let mut socket = client.websocket("/ws").await;
    let idle = http2(&proxy).await;
    wait::until("the end of who is idle", async || idle.is_closed()).await;
    assert_eq!(socket.echo("still here").await, "still here");
}

#[tokio::test]
async fn bytes_are_counted_and_the_log_tells_of_the_tunnel() {
    let origin = origin::serving(|mut conversation| async move {
        if origin::open_websocket(&mut conversation, "")
            .await
            .is_some()
        {
            conversation.send("1234567").await;
            conversation.wire.rest().await;
        }
    })
    .await;
    let (proxy, mut client) = tunnel(&config::to(origin.address).http2_too()).await;
    expect(&mut client, b"1234567").await;
    client.last_data(1, b"abc").await;
    counted(&proxy, "client").await;
    let mut lines = Vec::new();
    wait::until("a line of the log", async || {
        lines = logged(&proxy);
        !lines.is_empty()
    })
    .await;
    let line = &lines[0];
    assert_eq!(line["method"], "GET", "{line}");
    assert_eq!(
        (&line["status"], &line["protocol"]),
        (&101.into(), &"HTTP/2.0".into())
    );
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&3.into(), &7.into())
    );
    assert_eq!(line.get("reason"), None, "{line}");
    let metrics = proxy.metrics().await;
    let all = [("route", "all")];
    assert_eq!(metrics.sum("tidegate_request_bytes_total", &all), 3.0);
    assert_eq!(metrics.sum("tidegate_tunnels_opened_total", &all), 1.0);
    let opened = [("code", "101"), ("source", "upstream")];
    assert_eq!(metrics.sum("tidegate_requests_total", &opened), 1.0);
}

#[tokio::test]
async fn a_tunnel_survives_reloads() {
    let origin = origin::websocket().await;
    let other = origin::answering("other").await;
    let split = |weights: [u32; 2]| {
        let [old, new] = weights;
        let variants = [("old", old, origin.address), ("new", new, other.address)];
        config::split("", &variants).http2_too()
    };
    let proxy = proxy::start(&split([1, 0])).await;
    let client = http2(&proxy).await;
    let mut socket = client.websocket("/ws").await;
    for n in 1..20 {
        proxy.reload(&split([20 - n, n])).await;
        let text = format!("after {n} reloads");
        assert_eq!(socket.echo(&text).await, text);
    }
    // Its variant, its route and its upstream may go; the tunnel does not, nor its connection.
    proxy.reload(&config::to(other.address).http2_too()).await;
    assert_eq!(client.get("/").await.text(), "other");
    assert_eq!(socket.echo("still here").await, "still here");
    socket.close().await;
    origin.all_closed().await;
}

#[tokio::test]
async fn twenty_websockets_share_a_connection_with_requests() {
    let origin = origin::serving(|mut conversation| async move {
        let request = origin::open_websocket(&mut conversation, "").await;
        if request.is_some() {
            crate::support::websocket::serve(conversation.wire).await;
        }
    })
    .await;
    let pages = origin::answering("page").await;
    let config = config::to(origin.address)
        .upstream("pages", &[pages.address])
        .route(
            "pages",
            "match = { path = \"/page\" }\nupstream = \"pages\"",
        );
    let proxy = proxy::start(&config.http2_too()).await;
    let client = http2(&proxy).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(client.websocket("/ws").await);
    }
    let large = "x".repeat(100_000);
    for round in 0..3 {
        let echoes = sockets.iter_mut().enumerate().map(async |(n, socket)| {
            let text = format!("{n} {round} {large}");
            assert_eq!(socket.echo(&text).await, text);
        });
        let asking = (0..20).map(|_| client.get("/page"));
        let (_, pages) = tokio::join!(
            futures_util::future::join_all(echoes),
            futures_util::future::join_all(asking)
        );
        assert!(pages.iter().all(|page| page.text() == "page"));
    }
    let status = proxy.status().await;
    assert_eq!(
        status["routes"]["all"]["variants"]["default"]["tunnels"],
        20
    );
    for socket in sockets {
        socket.close().await;
    }
    assert_eq!(client.get("/page").await.text(), "page");
}

#[tokio::test]
async fn origins_that_take_nothing_do_not_hold_the_connection_up() {
    let deaf = opening(|mut conversation| async move {
        conversation.released().await;
        conversation.wire.rest().await;
    })
    .await;
    let origin = origin::websocket().await;
    let config = config::to(origin.address)
        .upstream_with("deaf", &[deaf.address], "timeouts = { body = \"500ms\" }")
        .route("deaf", "match = { path = \"/deaf\" }\nupstream = \"deaf\"");
    let proxy = proxy::start(&config.http2_too()).await;
    let client = http2(&proxy).await;
    let mut socket = client.websocket("/ws").await;
    let mut writing = tokio::task::JoinSet::new();
    // More than the window of the connection has room for.
    for _ in 0..8 {
        let response = client
            .connect(&ask::get("/deaf"))
            .await
            .expect("a response");
        let mut stream = http2::upgraded(response).await;
        writing.spawn(async move {
            let piece = vec![b'x'; 64 * 1024];
            while tokio::io::AsyncWriteExt::write_all(&mut stream, &piece)
                .await
                .is_ok()
            {}
        });
    }
    let labels = [("route", "deaf"), ("end", "upstream")];
    proxy
        .counted("the end of those who take nothing", |metrics| {
            metrics.sum("tidegate_tunnels_total", &labels) == 8.0
        })
        .await;
    let large = "x".repeat(1_000_000);
    assert_eq!(socket.echo(&large).await, large);
    for _ in 0..8 {
        deaf.release();
    }
    while writing.join_next().await.is_some() {}
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_its_origin_back() {
    const PIECE: usize = 64 * 1024;
    let (sent, taken) = tokio::sync::watch::channel(0_usize);
    let origin = opening(move |mut conversation| {
        let sent = sent.clone();
        async move {
            let piece = [b'x'; PIECE];
            while conversation.wire.send_patiently(&piece).await.is_ok() {
                sent.send_modify(|bytes| *bytes += PIECE);
            }
        }
    })
    .await;
    let config = config::to(origin.address).http("timeouts = { tunnel = \"500ms\" }");
    let (proxy, mut client) = tunnel(&config.http2_too()).await;
    let memory = proxy.peak_memory();
    // It ends once nothing moves any more.
    counted(&proxy, "idle").await;
    let taken = *taken.borrow();
    assert!(taken < 16 * 1024 * 1024, "{taken} bytes were taken");
    let grown = proxy.peak_memory() - memory;
    assert!(grown < 4 * 1024 * 1024, "grown by {grown} bytes");
    let mut got = 0;
    let end = loop {
        match client.event(1).await {
            Event::Data(data, false) => got += data.len(),
            other => break other,
        }
    };
    // As much as it had room for, and an end that does not look like one.
    assert_eq!((got, end), (65_535, Event::Reset(CANCEL)));
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_and_cuts_them_at_its_deadline() {
    let origin = origin::websocket().await;
    let shutdown = "delay = \"0s\"\nspread = \"0s\"\ntimeout = \"2s\"";
    let config = config::to(origin.address).http2_too().shutdown(shutdown);
    let mut proxy = proxy::start(&config).await;
    let client = http2(&proxy).await;
    let mut socket = client.websocket("/ws").await;
    let mut closes = client.websocket("/ws").await;
    let idle = http2(&proxy).await;
    proxy.signal(Signal::TERM);
    wait::until("GOAWAY", async || idle.is_closed()).await;
    assert_eq!(socket.echo("still here").await, "still here");
    assert_eq!(closes.echo("me, too").await, "me, too");
    closes.close().await;
    assert_eq!(socket.next().await, None);
    assert_eq!(proxy.exit().await.code, Some(0));
    origin.all_closed().await;
    let log = proxy.process.stderr();
    assert!(log.contains("connections_cut=1"), "{log}");
    let lines = logged(&proxy);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert_eq!((&line["status"], line.get("reason")), (&101.into(), None));
    }
}
