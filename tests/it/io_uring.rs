//! Plain connections over io_uring, where it is asked for and can be had. That it does what epoll
//! does is held by the other topics, which run with either.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::config::{self, Config};
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::tool;

/// Whether the machine of the tests lets anybody have it.
fn is_allowed() -> bool {
    let probe = tidegate::ring::probe();
    if let Err(error) = &probe {
        eprintln!("left out: no io_uring here ({error})");
    }
    probe.is_ok()
}

async fn io(proxy: &Proxy) -> String {
    proxy.status().await["io"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_status_tells_by_what_is_read_and_written() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config.clone().io("epoll")).await;
    assert_eq!(io(&proxy).await, "epoll");
    let expected = if is_allowed() { "io_uring" } else { "epoll" };
    for asked in ["auto", "io_uring"] {
        let proxy = proxy::start(&config.clone().io(asked)).await;
        assert_eq!(io(&proxy).await, expected, "{asked}");
        assert_eq!(proxy.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn where_io_uring_is_forbidden_epoll_serves_and_the_log_says_so() {
    let Some(python) = tool::python() else { return };
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().unwrap();
    let config: Config = config::to(origin.address).io("auto");
    let proxy = proxy::start_as(dir, &config, |command, _| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/without_io_uring.py");
        let mut wrapped = Command::new(python);
        wrapped.arg(script).arg(command.get_program());
        wrapped.args(command.get_args());
        *command = wrapped;
    })
    .await;
    assert_eq!(proxy.get("/").await.status, 200);
    assert_eq!(io(&proxy).await, "epoll");
    let log = proxy.process.stderr();
    assert!(log.contains("no io_uring here, so it is epoll"), "{log}");
}
