//! Asks an endpoint anything once, and reads what it answers.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::tls::Secured;
use crate::upstream::health::probe::{Io, ProbeError, no_answer, over_http2, reach, uri};
use crate::upstream::{Endpoint, Protocol, ProxyHeader};

/// What is said of who asks, unless the question says something else.
const AGENT: &str = concat!("tidegate-test/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer's body that are read: what is looked for stands near its beginning.
const MOST: usize = 256 << 10;

/// A question to an endpoint.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The host that is asked for; `None` is the endpoint's own name or address.
    pub host: Option<String>,
    /// Fields.
    pub fields: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What an endpoint answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body, up to 256 KiB of it.
    pub body: Bytes,
}

/// Asks an endpoint once, over a connection of its own.
///
/// # Errors
/// Why there is no answer.
pub async fn ask(
    question: &Question,
    endpoint: &Endpoint,
    protocol: Protocol,
    tls: Option<&Secured>,
    header: Option<ProxyHeader>,
) -> Result<Reply, ProbeError> {
    let asking = async {
        let io = reach(endpoint, tls, header).await?;
        let own = endpoint.authority();
        let host = question.host.as_deref().unwrap_or(&own);
        match protocol {
            Protocol::Http1 => http1(io, host, question).await,
            Protocol::Http2 => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                http2(io, scheme, host, question).await
            }
        }
    };
    timeout(question.timeout, asking)
        .await
        .unwrap_or(Err(ProbeError::Timeout))
}

async fn http1(io: Box<dyn Io>, host: &str, question: &Question) -> Result<Reply, ProbeError> {
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(no_answer)?;
    let mut request = Request::builder()
        .method(question.method.clone())
        .uri(&question.path)
        .header(HOST, host)
        .body(Full::new(question.body.clone()))
        .map_err(no_answer)?;
    add_fields(request.headers_mut(), question);
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(no_answer)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        // What is longer is judged by its status alone.
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        Ok(Reply { status, body })
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // It may end with the answer.
        _ended = connection => exchange.await,
    }
}

async fn http2(
    io: Box<dyn Io>,
    scheme: &str,
    host: &str,
    question: &Question,
) -> Result<Reply, ProbeError> {
    let mut request = Request::builder()
        .method(question.method.clone())
        .uri(uri(scheme, host, &question.path)?)
        .body(())
        .map_err(no_answer)?;
    add_fields(request.headers_mut(), question);
    over_http2(io, async |mut sender| {
        let is_empty = question.body.is_empty();
        let (answer, mut stream) = sender.send_request(request, is_empty).map_err(no_answer)?;
        if !is_empty {
            stream
                .send_data(question.body.clone(), true)
                .map_err(no_answer)?;
        }
        let answer = answer.await.map_err(no_answer)?;
        let status = answer.status();
        let mut received = answer.into_body();
        let mut body = Vec::new();
        while let Some(data) = received.data().await {
            let data = data.map_err(no_answer)?;
            // The window is given back, so that a long answer comes to its end.
            received
                .flow_control()
                .release_capacity(data.len())
                .map_err(no_answer)?;
            if MOST < body.len() + data.len() {
                break;
            }
            body.extend_from_slice(&data);
        }
        let body = Bytes::from(body);
        Ok(Reply { status, body })
    })
    .await
}

fn add_fields(fields: &mut HeaderMap, question: &Question) {
    let agent = http::HeaderValue::from_static(AGENT);
    fields.insert(USER_AGENT, agent);
    for (name, value) in &question.fields {
        fields.insert(name, value.clone());
    }
}
