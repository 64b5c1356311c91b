//! A terminal that is drawn over, and what stands for it elsewhere.
//!
//! Whoever draws, draws whole frames: below what was printed before, or on the whole of the
//! terminal. What the terminal was like before comes back when the screen is dropped, also after a
//! failure, and while the process is suspended.

use std::io::{IsTerminal, Result, Write};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::cli::output::Ink;
use crate::telemetry::colour::is_dumb;

/// The size where nobody tells one.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// How many characters fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) struct Size {
    /// In a line.
    pub(in crate::cli) columns: usize,
    /// Lines.
    pub(in crate::cli) rows: usize,
}

/// Where frames are drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Nowhere: it is no terminal, or one that cannot be drawn over.
    Nowhere,
    /// Below what is there.
    Below,
    /// On the whole of it; what is there comes back at the end.
    Whole,
}

/// Standard output, and the terminal's keys.
pub(in crate::cli) struct Screen {
    ink: Ink,
    place: Place,
    /// The last frame: below, the cursor stands at its end.
    frame: Vec<String>,
    /// How the keys were before, where they are taken one by one.
    keys: Option<Termios>,
}

impl Screen {
    /// Never draws; what is printed stays as it is, also on a terminal.
    pub(in crate::cli) fn lines(ink: Ink) -> Self {
        Self {
            ink,
            place: Place::Nowhere,
            frame: Vec::new(),
            keys: None,
        }
    }

    /// Begins to draw below what is there. Keys stay as they are.
    pub(in crate::cli) fn below(ink: Ink) -> Result<Self> {
        Self::open(ink, Place::Below)
    }

    /// Begins to draw on the whole of the terminal; keys are not shown, and can be read at once.
    pub(in crate::cli) fn whole(ink: Ink) -> Result<Self> {
        Self::open(ink, Place::Whole)
    }

    fn open(ink: Ink, place: Place) -> Result<Self> {
        let dumb = is_dumb(|name| std::env::var(name).ok());
        let terminal = std::io::stdout().is_terminal() && !dumb;
        let mut screen = Self::lines(ink);
        if terminal {
            screen.place = place;
        }
        screen.enter()?;
        Ok(screen)
    }

    /// True when frames are drawn; else nothing but [`print`](Self::print) shows anything.
    pub(in crate::cli) fn is_terminal(&self) -> bool {
        self.place != Place::Nowhere
    }

    /// True when keys come one by one: `top` reads them.
    pub(in crate::cli) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The ink for what is shown.
    pub(in crate::cli) fn ink(&self) -> Ink {
        self.ink
    }

    /// How much fits now.
    pub(in crate::cli) fn size(&self) -> Size {
        let Ok(size) = tcgetwinsize(std::io::stdout()) else {
            return USUAL;
        };
        let or = |n: u16, usual| if n == 0 { usual } else { usize::from(n) };
        Size {
            columns: or(size.ws_col, USUAL.columns),
            rows: or(size.ws_row, USUAL.rows),
        }
    }

    /// Prints text as it is. Below a frame it stays, and the next frame is drawn below it.
    pub(in crate::cli) fn print(&mut self, text: &str) -> Result<()> {
        if self.place == Place::Below {
            self.frame.clear();
        }
        write(text)
    }

    /// Draws a frame over the last one. Lines must not be wider than the terminal; those that do
    /// not fit its height are left out.
    pub(in crate::cli) fn draw(&mut self, mut lines: Vec<String>) -> Result<()> {
        let rows = self.size().rows;
        let text = match self.place {
            Place::Nowhere => return Ok(()),
            Place::Below => {
                // What has scrolled off the top cannot be drawn over.
                lines.truncate(rows.saturating_sub(1).max(1));
                let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
                format!("{}{lines}\x1b[J", self.rewind())
            }
            Place::Whole => {
                lines.truncate(rows.max(1));
                // No end of line after the last: it would scroll.
                format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\n"))
            }
        };
        self.frame = lines;
        write(&text)
    }

    /// Stops the process as the terminal's Ctrl-Z would, with the terminal as it was before, until
    /// somebody lets it go on.
    pub(in crate::cli) fn suspend(&mut self) -> Result<()> {
        self.leave()?;
        kill_process(getpid(), Signal::STOP)?;
        self.enter()
    }

    fn enter(&mut self) -> Result<()> {
        match self.place {
            Place::Nowhere => Ok(()),
            Place::Below => write("\x1b[?25l"),
            Place::Whole => {
                self.keys = take_keys();
                // The alternate screen, no cursor, and lines that are cut and not wrapped.
                write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J")
            }
        }
    }

    fn leave(&mut self) -> Result<()> {
        if let Some(before) = self.keys.take() {
            tcsetattr(std::io::stdin(), OptionalActions::Now, &before)?;
        }
        match self.place {
            Place::Nowhere => Ok(()),
            Place::Below => write("\x1b[?25h"),
            Place::Whole => write("\x1b[?7h\x1b[?25h\x1b[?1049l"),
        }
    }

    /// To the start of the last frame.
    fn rewind(&self) -> String {
        match self.frame.len() {
            0 => String::new(),
            n => format!("\r\x1b[{n}A"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let left = self.leave();
        if self.place == Place::Whole && left.is_ok() {
            // The last frame stays to be read.
            let _shown = write(&(self.frame.join("\n") + "\n"));
        }
    }
}

/// Has keys come one by one and unseen, where standard input is a terminal. Ctrl-C and its kin go
/// on to be signals.
fn take_keys() -> Option<Termios> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut taken = before.clone();
    taken.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    taken.special_codes[SpecialCodeIndex::VMIN] = 1;
    taken.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&stdin, OptionalActions::Now, &taken).ok()?;
    Some(before)
}

/// In one write, so that no half of a frame is ever seen.
fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
