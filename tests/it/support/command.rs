//! The command line of tidegate, run to its end.

use std::process::Command;

use tempfile::TempDir;

use crate::support::process::{self, Process};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit code.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// A command line that runs, and the directory of its output.
pub(crate) struct Running {
    /// The process.
    pub(crate) process: Process,
    _dir: TempDir,
}

/// The binary under test.
pub(crate) fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    // What the machine of the tests says must not decide how they end.
    for name in ["TIDEGATE_ADMIN", "TIDEGATE_TOKEN", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command
}

/// Starts tidegate with these arguments.
pub(crate) fn start(arguments: &[&str]) -> Running {
    let dir = TempDir::new().expect("a directory");
    let mut command = tidegate();
    command.args(arguments);
    Running {
        process: process::start(command, dir.path()),
        _dir: dir,
    }
}

/// Runs tidegate with these arguments.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut running = start(arguments);
    let exit = running.process.exit().await;
    Output {
        code: exit.code.expect("no signal ended it"),
        stdout: running.process.stdout(),
        stderr: running.process.stderr(),
    }
}
