//! A terminal with tidegate on it: what it is sent, what keys are pressed, what state it is left in.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use regex::Regex;
use rustix::fs::OFlags;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use tempfile::TempDir;

use crate::support::command;
use crate::support::process::{self, Exit, Process};

/// A terminal that is no process's own, so that it sends no signals: tests do.
pub(crate) struct Terminal {
    user: File,
    program: File,
    process: Process,
    sent: Arc<Mutex<Vec<u8>>>,
    modes_before: String,
    _dir: TempDir,
}

/// Starts tidegate on a terminal of this size, by a command that `prepare` may change.
pub(crate) fn start(
    (columns, rows): (u16, u16),
    arguments: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> Terminal {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&user).expect("a terminal");
    unlockpt(&user).expect("a terminal");
    let name = ptsname(&user, Vec::new()).expect("its name");
    let program = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(std::ffi::OsStr::from_bytes(name.as_bytes()))
        .expect("its other side");
    resize(&program, columns, rows);
    let modes_before = modes(&program);
    let mut command = command::tidegate();
    command.args(arguments).env("TERM", "xterm-256color");
    prepare(&mut command);
    let dir = TempDir::new().expect("a directory");
    let side = || program.try_clone().expect("a file").into();
    let process = process::start_on(command, dir.path(), side(), side());
    let user = File::from(user);
    let sent = Arc::default();
    read(user.try_clone().expect("a file"), &sent);
    Terminal {
        user,
        program,
        process,
        sent,
        modes_before,
        _dir: dir,
    }
}

/// Reads what is sent to a terminal until nobody has it open any more.
fn read(mut user: File, sent: &Arc<Mutex<Vec<u8>>>) {
    let sent = Arc::clone(sent);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        // The end is an error: the other side is closed.
        while let Ok(n @ 1..) = user.read(&mut bytes) {
            sent.lock().expect("no panic").extend(&bytes[..n]);
        }
    });
}

fn resize(program: &File, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(program, size).expect("a terminal");
}

/// How the terminal treats keys and lines.
fn modes(program: &File) -> String {
    format!("{:?}", tcgetattr(program).expect("a terminal"))
}

impl Terminal {
    /// Everything it was sent so far.
    pub(crate) fn sent(&self) -> String {
        let sent = self.sent.lock().expect("no panic");
        String::from_utf8_lossy(&sent).replace("\r\n", "\n")
    }

    /// The lines of the last frame that was drawn over the whole of it, without what is no text.
    pub(crate) fn frame(&self) -> Vec<String> {
        let sent = self.sent();
        let last = sent.rsplit("\x1b[H").next().unwrap_or_default();
        let sequences = Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").expect("a pattern");
        let text = sequences.replace_all(last, "");
        text.lines().map(str::to_owned).collect()
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.user.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Gives it another size, and tells the program.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        resize(&self.program, columns, rows);
        self.signal(Signal::WINCH);
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The number of the program's process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// True when keys and lines are treated as before the program was started.
    pub(crate) fn is_as_before(&self) -> bool {
        modes(&self.program) == self.modes_before
    }

    /// Waits for the program's end.
    pub(crate) async fn exit(&mut self) -> Exit {
        self.process.exit().await
    }

    /// What the program complained of.
    pub(crate) fn complaints(&self) -> String {
        self.process.stderr()
    }
}
