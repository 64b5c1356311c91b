//! WebSockets between peers that share no code with tidegate: `h2` and `websockets` of Python.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::config;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_of_other_stacks_pass_over_http_2() {
    let Some(python) = tool::python() else {
        return;
    };
    let server = serve(&python, "websocket_server.py");
    let config = config::to(([127, 0, 0, 1], server.port).into());
    let config = config.http("protocols = [\"h2\", \"http/1.1\"]");
    let secure = secure::start(&config).await;
    let ca = secure.proxy.dir().join("authority.pem");
    std::fs::write(&ca, &secure.authority.pem).expect("a file");
    let talk = |listener: &str, ca: Option<&Path>| {
        let address = secure.proxy.address(listener);
        let mut client = Command::new(&python);
        client
            .arg(script("websocket_http2.py"))
            .args([address.ip().to_string(), address.port().to_string()])
            .args(ca);
        assert_eq!(tool::run(&mut client), "done\n");
    };
    talk("http", None);
    talk("https", Some(&ca));
    let all = [("route", "all")];
    secure
        .proxy
        .counted("the end of all tunnels", |metrics| {
            metrics.sum("tidegate_tunnels_total", &all) == 2.0 * 22.0
                && metrics.sum("tidegate_tunnels_open", &all) == 0.0
        })
        .await;
}
