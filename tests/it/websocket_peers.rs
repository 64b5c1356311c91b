//! WebSockets between peers that share no code with tidegate: `h2` and `websockets` of Python.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::config;
use crate::support::proxy::Proxy;
use crate::support::secure;
use crate::support::tool;

/// A server that a test started; it ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(name)
}

/// Starts a script that prints its port.
fn serve(python: &Path, name: &str) -> Server {
    let mut child = Command::new(python)
        .arg(script(name))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
        .expect("a line with its port");
    let port = line.trim().parse().expect("a port");
    Server { child, port }
}

/// Waits until so many tunnels were opened, and all of them have ended.
async fn all_ended(proxy: &Proxy, n: f64) {
    let all = [("route", "all")];
    proxy
        .counted("the end of all tunnels", |metrics| {
            metrics.sum("tidegate_tunnels_total", &all) == n
                && metrics.sum("tidegate_tunnels_open", &all) == 0.0
        })
        .await;
}

/// What the clients open, besides what is refused.
const N_BY_HTTP1: f64 = 20.0;
const N_BY_HTTP2: f64 = 22.0;

/// Lets both clients talk to a server through a proxy: over HTTP/1.1, and over HTTP/2 without TLS and
/// with it.
async fn talk(python: &Path, server: &Server, upstream: &str) {
    let config = config::to(([127, 0, 0, 1], server.port).into())
        .upstream_keys("only", upstream)
        .http2_too();
    let secure = secure::start(&config).await;
    let ca = secure.proxy.dir().join("authority.pem");
    std::fs::write(&ca, &secure.authority.pem).expect("a file");
    let http2 = |listener: &str, ca: Option<&Path>| {
        let address = secure.proxy.address(listener);
        let mut client = Command::new(python);
        client
            .arg(script("websocket_http2.py"))
            .args([address.ip().to_string(), address.port().to_string()])
            .args(ca);
        assert_eq!(tool::run(&mut client), "done\n");
    };
    http2("http", None);
    http2("https", Some(&ca));
    let mut http1 = Command::new(python);
    http1
        .arg(script("websocket_client.py"))
        .arg(format!("ws://{}", secure.proxy.http()));
    assert_eq!(tool::run(&mut http1), "done\n");
    all_ended(&secure.proxy, N_BY_HTTP1 + 2.0 * N_BY_HTTP2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_pass_to_a_server_of_http_1() {
    let Some(python) = tool::python() else {
        return;
    };
    let server = serve(&python, "websocket_server.py");
    talk(&python, &server, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_pass_to_a_server_of_http_2() {
    let Some(python) = tool::python() else {
        return;
    };
    let server = serve(&python, "websocket_http2_server.py");
    talk(&python, &server, "protocol = \"h2\"").await;
}
