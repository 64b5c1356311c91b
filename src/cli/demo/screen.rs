//! How the view comes to standard output: redrawn in place on a terminal, as lines elsewhere.

use std::io::{IsTerminal, Result, Write};
use std::time::Duration;

use rustix::termios::tcgetwinsize;

use crate::cli::demo::tally::Seen;
use crate::cli::demo::view::Scene;
use crate::cli::output::Ink;
use crate::telemetry::colour::is_dumb;

/// Standard output. The cursor is hidden while the view is drawn, and shown again at the end.
pub(in crate::cli::demo) struct Screen {
    ink: Ink,
    terminal: bool,
    /// Lines of the last frame: the cursor stands below them.
    drawn: usize,
}

impl Screen {
    /// Opens it.
    pub(in crate::cli::demo) fn open(ink: Ink) -> Self {
        let dumb = is_dumb(|name| std::env::var(name).ok());
        Self {
            ink,
            terminal: std::io::stdout().is_terminal() && !dumb,
            drawn: 0,
        }
    }

    /// True when the view is redrawn in place.
    pub(in crate::cli::demo) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints what is said once.
    pub(in crate::cli::demo) fn begin(&mut self, scene: &Scene) -> Result<()> {
        let mut text = scene.introduction().join("\n");
        text.push('\n');
        if self.terminal {
            text.push_str("\x1b[?25l");
        }
        print(&text)
    }

    /// Draws the view as it is now.
    pub(in crate::cli::demo) fn draw(
        &mut self,
        scene: &Scene,
        seen: &Seen,
        at: Duration,
    ) -> Result<()> {
        if !self.terminal {
            return print(&format!("{}\n", Scene::line(seen, at)));
        }
        let mut lines = scene.frame(seen, at, self.ink);
        // What has scrolled off the top cannot be drawn over.
        lines.truncate(height().saturating_sub(1).max(1));
        let mut text = self.rewind();
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        print(&text)
    }

    /// Tells that something happened, where the view does not.
    pub(in crate::cli::demo) fn announce(&mut self, note: &str) -> Result<()> {
        if self.terminal {
            return Ok(());
        }
        print(&format!("{note}\n"))
    }

    /// Draws the view for the last time, and the summary below it.
    pub(in crate::cli::demo) fn end(
        &mut self,
        scene: &Scene,
        seen: &Seen,
        at: Duration,
    ) -> Result<()> {
        if self.terminal {
            self.draw(scene, seen, at)?;
        }
        let summary = scene.summary(seen, at, self.ink).join("\n");
        print(&format!("\n{summary}\n"))
    }

    /// To the start of the last frame.
    fn rewind(&self) -> String {
        match self.drawn {
            0 => String::new(),
            n => format!("\r\x1b[{n}A"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let _ = print("\x1b[?25h");
        }
    }
}

fn height() -> usize {
    tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_row))
        .filter(|&rows| rows > 0)
        .unwrap_or(24)
}

/// In one write, so that no half of a frame is ever seen.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
