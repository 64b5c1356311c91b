//! The clients: connections that are kept, requests at an even rate, answers that are counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::demo::origin::SERVED_BY;
use crate::cli::demo::tally::Tally;

/// Clients, each with one connection.
pub(in crate::cli::demo) const CLIENTS: u32 = 16;
/// Users that the requests with a key belong to; the other half of the requests has no key.
const USERS: u64 = 5_000;
/// An answer that takes longer has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before connecting again after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// The clients of the demo.
pub(in crate::cli::demo) struct Load {
    clients: TaskTracker,
}

impl Load {
    /// Starts them; each ends after the request that it is at when `shutdown` comes.
    pub(in crate::cli::demo) fn start(
        proxy: SocketAddr,
        rate: u32,
        tally: &Arc<Tally>,
        shutdown: &CancellationToken,
    ) -> Self {
        let clients = TaskTracker::new();
        let period = Duration::from_secs(1) * CLIENTS / rate;
        for n in 0..CLIENTS {
            // Spread over the period, so that they do not all ask at once.
            let first = Instant::now() + period * n / CLIENTS;
            let client = Client {
                proxy,
                tally: tally.clone(),
                // Far apart, so that the clients stand for different users.
                asked: u64::from(n) * 7_919,
            };
            clients.spawn(client.run(first, period, shutdown.clone()));
        }
        clients.close();
        Self { clients }
    }

    /// Waits until all have ended.
    pub(in crate::cli::demo) async fn finish(self) {
        self.clients.wait().await;
    }
}

struct Client {
    proxy: SocketAddr,
    tally: Arc<Tally>,
    asked: u64,
}

impl Client {
    async fn run(mut self, first: Instant, period: Duration, shutdown: CancellationToken) {
        let mut ticks = interval_at(first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut connection = None;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let mut open = match connection.take() {
                Some(open) => open,
                None => match Connection::open(self.proxy).await {
                    Ok(open) => {
                        self.tally.connected();
                        open
                    }
                    Err(_) => {
                        self.tally.fail();
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let asked = Instant::now();
            match timeout(ANSWER_TIMEOUT, open.ask(self.next_user())).await {
                Ok(Ok(answer)) => {
                    let time = asked.elapsed();
                    match answer {
                        Answer::Good(variant) => self.tally.answered(variant, time),
                        Answer::Failed(variant) => self.tally.erred(variant, time),
                    }
                    connection = Some(open);
                }
                Ok(Err(_)) | Err(_) => self.tally.fail(),
            }
        }
    }

    /// The user of the next request: every other one has none.
    fn next_user(&mut self) -> Option<u64> {
        self.asked += 1;
        self.asked
            .is_multiple_of(2)
            .then_some((self.asked / 2) % USERS)
    }
}

struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    host: HeaderValue,
    /// What moves the bytes; it stops when this is dropped.
    _driver: JoinSet<hyper::Result<()>>,
}

/// What a variant answered: 0 is stable, 1 is the candidate.
enum Answer {
    /// What was asked for.
    Good(usize),
    /// That it failed.
    Failed(usize),
}

/// What ends a connection: an error, or an answer that none of our upstreams gives.
type Ended = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    async fn open(proxy: SocketAddr) -> Result<Self, Ended> {
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let mut running = JoinSet::new();
        running.spawn(driver);
        Ok(Self {
            sender,
            host: HeaderValue::from_str(&proxy.to_string())?,
            _driver: running,
        })
    }

    /// Asks once and tells what was answered.
    async fn ask(&mut self, user: Option<u64>) -> Result<Answer, Ended> {
        self.sender.ready().await?;
        let mut request = Request::get("/").header(HOST, &self.host);
        if let Some(user) = user {
            request = request.header("x-user-id", format!("user-{user}"));
        }
        let response = self
            .sender
            .send_request(request.body(Empty::new())?)
            .await?;
        let status = response.status();
        let served_by = response.headers().get(SERVED_BY).cloned();
        response.into_body().collect().await?;
        let variant = match served_by.as_ref().map(HeaderValue::as_bytes) {
            Some(b"v1") => 0,
            Some(b"v2") => 1,
            _ => return Err(format!("answered {status}").into()),
        };
        Ok(if status == StatusCode::OK {
            Answer::Good(variant)
        } else {
            Answer::Failed(variant)
        })
    }
}
