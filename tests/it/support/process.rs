//! A process that a test started, with its output in files; it ends with the test.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::wait;

/// How many of the last lines of its log a failed test shows.
const SHOWN: usize = 60;
/// The file of a process's output.
const STDOUT: &str = "stdout.log";

/// A running process.
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Exit {
    /// The exit code; nothing when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

/// Starts a process; its output goes to files in `dir`.
pub(crate) fn start(command: Command, dir: &Path) -> Process {
    let stdout = fs::File::create(dir.join(STDOUT)).expect("a file");
    start_on(command, dir, Stdio::null(), stdout.into())
}

/// Starts a process with an input and an output of its own; complaints go to a file in `dir`.
pub(crate) fn start_on(mut command: Command, dir: &Path, stdin: Stdio, stdout: Stdio) -> Process {
    let stderr = dir.join("stderr.log");
    let child = command
        .stdin(stdin)
        .stdout(stdout)
        .stderr(fs::File::create(&stderr).expect("a file"))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Process {
        child,
        stdout: dir.join(STDOUT),
        stderr,
    }
}

impl Process {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a process that runs");
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn try_exit(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().expect("a child of this process");
        status.map(exit)
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> Exit {
        let mut ended = None;
        wait::until("the end of a process", async || {
            ended = self.try_exit();
            ended.is_some()
        })
        .await;
        ended.expect("it has ended")
    }

    /// What it wrote to its standard output so far, if that goes to a file.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it wrote to its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).expect("its output")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        self.child.kill().unwrap_or_default();
        let status = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── the process ended with {status:?} and wrote:");
            show(&self.stdout());
            eprintln!("── and to its standard error:");
            show(&self.stderr());
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    Exit {
        code: status.code(),
        signal: status.signal(),
    }
}

fn show(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN)..] {
        eprintln!("{line}");
    }
}
