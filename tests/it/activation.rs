//! Socket activation: the service manager listens, and the process takes over what it is given.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::ask;
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::heirs;
use crate::support::origin;
use crate::support::process;
use crate::support::proxy;
use crate::support::tool;
use crate::support::wait;

/// What plays the service manager: it listens, and becomes the program when somebody connects.
const ACTIVATE: &str = "systemd-socket-activate";

/// An address that was free a moment ago; whoever listens has to be told one.
fn free() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address")
}

/// A configuration whose listener `http` is at an address.
fn at(address: SocketAddr, origin: SocketAddr) -> Config {
    let config = config::to(origin).without_listener("http");
    config.listener("http", &format!("address = \"{address}\""))
}

/// Has the service manager listen and run a command.
fn activate(command: &mut Command, passed: &[(&str, SocketAddr)]) {
    let mut activated = Command::new(ACTIVATE);
    let names: Vec<&str> = passed.iter().map(|(name, _)| *name).collect();
    activated.arg(format!("--fdname={}", names.join(":")));
    for (_, address) in passed {
        activated.arg(format!("--listen={address}"));
    }
    activated
        .arg(command.get_program())
        .args(command.get_args());
    *command = activated;
}

async fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = None;
    wait::until("somebody who listens", async || {
        stream = TcpStream::connect(address).await.ok();
        stream.is_some()
    })
    .await;
    stream.expect("a connection")
}

#[tokio::test]
async fn who_connects_before_the_process_is_there_is_served_by_it() {
    if tool::find(ACTIVATE).is_none() {
        return;
    }
    let origin = origin::answering("hello").await;
    let (address, unused) = (free(), free());
    let dir = TempDir::new().expect("a directory");
    let config = at(address, origin.address);
    let starting = proxy::start_as(dir, &config, |command, _| {
        activate(command, &[("web", address), ("unused", unused)]);
    });
    let (mut proxy, stream) = tokio::join!(starting, connect(address));
    let heirs = heirs::of(&proxy);
    let mut first = client::over(stream);
    assert_eq!(first.get("/").await.text(), "hello");
    assert_eq!(proxy.http(), address);
    let log = proxy.process.stderr();
    let warning = "a socket was passed that no listener has the address of";
    assert!(log.contains(warning) && log.contains("unused"), "{log}");

    // Both workers accept from the one socket; and so does a successor.
    for _ in 0..2 {
        for _ in 0..16 {
            assert_eq!(proxy.get("/").await.text(), "hello");
        }
        heirs.upgrade(&proxy).await;
    }
    assert_eq!(proxy.exit().await.code, Some(0));
    assert_eq!(proxy.get("/").await.text(), "hello");
}

/// Runs the proxy to its end by a service manager that passes this.
async fn run(dir: &Path, config: &Config, passed: &[(&str, SocketAddr)]) -> String {
    let file = dir.join("tidegate.toml");
    proxy::replace(&file, config.text());
    let mut command = crate::support::command::tidegate();
    command.args(["run", "--config"]).arg(file);
    activate(&mut command, passed);
    let mut process = process::start(command, dir);
    let _waiting = connect(passed[0].1).await;
    assert_eq!(process.exit().await.code, Some(1));
    process.stderr()
}

#[tokio::test]
async fn a_socket_by_the_name_of_a_listener_that_is_elsewhere_is_refused() {
    if tool::find(ACTIVATE).is_none() {
        return;
    }
    let (wanted, passed) = (free(), free());
    let dir = TempDir::new().expect("a directory");
    let config = at(wanted, wanted);
    let log = run(dir.path(), &config, &[("http", passed)]).await;
    let expected = format!(
        "listener.http.address: the socket that was passed as http listens on {passed}, not on {wanted}"
    );
    assert!(log.contains(&expected), "{log}");
}

#[tokio::test]
async fn a_socket_is_also_taken_for_the_admin_listener() {
    if tool::find(ACTIVATE).is_none() {
        return;
    }
    let origin = origin::answering("hello").await;
    let (address, admin) = (free(), free());
    let dir = TempDir::new().expect("a directory");
    let config = at(address, origin.address).admin(&format!("address = \"{admin}\""));
    let starting = proxy::start_as(dir, &config, |command, _| {
        activate(command, &[("web", address), ("admin", admin)]);
    });
    let (proxy, stream) = tokio::join!(starting, connect(admin));
    let mut early = client::over(stream);
    let ready = ask::get("/readyz").host(admin.to_string());
    assert_eq!(early.ask(&ready).await.status, 200);
    assert_eq!(proxy.admin(), admin);
}
