//! Origins that speak TLS, and what they saw of each handshake.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{HandshakeKind, ServerConfig};

use crate::support::conversation::Conversation;
use crate::support::origin::{self, Origin};
use crate::support::secure::{Agreed, agreed};

/// A running origin that speaks TLS.
pub(crate) struct SecureOrigin {
    /// The origin: its connections are those whose handshake is done, its bytes those within TLS.
    pub(crate) origin: Origin,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
}

/// What an origin saw of a handshake that it was content with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Handshake {
    /// The name that was asked for.
    pub(crate) name: Option<String>,
    /// The protocol that was agreed upon.
    pub(crate) alpn: Option<String>,
    /// Whether the session is an earlier one.
    pub(crate) resumed: bool,
    /// Version, cipher suite and group.
    pub(crate) agreed: Agreed,
}

/// Starts an origin that does `serve` with each connection whose handshake is done.
pub(crate) async fn serving<F>(
    config: ServerConfig,
    serve: impl Fn(Conversation) -> F + Clone + Send + Sync + 'static,
) -> SecureOrigin
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let handshakes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&handshakes);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let origin = origin::accepting_at(any, move |stream, record| {
        stream.set_nodelay(true).expect("an option");
        let linger = SockRef::from(&stream).try_clone().expect("a second handle");
        let accepting = acceptor.accept(stream);
        let (seen, record, serve) = (Arc::clone(&seen), Arc::clone(record), serve.clone());
        async move {
            let Ok(stream) = accepting.await else { return };
            let (_, tls) = stream.get_ref();
            seen.lock().expect("no panic").push(Handshake {
                name: tls.server_name().map(str::to_owned),
                alpn: tls
                    .alpn_protocol()
                    .map(|name| String::from_utf8_lossy(name).into_owned()),
                resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
                agreed: agreed(tls),
            });
            serve(Conversation::over(stream, linger, &record)).await;
        }
    })
    .await;
    SecureOrigin { origin, handshakes }
}

/// Answers every request with 200 and this body.
pub(crate) async fn answering(config: ServerConfig, body: &'static str) -> SecureOrigin {
    serving(config, move |mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.ok(body.as_bytes()).await;
        }
    })
    .await
}

impl SecureOrigin {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// The handshakes that it was content with so far.
    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().expect("no panic").clone()
    }
}
