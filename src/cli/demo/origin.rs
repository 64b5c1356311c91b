//! The little upstreams: each says its name, after the time that its work would take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::output::Failure;

/// The name of the field in which an upstream says which one it is.
pub(in crate::cli::demo) const SERVED_BY: &str = "x-served-by";

/// An upstream that answers every request with its name.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::demo) struct Origin {
    address: SocketAddr,
}

impl Origin {
    /// Starts one on a free port of the loopback; it ends with `shutdown`. `work` is the middle of
    /// what an answer takes.
    pub(in crate::cli::demo) async fn start(
        name: &'static str,
        work: Duration,
        shutdown: &CancellationToken,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::Refused(format!("cannot start an upstream: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shutdown = shutdown.clone();
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        tasks.spawn(async move {
            let mut n_connections = 0_u64;
            while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
                if let Ok((stream, _)) = accepted {
                    n_connections += 1;
                    let serving = serve(stream, name, work, n_connections);
                    let shutdown = shutdown.clone();
                    connections.spawn(async move { shutdown.run_until_cancelled(serving).await });
                }
            }
        });
        Ok(Self { address })
    }

    /// Where it listens.
    pub(in crate::cli::demo) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(stream: TcpStream, name: &'static str, work: Duration, seed: u64) {
    let _ = stream.set_nodelay(true);
    let times = AtomicU64::new(seed);
    let service = service_fn(|_| {
        let time = vary(work, &times);
        async move {
            tokio::time::sleep(time).await;
            let mut response =
                Response::new(Full::new(Bytes::from(format!("hello from shop {name}\n"))));
            let fields = response.headers_mut();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            fields.insert(SERVED_BY, HeaderValue::from_static(name));
            Ok::<_, Infallible>(response)
        }
    });
    // How a connection ends is its client's business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Half of the time to one and a half of it, differently each time: no service is quite even.
fn vary(work: Duration, state: &AtomicU64) -> Duration {
    // A Weyl sequence: even enough, and nothing here needs more.
    let next = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    let part = u32::try_from(next >> 54).unwrap_or_default();
    work / 2 + work * part / 1024
}
