//! Tunnels: what an exchange becomes when its protocol changes, until either side ends it.

use std::future::poll_fn;
use std::sync::Arc;

use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::http1::{Connection, Patience, Tunnel, TunnelEnd};
use crate::listener::{After, Connect};
use crate::message::{Body, Framing, Version};
use crate::proxy::Error;
use crate::proxy::attempt::Attempt;
use crate::proxy::decide::Target;
use crate::proxy::exchange::Exchange;
use crate::proxy::forward::Client;
use crate::proxy::headers::{self, ResponseEdit};
use crate::proxy::switch::Watch;
use crate::proxy::websocket;
use crate::telemetry::stats::{self, VariantStats};

/// Carries what comes after an upgrade by an HTTP/1 client.
pub(crate) async fn from_http1(attempt: Attempt<'_, '_>, target: &Target) -> After {
    let (exchange, client, mut lease) = match attempt.into_tunnel().await {
        Ok(parts) => parts,
        Err(after) => return after,
    };
    let patience = Patience {
        idle: target.tunnel,
        stalled: None,
    };
    let upstream = lease.lend();
    run(exchange, client.connection, upstream, lease, patience).await;
    After::Close
}

/// Answers an HTTP/1 client that the WebSocket which it asked for is open, and carries what comes
/// after that between its connection and `upstream`, which `lease` is of. Of what stands before the
/// answer in `scratch.downstream` the client has taken `sent` bytes.
pub(crate) async fn answer<U, L>(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    upstream: Connection<U>,
    lease: L,
    target: &Target,
    mut sent: usize,
) -> After
where
    U: AsyncRead + AsyncWrite + Unpin,
{
    let cookie = exchange.sticky_cookie(target);
    let (scratch, edits) = exchange.scratch_and_edits();
    let (head, out) = (&scratch.response, &mut scratch.downstream);
    let edit = ResponseEdit {
        version: Version::Http11,
        close: false,
        framing: Framing::None,
        set_cookie: cookie
            .as_deref()
            .filter(|_| !headers::is_shared(head, edits.response)),
        fields: edits.response,
    };
    headers::write_response(out, head, &edit);
    let connection = &mut *client.connection;
    let writing = poll_fn(|context| connection.poll_write_both(context, out, &[], &mut sent));
    match timeout(client.settings.timeouts.body, writing).await {
        Ok(Ok(())) => {
            let patience = Patience {
                idle: target.tunnel,
                // What the upstream does not take holds its other streams up.
                stalled: Some(target.timeouts.body),
            };
            run(exchange, connection, upstream, lease, patience).await;
        }
        Ok(Err(_)) => exchange.failed(Error::ClientClosed),
        Err(_) => exchange.failed(Error::ClientTimeout),
    }
    After::Close
}

/// Makes a response the one to an extended CONNECT that opens a tunnel, and has it carry what comes
/// after that between the client's stream and `upstream`, which `lease` is of.
pub(crate) fn open<U, L>(
    mut response: Response<Body>,
    mut exchange: Box<Exchange>,
    connect: Connect,
    upstream: Connection<U>,
    lease: L,
    target: &Target,
) -> Response<Body>
where
    U: AsyncRead + AsyncWrite + Unpin + 'static,
    L: 'static,
{
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(websocket::ACCEPT);
    let patience = Patience {
        idle: target.tunnel,
        // What the upstream does not take holds the other streams of the client up.
        stalled: Some(target.timeouts.body),
    };
    *response.body_mut() = Body::Tunnel(Box::pin(async move {
        match connect.open() {
            Some(stream) => {
                let mut client = Connection::new(stream);
                run(&mut exchange, &mut client, upstream, lease, patience).await;
            }
            None => exchange.failed(Error::ClientClosed),
        }
    }));
    response
}

/// Carries bytes between a client and an upstream; `lease`, of which `upstream` is, ends last.
pub(crate) async fn run<C, U, L>(
    exchange: &mut Exchange,
    client: &mut Connection<C>,
    upstream: Connection<U>,
    lease: L,
    patience: Patience,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    // A tunnel lives for hours: it keeps its numbers and its connections, not the snapshot.
    let Some((stats, switch)) = exchange.become_tunnel() else {
        return;
    };
    let mut watch = Watch::new(switch);
    let counted = Counted::new(stats, exchange.worker.index, lease);
    exchange.opened();
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
struct Counted<L> {
    stats: Arc<VariantStats>,
    worker: usize,
    end: stats::TunnelEnd,
    _lease: L,
}

impl<L> Counted<L> {
    fn new(stats: Arc<VariantStats>, worker: usize, lease: L) -> Self {
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

impl<L> Drop for Counted<L> {
    fn drop(&mut self) {
        self.stats.shard(self.worker).tunnel_closed(self.end);
    }
}
