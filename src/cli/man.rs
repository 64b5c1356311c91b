//! `tidegate man`: the manual, made of what the command line says of itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::cli::about::{ENVIRONMENT, EXIT_CODES, FILES};
use crate::cli::output::Failure;
use crate::cli::{NAME, command};

/// Print the manual, or write one page for each command.
#[derive(Args, Debug)]
pub(in crate::cli) struct Man {
    /// Write tidegate.1 and a page for each command into this directory.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Man {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        // The built-in `help` has no page: it tells nothing that the others do not.
        let mut root = command().disable_help_subcommand(true);
        root.build();
        match self.out {
            None => out.write_all(&main_page(root)?)?,
            Some(directory) => {
                write(&directory, root).map_err(|error| {
                    let directory = directory.display();
                    Failure::Refused(format!("cannot write into {directory}: {error}"))
                })?;
            }
        }
        Ok(())
    }
}

fn write(directory: &Path, root: Command) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    write_commands(directory, &root)?;
    fs::write(directory.join("tidegate.1"), main_page(root)?)
}

fn write_commands(directory: &Path, parent: &Command) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|c| !c.is_hide_set()) {
        page(command.clone()).generate_to(directory)?;
        write_commands(directory, command)?;
    }
    Ok(())
}

fn page(command: Command) -> Page {
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    Page::new(command).source(source).manual("tidegate manual")
}

/// The page of the program: what clap knows, and below it what concerns every command.
fn main_page(root: Command) -> std::io::Result<Vec<u8>> {
    let page = page(root);
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    page.render_subcommands_section(&mut text)?;

    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", []);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, purpose) in ENVIRONMENT {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(purpose)]);
    }
    roff.control("SH", ["FILES"]);
    for (path, purpose) in FILES {
        roff.control("TP", []);
        roff.text([italic(path)]);
        roff.text([roman(purpose)]);
    }
    roff.to_writer(&mut text)?;
    page.render_version_section(&mut text)?;
    Ok(text)
}
