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
    for name in [
        "TIDEGATE_ADMIN",
        "TIDEGATE_CONFIG",
        "TIDEGATE_LOG",
        "TIDEGATE_LOG_FORMAT",
        "TIDEGATE_TOKEN",
        "TIDEGATE_TOKEN_FILE",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(name);
    }
    // Where there is no terminal, help is as wide as this says.
    command.env("COLUMNS", "100");
    command
}

/// Starts tidegate with these arguments.
pub(crate) fn start(arguments: &[&str]) -> Running {
    start_with(arguments, |_| {})
}

fn start_with(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Running {
    let dir = TempDir::new().expect("a directory");
    let mut command = tidegate();
    command.args(arguments);
    prepare(&mut command);
    Running {
        process: process::start(command, dir.path()),
        _dir: dir,
    }
}

/// Runs tidegate with these arguments.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    run_with(arguments, |_| {}).await
}

/// Runs tidegate with these arguments by a command that `prepare` may change.
pub(crate) async fn run_with(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Output {
    let mut running = start_with(arguments, prepare);
    let exit = running.process.exit().await;
    Output {
        code: exit.code.expect("no signal ended it"),
        stdout: running.process.stdout(),
        stderr: running.process.stderr(),
    }
}
