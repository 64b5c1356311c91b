//! What passes through WebSockets to upstreams that speak HTTP/2, and how they end, for clients of
//! either version.

use h2::Reason;
use h2::server::Builder;
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::frames::Event;
use crate::support::http2_origin::{self, Turn};
use crate::support::message::End;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::tunnel::{self, CANCEL, Tunnel, counted};
use crate::support::wait;
use crate::support::wire::Wire;

const PIECE: usize = 64 * 1024;

fn to(origin: &Origin) -> Config {
    config::to(origin.address)
        .upstream_keys("only", "protocol = \"h2\"")
        .http2_too()
}

/// An origin that opens every WebSocket and goes on with `then`.
async fn opening<F>(then: impl Fn(Turn) -> F + Clone + Send + Sync + 'static) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    http2_origin::connecting(move |mut turn| {
        turn.head(200, &[]);
        then(turn)
    })
    .await
}

/// Starts a proxy with one worker, so that all clients share its connections with an upstream.
async fn one_worker(config: &Config) -> Proxy {
    let text = config.text().replace("workers = 2", "workers = 1");
    proxy::start_text(&text).await
}

/// An origin that reads to the end, says nothing more, and tells how it ended.
async fn ending() -> (Origin, mpsc::UnboundedReceiver<End>) {
    let (ended, ends) = mpsc::unbounded_channel();
    let origin = opening(move |mut turn| {
        let ended = ended.clone();
        async move {
            turn.whole().await;
            turn.last_data(b"").await;
            ended.send(turn.request.end).expect("a test that listens");
        }
    })
    .await;
    (origin, ends)
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    for mut client in tunnel::both(&proxy).await {
        for _ in 0..3 {
            client.send(b"through the tunnel").await;
            client.expect(b"through the tunnel").await;
        }
        client.finish().await;
        client.ended().await;
    }
    counted(&proxy, "client", 2.0).await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_hears_the_other() {
    let origin = opening(|mut turn| async move {
        turn.whole().await;
        turn.data(b"you said: ").await;
        let said = turn.request.body.clone();
        turn.data(&said).await;
        turn.last_data(b"").await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    for mut client in tunnel::both(&proxy).await {
        client.send(b"something").await;
        client.finish().await;
        client.expect(b"you said: something").await;
        client.ended().await;
    }
    counted(&proxy, "client", 2.0).await;
}

#[tokio::test]
async fn an_upstream_that_ends_its_side_still_hears_the_other() {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let origin = opening(move |mut turn| {
        let heard = heard.clone();
        async move {
            turn.last_data(b"").await;
            turn.whole().await;
            let got = (turn.request.body, turn.request.end);
            heard.send(got).expect("a test that listens");
        }
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    for mut client in tunnel::both(&proxy).await {
        client.ended().await;
        client.send(b"not from here").await;
        client.finish().await;
        let got = wait::within("what comes after the end", hears.recv()).await;
        assert_eq!(got, Some((b"not from here".to_vec(), End::Clean)));
    }
    counted(&proxy, "upstream", 2.0).await;
}

#[tokio::test]
async fn what_comes_together_with_the_answer_is_not_lost() {
    let origin = opening(|mut turn| async move {
        turn.data(b"welcome").await;
        turn.whole().await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    for mut client in tunnel::both(&proxy).await {
        client.expect(b"welcome").await;
    }
}

#[tokio::test]
async fn what_a_client_sends_before_the_answer_is_not_lost() {
    let origin = http2_origin::connecting(|mut turn| async move {
        turn.released().await;
        turn.head(200, &[]);
        while turn.request.body.len() < 5 && turn.some().await {}
        let eager = turn.request.body.clone();
        turn.last_data(&eager).await;
        turn.whole().await;
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut http1 = proxy.connect().await;
    let ask = [&tunnel::upgrade().http1()[..], b"eager"].concat();
    http1.wire.send(ask).await;
    let mut http2 = tunnel::asked(&proxy).await;
    http2.data(1, b"eager").await;
    origin.received(2).await;
    origin.release();
    origin.release();
    let answer = http1.wire.head().await.expect("an answer");
    assert_eq!(answer.status, 101);
    assert_eq!(http1.wire.rest().await, b"eager");
    assert_eq!(http2.event(1).await, Event::Head(200, false));
    assert_eq!(http2.event(1).await, Event::Data(b"eager".to_vec(), false));
}

#[tokio::test]
async fn a_break_is_passed_on_as_one() {
    let origin = opening(|mut turn| async move {
        turn.released().await;
        turn.reset(Reason::INTERNAL_ERROR);
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut http1 = tunnel::http1(&proxy).await;
    let mut http2 = tunnel::http2(&proxy).await;
    origin.release();
    origin.release();
    http1.wire.ended().await;
    assert_eq!(http2.event(1).await, Event::Reset(CANCEL));
    counted(&proxy, "upstream", 2.0).await;
}

#[tokio::test]
async fn an_upstream_that_goes_away_ends_its_tunnels() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut http1 = tunnel::http1(&proxy).await;
    let mut http2 = tunnel::http2(&proxy).await;
    origin.stop().await;
    http1.wire.ended().await;
    assert_eq!(http2.event(1).await, Event::Reset(CANCEL));
    counted(&proxy, "upstream", 2.0).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_resets_its_stream_at_the_upstream() {
    let (reset, mut resets) = mpsc::unbounded_channel();
    let origin = opening(move |mut turn| {
        let reset = reset.clone();
        async move {
            let reason = turn.reset_by_peer().await;
            reset.send(reason).expect("a test that listens");
        }
    })
    .await;
    let proxy = proxy::start(&to(&origin)).await;
    let mut http2 = tunnel::http2(&proxy).await;
    http2.reset(1, CANCEL).await;
    drop(tunnel::http2(&proxy).await);
    let http1 = client::tcp(proxy.http()).await;
    socket2::SockRef::from(&http1)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("an option");
    let mut http1 = Wire::new(http1);
    http1.send(tunnel::upgrade().http1()).await;
    assert_eq!(http1.head().await.expect("an answer").status, 101);
    drop(http1);
    for _ in 0..3 {
        let reason = wait::within("the reset of a stream", resets.recv()).await;
        assert_eq!(reason, Some(Reason::CANCEL));
    }
    counted(&proxy, "client", 3.0).await;
}

#[tokio::test]
async fn an_idle_tunnel_ends_in_order() {
    let (origin, mut ends) = ending().await;
    let config = to(&origin).http("timeouts = { tunnel = \"200ms\" }");
    let proxy = proxy::start(&config).await;
    for mut client in tunnel::both(&proxy).await {
        client.ended().await;
        client.finish().await;
        let end = wait::within("the end of a stream", ends.recv()).await;
        assert_eq!(end, Some(End::Clean));
    }
    counted(&proxy, "idle", 2.0).await;
}

#[tokio::test]
async fn tunnels_of_a_variant_that_is_removed_are_cut_in_order_if_told_so() {
    let (origin, mut ends) = ending().await;
    let proxy = proxy::start(&to(&origin)).await;
    let clients = tunnel::both(&proxy).await;
    let cut = "tunnels_on_off = \"cut\"\ntunnels_spread = \"0s\"";
    let other = config::new()
        .upstream_with("other", &[origin.address], "protocol = \"h2\"")
        .route("all", &format!("upstream = \"other\"\n{cut}"))
        .http2_too();
    proxy.reload(&other).await;
    for mut client in clients {
        client.ended().await;
        client.finish().await;
        let end = wait::within("the end of a stream", ends.recv()).await;
        assert_eq!(end, Some(End::Clean));
    }
    counted(&proxy, "switched_off", 2.0).await;
}

#[tokio::test]
async fn tunnels_outlive_their_upstream_in_the_configuration() {
    let origin = http2_origin::websocket().await;
    let proxy = proxy::start(&to(&origin)).await;
    let clients = tunnel::both(&proxy).await;
    let other = origin::answering("other").await;
    proxy.reload(&config::to(other.address)).await;
    for mut client in clients {
        client.send(b"still here").await;
        client.expect(b"still here").await;
    }
}

#[tokio::test]
async fn a_connection_that_takes_no_further_streams_keeps_its_tunnels() {
    let origin = opening(|mut turn| async move {
        if turn.is_first() {
            turn.retire_connection();
        }
        while turn.some().await {
            turn.data(b"heard").await;
        }
        turn.last_data(b"").await;
    })
    .await;
    let proxy = one_worker(&to(&origin)).await;
    let mut first = tunnel::http1(&proxy).await;
    wait::until("another connection", async || {
        let mut another = tunnel::http1(&proxy).await;
        another.wire.send("are you there").await;
        assert_eq!(another.wire.take(5).await, b"heard");
        origin.n_connections() == 2
    })
    .await;
    first.wire.send("are you there").await;
    assert_eq!(first.wire.take(5).await, b"heard");
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_and_cuts_them_at_its_deadline() {
    let origin = http2_origin::websocket().await;
    let shutdown = "delay = \"0s\"\nspread = \"0s\"\ntimeout = \"2s\"";
    let mut proxy = proxy::start(&to(&origin).shutdown(shutdown)).await;
    let [mut closes, mut cut] = tunnel::both(&proxy).await;
    proxy.signal(Signal::TERM);
    for client in [&mut cut, &mut closes] {
        client.send(b"still here").await;
        client.expect(b"still here").await;
    }
    closes.finish().await;
    closes.ended().await;
    assert_eq!(proxy.exit().await.code, Some(0));
    origin.all_closed().await;
    let log = proxy.process.stderr();
    assert!(log.contains("connections_cut=1"), "{log}");
}

#[tokio::test]
async fn many_tunnels_share_a_connection_with_the_upstream() {
    const N: usize = 20;
    let origin = http2_origin::websocket().await;
    let proxy = one_worker(&to(&origin)).await;
    let mut clients = Vec::new();
    for _ in 0..N {
        clients.extend(tunnel::both(&proxy).await);
    }
    let large: Vec<u8> = (0..300_000_u32)
        .map(|n| u8::try_from(n % 251).expect("small"))
        .collect();
    // An HTTP/2 client by hand gives no window back, and has room for so much.
    for (n, piece) in large.chunks(10_000).enumerate() {
        for client in &mut clients {
            if n < 6 || matches!(client, Tunnel::Http1(_)) {
                client.send(piece).await;
            }
        }
        for client in &mut clients {
            if n < 6 || matches!(client, Tunnel::Http1(_)) {
                client.expect(piece).await;
            }
        }
    }
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn tunnels_beyond_what_a_connection_takes_get_another() {
    let few = |builder: &mut Builder| {
        builder.enable_connect_protocol();
        builder.max_concurrent_streams(2);
    };
    let origin = http2_origin::serving_as(few, |mut turn| async move {
        turn.head(200, &[]);
        turn.whole().await;
    })
    .await;
    let proxy = one_worker(&to(&origin)).await;
    let mut clients = Vec::new();
    for n in 1..=5_usize {
        clients.push(tunnel::http1(&proxy).await);
        assert_eq!(origin.n_connections(), n.div_ceil(2));
    }
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_holds_its_client_back_and_nobody_else() {
    let roomy = |builder: &mut Builder| {
        builder.enable_connect_protocol();
        builder.initial_connection_window_size(1024 * 1024);
    };
    let origin = http2_origin::serving_as(roomy, |mut turn| async move {
        turn.head(200, &[]);
        if turn.is_first() {
            turn.released().await;
            return;
        }
        while turn.some().await {
            turn.data(b"heard").await;
        }
        turn.last_data(b"").await;
    })
    .await;
    let config = to(&origin).upstream_keys("only", "timeouts = { body = \"500ms\" }");
    let proxy = one_worker(&config).await;
    let mut deaf = tunnel::http1(&proxy).await;
    let mut other = tunnel::http1(&proxy).await;
    let memory = proxy.peak_memory();
    let (sent, taken) = watch::channel(0_usize);
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        while deaf.wire.send_patiently(&[b'x'; PIECE]).await.is_ok() {
            sent.send_modify(|bytes| *bytes += PIECE);
        }
    });
    proxy
        .counted("the end of the one that takes nothing", |metrics| {
            metrics.sum("tidegate_tunnels_total", &[("end", "upstream")]) == 1.0
        })
        .await;
    let taken = *taken.borrow();
    assert!(taken < 16 * 1024 * 1024, "{taken} bytes were taken");
    let grown = proxy.peak_memory() - memory;
    assert!(grown < 4 * 1024 * 1024, "grown by {grown} bytes");
    other.wire.send("are you there").await;
    assert_eq!(other.wire.take(5).await, b"heard");
    assert_eq!(origin.n_connections(), 1);
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_its_upstream_back() {
    let (sent, taken) = watch::channel(0_usize);
    let origin = opening(move |mut turn| {
        let sent = sent.clone();
        async move {
            while turn.data(&[b'x'; PIECE]).await {
                sent.send_modify(|bytes| *bytes += PIECE);
            }
        }
    })
    .await;
    let config = to(&origin).http("timeouts = { tunnel = \"500ms\" }");
    let proxy = proxy::start(&config).await;
    // What asking for numbers takes for the first time is none of a tunnel's.
    proxy.metrics().await;
    let memory = proxy.peak_memory();
    let _deaf = tunnel::both(&proxy).await;
    counted(&proxy, "idle", 2.0).await;
    let taken = *taken.borrow();
    assert!(taken < 16 * 1024 * 1024, "{taken} bytes were taken");
    let grown = proxy.peak_memory() - memory;
    assert!(grown < 4 * 1024 * 1024, "grown by {grown} bytes");
}
