//! Tunnels of variants that are switched off or removed: kept, cut, or cut some time later.

use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::frames::{Event, Frames};
use crate::support::http2::{self, Http2};
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;
use crate::support::websocket::{self, WebSocket};

const CUT: &str = "tunnels_on_off = \"cut\"\ntunnels_spread = \"0s\"";

/// The route `shop` with two variants, and the keys of the route.
struct Shop {
    old: Origin,
    new: Origin,
}

async fn shop() -> Shop {
    Shop {
        old: origin::websocket().await,
        new: origin::websocket().await,
    }
}

impl Shop {
    /// Everybody is on `old`, which may be switched off.
    fn config(&self, keys: &str) -> Config {
        self.weighted(keys, [1, 0])
    }

    fn weighted(&self, keys: &str, [old, new]: [u32; 2]) -> Config {
        let variants = [
            ("old", old, self.old.address),
            ("new", new, self.new.address),
        ];
        config::split(&format!("force = {{ header = \"v\" }}\n{keys}"), &variants).http2_too()
    }

    /// `old` is off.
    fn off(&self, keys: &str) -> Config {
        self.weighted(keys, [1, 1])
            .variant_keys("old", "state = \"off\"")
    }
}

/// A tunnel by HTTP/1, and one by HTTP/2.
struct Sockets {
    sockets: [WebSocket; 2],
    _http2: Http2,
}

async fn open(proxy: &Proxy) -> Sockets {
    let http1 = client::tcp(proxy.http()).await;
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    Sockets {
        sockets: [
            websocket::open(http1, "/ws").await,
            http2.websocket("/ws").await,
        ],
        _http2: http2,
    }
}

async fn all_echo(sockets: &mut Sockets, text: &str) {
    for socket in &mut sockets.sockets {
        assert_eq!(socket.echo(text).await, text);
    }
}

async fn all_end(sockets: &mut Sockets) {
    for socket in &mut sockets.sockets {
        assert_eq!(socket.next().await, None);
    }
}

/// Waits until so many tunnels of a variant were cut because it was switched off.
async fn cut(proxy: &Proxy, variant: &str, n: f64) {
    let labels = [("variant", variant), ("end", "switched_off")];
    proxy
        .counted("the cut of tunnels", |metrics| {
            metrics.sum("tidegate_tunnels_total", &labels) == n
        })
        .await;
}

#[tokio::test]
async fn tunnels_of_a_variant_that_is_switched_off_are_kept_unless_told_otherwise() {
    let shop = shop().await;
    let proxy = proxy::start(&shop.config("")).await;
    let mut sockets = open(&proxy).await;
    proxy.reload(&shop.off("")).await;
    all_echo(&mut sockets, "still here").await;
    let status = proxy.status().await;
    let old = &status["routes"]["shop"]["variants"]["old"];
    assert_eq!(
        (&old["tunnels"], &old["drained"]),
        (&2.into(), &false.into())
    );
    // Said later, it holds as well.
    proxy.reload(&shop.off(CUT)).await;
    all_end(&mut sockets).await;
    cut(&proxy, "old", 2.0).await;
}

#[tokio::test]
async fn tunnels_of_a_variant_that_is_switched_off_are_cut_and_no_others() {
    let shop = shop().await;
    let proxy = proxy::start(&shop.weighted(CUT, [0, 1])).await;
    let mut others = open(&proxy).await;
    proxy.reload(&shop.config(CUT)).await;
    let mut sockets = open(&proxy).await;
    // Weights never touch a tunnel, nor does a reload of anything else.
    all_echo(&mut others, "weight 0").await;
    proxy.reload(&shop.off(CUT)).await;
    all_end(&mut sockets).await;
    cut(&proxy, "old", 2.0).await;
    shop.old.all_closed().await;
    all_echo(&mut others, "still here").await;
    wait::until("that it is drained", async || {
        let status = proxy.status().await;
        let old = &status["routes"]["shop"]["variants"]["old"];
        old["drained"] == true && old["tunnels"] == 0
    })
    .await;
    // It may come back, and its tunnels are not cut for what was.
    proxy.reload(&shop.config(CUT)).await;
    let mut again = open(&proxy).await;
    all_echo(&mut again, "back").await;
}

#[tokio::test]
async fn a_cut_ends_both_sides_in_order() {
    let old = origin::serving(|mut conversation| async move {
        if origin::open_websocket(&mut conversation, "")
            .await
            .is_some()
        {
            conversation.wire.rest().await;
            // What is still said is not heard, and is no error.
            conversation.send("goodbye").await;
        }
    })
    .await;
    let shop = Shop {
        old,
        new: origin::websocket().await,
    };
    let proxy = proxy::start(&shop.config(CUT)).await;
    let mut http1 = proxy.connect().await;
    let request = "GET /ws HTTP/1.1\r\nhost: edge.test\r\nconnection: Upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    http1.wire.send(request).await;
    assert_eq!(http1.wire.head().await.expect("an answer").status, 101);
    let mut http2 = Frames::begin(client::tcp(proxy.http()).await).await;
    let connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/ws"),
        (":authority", "edge.test"),
    ];
    http2.request_head(1, &connect).await;
    assert_eq!(http2.event(1).await, Event::Head(200, false));
    proxy.reload(&shop.off(CUT)).await;
    // An end, and no reset.
    http1.wire.ended().await;
    assert_eq!(http2.event(1).await, Event::Data(Vec::new(), true));
    shop.old.all_closed().await;
    // The connection of HTTP/2 goes on.
    http2.request_head(3, &connect).await;
    assert_eq!(http2.event(3).await, Event::Head(200, false));
}

#[tokio::test]
async fn tunnels_are_cut_some_time_after_their_variant_was_switched_off() {
    let shop = shop().await;
    let keys = "tunnels_on_off = \"300ms\"\ntunnels_spread = \"100ms\"";
    let proxy = proxy::start(&shop.config(keys)).await;
    let mut sockets = open(&proxy).await;
    proxy.reload(&shop.off(keys)).await;
    all_echo(&mut sockets, "still here").await;
    all_end(&mut sockets).await;
    cut(&proxy, "old", 2.0).await;
    let log = proxy.process.stderr();
    assert!(log.contains("tunnels will be cut"), "{log}");
}

#[tokio::test]
async fn a_variant_that_is_switched_on_again_in_time_keeps_its_tunnels() {
    let shop = shop().await;
    let keys = "tunnels_on_off = \"1s\"\ntunnels_spread = \"0s\"";
    let proxy = proxy::start(&shop.config(keys)).await;
    let mut kept = open(&proxy).await;
    proxy.reload(&shop.off(keys)).await;
    proxy.reload(&shop.config(keys)).await;
    // What is switched off after it tells that the time is up.
    let clock = origin::websocket().await;
    let with_clock = |state: &str, new: u32| {
        shop.config(keys)
            .upstream("ticks", &[clock.address])
            .split_route(
                "clock",
                &format!("match = {{ path = \"/clock\" }}\n{keys}"),
                &[("ticks", 1), ("new", new)],
            )
            .variant_keys("ticks", &format!("state = \"{state}\""))
    };
    proxy.reload(&with_clock("on", 0)).await;
    let mut ticks = websocket::open(client::tcp(proxy.http()).await, "/clock").await;
    proxy.reload(&with_clock("off", 1)).await;
    assert_eq!(ticks.next().await, None);
    all_echo(&mut kept, "still here").await;
}

#[tokio::test]
async fn a_variant_or_a_route_that_is_removed_is_switched_off() {
    let shop = shop().await;
    let other = origin::websocket().await;
    let all = |keys: &str, origin: &Origin| {
        config::new()
            .upstream("only", &[origin.address])
            .route("all", &format!("upstream = \"only\"\n{keys}"))
            .http2_too()
    };
    // The variant goes; its route says what becomes of its tunnels.
    let proxy = proxy::start(&shop.config("")).await;
    let mut sockets = open(&proxy).await;
    let without = config::new()
        .http2_too()
        .upstream("new", &[shop.new.address])
        .split_route("shop", CUT, &[("new", 1)]);
    proxy.reload(&without).await;
    all_end(&mut sockets).await;
    cut(&proxy, "old", 2.0).await;
    // The route goes, and what it said last counts.
    let mut sockets = open(&proxy).await;
    proxy.reload(&all("", &other)).await;
    all_end(&mut sockets).await;
    cut(&proxy, "new", 2.0).await;
    // A route without a split is one variant; other endpoints of its upstream are no other variant.
    proxy.reload(&all(CUT, &other)).await;
    let mut sockets = open(&proxy).await;
    proxy.reload(&all(CUT, &shop.new)).await;
    all_echo(&mut sockets, "still here").await;
    // Another upstream is.
    let elsewhere = config::new()
        .http2_too()
        .upstream("else", &[shop.new.address])
        .route("all", &format!("upstream = \"else\"\n{CUT}"));
    proxy.reload(&elsewhere).await;
    all_end(&mut sockets).await;
    cut(&proxy, "default", 2.0).await;
}

#[tokio::test]
async fn a_reload_that_is_refused_cuts_nothing() {
    let shop = shop().await;
    let proxy = proxy::start(&shop.config(CUT)).await;
    let mut sockets = open(&proxy).await;
    let bad = shop.off(CUT).section("[nonsense]").text();
    proxy::replace(&proxy.file(), bad);
    assert_eq!(proxy.ask_reload().await.status, 422);
    all_echo(&mut sockets, "still here").await;
}

#[tokio::test]
async fn a_tunnel_that_opens_after_its_variant_was_switched_off_is_cut_as_well() {
    let old = origin::serving(|mut conversation| async move {
        // It takes its time to answer.
        let request = conversation.request_head().await;
        if request.is_none() {
            return;
        }
        conversation.released().await;
        let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                         upgrade: websocket\r\n\r\n";
        conversation.send(switching).await;
        conversation.wire.rest().await;
    })
    .await;
    let shop = Shop {
        old,
        new: origin::websocket().await,
    };
    let proxy = proxy::start(&shop.config(CUT)).await;
    let mut client: Client = proxy.connect().await;
    let request = "GET /ws HTTP/1.1\r\nhost: edge.test\r\nconnection: Upgrade\r\n\
                   upgrade: websocket\r\n\r\n";
    client.wire.send(request).await;
    shop.old.received(1).await;
    proxy.reload(&shop.off(CUT)).await;
    shop.old.release();
    assert_eq!(client.wire.head().await.expect("an answer").status, 101);
    client.wire.ended().await;
    cut(&proxy, "old", 1.0).await;
}
