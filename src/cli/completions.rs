//! `tidegate completions`: what shells need to complete its command line.

use std::io::Write;

use clap::Args;
use clap_complete::{Shell, generate};

use crate::cli::output::Failure;
use crate::cli::{NAME, command};

/// Where each shell looks for it.
const INSTALL: &str = "\
To install, for yourself:
  bash    tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate
  zsh     tidegate completions zsh > ~/.zfunc/_tidegate      (a directory of your fpath)
  fish    tidegate completions fish > ~/.config/fish/completions/tidegate.fish
  elvish  tidegate completions elvish >> ~/.config/elvish/rc.elv";

/// Print a script that completes commands and options.
#[derive(Args, Debug)]
#[command(after_help = INSTALL)]
pub(in crate::cli) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        // By way of memory: the generator panics when it cannot write.
        let mut script = Vec::new();
        generate(self.shell, &mut command(), NAME, &mut script);
        out.write_all(&script)?;
        Ok(())
    }
}
