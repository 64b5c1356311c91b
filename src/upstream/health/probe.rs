//! Asks an endpoint once.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::tls::Secured;
use crate::upstream::health::{HealthCheck, Probe, grpc};
use crate::upstream::{Endpoint, Protocol, ProxyHeader, shortage};

/// What is said of who asks.
const AGENT: &str = concat!("tidegate-health/", env!("CARGO_PKG_VERSION"));

/// What is wrong with an endpoint.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// No TLS.
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    /// A connection, and no answer on it.
    #[error("no answer: {0}")]
    Exchange(String),
    /// An answer with another status.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The health service says that the service is not serving.
    #[error("the service is not serving")]
    NotServing,
    /// A call of the health service that failed.
    #[error("answered grpc-status {0}")]
    GrpcStatus(String),
}

impl ProbeError {
    /// True when it says nothing of the endpoint: there was not enough here to ask it.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Connect(error) => shortage::is_ours(error),
            Self::Timeout
            | Self::Tls(_)
            | Self::Exchange(_)
            | Self::Status(_)
            | Self::NotServing
            | Self::GrpcStatus(_) => false,
        }
    }
}

/// A connection, of whatever kind.
pub(in crate::upstream::health) trait Io:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Asks an endpoint once, over a connection of its own.
///
/// # Errors
/// What is wrong with it.
pub async fn probe(
    check: &HealthCheck,
    endpoint: &Endpoint,
    protocol: Protocol,
    tls: Option<&Secured>,
    header: Option<ProxyHeader>,
) -> Result<(), ProbeError> {
    let asking = ask(&check.probe, endpoint, protocol, tls, header);
    timeout(check.timeout, asking)
        .await
        .unwrap_or(Err(ProbeError::Timeout))
}

async fn ask(
    probe: &Probe,
    endpoint: &Endpoint,
    protocol: Protocol,
    tls: Option<&Secured>,
    header: Option<ProxyHeader>,
) -> Result<(), ProbeError> {
    let io = reach(endpoint, tls, header).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let own = endpoint.authority();
    match probe {
        Probe::Tcp => Ok(()),
        Probe::Http { path, host, status } => {
            let host = host.as_deref().unwrap_or(&own);
            let answer = match protocol {
                Protocol::Http1 => http1(io, host, path).await?,
                Protocol::Http2 => http2(io, scheme, host, path).await?,
            };
            if status.contains(&answer.as_u16()) {
                Ok(())
            } else {
                Err(ProbeError::Status(answer))
            }
        }
        Probe::Grpc { service } => call(io, scheme, &own, service).await,
    }
}

/// Connects to an endpoint, for one question.
pub(in crate::upstream::health) async fn reach(
    endpoint: &Endpoint,
    tls: Option<&Secured>,
    header: Option<ProxyHeader>,
) -> Result<Box<dyn Io>, ProbeError> {
    let mut tcp = endpoint.connect().await.map_err(ProbeError::Connect)?;
    if let Some(header) = header {
        // It is nobody's but ours.
        let written = tcp.write_all(&header.bytes(None)).await;
        written.map_err(ProbeError::Connect)?;
    }
    Ok(match tls {
        None => Box::new(tcp),
        Some(tls) => Box::new(tls.connect(tcp).await.map_err(ProbeError::Tls)?),
    })
}

/// The status of a GET by HTTP/1.1.
async fn http1(io: Box<dyn Io>, host: &str, path: &str) -> Result<StatusCode, ProbeError> {
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(no_answer)?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(no_answer)?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It may end with the answer.
        _ended = connection => answer.await,
    };
    Ok(answer.map_err(no_answer)?.status())
}

/// The status of a GET by HTTP/2.
async fn http2(
    io: Box<dyn Io>,
    scheme: &str,
    host: &str,
    path: &str,
) -> Result<StatusCode, ProbeError> {
    let request = Request::get(uri(scheme, host, path)?)
        .header(USER_AGENT, AGENT)
        .body(())
        .map_err(no_answer)?;
    over_http2(io, async |mut sender| {
        let (answer, _) = sender.send_request(request, true).map_err(no_answer)?;
        Ok(answer.await.map_err(no_answer)?.status())
    })
    .await
}

/// Asks the health service.
async fn call(io: Box<dyn Io>, scheme: &str, host: &str, service: &str) -> Result<(), ProbeError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri(scheme, host, grpc::PATH)?)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(())
        .map_err(no_answer)?;
    over_http2(io, async |mut sender| {
        let (answer, mut stream) = sender.send_request(request, false).map_err(no_answer)?;
        let question = Bytes::from(grpc::question(service));
        stream.send_data(question, true).map_err(no_answer)?;
        let answer = answer.await.map_err(no_answer)?;
        if answer.status() != StatusCode::OK {
            return Err(ProbeError::Status(answer.status()));
        }
        let (head, mut body) = answer.into_parts();
        // An answer without a message has its status in the head.
        grpc_status(&head.headers)?;
        let mut message = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(no_answer)?;
            // What is longer is no answer of this service.
            if message.len() + data.len() > grpc::MAX_ANSWER {
                return Err(ProbeError::NotServing);
            }
            message.extend_from_slice(&data);
        }
        if let Some(trailers) = body.trailers().await.map_err(no_answer)? {
            grpc_status(&trailers)?;
        }
        if grpc::is_serving(&message) {
            Ok(())
        } else {
            Err(ProbeError::NotServing)
        }
    })
    .await
}

/// Lets `exchange` use a connection while that is moved on.
pub(in crate::upstream::health) async fn over_http2<T>(
    io: Box<dyn Io>,
    exchange: impl AsyncFnOnce(h2::client::SendRequest<Bytes>) -> Result<T, ProbeError>,
) -> Result<T, ProbeError> {
    let shaken = h2::client::handshake(io).await;
    let (mut sender, connection) = shaken.map_err(no_answer)?;
    let mut exchange = pin!(async {
        poll_fn(|context| sender.poll_ready(context))
            .await
            .map_err(no_answer)?;
        exchange(sender).await
    });
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ended = connection => exchange.await,
    }
}

pub(in crate::upstream::health) fn uri(
    scheme: &str,
    host: &str,
    path: &str,
) -> Result<Uri, ProbeError> {
    Uri::builder()
        .scheme(scheme)
        .authority(host)
        .path_and_query(path)
        .build()
        .map_err(no_answer)
}

/// An error that is told by `grpc-status`, if there is one.
fn grpc_status(fields: &HeaderMap) -> Result<(), ProbeError> {
    match fields.get("grpc-status") {
        Some(status) if status != "0" => {
            let status = String::from_utf8_lossy(status.as_bytes()).into_owned();
            Err(ProbeError::GrpcStatus(status))
        }
        _ => Ok(()),
    }
}

/// What a library says, with what is behind it.
pub(in crate::upstream::health) fn no_answer(error: impl std::error::Error) -> ProbeError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ProbeError::Exchange(text)
}
