//! The proxy under test: the real binary with a configuration of its own in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::ask::{self, Ask};
use crate::support::client::{self, Client};
use crate::support::command;
use crate::support::config::Config;
use crate::support::message::Message;
use crate::support::metrics::Metrics;
use crate::support::process::{self, Exit, Process};
use crate::support::wait;

/// A running proxy.
pub(crate) struct Proxy {
    /// Its process.
    pub(crate) process: Process,
    ready: Value,
    dir: TempDir,
}

/// Starts a proxy and waits until it serves.
pub(crate) async fn start(config: &Config) -> Proxy {
    start_in(TempDir::new().expect("a directory"), config).await
}

/// Starts a proxy with a configuration that a test has changed as text.
pub(crate) async fn start_text(text: &str) -> Proxy {
    start_text_as(TempDir::new().expect("a directory"), text, |_, _| {}).await
}

/// Starts a proxy whose directory holds files already, such as certificates.
pub(crate) async fn start_in(dir: TempDir, config: &Config) -> Proxy {
    start_as(dir, config, |_, _| {}).await
}

/// Starts a proxy by a command that `prepare` may change, given the directory.
pub(crate) async fn start_as(
    dir: TempDir,
    config: &Config,
    prepare: impl FnOnce(&mut Command, &Path),
) -> Proxy {
    start_text_as(dir, &config.text(), prepare).await
}

async fn start_text_as(
    dir: TempDir,
    text: &str,
    prepare: impl FnOnce(&mut Command, &Path),
) -> Proxy {
    replace(&dir.path().join("tidegate.toml"), text);
    let mut command = command::tidegate();
    command
        .args(["run", "--config"])
        .arg(dir.path().join("tidegate.toml"))
        .arg("--ready-file")
        .arg(dir.path().join("ready.json"));
    prepare(&mut command, dir.path());
    launch(dir, command).await
}

/// Starts a proxy in a directory that holds its `tidegate.toml` already, which it names as a user
/// there would.
pub(crate) async fn start_within(dir: TempDir) -> Proxy {
    let mut command = command::tidegate();
    command
        .args(["run", "--config", "tidegate.toml"])
        .args(["--ready-file", "ready.json"])
        .current_dir(dir.path());
    launch(dir, command).await
}

/// Starts a proxy by a whole command that uses `tidegate.toml` and `ready.json` of a directory.
pub(crate) async fn launch(dir: TempDir, command: Command) -> Proxy {
    let mut process = process::start(command, dir.path());
    let ready_file = dir.path().join("ready.json");
    let mut ready = Value::Null;
    wait::until("the proxy serves", async || {
        if let Some(exit) = process.try_exit() {
            panic!("the proxy ended before it served: {exit:?}");
        }
        let Ok(text) = fs::read(&ready_file) else {
            return false;
        };
        ready = serde_json::from_slice(&text).expect("a whole file, as it is renamed");
        true
    })
    .await;
    Proxy {
        process,
        ready,
        dir,
    }
}

/// Writes a file beside the other and renames it over, as careful tools do.
pub(crate) fn replace(file: &Path, text: impl AsRef<[u8]>) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).expect("a file");
    fs::rename(beside, file).expect("a rename");
}

impl Proxy {
    /// The address of the listener `http`.
    pub(crate) fn http(&self) -> SocketAddr {
        self.address("http")
    }

    /// The address of a listener that was there from the start.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        parse(&self.ready["listeners"][listener])
    }

    /// The address of the admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        parse(&self.ready["admin"])
    }

    /// The URL of the admin listener, as the command line takes it.
    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin())
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("tidegate.toml")
    }

    /// Connects to the listener `http`.
    pub(crate) async fn connect(&self) -> Client {
        client::connect(self.http()).await
    }

    /// Sends one request to the listener `http` on a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Message {
        client::once(self.http(), ask).await
    }

    /// Gets a path from the listener `http` on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Message {
        self.ask(&ask::get(path)).await
    }

    /// Asks the admin listener.
    pub(crate) async fn ask_admin(&self, ask: Ask) -> Message {
        let admin = self.admin();
        client::once(admin, &ask.host(admin.to_string())).await
    }

    /// Gets a path from the admin listener.
    pub(crate) async fn get_admin(&self, path: &str) -> Message {
        self.ask_admin(ask::get(path)).await
    }

    /// What `GET /api/v1/status` says.
    pub(crate) async fn status(&self) -> Value {
        self.get_admin("/api/v1/status").await.json()
    }

    /// The number of the live snapshot.
    pub(crate) async fn generation(&self) -> u64 {
        let status = self.status().await;
        let generation = status["generation"].as_u64();
        generation.unwrap_or_else(|| panic!("no generation: {status}"))
    }

    /// What `GET /metrics` says.
    pub(crate) async fn metrics(&self) -> Metrics {
        let page = self.get_admin("/metrics").await;
        assert_eq!(page.status, 200);
        Metrics { text: page.text() }
    }

    /// Waits until the metrics are as they should be.
    pub(crate) async fn counted(&self, what: &str, condition: impl Fn(&Metrics) -> bool) {
        wait::until(what, async || condition(&self.metrics().await)).await;
    }

    /// Replaces the configuration and waits until it is live.
    pub(crate) async fn reload(&self, config: &Config) {
        self.reload_text(&config.text()).await;
    }

    /// Replaces the configuration's text and waits until it is live.
    pub(crate) async fn reload_text(&self, text: &str) {
        replace(&self.file(), text);
        let answer = self.ask_reload().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Asks for a reload by the API.
    pub(crate) async fn ask_reload(&self) -> Message {
        self.ask_admin(ask::post("/api/v1/config/reload", "")).await
    }

    /// Waits until the live snapshot is a later one than this.
    pub(crate) async fn live_after(&self, generation: u64) {
        wait::until("a later generation", async || {
            self.generation().await > generation
        })
        .await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops it, as SIGSTOP does, and waits until it stands still; SIGCONT lets it go on.
    pub(crate) async fn stopped(&self) {
        self.signal(Signal::STOP);
        let path = format!("/proc/{}/status", self.process.id());
        wait::until("the proxy stands still", async || {
            let status = fs::read_to_string(&path).expect("a process that runs");
            status.lines().any(|line| line.starts_with("State:\tT"))
        })
        .await;
    }

    /// Kills it, as nothing can be done about, and gives what it leaves.
    pub(crate) async fn kill_and_keep(self) -> TempDir {
        self.leave(Signal::KILL).await
    }

    /// Ends it as it wants to end, and gives what it leaves.
    pub(crate) async fn end_and_keep(self) -> TempDir {
        self.leave(Signal::TERM).await
    }

    async fn leave(mut self, signal: Signal) -> TempDir {
        self.signal(signal);
        self.exit().await;
        // The next one says anew where it listens.
        fs::remove_file(self.dir.path().join("ready.json")).expect("a file");
        self.dir
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> Exit {
        self.process.exit().await
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        fs::read_dir(path).expect("a process that runs").count()
    }

    /// How much processor time it has used, by the kernel's ticks of 10 ms.
    pub(crate) fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(path).expect("a process that runs");
        // proc(5): the name in parentheses is the second field, user and system time are 14 and 15.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|n| n.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The most memory that it had at any time, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kibibytes: u64 = number.and_then(|n| n.parse().ok()).expect("a number");
        kibibytes * 1024
    }
}

fn parse(address: &Value) -> SocketAddr {
    let address = address.as_str().and_then(|address| address.parse().ok());
    address.expect("an address in the ready file")
}
