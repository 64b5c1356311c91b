//! Tunnels: what an exchange becomes when its protocol changes, until either side ends it.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::{Connection, Patience, Tunnel, TunnelEnd};
use crate::listener::{After, Connect};
use crate::proxy::Error;
use crate::proxy::attempt::Attempt;
use crate::proxy::decide::Target;
use crate::proxy::exchange::Exchange;
use crate::proxy::switch::Watch;
use crate::telemetry::stats::{self, CloseReason, VariantStats};
use crate::upstream::Lease;

/// Carries what comes after an upgrade by an HTTP/1 client.
pub(crate) async fn from_http1(attempt: Attempt<'_, '_>, target: &Target) -> After {
    let (exchange, client, lease) = match attempt.into_tunnel().await {
        Ok(parts) => parts,
        Err(after) => return after,
    };
    let patience = Patience {
        idle: target.tunnel,
        stalled: None,
    };
    run(exchange, client.connection, lease, patience).await;
    After::Close
}

/// Carries what comes after an extended CONNECT by an HTTP/2 client, once it is answered.
pub(crate) async fn from_http2(
    mut exchange: Box<Exchange>,
    connect: Connect,
    lease: Lease,
    patience: Patience,
) {
    let Ok(stream) = connect.open().await else {
        exchange.failed(Error::ClientClosed);
        lease.close(CloseReason::Abandoned);
        return;
    };
    let mut client = Connection::new(stream);
    run(&mut exchange, &mut client, lease, patience).await;
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &mut Exchange,
    client: &mut Connection<S>,
    mut lease: Lease,
    patience: Patience,
) {
    let upstream = lease.lend();
    // A tunnel lives for hours: it keeps its numbers and its connections, not the snapshot.
    let Some((stats, switch)) = exchange.become_tunnel() else {
        return;
    };
    let mut watch = Watch::new(switch);
    let counted = Counted::new(stats, exchange.worker.index, lease);
    let tunnel = Tunnel::new(client, upstream);
    let (end, up, down) = tunnel.run(patience, |context| watch.poll(context)).await;
    exchange.request_bytes = up;
    exchange.response_bytes = down;
    counted.end(match end {
        TunnelEnd::Client => stats::TunnelEnd::Client,
        TunnelEnd::Upstream => stats::TunnelEnd::Upstream,
        TunnelEnd::Idle => stats::TunnelEnd::Idle,
        TunnelEnd::Cut => stats::TunnelEnd::SwitchedOff,
    });
}

/// Counts a tunnel while it is open; one that is dropped was cut by a drain.
struct Counted {
    stats: Arc<VariantStats>,
    worker: usize,
    end: stats::TunnelEnd,
    _lease: Lease,
}

impl Counted {
    fn new(stats: Arc<VariantStats>, worker: usize, lease: Lease) -> Self {
        stats.shard(worker).tunnel_opened();
        Self {
            stats,
            worker,
            end: stats::TunnelEnd::Drained,
            _lease: lease,
        }
    }

    fn end(mut self, end: stats::TunnelEnd) {
        self.end = end;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.shard(self.worker).tunnel_closed(self.end);
    }
}
