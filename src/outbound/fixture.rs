//! The vocabulary of tests that ask: an endpoint that keeps what it was asked, and one that says
//! what it was told to, be it an answer or not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::outbound::Url;

/// What is awaited comes in milliseconds; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an endpoint was asked.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// A field of the request; "" when there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        let value = self.fields.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A listener that keeps what it is asked.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    received: watch::Receiver<Vec<Received>>,
    /// Ends the endpoint when it is dropped.
    _tasks: JoinSet<()>,
}

impl Endpoint {
    /// Answers the request of each number, counted from 0, with a status and a body.
    pub(crate) async fn answering(
        answer: impl Fn(usize) -> (StatusCode, &'static str) + Send + Sync + 'static,
    ) -> Self {
        Self::start(None, Arc::new(answer)).await
    }

    /// Answers everything with 200.
    pub(crate) async fn content() -> Self {
        Self::answering(|_| (StatusCode::OK, "ok")).await
    }

    /// The same, over TLS.
    pub(crate) async fn secured(authority: &Authority) -> Self {
        let answer = Arc::new(|_| (StatusCode::OK, "ok"));
        Self::start(Some(authority.acceptor()), answer).await
    }

    async fn start(
        tls: Option<TlsAcceptor>,
        answer: Arc<dyn Fn(usize) -> (StatusCode, &'static str) + Send + Sync>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (sender, answer, tls) = (Arc::clone(&sender), Arc::clone(&answer), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(TokioIo::new(tcp), &sender, &*answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                serve(TokioIo::new(stream), &sender, &*answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            received,
            _tasks: tasks,
        }
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> Url {
        let Self {
            address, scheme, ..
        } = self;
        Url::parse(&format!("{scheme}://{address}{path}")).unwrap()
    }

    /// What was asked, as soon as it is so many requests.
    pub(crate) async fn received(&self, n: usize) -> Vec<Received> {
        let mut received = self.received.clone();
        let waiting = received.wait_for(|received| n <= received.len());
        let received = timeout(PATIENCE, waiting).await;
        received.expect("they come").unwrap().clone()
    }

    /// How much was asked until now.
    pub(crate) fn n_received(&self) -> usize {
        self.received.borrow().len()
    }
}

async fn serve<Io>(
    io: Io,
    sender: &watch::Sender<Vec<Received>>,
    answer: &(dyn Fn(usize) -> (StatusCode, &'static str) + Send + Sync),
) where
    Io: Read + Write + Unpin,
{
    let service = service_fn(|request: http::Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut number = 0;
        sender.send_modify(|received| {
            number = received.len();
            received.push(Received {
                method: head.method,
                target: head.uri.to_string(),
                fields: head.headers,
                body,
            });
        });
        let (status, text) = answer(number);
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    // A client that goes away ends this; the test sees that by what was received.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

/// Takes one connection, reads until the end of a head, and says `bytes`. The connection is kept
/// open when `is_kept`, and closed otherwise.
pub(crate) async fn saying(bytes: &'static [u8], is_kept: bool) -> (Url, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && tcp.read_buf(&mut head).await.unwrap() > 0 {}
        tcp.write_all(bytes).await.unwrap();
        if is_kept {
            std::future::pending::<()>().await;
        }
    });
    let url = Url::parse(&format!("http://{address}/secret?token=secret")).unwrap();
    (url, tasks)
}

/// An authority of its own, with a certificate for 127.0.0.1 and `localhost`.
pub(crate) struct Authority {
    directory: TempDir,
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            directory,
            key,
            certificate,
        }
    }

    /// The file that a client needs.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
