//! The PROXY protocol towards upstreams: HAProxy and others are told whom a connection is for.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::certs;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::process::{self, Process};
use crate::support::proxy;
use crate::support::tool;
use crate::support::wait;

/// An HAProxy that answers with whom its connections are for, as it reads their headers.
struct Haproxy {
    address: SocketAddr,
    _process: Process,
    dir: TempDir,
}

/// Starts one whose listener has these further words; nothing where there is no HAProxy.
async fn haproxy(words: &str) -> Option<Haproxy> {
    let program = tool::find("haproxy")?;
    let dir = TempDir::new().expect("a directory");
    certs::authority()
        .pair(&["localhost"])
        .write(dir.path(), "own");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("a file");
    let both = [read("own.crt"), read("own.key")].concat();
    proxy::replace(&dir.path().join("both.pem"), both);
    // It has no way to say which port it got.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let path = dir.path().display();
    let text = format!(
        "defaults\n mode http\n timeout client 1m\n timeout connect 1m\n timeout server 1m\n\
         frontend all\n bind {address} accept-proxy {}\n \
         http-request return status 200 content-type text/plain \
         lf-string \"%[src]:%[src_port] %[dst]:%[dst_port]\"\n",
        words.replace("DIR", &path.to_string())
    );
    proxy::replace(&dir.path().join("haproxy.cfg"), text);
    let mut command = Command::new(program);
    command.arg("-f").arg(dir.path().join("haproxy.cfg"));
    let mut process = process::start(command, dir.path());
    wait::until("HAProxy listens", async || {
        if let Some(exit) = process.try_exit() {
            panic!("HAProxy ended: {exit:?}");
        }
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await;
    Some(Haproxy {
        address,
        _process: process,
        dir,
    })
}

fn telling(to: SocketAddr, keys: &str) -> Config {
    config::to(to).upstream_keys("only", keys)
}

/// A client, and what it is known by.
async fn known(address: SocketAddr) -> (Client, String) {
    let stream = client::tcp(address).await;
    let own = stream.local_addr().expect("an address");
    (client::over(stream), format!("{own} {address}"))
}

#[tokio::test]
async fn haproxy_is_told_whom_each_connection_is_for() {
    for version in ["v1", "v2"] {
        let Some(haproxy) = haproxy("").await else {
            return;
        };
        let keys = format!("proxy_protocol = \"{version}\"");
        let proxy = proxy::start(&telling(haproxy.address, &keys)).await;
        let (mut one, of_one) = known(proxy.http()).await;
        let (mut other, of_other) = known(proxy.http()).await;
        // In turns, so that a connection of one would be there for the other.
        for _ in 0..3 {
            assert_eq!(one.get("/").await.text(), of_one, "{version}");
            assert_eq!(other.get("/").await.text(), of_other, "{version}");
        }
    }
}

#[tokio::test]
async fn it_is_told_before_tls() {
    for version in ["v1", "v2"] {
        let Some(haproxy) = haproxy("ssl crt DIR/both.pem").await else {
            return;
        };
        assert!(haproxy.dir.path().join("both.pem").exists());
        let keys = format!(
            "proxy_protocol = \"{version}\"\ntls = {{ verify = \"off\", name = \"localhost\" }}"
        );
        let proxy = proxy::start(&telling(haproxy.address, &keys)).await;
        let (mut client, known) = known(proxy.http()).await;
        assert_eq!(client.get("/").await.text(), known, "{version}");
    }
}

#[tokio::test]
async fn what_a_balancer_has_told_is_told_on() {
    let Some(haproxy) = haproxy("").await else {
        return;
    };
    let listener = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = \"required\"";
    for version in ["v1", "v2"] {
        let keys = format!("proxy_protocol = \"{version}\"");
        let proxy = proxy::start(&telling(haproxy.address, &keys).http(listener)).await;
        let mut client = proxy.connect().await;
        let line = "PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n";
        client.wire.send(line).await;
        let told = client.get("/").await.text();
        assert_eq!(told, "2001:db8::9:56324 2001:db8::1:443", "{version}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_for_its_client_alone() {
    let origin = plain().await;
    let proxy = proxy::start(&telling(origin.address, "proxy_protocol = \"v1\"")).await;
    let (mut one, mut other) = (proxy.connect().await, proxy.connect().await);
    for _ in 0..3 {
        assert_eq!(one.get("/").await.text(), "hello");
        assert_eq!(other.get("/").await.text(), "hello");
    }
    assert_eq!(origin.n_connections(), 2);
    let text = String::from_utf8(origin.bytes()).expect("text");
    assert_eq!(
        text.matches("PROXY TCP4 127.0.0.1 127.0.0.1 ").count(),
        2,
        "{text}"
    );
    assert_eq!(text.matches("GET / HTTP/1.1").count(), 6, "{text}");
}

/// An origin that reads a line of PROXY and then requests.
async fn plain() -> Origin {
    origin::serving(|mut conversation| async move {
        // The line stands before the first head.
        while conversation.request().await.is_some() {
            conversation.ok(b"hello").await;
        }
    })
    .await
}

#[tokio::test]
async fn checks_are_nobodys_but_ours() {
    for (version, header) in [
        ("v1", &b"PROXY UNKNOWN\r\n"[..]),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let origin = origin::serving(|mut conversation| async move {
            conversation.wire.rest().await;
        })
        .await;
        let keys = format!(
            "proxy_protocol = \"{version}\"\n\
             health = {{ path = \"/healthz\", interval = \"1m\", timeout = \"100ms\" }}"
        );
        let _proxy = proxy::start(&telling(origin.address, &keys)).await;
        let whole = [header, b"GET /healthz HTTP/1.1\r\n"].concat();
        origin
            .got("a check", |bytes| bytes.starts_with(&whole))
            .await;
    }
}

#[tokio::test]
async fn copies_tell_of_the_client_of_their_request() {
    let (stable, next) = (origin::answering("stable").await, plain().await);
    let config = crate::mirror::beside(stable.address, next.address, "")
        .upstream_keys("next", "proxy_protocol = \"v1\"");
    let proxy = proxy::start(&config).await;
    let stream = client::tcp(proxy.http()).await;
    let port = stream.local_addr().expect("an address").port();
    client::over(stream).get("/").await;
    crate::mirror::resulted(&proxy, "sent", 1).await;
    let line = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n",
        proxy.http().port()
    );
    assert!(next.bytes().starts_with(line.as_bytes()));
}
