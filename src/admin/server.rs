//! The admin listener: HTTP/1 on the control runtime, with a bound on everything a client may hold.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Connections at a time: scrapers and people are few, and each may cost a rendered page.
const MAX_CONNECTIONS: usize = 128;
/// How long a head may take, and how long a connection may idle between two requests: longer than
/// the usual scrape interval, so that a scraper keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes of a head: an explained request carries another one's fields in its query.
const HEAD_BYTES: usize = 64 * 1024;
/// Fields of a head.
const HEAD_FIELDS: usize = 64;
/// How long bytes may stay unacknowledged before a client counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that run may go on after the end was called.
const GRACE: Duration = Duration::from_secs(2);
/// How long a connection that has nothing under way is still kept then: a request that is on its way
/// to it is answered.
const LAST_REQUEST: Duration = Duration::from_millis(50);
/// How long to wait when accepting fails, as it does while the file table is full.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Peer(pub(in crate::admin) IpAddr);

/// Accepts and serves until `shutdown`, then lets what runs finish.
pub(in crate::admin) async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let connection = serve(stream, peer, router.clone(), shutdown.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "admin connections cut");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            warn!(%error, "admin listener cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send {
    bound_sending(&stream);
    let router = TowerToHyperService::new(router);
    let peer = Peer(peer.ip().to_canonical());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    async move {
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = ended(shutdown) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "admin connection ended");
        }
    }
}

async fn ended(shutdown: CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_REQUEST).await;
}

/// The kernel watches a client that does not read: hyper has no timeout for writes.
fn bound_sending(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SEND_TIMEOUT)) {
        debug!(%error, "no send timeout on an admin connection");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use crate::admin::server::{HEAD_BYTES, run};

    async fn start(router: Router, shutdown: &CancellationToken) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(run(listener, router, shutdown.clone()));
        (address, server)
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn read(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        // A reset is an end as well: what came before it counts.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_request_that_runs_at_the_end_is_still_answered() {
        let shutdown = CancellationToken::new();
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (there, wait) = (arrived.clone(), go.clone());
        let handler = move || async move {
            there.notify_one();
            wait.notified().await;
            "late"
        };
        let router = Router::new().route("/", get(handler));
        let (address, mut server) = start(router, &shutdown).await;
        let asked = send(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        arrived.notified().await;
        shutdown.cancel();
        go.notify_one();
        let answer = read(asked).await;
        assert!(answer.ends_with("late"), "{answer}");
        server.join_next().await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_refused() {
        let shutdown = CancellationToken::new();
        let (address, _server) = start(Router::new(), &shutdown).await;
        let endless = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(2 * HEAD_BYTES));
        let answer = read(send(address, &endless).await).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
