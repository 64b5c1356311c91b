//! One request over a connection of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::outbound::error::{OutboundError, Stage};
use crate::outbound::url::Url;
use crate::tls::{ClientSettings, Connector, Terms, TlsError, Verify};

/// The addresses of a host that are tried at most: who has more has some that work among them.
const MAX_ADDRESSES: usize = 8;
/// The head of an answer may be this long, in bytes; hyper's own bound is some 400 KiB.
const MAX_HEAD: usize = 64 << 10;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Where.
    pub url: &'a Url,
    /// The fields besides `Host`, `User-Agent` (which one here replaces), `Connection` and
    /// `Content-Length`.
    pub fields: HeaderMap,
    /// The body, which may be empty.
    pub body: Bytes,
}

/// How long and how much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// For all of it: the name, the connection, the request and the whole answer.
    pub time: Duration,
    /// The longest body of an answer that is read, in bytes.
    pub answer: usize,
}

/// What was answered, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub fields: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Asks. It is cheap to clone and keeps no connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    connector: Option<Arc<Connector>>,
}

/// Reads whom a client trusts: the authorities in the file `ca`, or those of the system. What was
/// read before is kept when it is the same.
///
/// # Errors
/// When the file cannot be read or used, or the system trusts nobody.
pub fn trust(
    ca: Option<PathBuf>,
    before: Option<&Arc<Connector>>,
) -> Result<Arc<Connector>, TlsError> {
    let settings = ClientSettings {
        ca,
        name: None,
        certificate: None,
        verify: Verify::Full,
        terms: Terms::default(),
        alpn: &["http/1.1"],
    };
    Connector::load(settings, before)
}

impl Client {
    /// Makes a client that asks over plain HTTP, and refuses https.
    pub fn plain() -> Self {
        Self { connector: None }
    }

    /// Makes a client that asks over https, too.
    pub fn secured(connector: Arc<Connector>) -> Self {
        Self {
            connector: Some(connector),
        }
    }

    /// Asks and reads the whole answer, whatever its status. Nothing of it goes on when the
    /// returned future is dropped.
    ///
    /// # Errors
    /// When there is no answer, or it is too long, or it took too long.
    pub async fn ask(&self, request: Request<'_>, limits: Limits) -> Result<Answer, OutboundError> {
        let clock = Clock {
            end: Instant::now() + limits.time,
            limit: limits.time,
        };
        let url = request.url;
        let tcp = connect(url, &clock).await?;
        if !url.is_secure() {
            return exchange(TokioIo::new(tcp), request, limits, &clock).await;
        }
        let connector = self.connector.as_ref().ok_or(OutboundError::NoTrust)?;
        let ip = tcp.peer_addr().map_err(OutboundError::Connect)?.ip();
        let host = url.host().parse::<std::net::IpAddr>().is_err();
        let secured = connector.towards(host.then_some(url.host()), ip);
        let tls = clock.within(Stage::Tls, secured.connect(tcp)).await?;
        let tls = tls.map_err(OutboundError::Tls)?;
        exchange(TokioIo::new(tls), request, limits, &clock).await
    }
}

/// When the time is over.
struct Clock {
    end: Instant,
    limit: Duration,
}

impl Clock {
    async fn within<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = T>,
    ) -> Result<T, OutboundError> {
        timeout_at(self.end, work)
            .await
            .map_err(|_| self.over(stage, None))
    }

    fn over(&self, stage: Stage, status: Option<StatusCode>) -> OutboundError {
        OutboundError::TimedOut {
            stage,
            limit: self.limit,
            status,
        }
    }
}

/// Opens a connection to the first address that takes one. Each gets its share of the time that is
/// left, so that one that swallows everything leaves some to the others.
async fn connect(url: &Url, clock: &Clock) -> Result<TcpStream, OutboundError> {
    let lookup = lookup_host((url.host(), url.port()));
    let found = clock.within(Stage::Resolve, lookup).await?;
    let found = found.map_err(OutboundError::Resolve)?;
    let addresses: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    if addresses.is_empty() {
        return Err(OutboundError::Resolve(failure));
    }
    for (index, address) in addresses.iter().enumerate() {
        let left = clock.end.saturating_duration_since(Instant::now());
        let n_left = u32::try_from(addresses.len() - index).expect("there are few");
        match timeout(left / n_left, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // A request is written at once; an error here would come again when it is.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => {
                failure = io::Error::new(io::ErrorKind::TimedOut, "no answer from the address");
            }
        }
    }
    if clock.end <= Instant::now() {
        return Err(clock.over(Stage::Connect, None));
    }
    Err(OutboundError::Connect(failure))
}

async fn exchange<Io>(
    io: Io,
    request: Request<'_>,
    limits: Limits,
    clock: &Clock,
) -> Result<Answer, OutboundError>
where
    Io: Read + Write + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let handshake = clock.within(Stage::Answer, builder.handshake(io)).await?;
    let (mut sender, connection) = handshake.map_err(OutboundError::Send)?;
    // The connection ends with this call: dropping the set stops its task.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let sent = sender.send_request(message(request));
    let response = clock.within(Stage::Answer, sent).await?;
    let response = response.map_err(|error| {
        if error.is_canceled() || error.is_closed() || error.is_user() {
            OutboundError::Send(error)
        } else {
            OutboundError::Answer(error)
        }
    })?;
    let (head, body) = response.into_parts();
    let reading = read(body, head.status, limits.answer);
    let body = timeout_at(clock.end, reading)
        .await
        .map_err(|_| clock.over(Stage::Body, Some(head.status)))??;
    Ok(Answer {
        status: head.status,
        fields: head.headers,
        body,
    })
}

/// The request as hyper sends it.
fn message(request: Request<'_>) -> http::Request<Full<Bytes>> {
    let mut message = http::Request::new(Full::new(request.body));
    *message.method_mut() = request.method;
    *message.uri_mut() = request.url.target().clone().into();
    let ours = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
    let fields = message.headers_mut();
    *fields = request.fields;
    fields.entry(USER_AGENT).or_insert(ours);
    fields.insert(HOST, request.url.authority());
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    message
}

/// Reads a body up to its bound.
async fn read(
    mut body: Incoming,
    status: StatusCode,
    limit: usize,
) -> Result<Bytes, OutboundError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| OutboundError::Cut { status, source })?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        if limit - bytes.len() < data.len() {
            return Err(OutboundError::TooLarge { status, limit });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
