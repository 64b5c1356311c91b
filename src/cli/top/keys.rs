//! The keys of a terminal, one by one.

use std::ffi::OsString;
use std::io::stdin;
use std::os::unix::ffi::OsStringExt;

use rustix::termios::ttyname;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use crate::cli::screen::Screen;

/// The terminal of standard input, where a screen has taken its keys.
pub(in crate::cli::top) struct Keys {
    terminal: Option<Receiver>,
}

impl Keys {
    /// Begins to read the keys that a screen has taken; else none ever comes.
    pub(in crate::cli::top) fn of(screen: &Screen) -> Self {
        let terminal = screen.has_keys().then(open).flatten();
        Self { terminal }
    }

    /// Waits for the next small letter. Other keys, and all but the last of several, are skipped.
    pub(in crate::cli::top) async fn next(&mut self) -> char {
        let mut bytes = [0; 64];
        loop {
            let Some(terminal) = &mut self.terminal else {
                return std::future::pending().await;
            };
            let read = match terminal.read(&mut bytes).await {
                Ok(n) if n > 0 => &bytes[..n],
                Ok(_) | Err(_) => {
                    self.terminal = None;
                    continue;
                }
            };
            let mut letters = read.iter().filter(|byte| byte.is_ascii_lowercase());
            if let Some(letter) = letters.next_back() {
                return char::from(*letter);
            }
        }
    }
}

/// Opens the terminal once more, so that reading without waiting is no matter of whoever else has
/// it. To the runtime it is like a pipe.
fn open() -> Option<Receiver> {
    let name = ttyname(stdin(), Vec::new()).ok()?;
    let name = OsString::from_vec(name.into_bytes());
    OpenOptions::new().unchecked(true).open_receiver(name).ok()
}
