//! The PROXY protocol: a load balancer that forwards bytes says who its client is.

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};
use crate::support::secure;

/// The balancer's address.
const BALANCER: &str = "127.0.0.2";
/// Version 1, for a client at 203.0.113.9 that connected to port 443.
const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n";

fn keys(mode: &str) -> String {
    format!("trusted_proxies = [\"{BALANCER}\"]\nproxy_protocol = \"{mode}\"")
}

fn config(origin: &Origin, mode: &str) -> Config {
    config::to(origin.address).http(&keys(mode))
}

async fn start(mode: &str) -> (Origin, Proxy) {
    let origin = origin::answering("hello").await;
    let proxy = proxy::start(&config(&origin, mode)).await;
    (origin, proxy)
}

/// Version 2 with this command and family, and these bytes behind them.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).expect("few bytes").to_be_bytes());
    header.extend(rest);
    header
}

/// What `LINE` says, in version 2, with something more behind it.
fn same_in_binary() -> Vec<u8> {
    let mut rest = vec![203, 0, 113, 9, 198, 51, 100, 1];
    rest.extend(56_324_u16.to_be_bytes());
    rest.extend(443_u16.to_be_bytes());
    rest.extend(b"\x04\x00\x03abc");
    binary(0x21, 0x11, &rest)
}

/// A connection of the balancer that begins with these bytes.
async fn balanced(proxy: &Proxy, header: &[u8]) -> Client {
    let mut client = client::connect_from(BALANCER, proxy.http()).await;
    client.wire.send(header).await;
    client
}

/// The last request is of the client that the header names.
#[track_caller]
fn is_the_clients(got: &Message) {
    assert_eq!(got.field("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(got.field("x-forwarded-port"), Some("443"));
}

async fn rejected(proxy: &Proxy, n: f64) {
    let labels = [("listener", "http"), ("reason", "proxy_protocol")];
    let name = "tidegate_downstream_connections_rejected_total";
    proxy
        .counted("a refused connection", |metrics| {
            metrics.sum(name, &labels) == n
        })
        .await;
}

#[tokio::test]
async fn the_client_is_who_the_header_names() {
    let (origin, proxy) = start("required").await;
    for header in [LINE.to_vec(), same_in_binary()] {
        let mut client = balanced(&proxy, &header).await;
        for _ in 0..2 {
            // That client is nobody whose word is taken.
            let ask = ask::get("/").field("x-forwarded-for", "192.0.2.1");
            assert_eq!(client.ask(&ask).await.text(), "hello");
            is_the_clients(&origin.requests().pop().expect("a request"));
        }
        // Byte by byte, and together with the request.
        let mut client = balanced(&proxy, b"").await;
        for byte in &header {
            client.wire.send([*byte]).await;
        }
        assert_eq!(client.get("/").await.text(), "hello");
        is_the_clients(&origin.requests().pop().expect("a request"));
        let together = [header, ask::get("/").http1()].concat();
        let mut client = balanced(&proxy, &together).await;
        assert_eq!(client.answer("GET").await.text(), "hello");
        is_the_clients(&origin.requests().pop().expect("a request"));
    }
}

#[tokio::test]
async fn the_balancer_itself_may_ask_for_its_own() {
    let (origin, proxy) = start("required").await;
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20, 0, &[])] {
        let mut client = balanced(&proxy, &header).await;
        assert_eq!(client.get("/").await.text(), "hello");
        let got = origin.requests().pop().expect("a request");
        assert_eq!(got.field("x-forwarded-for"), Some(BALANCER));
    }
}

#[tokio::test]
async fn where_it_is_required_nobody_comes_in_without_it() {
    let (origin, proxy) = start("required").await;
    let request = ask::get("/").http1();
    // Nobody's word but the balancer's is taken, and the balancer must give it.
    let mut stranger = client::connect(proxy.http()).await;
    stranger
        .wire
        .try_send([LINE, &request].concat())
        .await
        .unwrap_or_default();
    stranger.wire.ended().await;
    for header in [
        &b""[..],
        b"PROXY TCP4 203.0.113.9 198.51.100.1 56324\r\n",
        b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443 \n",
        b"PROXY TCP5 203.0.113.9 198.51.100.1 56324 443\r\n",
        &binary(0x21, 0x11, &[1; 11]),
        &binary(0x31, 0x11, &[1; 12]),
        &binary(0x21, 0x11, &[1; 5000]),
        &[b'P'; 200],
    ] {
        let mut client = client::connect_from(BALANCER, proxy.http()).await;
        let bytes = [header, &request].concat();
        client.wire.try_send(bytes).await.unwrap_or_default();
        client.wire.ended().await;
    }
    rejected(&proxy, 9.0).await;
    assert_eq!(origin.n_requests(), 0);
}

#[tokio::test]
async fn from_trusted_proxies_it_is_taken_and_others_connect_themselves() {
    let (origin, proxy) = start("from_trusted").await;
    let mut client = balanced(&proxy, LINE).await;
    assert_eq!(client.get("/").await.text(), "hello");
    is_the_clients(&origin.request());
    assert_eq!(proxy.get("/").await.text(), "hello");
    let got = origin.requests().pop().expect("a request");
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    // To others it is no request that could be read.
    let mut stranger = client::connect(proxy.http()).await;
    stranger
        .wire
        .send([LINE, &ask::get("/").http1()].concat())
        .await;
    assert_eq!(stranger.answer("GET").await.status, 400);
    let mut client = balanced(&proxy, &ask::get("/").http1()).await;
    client.wire.ended().await;
    rejected(&proxy, 1.0).await;
    assert_eq!(origin.n_requests(), 2);
}

#[tokio::test]
async fn where_it_is_off_it_is_no_request() {
    let (origin, proxy) = start("off").await;
    let both = [LINE, &ask::get("/").http1()].concat();
    let mut client = balanced(&proxy, &both).await;
    assert_eq!(client.answer("GET").await.status, 400);
    let mut client = balanced(&proxy, &ask::get("/").http1()).await;
    assert_eq!(client.answer("GET").await.text(), "hello");
    assert_eq!(origin.n_requests(), 1);
}

#[tokio::test]
async fn tls_begins_behind_it() {
    let origin = origin::answering("hello").await;
    let keys = keys("from_trusted").replace(BALANCER, "127.0.0.1");
    let secure = secure::start_with(&config::to(origin.address), &keys).await;
    let open = async |alpn: &str, header: Vec<u8>| {
        let mut tcp = client::tcp(secure.proxy.address("https")).await;
        tcp.write_all(&header).await.expect("an open connection");
        let name = ServerName::try_from("edge.test").expect("a name");
        let config = secure.authority.client(&[alpn]);
        let connecting = TlsConnector::from(config).connect(name, tcp);
        connecting.await.expect("a TLS connection")
    };
    let mut client = client::over(open("http/1.1", LINE.to_vec()).await);
    assert_eq!(client.get("/").await.text(), "hello");
    is_the_clients(&origin.requests().pop().expect("a request"));
    let client = http2::begin(open("h2", same_in_binary()).await).await;
    assert_eq!(client.get("/").await.text(), "hello");
    is_the_clients(&origin.requests().pop().expect("a request"));
}
