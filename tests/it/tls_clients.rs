//! Clients that prove who they are: who comes in, and what the upstream is told of them.

use std::sync::Arc;

use rcgen::{DistinguishedName, DnType};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::{AlertDescription, ClientConfig, Error, HandshakeKind};

use crate::support::ask::{self, Ask};
use crate::support::certs::{self, Authority, Pair};
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::message::Message;
use crate::support::openssl;
use crate::support::origin::{self, Origin};
use crate::support::proxy;
use crate::support::secure::{self, Secure};
use crate::support::wait::{self, within};

/// What an upstream is told of a client's certificate, and what a client could try instead.
const NAMES: [&str; 6] = [
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert-Subject",
    "x-client-cert-fingerprint",
    "X_Client_Cert_Subject",
    "client_cert",
];

/// A listener `https` that asks for certificates of `clients`.
struct Asking {
    origin: Origin,
    secure: Secure,
    clients: Authority,
}

async fn asking(keys: &str) -> Asking {
    let origin = origin::echo().await;
    let clients = certs::authority();
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    proxy::replace(&dir.path().join("clients.pem"), &clients.pem);
    let config = with_clients(&config::to(origin.address), keys);
    let proxy = proxy::start_in(dir, &config).await;
    Asking {
        origin,
        secure: Secure { proxy, authority },
        clients,
    }
}

fn with_clients(config: &Config, keys: &str) -> Config {
    let keys = format!(
        "[listener.https.tls]\ncertificates = [{{ cert = \"edge.crt\", key = \"edge.key\" }}]\n\
         client_ca = \"clients.pem\"\n{keys}"
    );
    config.clone().listener("https", &keys)
}

/// A certificate of somebody's.
fn of(authority: &Authority, name: &str) -> Pair {
    authority.pair_with(&[], |params| {
        params.distinguished_name = DistinguishedName::new();
        let mut add = |kind, value: &str| params.distinguished_name.push(kind, value);
        add(DnType::OrganizationName, "Example, Inc.");
        add(DnType::CommonName, name);
    })
}

impl Asking {
    /// A client that shows this certificate.
    fn showing(&self, pair: &Pair, alpn: &[&str]) -> Arc<ClientConfig> {
        self.secure.authority.client_as(pair, alpn)
    }

    /// Asks once; nothing when the client is not let in. In TLS 1.3 it learns that only when it
    /// reads.
    async fn ask(&self, config: Arc<ClientConfig>, ask: &Ask) -> Option<Message> {
        let stream = self.secure.tls_as(config).await.ok()?;
        let mut client = client::over(stream);
        client.wire.try_send(ask.http1()).await.ok()?;
        client.wire.try_response("GET").await
    }
}

#[track_caller]
fn told(request: &Message, name: &str, pair: &Pair) {
    let subject = format!("CN={name},O=Example\\, Inc.");
    assert_eq!(request.field("x-client-cert-subject"), Some(&*subject));
    let (chain, _) = pair.parts();
    let hash = Sha256::digest(&chain[0]);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.field("x-client-cert-fingerprint"), Some(&*hash));
    // The body of PEM is the base64 that RFC 9440 asks for, in lines.
    let lines = pair.cert.lines().filter(|line| !line.starts_with("--"));
    let certificate = format!(":{}:", lines.collect::<String>());
    assert_eq!(request.field("client-cert"), Some(&*certificate));
}

#[track_caller]
fn told_nothing(request: &Message) {
    for name in NAMES {
        assert_eq!(request.values(name), Vec::<&str>::new(), "{}", request.head);
    }
}

/// A request that pretends.
fn pretending() -> Ask {
    NAMES
        .into_iter()
        .fold(ask::get("/"), |ask, name| ask.field(name, "CN=admin"))
}

#[tokio::test]
async fn the_upstream_is_told_who_a_client_is_and_not_what_it_says() {
    let asking = asking("").await;
    let alice = of(&asking.clients, "alice");
    let stream = asking
        .secure
        .tls_as(asking.showing(&alice, &["http/1.1"]))
        .await;
    let mut client = client::over(stream.expect("a TLS connection"));
    let bob = of(&asking.clients, "bob");
    let stream = asking.secure.tls_as(asking.showing(&bob, &["h2"])).await;
    let http2 = http2::begin(stream.expect("a TLS connection")).await;
    for _ in 0..3 {
        assert_eq!(client.ask(&pretending()).await.status, 200);
    }
    assert_eq!(http2.ask(&pretending()).await.status, 200);
    let requests = asking.origin.requests();
    for request in &requests[..3] {
        told(request, "alice", &alice);
        assert_eq!(request.values("client-cert-chain"), Vec::<&str>::new());
    }
    told(&requests[3], "bob", &bob);
}

#[tokio::test]
async fn without_a_certificate_nobody_comes_in() {
    let asking = asking("client_auth = \"required\"").await;
    let nobody = asking.secure.authority.client(&["http/1.1"]);
    assert!(asking.ask(nobody, &ask::get("/")).await.is_none());
    let stranger = of(&certs::authority(), "alice");
    let stranger = asking.showing(&stranger, &["http/1.1"]);
    assert!(asking.ask(stranger, &ask::get("/")).await.is_none());
    assert_eq!(asking.origin.n_requests(), 0);
    asking
        .secure
        .proxy
        .counted("two clients that were not let in", |metrics| {
            let labels = [("listener", "https"), ("reason", "tls")];
            metrics.sum("tidegate_downstream_connections_rejected_total", &labels) == 2.0
        })
        .await;
}

#[tokio::test]
async fn who_is_refused_is_told_why_whatever_it_sends_meanwhile() {
    let asking = asking("").await;
    let stranger = of(&certs::authority(), "alice");
    let stranger = asking.showing(&stranger, &["http/1.1"]);
    let nobody = asking.secure.authority.client(&["http/1.1"]);
    for (config, expected) in [
        (nobody, AlertDescription::CertificateRequired),
        // Its authority has the name of ours, and another key.
        (stranger, AlertDescription::DecryptError),
    ] {
        let stream = asking.secure.tls_as(config).await;
        let mut stream = stream.expect("in TLS 1.3 it learns that only later");
        let socket = stream.get_mut().0;
        within("an alert", socket.readable())
            .await
            .expect("a socket");
        // What it sends now is answered by no reset, which would be the end of the alert, too.
        for _ in 0..3 {
            socket
                .write_all(b"what it had to say")
                .await
                .expect("an ear");
        }
        let error = stream.read(&mut [0]).await.expect_err("it is refused");
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        assert_eq!(error, Some(&Error::AlertReceived(expected)));
    }
    assert_eq!(asking.origin.n_requests(), 0);
}

#[tokio::test]
async fn a_certificate_may_be_optional_but_not_wrong() {
    let asking = asking("client_auth = \"optional\"").await;
    let nobody = asking.secure.authority.client(&["http/1.1"]);
    assert!(asking.ask(nobody, &pretending()).await.is_some());
    told_nothing(&asking.origin.request());
    let alice = of(&asking.clients, "alice");
    let client = asking.showing(&alice, &["http/1.1"]);
    assert!(asking.ask(client, &ask::get("/")).await.is_some());
    told(&asking.origin.requests()[1], "alice", &alice);
    let stranger = of(&certs::authority(), "alice");
    let stranger = asking.showing(&stranger, &["http/1.1"]);
    assert!(asking.ask(stranger, &ask::get("/")).await.is_none());
}

#[tokio::test]
async fn what_clients_say_of_certificates_goes_nowhere_on_any_listener() {
    let origin = origin::echo().await;
    let secure = secure::start(&config::to(origin.address)).await;
    assert_eq!(secure.proxy.ask(&pretending()).await.status, 200);
    assert_eq!(secure.http1().await.ask(&pretending()).await.status, 200);
    assert_eq!(secure.http2().await.ask(&pretending()).await.status, 200);
    let chunked = "POST / HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\
                   connection: close\r\n\r\n0\r\nX-Client-Cert-Subject: CN=admin\r\nx-kept: 1\r\n\r\n";
    client::raw(secure.proxy.http(), chunked).await;
    let requests = origin.requests();
    assert_eq!(requests.len(), 4);
    requests.iter().for_each(told_nothing);
    assert_eq!(
        requests[3].trailers,
        [("x-kept".to_owned(), "1".to_owned())]
    );
}

#[tokio::test]
async fn a_resumed_session_is_still_the_clients() {
    let asking = asking("").await;
    let alice = of(&asking.clients, "alice");
    let config = asking.showing(&alice, &["http/1.1"]);
    for turn in 0..2 {
        let stream = asking.secure.tls_as(config.clone()).await;
        let stream = stream.expect("a TLS connection");
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(HandshakeKind::Resumed), turn == 1);
        client::over(stream).get("/").await;
        told(&asking.origin.requests()[turn], "alice", &alice);
    }
}

#[tokio::test]
async fn a_session_is_worth_nothing_once_others_may_come_in() {
    let asking = asking("").await;
    let alice = of(&asking.clients, "alice");
    let alice = asking.showing(&alice, &["http/1.1"]);
    assert!(asking.ask(alice.clone(), &ask::get("/")).await.is_some());

    // The file is watched.
    let others = certs::authority();
    let file = asking.secure.proxy.dir().join("clients.pem");
    proxy::replace(&file, &others.pem);
    let bob = asking.showing(&of(&others, "bob"), &["http/1.1"]);
    wait::until("others may come in", async || {
        asking.ask(bob.clone(), &ask::get("/")).await.is_some()
    })
    .await;
    assert!(asking.ask(alice, &ask::get("/")).await.is_none());
}

#[tokio::test]
async fn a_ticket_of_another_listener_stands_for_no_certificate() {
    let origin = origin::echo().await;
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    proxy::replace(&dir.path().join("clients.pem"), &certs::authority().pem);
    let open = certs::listener_keys(&["edge"]);
    let config = config::to(origin.address).listener("open", &open);
    let proxy = proxy::start_in(dir, &with_clients(&config, "")).await;
    let client = authority.client(&["http/1.1"]);
    let stream = client::tls(proxy.address("open"), "edge.test", client.clone()).await;
    let mut open = client::over(stream.expect("a TLS connection"));
    assert_eq!(open.get("/").await.status, 200);
    // It has a ticket now, for a server of the same name.
    if let Ok(stream) = client::tls(proxy.address("https"), "edge.test", client).await {
        let mut closed = client::over(stream);
        let sent = closed.wire.try_send(ask::get("/").http1()).await;
        assert!(sent.is_err() || closed.wire.try_response("GET").await.is_none());
    }
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn openssl_comes_in_with_a_certificate_and_not_without() {
    let asking = asking("").await;
    let dir = asking.secure.proxy.dir();
    of(&asking.clients, "alice").write(dir, "alice");
    for (arguments, status) in [
        (
            &["-cert", "alice.crt", "-key", "alice.key"][..],
            Some("HTTP/1.1 200 OK"),
        ),
        (&[], None),
    ] {
        let Some(answer) = openssl::client(&asking.secure, arguments).await else {
            return;
        };
        let line = answer.lines().find(|line| line.starts_with("HTTP/1.1"));
        assert_eq!(line, status, "{answer}");
    }
}
