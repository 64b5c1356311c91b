//! The little upstreams: each says its name, after the time that its work would take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
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
#[derive(Clone, Debug)]
pub(in crate::cli::demo) struct Origin {
    address: SocketAddr,
    /// Of a thousand requests so many fail.
    failing: Arc<AtomicU32>,
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
        let failing = Arc::new(AtomicU32::new(0));
        let fails = Arc::clone(&failing);
        tasks.spawn(async move {
            let mut n_connections = 0_u64;
            while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
                if let Ok((stream, _)) = accepted {
                    n_connections += 1;
                    let work = Work {
                        name,
                        time: work,
                        fails: Arc::clone(&fails),
                        state: AtomicU64::new(n_connections),
                    };
                    let serving = serve(stream, work);
                    let shutdown = shutdown.clone();
                    connections.spawn(async move { shutdown.run_until_cancelled(serving).await });
                }
            }
        });
        Ok(Self { address, failing })
    }

    /// Where it listens.
    pub(in crate::cli::demo) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on fails so many of a thousand requests.
    pub(in crate::cli::demo) fn fail(&self, of_thousand: u32) {
        self.failing.store(of_thousand, Ordering::Relaxed);
    }
}

/// What the requests of one connection are answered with.
struct Work {
    name: &'static str,
    /// The middle of what an answer takes.
    time: Duration,
    /// Of a thousand requests so many fail.
    fails: Arc<AtomicU32>,
    /// What the next numbers are made of.
    state: AtomicU64,
}

impl Work {
    /// The time of the next answer, and whether it says that it failed.
    fn next(&self) -> (Duration, bool) {
        // A Weyl sequence: even enough, and nothing here needs more.
        let next = self
            .state
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let part = |shift: u32| u32::try_from(next >> shift & 0x3FF).unwrap_or_default();
        let fails = part(44) * 1000 < self.fails.load(Ordering::Relaxed) * 1024;
        // Half of the time to one and a half of it: no service is quite even.
        (self.time / 2 + self.time * part(54) / 1024, fails)
    }
}

async fn serve(stream: TcpStream, work: Work) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|_| {
        let (time, fails) = work.next();
        let name = work.name;
        async move {
            tokio::time::sleep(time).await;
            let (status, text) = if fails {
                let text = format!("shop {name} has a bad day\n");
                (StatusCode::INTERNAL_SERVER_ERROR, text)
            } else {
                (StatusCode::OK, format!("hello from shop {name}\n"))
            };
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = status;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, AtomicU64};
    use std::time::Duration;

    use crate::cli::demo::origin::Work;

    #[test]
    fn of_a_thousand_requests_as_many_fail_as_were_asked_for() {
        for (of_thousand, expected) in [(0, 0..=0), (50, 400..=600), (1000, 10_000..=10_000)] {
            let work = Work {
                name: "v2",
                time: Duration::from_millis(4),
                fails: Arc::new(AtomicU32::new(of_thousand)),
                state: AtomicU64::new(7),
            };
            let n_failed = (0..10_000).filter(|_| work.next().1).count();
            assert!(expected.contains(&n_failed), "{of_thousand}: {n_failed}");
        }
    }

    #[test]
    fn an_answer_takes_half_of_the_time_to_one_and_a_half() {
        let work = Work {
            name: "v1",
            time: Duration::from_millis(4),
            fails: Arc::default(),
            state: AtomicU64::new(1),
        };
        let times: Vec<_> = (0..1_000).map(|_| work.next().0).collect();
        assert!(times.iter().all(|time| (2..6).contains(&time.as_millis())));
        assert!(times.iter().any(|time| *time < Duration::from_millis(3)));
        assert!(times.iter().any(|time| Duration::from_millis(5) < *time));
    }
}
