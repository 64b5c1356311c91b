//! `tidegate stop-the-line`: nothing moves forward anywhere, until somebody lets it go on.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Map;

use crate::admin::wire::{Line as Status, LineChanged};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::mutation::Mutation;
use crate::cli::output::Failure;

/// Where it is in the API.
const PATH: &str = "/api/v1/stop-the-line";

/// Stop everything that moves forward, or let it go on.
#[derive(Args, Debug)]
pub(in crate::cli) struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stop: no release moves forward; back to stable always goes.
    On(Mutation),
    /// Let everything go on.
    Off(Mutation),
    /// Show whether everything is stopped; exit 1 when it is.
    Show(Show),
}

#[derive(Args, Debug)]
struct Show {
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

impl Line {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::On(mutation) | Command::Off(mutation) => mutation.json,
            Command::Show(show) => show.json,
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.command {
            Command::On(mutation) => change(out, &mutation, &Method::PUT),
            Command::Off(mutation) => change(out, &mutation, &Method::DELETE),
            Command::Show(show) => show.run(out),
        }
    }
}

impl Show {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get(PATH))?;
        let line: Status = answer.value()?;
        if self.json {
            answer.copy(out)?;
        } else {
            print(out, &line)?;
        }
        if line.is_stopped {
            Err(Failure::Negative)
        } else {
            Ok(())
        }
    }
}

fn change(out: &mut dyn Write, mutation: &Mutation, method: &Method) -> Result<(), Failure> {
    let answer = mutation.send(method, PATH, &Map::new())?;
    let changed: LineChanged = answer.value()?;
    if mutation.json {
        return answer.copy(out);
    }
    print(out, &changed.line)
}

fn print(out: &mut dyn Write, line: &Status) -> Result<(), Failure> {
    match &line.stopped {
        Some(said) => writeln!(
            out,
            "stopped by {} at {}: {}",
            said.by, said.at, said.reason
        )?,
        None => writeln!(out, "not stopped")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::line::print;

    #[test]
    fn who_stopped_the_line_is_told() {
        for (line, expected) in [
            (
                json!({ "is_stopped": true, "revision": 1, "stopped": {
                    "by": "ana", "reason": "it burns", "at": "2026-01-01T00:00:00Z" } }),
                "stopped by ana at 2026-01-01T00:00:00Z: it burns\n",
            ),
            (
                json!({ "is_stopped": false, "revision": 2 }),
                "not stopped\n",
            ),
        ] {
            let mut out = Vec::new();
            print(&mut out, &serde_json::from_value(line).unwrap()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
