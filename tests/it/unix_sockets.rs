//! UNIX sockets: clients that come by them, and endpoints that are reached by them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::support::ask;
use crate::support::certs;
use crate::support::client::{self, Client};
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::heirs;
use crate::support::http2;
use crate::support::http2_origin;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::secure_origin;
use crate::support::wait;

/// A body that takes many reads and writes.
const LARGE: usize = 3 * 1024 * 1024;

fn listening(config: Config, keys: &str) -> Config {
    config.listener("local", &format!("address = \"unix:http.sock\"\n{keys}"))
}

fn socket(proxy: &Proxy) -> PathBuf {
    proxy.dir().join("http.sock")
}

async fn connect(path: &Path) -> Client {
    client::over(UnixStream::connect(path).await.expect("a connection"))
}

#[tokio::test]
async fn a_client_of_a_unix_socket_is_one_of_this_machine() {
    let origin = origin::echo().await;
    let access = "access = { allow = [\"127.0.0.0/8\"] }";
    let mut proxy = proxy::start(&listening(config::to(origin.address), access)).await;
    let path = socket(&proxy);
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = connect(&path).await;
    let ask = ask::get("/").field("x-forwarded-for", "203.0.113.9");
    assert_eq!(client.ask(&ask).await.status, 200);
    let asked = origin.request();
    assert_eq!(asked.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(asked.field("x-forwarded-port"), None);
    let status = proxy.status().await;
    let address = status["listeners"]["local"]["address"].as_str();
    assert_eq!(address, Some(&*format!("unix:{}", path.display())));
    assert_eq!(status["listeners"]["local"]["connections"], 1);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().await.code, Some(0));
    assert!(
        proxy
            .process
            .stdout()
            .contains("\"client_ip\":\"127.0.0.1\"")
    );
    assert!(!path.exists(), "its file is taken away");
}

#[tokio::test]
async fn a_proxy_on_the_other_side_of_a_unix_socket_may_be_trusted() {
    let origin = origin::echo().await;
    let keys = "trusted_proxies = [\"127.0.0.1\"]";
    let proxy = proxy::start(&listening(config::to(origin.address), keys)).await;
    let mut client = connect(&socket(&proxy)).await;
    let ask = ask::get("/").field("x-forwarded-for", "203.0.113.9");
    assert_eq!(client.ask(&ask).await.status, 200);
    let asked = origin.request();
    assert_eq!(
        asked.field("x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.1")
    );

    let keys = format!("{keys}\nproxy_protocol = \"required\"");
    proxy
        .reload(&listening(config::to(origin.address), &keys))
        .await;
    let mut client = connect(&socket(&proxy)).await;
    client
        .wire
        .send("PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n")
        .await;
    assert_eq!(client.get("/").await.status, 200);
    let asked = &origin.requests()[1];
    assert_eq!(asked.field("x-forwarded-for"), Some("203.0.113.7"));
    assert_eq!(asked.field("x-forwarded-port"), Some("80"));
}

#[tokio::test]
async fn http2_and_tls_are_spoken_over_unix_sockets_too() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let authority = certs::authority();
    authority.pair(&["edge.test"]).write(dir.path(), "edge");
    let config = listening(
        config::to(origin.address),
        "protocols = [\"h2\", \"http/1.1\"]",
    );
    let tls = certs::listener_keys(&["edge"]);
    let config = config.listener("tls", &format!("address = \"unix:tls.sock\"\n{tls}"));
    let proxy = proxy::start_in(dir, &config).await;
    let plain = UnixStream::connect(socket(&proxy))
        .await
        .expect("a connection");
    let client = http2::begin(plain).await;
    assert_eq!(client.get("/").await.text(), "hello");

    for protocol in ["h2", "http/1.1"] {
        let stream = UnixStream::connect(proxy.dir().join("tls.sock")).await;
        let name = ServerName::try_from("edge.test").expect("a name");
        let connector = TlsConnector::from(authority.client(&[protocol]));
        let stream = connector.connect(name, stream.expect("a connection")).await;
        let stream = stream.expect("a TLS connection");
        let answer = match protocol {
            "h2" => http2::begin(stream).await.get("/").await,
            _ => client::over(stream).get("/").await,
        };
        assert_eq!(answer.text(), "hello");
    }
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let origin = origin::echo().await;
    let relay = Relay::start(origin.address);
    let config = listening(to(&relay, ""), "");
    let proxy = proxy::start(&config).await;
    let body: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let mut over_unix = connect(&socket(&proxy)).await;
    let mut over_tcp = proxy.connect().await;
    for client in [&mut over_unix, &mut over_tcp] {
        for _ in 0..2 {
            let answer = client.ask(&ask::post("/", body.clone())).await;
            assert_eq!(answer.status, 200);
            assert!(answer.body == body, "{} bytes", answer.body.len());
        }
    }
}

#[tokio::test]
async fn what_was_left_behind_is_replaced_and_who_listens_is_not() {
    let origin = origin::answering("hello").await;
    let config = listening(config::to(origin.address), "mode = \"0600\"");
    let mut first = proxy::start(&config).await;
    let path = socket(&first);
    let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
    let before = inode(&path);

    // A second one at the same path is refused, and takes nothing away.
    let other = first.dir().join("other.toml");
    fs::write(&other, config.text()).expect("a file");
    let output = command::run(&["run", "--config", other.to_str().expect("a path")]).await;
    assert_eq!(output.code, 1);
    let expected = "listener.local.address: cannot listen on unix:";
    assert!(output.stderr.contains(expected), "{output:?}");
    assert!(
        output.stderr.contains("another socket listens there"),
        "{output:?}"
    );
    assert_eq!(inode(&path), before);
    assert_eq!(connect(&path).await.get("/").await.text(), "hello");

    first.signal(Signal::KILL);
    first.exit().await;
    assert!(path.exists(), "nobody took it away");
    let dir = TempDir::new().expect("a directory");
    let at = format!("address = \"unix:{}\"", path.display());
    let config = config::to(origin.address).listener("local", &at);
    let _second = proxy::start_in(dir, &config).await;
    assert_eq!(connect(&path).await.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_reload_adds_and_takes_away_the_file() {
    let origin = origin::answering("hello").await;
    let without = config::to(origin.address);
    let proxy = proxy::start(&without).await;
    let path = socket(&proxy);
    for _ in 0..2 {
        assert!(!path.exists());
        proxy.reload(&listening(without.clone(), "")).await;
        assert_eq!(connect(&path).await.get("/").await.text(), "hello");
        proxy.reload(&without).await;
        wait::until("no file", async || !path.exists()).await;
    }
}

#[tokio::test]
async fn a_successor_goes_on_with_the_file() {
    let origin = origin::answering("hello").await;
    let mut proxy = proxy::start(&listening(config::to(origin.address), "")).await;
    let path = socket(&proxy);
    let heirs = heirs::of(&proxy);
    let text = fs::read(proxy.file()).expect("a file");
    let taken = format!("address = \"{}\"", origin.address);
    let wrong = listening(config::to(origin.address), "").listener("taken", &taken);
    proxy::replace(&proxy.file(), wrong.text());
    assert_eq!(heirs::try_upgrade(&proxy).await.code, 1);
    assert_eq!(connect(&path).await.get("/").await.text(), "hello");
    proxy::replace(&proxy.file(), text);

    heirs.upgrade(&proxy).await;
    assert_eq!(proxy.exit().await.code, Some(0));
    let with_rights = listening(config::to(origin.address), "mode = \"0600\"");
    proxy::replace(&proxy.file(), with_rights.text());
    let pid = heirs.upgrade(&proxy).await;
    for _ in 0..8 {
        assert_eq!(connect(&path).await.get("/").await.text(), "hello");
    }
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    kill_process(pid, Signal::TERM).expect("a process that runs");
    heirs::ended(pid).await;
    assert!(!path.exists(), "the last one takes it away");
}

/// A UNIX socket that leads to an address; it ends with the test.
struct Relay {
    dir: TempDir,
    _task: JoinSet<()>,
}

impl Relay {
    fn start(to: SocketAddr) -> Self {
        let dir = TempDir::new().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("a socket");
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut there = TcpStream::connect(to).await.expect("a connection");
                    // Either side may end it.
                    copy_bidirectional(&mut here, &mut there)
                        .await
                        .unwrap_or_default();
                });
            }
        });
        Self { dir, _task: task }
    }

    fn endpoint(&self) -> String {
        format!("unix:{}", self.dir.path().join("s").display())
    }
}

/// Everything goes to the endpoint at a UNIX socket.
fn to(relay: &Relay, keys: &str) -> Config {
    config::new()
        .upstream_named("only", &[&relay.endpoint()])
        .upstream_keys("only", keys)
        .route("all", "upstream = \"only\"")
}

#[tokio::test]
async fn an_endpoint_may_be_at_a_unix_socket() {
    let origin = origin::echo().await;
    let relay = Relay::start(origin.address);
    let health = "health = { path = \"/healthz\", interval = \"1h\" }";
    let mut proxy = proxy::start(&to(&relay, health)).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    proxy
        .counted("a check that went well", |metrics| {
            let labels = [("upstream", "only"), ("result", "success")];
            metrics.sum("tidegate_health_checks_total", &labels) >= 1.0
        })
        .await;
    let asked = origin.requests();
    let check = asked.iter().find(|asked| asked.target() == "/healthz");
    assert_eq!(check.expect("a check").field("host"), Some("localhost"));
    let endpoint = &proxy.status().await["upstreams"]["only"]["endpoints"][0];
    assert_eq!(endpoint["address"], relay.endpoint());
    assert_eq!(endpoint["available"], true);

    drop(relay);
    let answer = proxy.get("/").await;
    assert_eq!(answer.status, 502);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().await.code, Some(0));
    let log = proxy.process.stdout();
    assert!(log.contains("\"endpoint\":\"unix:/"), "{log}");
}

#[tokio::test]
async fn http2_and_tls_are_spoken_to_endpoints_at_unix_sockets_too() {
    let plain = http2_origin::answering("hello").await;
    let relay = Relay::start(plain.address);
    let proxy = proxy::start(&to(&relay, "protocol = \"h2\"")).await;
    assert_eq!(proxy.get("/").await.text(), "hello");

    // Without a `name` it is the name of this machine that has to be proved.
    for (name, keys) in [("localhost", ""), ("shop.test", ", name = \"shop.test\"")] {
        let authority = certs::authority();
        let dir = TempDir::new().expect("a directory");
        proxy::replace(&dir.path().join("ca.pem"), &authority.pem);
        let server = authority.pair(&[name]).server(&["http/1.1"]);
        let secure = secure_origin::answering(server, "secret").await;
        let relay = Relay::start(secure.address());
        let keys = format!("tls = {{ ca = \"ca.pem\"{keys} }}");
        let proxy = proxy::start_in(dir, &to(&relay, &keys)).await;
        assert_eq!(proxy.get("/").await.text(), "secret");
    }
}
