//! `tidegate flag`: flags, what they answer, and what is set of them at run time.

mod change;
mod evaluate;
mod history;
mod list;
mod references;
mod show;
mod stale;

use std::io::Write;

use clap::{Args, Subcommand};

use crate::cli::client::encode;
use crate::cli::output::{Failure, Ink};

/// Show, ask and change flags, and find those that should be gone.
#[derive(Args, Debug)]
pub(in crate::cli) struct Flag {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all flags, and what decides them.
    Ls(list::Ls),
    /// Show a flag whole.
    Get(show::Get),
    /// Tell what a flag answers for a context.
    Eval(evaluate::Eval),
    /// Tell what a flag answers for a context, with every line of the decision.
    Explain(evaluate::Explain),
    /// Have a flag on that is off in the file, for a day or as long as is said.
    Enable(change::Enable),
    /// Have a flag off; no freeze is in its way.
    Disable(change::Disable),
    /// Serve the off variant to everyone, until unkill; no freeze is in its way.
    Kill(change::Kill),
    /// Take a kill back.
    Unkill(change::Unkill),
    /// Serve a variant, or shares of variants, to everyone, for a day or as long as is said.
    Override(change::Override),
    /// Take back what everyone is served.
    Clear(change::Clear),
    /// List the flags that should be taken out; exit 1 when there are any.
    Stale(stale::Stale),
    /// Show what was done to a flag.
    History(history::History),
    /// List where the files of a directory name flags.
    References(references::References),
}

impl Flag {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Ls(ls) => ls.json,
            Command::Get(get) => get.json,
            Command::Eval(eval) => eval.asked.json,
            Command::Explain(explain) => explain.asked.json,
            Command::Enable(enable) => enable.mutation.json,
            Command::Disable(disable) => disable.mutation.json,
            Command::Kill(kill) => kill.mutation.json,
            Command::Unkill(unkill) => unkill.mutation.json,
            Command::Override(over) => over.mutation.json,
            Command::Clear(clear) => clear.mutation.json,
            Command::Stale(stale) => stale.json,
            Command::History(history) => history.json,
            Command::References(references) => references.json,
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        match self.command {
            Command::Ls(ls) => ls.run(out),
            Command::Get(get) => get.run(out, ink),
            Command::Eval(eval) => eval.run(out, ink),
            Command::Explain(explain) => explain.run(out, ink),
            Command::Enable(enable) => enable.run(out),
            Command::Disable(disable) => disable.run(out),
            Command::Kill(kill) => kill.run(out),
            Command::Unkill(unkill) => unkill.run(out),
            Command::Override(over) => over.run(out),
            Command::Clear(clear) => clear.run(out),
            Command::Stale(stale) => stale.run(out),
            Command::History(history) => history.run(out),
            Command::References(references) => references.run(out),
        }
    }
}

/// Where a flag is in the API.
fn path(flag: &str) -> String {
    format!("/api/v1/flags/{}", encode(flag))
}
