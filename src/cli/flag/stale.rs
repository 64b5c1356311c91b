//! `tidegate flag stale`: the flags that should be taken out, for pipelines.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{StaleFlag, StaleFlags};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, table};

/// List the flags that should be taken out.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Stale {
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

impl Stale {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/api/v1/flags/stale"))?;
        let stale: StaleFlags = answer.value()?;
        if self.json {
            answer.copy(out)?;
        } else {
            print(out, &stale.flags)?;
        }
        if stale.flags.is_empty() {
            Ok(())
        } else {
            Err(Failure::Negative)
        }
    }
}

fn print(out: &mut dyn Write, flags: &[StaleFlag]) -> Result<(), Failure> {
    if flags.is_empty() {
        writeln!(out, "no flag is stale")?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for flag in flags {
        for (n, stale) in flag.stale.iter().enumerate() {
            let owner = flag.owner.clone().unwrap_or_default();
            rows.push(vec![
                if n == 0 {
                    flag.name.clone()
                } else {
                    String::new()
                },
                if n == 0 { owner } else { String::new() },
                stale.cause.clone(),
                stale.text.clone(),
            ]);
        }
    }
    table(out, &["FLAG", "OWNER", "CAUSE", "WHY"], &[], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::StaleFlags;
    use crate::cli::flag::stale::print;

    #[test]
    fn a_flag_is_told_with_every_cause() {
        let stale: StaleFlags = serde_json::from_value(json!({ "flags": [{
            "name": "old", "owner": "ana", "stale": [
                { "cause": "expired", "since": "", "text": "it was to be gone" },
                { "cause": "unused", "since": "", "text": "nobody asks" },
            ],
        }]}))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &stale.flags).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            rows[1..],
            ["old ana expired it was to be gone", "unused nobody asks"]
        );
    }
}
