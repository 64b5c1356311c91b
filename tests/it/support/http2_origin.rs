//! Origins that speak HTTP/2, by the `h2` crate, with TLS or by prior knowledge.
//!
//! What an origin does with a request is a function over a [`Turn`]; the usual ones have a name
//! here. The record of requests and connections is that of any [`Origin`].

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::support::conversation::Record;
use crate::support::message::{End, Message};
use crate::support::origin::{self, Origin};
use crate::support::wait::within;
use crate::support::wire::Stream;

/// One request and the response to it.
pub(crate) struct Turn {
    /// The request; its head is written as `METHOD path`, its pseudo-fields are among its fields.
    pub(crate) request: Message,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
    record: Arc<Record>,
    index: usize,
    retiring: Arc<Notify>,
}

/// Starts an origin that does `serve` with each request.
pub(crate) async fn serving<F>(serve: impl Fn(Turn) -> F + Clone + Send + Sync + 'static) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    serving_as(|_| {}, serve).await
}

/// Starts an origin likewise whose connections `adjust` has adjusted.
pub(crate) async fn serving_as<F>(
    adjust: impl Fn(&mut Builder),
    serve: impl Fn(Turn) -> F + Clone + Send + Sync + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    serving_at(any, adjust, serve).await
}

/// Starts an origin likewise that takes extended CONNECT (RFC 8441).
pub(crate) async fn connecting<F>(
    serve: impl Fn(Turn) -> F + Clone + Send + Sync + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let takes = |builder: &mut Builder| {
        builder.enable_connect_protocol();
    };
    serving_as(takes, serve).await
}

/// Starts an origin likewise at a certain address.
pub(crate) async fn serving_at<F>(
    address: SocketAddr,
    adjust: impl Fn(&mut Builder),
    serve: impl Fn(Turn) -> F + Clone + Send + Sync + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = Builder::new();
    adjust(&mut builder);
    origin::accepting_at(address, move |stream, record| {
        stream.set_nodelay(true).expect("an option");
        converse(stream, builder.clone(), Arc::clone(record), serve.clone())
    })
    .await
}

/// Starts an origin likewise that speaks TLS, and takes extended CONNECT.
pub(crate) async fn serving_tls<F>(
    config: ServerConfig,
    serve: impl Fn(Turn) -> F + Clone + Send + Sync + 'static,
) -> Origin
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    origin::accepting_at(any, move |stream, record| {
        let accepting = acceptor.accept(stream);
        let (record, serve) = (Arc::clone(record), serve.clone());
        async move {
            if let Ok(stream) = accepting.await {
                let mut builder = Builder::new();
                builder.enable_connect_protocol();
                converse(stream, builder, record, serve).await;
            }
        }
    })
    .await
}

/// Answers every request with 200 and this body.
pub(crate) async fn answering(body: &'static str) -> Origin {
    serving(move |mut turn| async move {
        turn.whole().await;
        turn.ok(body.as_bytes()).await;
    })
    .await
}

/// Answers every request with its own body.
pub(crate) async fn echo() -> Origin {
    serving(|mut turn| async move {
        turn.whole().await;
        let body = turn.request.body.clone();
        turn.ok(&body).await;
    })
    .await
}

/// Opens every WebSocket (RFC 8441) and sends back the bytes that come through it, whatever they are.
pub(crate) async fn websocket() -> Origin {
    connecting(|mut turn| async move {
        turn.head(200, &[]);
        let mut n = 0;
        while turn.some().await {
            let piece = turn.request.body[n..].to_vec();
            n += piece.len();
            turn.data(&piece).await;
        }
        turn.last_data(b"").await;
    })
    .await
}

async fn converse<F>(
    stream: impl Stream,
    builder: Builder,
    record: Arc<Record>,
    serve: impl Fn(Turn) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    record.change(|recorded| recorded.connections.push(Vec::new()));
    let Ok(mut connection) = builder.handshake(stream).await else {
        return;
    };
    let mut turns = JoinSet::new();
    let retiring = Arc::new(Notify::new());
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = retiring.notified() => {
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else {
            return;
        };
        let (request, body) = read(request);
        let received = request.clone();
        let index = record.change(|recorded| {
            recorded.requests.push(received);
            recorded.requests.len() - 1
        });
        turns.spawn(serve(Turn {
            request,
            body,
            respond,
            sending: None,
            record: Arc::clone(&record),
            index,
            retiring: Arc::clone(&retiring),
        }));
    }
}

fn read(request: Request<RecvStream>) -> (Message, RecvStream) {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let mut fields = Vec::new();
    if let Some(authority) = parts.uri.authority() {
        fields.push((":authority".to_owned(), authority.to_string()));
    }
    if let Some(scheme) = parts.uri.scheme_str() {
        fields.push((":scheme".to_owned(), scheme.to_owned()));
    }
    if let Some(protocol) = parts.extensions.get::<h2::ext::Protocol>() {
        fields.push((":protocol".to_owned(), protocol.as_str().to_owned()));
    }
    fields.extend(pairs(&parts.headers));
    let request = Message {
        head: format!("{} {path}", parts.method),
        status: 0,
        fields,
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Clean,
    };
    (request, body)
}

fn pairs(fields: &HeaderMap) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).expect("a name");
        map.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    map
}

impl Turn {
    /// True for the first request that the origin got.
    pub(crate) fn is_first(&self) -> bool {
        self.index == 0
    }

    /// Tells the proxy that the connection takes no further streams (GOAWAY).
    pub(crate) fn retire_connection(&self) {
        self.retiring.notify_one();
    }

    /// Reads the request's body to its end, clean or not, and notes it.
    pub(crate) async fn whole(&mut self) {
        while self.some().await {}
    }

    /// Reads the next data of the request's body and notes it; false at its end.
    pub(crate) async fn some(&mut self) -> bool {
        let more = match within("a request's data", self.body.data()).await {
            Some(Ok(data)) => {
                self.request.body.extend_from_slice(&data);
                let flow = self.body.flow_control();
                flow.release_capacity(data.len()).expect("it was received");
                true
            }
            Some(Err(_)) => {
                self.request.end = End::Cut;
                false
            }
            None => {
                match within("a request's trailers", self.body.trailers()).await {
                    Ok(trailers) => {
                        self.request.trailers = trailers.as_ref().map(pairs).unwrap_or_default();
                    }
                    Err(_) => self.request.end = End::Cut,
                }
                false
            }
        };
        let (index, kept) = (self.index, self.request.clone());
        self.record
            .change(|recorded| recorded.requests[index] = kept);
        more
    }

    /// Sends a 1xx.
    pub(crate) fn inform(&mut self, status: u16, fields: &[(&str, &str)]) {
        let response = response(status, fields);
        let sent = self.respond.send_informational(response);
        sent.expect("a stream that is open");
    }

    /// Sends a head, with a body to come.
    pub(crate) fn head(&mut self, status: u16, fields: &[(&str, &str)]) {
        let response = response(status, fields);
        // That the proxy went away is no concern of an origin.
        self.sending = self.respond.send_response(response, false).ok();
    }

    /// Sends a head, and nothing else.
    pub(crate) fn only_head(&mut self, status: u16, fields: &[(&str, &str)]) {
        let response = response(status, fields);
        let _gone = self.respond.send_response(response, true);
    }

    /// Sends data as the windows allow; false when the proxy does not take it any more.
    pub(crate) async fn data(&mut self, data: &[u8]) -> bool {
        self.send(data, false).await
    }

    /// Sends the last data.
    pub(crate) async fn last_data(&mut self, data: &[u8]) {
        self.send(data, true).await;
    }

    async fn send(&mut self, data: &[u8], ends: bool) -> bool {
        let sending = self.sending.as_mut().expect("a head went before");
        let mut rest = Bytes::copy_from_slice(data);
        while !rest.is_empty() {
            sending.reserve_capacity(rest.len());
            match poll_fn(|context| sending.poll_capacity(context)).await {
                Some(Ok(n)) => {
                    let piece = rest.split_to(n.min(rest.len()));
                    if sending.send_data(piece, ends && rest.is_empty()).is_err() {
                        return false;
                    }
                }
                Some(Err(_)) | None => return false,
            }
        }
        !data.is_empty() || sending.send_data(Bytes::new(), ends).is_ok()
    }

    /// Leaves data to be sent as the windows allow, without waiting for that.
    pub(crate) fn leave(&mut self, data: Vec<u8>) {
        let sending = self.sending.as_mut().expect("a head went before");
        let left = sending.send_data(Bytes::from(data), false);
        left.expect("a stream that is open");
    }

    /// Ends the response with trailers.
    pub(crate) fn trailers(&mut self, fields: &[(&str, &str)]) {
        let sending = self.sending.as_mut().expect("a head went before");
        let _gone = sending.send_trailers(map(fields));
    }

    /// Answers 200 with a body, or only with its head to a HEAD.
    pub(crate) async fn ok(&mut self, body: &[u8]) {
        let length = body.len().to_string();
        let fields = [("content-length", length.as_str())];
        if self.request.method() == "HEAD" {
            self.only_head(200, &fields);
        } else {
            self.head(200, &fields);
            self.last_data(body).await;
        }
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, reason: Reason) {
        match &mut self.sending {
            Some(sending) => sending.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Waits until the proxy resets the stream, and tells why.
    pub(crate) async fn reset_by_peer(&mut self) -> Reason {
        let reset = async {
            match &mut self.sending {
                Some(sending) => poll_fn(|context| sending.poll_reset(context)).await,
                None => poll_fn(|context| self.respond.poll_reset(context)).await,
            }
        };
        within("a reset", reset).await.expect("a reset")
    }

    /// Waits until the test releases it.
    pub(crate) async fn released(&self) {
        self.record.released().await;
    }
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    *response.headers_mut() = map(fields);
    response
}
