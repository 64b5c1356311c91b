//! Watching: what is shown of a release is shown anew, until the release is over.
//!
//! On a terminal it is drawn over; elsewhere it is printed whenever it has changed.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cli::block_on;
use crate::cli::output::{Failure, Ink};
use crate::cli::screen::Screen;
use crate::cli::signals::{Ends, Terminal, Told};

/// How often it is looked at: releases are decided about once a second.
const LOOK: Duration = Duration::from_secs(1);

/// What is shown, and whether there is no more to come.
pub(in crate::cli::release) struct Shown {
    /// The text, of several lines.
    pub(in crate::cli::release) text: String,
    /// Whether the release is over.
    pub(in crate::cli::release) is_last: bool,
}

/// Shows again and again what `look` gives.
pub(in crate::cli::release) fn watch(
    ink: Ink,
    mut look: impl AsyncFnMut() -> Result<Shown, Failure>,
) -> Result<(), Failure> {
    block_on(async {
        let mut ends = Ends::new(None)?;
        let mut terminal = Terminal::new()?;
        let mut screen = Screen::below(ink)?;
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = String::new();
        loop {
            tokio::select! {
                () = ends.come() => return Ok(()),
                told = terminal.next() => match told {
                    Told::Pause => screen.suspend()?,
                    Told::Resized => {}
                },
                _ = ticks.tick() => {
                    let shown = look().await?;
                    if screen.is_terminal() {
                        let columns = screen.size().columns;
                        let cut = |line: &str| line.chars().take(columns).collect();
                        screen.draw(shown.text.lines().map(cut).collect())?;
                    } else if shown.text != before {
                        screen.print(&format!("{}\n", shown.text))?;
                        before = shown.text;
                    }
                    if shown.is_last {
                        return Ok(());
                    }
                }
            }
        }
    })
}
