//! Peers from elsewhere: scripts of `tests/peers`, which share no code with the proxy.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{self, Process};
use crate::support::tool;
use crate::support::wait;

/// A script that serves; it tells its port first, and then what it sees, each as a line of JSON.
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: std::net::SocketAddr,
    process: Process,
    _dir: TempDir,
}

/// Starts a script that serves; nothing where there is no Python for it.
pub(crate) async fn serving(script: &str, arguments: &[&str]) -> Option<Peer> {
    let mut command = Command::new(tool::python()?);
    command.arg(path(script)).args(arguments);
    let dir = TempDir::new().expect("a directory");
    let mut process = process::start(command, dir.path());
    let mut port = None;
    wait::until("a peer serves", async || {
        if let Some(exit) = process.try_exit() {
            panic!("the peer ended before it served: {exit:?}");
        }
        port = events(&process)
            .first()
            .and_then(|first| first["port"].as_u64());
        port.is_some()
    })
    .await;
    let port = u16::try_from(port.expect("it was told")).expect("a port");
    Some(Peer {
        address: ([127, 0, 0, 1], port).into(),
        process,
        _dir: dir,
    })
}

/// Runs a script to its good end and gives what it wrote; nothing where there is no Python for it.
pub(crate) async fn run(script: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(tool::python()?);
    command.arg(path(script)).args(arguments);
    let running = tokio::task::spawn_blocking(move || tool::run(&mut command));
    let text = wait::within("a peer's end", running).await;
    Some(text.expect("the peer is content"))
}

impl Peer {
    /// What it told so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.process)
    }

    /// Waits until it tells something that is as `condition` says.
    pub(crate) async fn tells(&self, what: &str, condition: impl Fn(&Value) -> bool) {
        wait::until(what, async || self.events().iter().any(&condition)).await;
    }
}

fn path(script: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    folder.join(script)
}

fn events(process: &Process) -> Vec<Value> {
    let text = process.stdout();
    // The last line may be half there.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}
