//! A proxy that also has a listener with TLS, for `edge.test`, and clients that trust it.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, CommonState};

use crate::support::certs::{self, Authority};
use crate::support::client::{self, Client};
use crate::support::config::Config;
use crate::support::http2::{self, Http2};
use crate::support::proxy::{self, Proxy};

/// A proxy with the listeners `http` and `https`.
pub(crate) struct Secure {
    /// The proxy.
    pub(crate) proxy: Proxy,
    /// Who signed its certificate.
    pub(crate) authority: Authority,
}

/// Starts a proxy that has the listener `https` besides what is configured.
pub(crate) async fn start(config: &Config) -> Secure {
    start_with(config, "").await
}

/// Starts a proxy whose listener `https` has these further keys.
pub(crate) async fn start_with(config: &Config, keys: &str) -> Secure {
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    let proxy = proxy::start_in(dir, &with_https(config, keys)).await;
    Secure { proxy, authority }
}

/// The configuration with the listener `https`, whose certificate is `edge.crt`.
pub(crate) fn with_https(config: &Config, keys: &str) -> Config {
    let tls = certs::listener_keys(&["edge"]);
    config.clone().listener("https", &format!("{tls}\n{keys}"))
}

/// What a handshake agreed on, in the words of the library.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Agreed {
    /// The version of TLS.
    pub(crate) version: String,
    /// The cipher suite.
    pub(crate) suite: String,
    /// The group for the key exchange; empty when no keys were exchanged.
    pub(crate) group: String,
}

/// What the handshake of a connection agreed on.
pub(crate) fn agreed(tls: &CommonState) -> Agreed {
    let text = |thing: Option<String>| thing.unwrap_or_default();
    let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
    let group = tls.negotiated_key_exchange_group();
    Agreed {
        version: text(tls.protocol_version().map(|version| format!("{version:?}"))),
        suite: text(suite.map(|suite| format!("{suite:?}"))),
        group: text(group.map(|group| format!("{:?}", group.name()))),
    }
}

impl Secure {
    /// Opens a TLS connection and offers these protocols.
    pub(crate) async fn tls(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.tls_as(self.authority.client(alpn))
            .await
            .expect("a TLS connection")
    }

    /// Opens a TLS connection as this client.
    pub(crate) async fn tls_as(
        &self,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        client::tls(self.proxy.address("https"), "edge.test", config).await
    }

    /// Opens an HTTP/1 connection over TLS.
    pub(crate) async fn http1(&self) -> Client {
        client::over(self.tls(&["http/1.1"]).await)
    }

    /// Opens an HTTP/2 connection over TLS.
    pub(crate) async fn http2(&self) -> Http2 {
        http2::begin(self.tls(&["h2"]).await).await
    }
}
