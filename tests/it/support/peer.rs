//! Servers of others that a test runs: in Python, or programs that are installed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::{self, Process};
use crate::support::tool;
use crate::support::wait;

/// A server that runs; it ends with the test.
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

/// Starts a script of `tests/peers` that writes its port; nothing where there is no Python for it.
pub(crate) async fn python(script: &str, arguments: &[&str], dir: &Path) -> Option<Peer> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let mut command = Command::new(tool::python()?);
    command
        .arg(path.join(script))
        .args(arguments)
        .current_dir(dir);
    Some(start(command, |line| line.parse().ok()).await)
}

/// Starts `openssl s_server` with these arguments; nothing where there is no openssl.
pub(crate) async fn openssl(arguments: &[&str], dir: &Path) -> Option<Peer> {
    let mut command = Command::new(tool::find("openssl")?);
    command
        .args(["s_server", "-accept", "127.0.0.1:0"])
        .args(arguments)
        .current_dir(dir);
    let port = |line: &str| {
        let place = line.strip_prefix("ACCEPT ")?;
        place.rsplit(':').next()?.parse().ok()
    };
    Some(start(command, port).await)
}

/// Starts a server and waits for the line that tells its port.
async fn start(command: Command, port: impl Fn(&str) -> Option<u16>) -> Peer {
    let dir = TempDir::new().expect("a directory");
    let mut process = process::start(command, dir.path());
    let mut told = None;
    wait::until("the peer listens", async || {
        if let Some(exit) = process.try_exit() {
            panic!("it ended: {exit:?}\n{}", process.stderr());
        }
        told = process.stdout().lines().find_map(&port);
        told.is_some()
    })
    .await;
    Peer {
        address: SocketAddr::from(([127, 0, 0, 1], told.expect("a port"))),
        _process: process,
        _dir: dir,
    }
}
