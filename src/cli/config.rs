//! `tidegate config`: the configuration itself, for editors, people and scripts.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json};
use crate::cli::{NamedFile, block_on};
use crate::config;

/// Print the configuration's schema, or what is in effect.
#[derive(Args, Debug)]
pub(in crate::cli) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = EDITORS)]
    Schema(Schema),
    /// Print a configuration with every default filled in and no secret.
    Dump(Dump),
}

/// How editors come to know it.
const EDITORS: &str = "\
For an editor with taplo (VS Code: \"Even Better TOML\"), beside the configuration:
  tidegate config schema > tidegate.schema.json
and as the first line of the configuration:
  #:schema ./tidegate.schema.json";

#[derive(Args, Debug)]
struct Schema {}

#[derive(Args, Debug)]
struct Dump {
    #[command(flatten)]
    file: NamedFile,
    /// Print what a running instance obeys, and no file.
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    instance: Instance,
    /// Print TOML, as it is unless JSON is asked for.
    #[arg(long, conflicts_with = "json")]
    toml: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Config {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Schema(_) => true,
            Command::Dump(dump) => dump.json,
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.command {
            Command::Schema(Schema {}) => json(out, &config::schema()),
            Command::Dump(dump) => dump.run(out),
        }
    }
}

impl Dump {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let (effective, from) = if self.running {
            let client = Client::new(&self.instance)?;
            let effective: Value = block_on(client.get("/api/v1/config"))?.value()?;
            (effective, self.instance.address.admin)
        } else {
            let path = self.file.path()?;
            let loaded = config::load(&path);
            let loaded = loaded.map_err(|problems| Failure::of_file(&path, &problems))?;
            (loaded.config.effective(), path.display().to_string())
        };
        if self.json {
            return json(out, &effective);
        }
        let text = config::as_file(&effective)
            .map_err(|error| Failure::Refused(format!("cannot write as TOML: {error}")))?;
        writeln!(
            out,
            "# What is in effect of {from}: every default is filled in, secrets are not shown.\n"
        )?;
        out.write_all(text.as_bytes())?;
        Ok(())
    }
}
