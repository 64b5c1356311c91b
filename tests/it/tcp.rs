//! Connections as such: whether the peer is there, and what it means that it is not.

use std::fs;
use std::net::SocketAddr;

use crate::support::ask;
use crate::support::client;
use crate::support::config;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// What the kernel waits for on connections of a process that end at `port` on either side: 2 is that
/// it is time to ask whether the peer is there (`Documentation/networking/proc_net_tcp.rst`).
fn timers(proxy: &Proxy, port: u16, of_ours: usize) -> Vec<String> {
    let path = format!("/proc/{}/net/tcp", proxy.process.id());
    let table = fs::read_to_string(path).expect("a process that runs");
    let end = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace());
    let rows = rows.map(Iterator::collect::<Vec<_>>);
    // Established ones, by their local or their remote address.
    let rows = rows.filter(|row| row[3] == "01" && row[of_ours].ends_with(&end));
    rows.map(|row| row[5][..2].to_owned()).collect()
}

#[tokio::test]
async fn peers_that_are_silent_are_asked_whether_they_are_there() {
    const LOCAL: usize = 1;
    const REMOTE: usize = 2;
    let origin = origin::answering("well").await;
    let keys = "timeouts.idle = \"1h\"";
    let config = config::new()
        .upstream_with("only", &[origin.address], keys)
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "well");
    for (whose, port, end) in [
        ("the client", proxy.http().port(), LOCAL),
        ("the endpoint", origin.address.port(), REMOTE),
    ] {
        wait::until(whose, async || timers(&proxy, port, end) == ["02"]).await;
    }
}

/// Lets a client ask for what does not come, and leave; waits for what comes of that.
async fn gone(origin: &Origin, address: SocketAddr, proxy: &Proxy, leaves_whole: bool) {
    let before = origin.n_requests();
    let mut client = client::connect(address).await;
    client.wire.send(ask::get("/").http1()).await;
    origin.received(before + 1).await;
    if leaves_whole {
        drop(client);
    } else {
        client.wire.finish().await;
        // It may wait for its answer, and not for ever.
        client.wire.ended().await;
    }
    origin.all_closed().await;
    let n = (before + 1) as f64;
    proxy
        .counted("a client that went away", |metrics| {
            metrics.sum("tidegate_requests_total", &[("code", "499")]) == n
                && metrics.sum("tidegate_errors_total", &[("reason", "client_closed")]) == n
                && metrics.sum("tidegate_requests_in_flight", &[]) == 0.0
        })
        .await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request_and_counts_as_499() {
    let origin = origin::silent().await;
    let proxy = proxy::start(&config::to(origin.address)).await;
    gone(&origin, proxy.http(), &proxy, true).await;
    // Who ends his side and gets nothing is taken to have gone: over TCP the two look the same.
    gone(&origin, proxy.http(), &proxy, false).await;
}
