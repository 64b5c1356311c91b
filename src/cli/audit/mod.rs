//! `tidegate audit`: who did what, when and why; and whether the trail is whole.

mod export;
mod pages;
mod show;
mod tail;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::output::{Failure, Ink};
use crate::cli::printing;

pub(in crate::cli) use crate::cli::audit::pages::{Pages, Which, row};

/// Read the audit trail, and verify it.
#[derive(Args, Debug)]
pub(in crate::cli) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the last records; with -f also those to come.
    Tail(tail::Tail),
    /// Show one record whole.
    Show(show::Show),
    /// Verify that no record was changed, dropped or moved; exit 1 when one was.
    Verify(verify::Verify),
    /// Print records whole, one JSON document in each line, for archives.
    Export(export::Export),
}

impl Audit {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Tail(tail) => tail.json,
            Command::Show(show) => show.json,
            Command::Verify(verify) => verify.json,
            Command::Export(export) => export.json,
        }
    }

    pub(in crate::cli) fn run(self, ink: Ink) -> Result<(), Failure> {
        match self.command {
            Command::Tail(tail) => tail.run(),
            Command::Show(show) => printing(|out| show.run(out)),
            Command::Verify(verify) => printing(|out| verify.run(out, ink)),
            Command::Export(export) => printing(|out| export.run(out)),
        }
    }
}
