//! `tidegate flag history`: what was done to a flag, the last first.

use std::io::Write;

use clap::Args;

use crate::admin::wire::Audit;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::flag::path;
use crate::cli::output::{Failure, table};
use crate::store::Record;
use crate::store::instant;

/// Show what was done to a flag.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct History {
    /// The flag.
    flag: String,
    /// How many records.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    lines: u64,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

impl History {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let path = format!("{}/history?limit={}", path(&self.flag), self.lines);
        let answer = block_on(client.get(&path))?;
        let audit: Audit = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &self.flag, &audit.records)
    }
}

fn print(out: &mut dyn Write, flag: &str, records: &[Record]) -> Result<(), Failure> {
    if records.is_empty() {
        writeln!(out, "nothing was done to {flag}")?;
        return Ok(());
    }
    let rows = records.iter().map(|record| {
        vec![
            record.seq.to_string(),
            instant::text(record.at),
            record.actor.id.chars().take(24).collect(),
            record.action.clone(),
            record.reason.clone().unwrap_or_default(),
        ]
    });
    let header = ["SEQ", "TIME", "WHO", "WHAT", "WHY"];
    table(out, &header, &[0], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::flag::history::print;

    #[test]
    fn a_record_is_a_line() {
        let record = json!({
            "v": 1, "seq": 7, "id": "01J", "ts": "2026-01-01T00:00:00.000Z", "cluster": "c",
            "replica": "edge-1", "actor": { "kind": "token", "id": "ana", "roles": [], "via": "cli" },
            "action": "flag.kill", "object": { "kind": "flag", "id": "f" }, "reason": "it burns",
            "prev": "p", "hash": "h",
        });
        let mut out = Vec::new();
        print(&mut out, "f", &[serde_json::from_value(record).unwrap()]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = "7 2026-01-01T00:00:00Z ana flag.kill it burns";
        assert_eq!(row.join(" "), expected);
        let mut out = Vec::new();
        print(&mut out, "f", &[]).unwrap();
        assert_eq!(out, b"nothing was done to f\n");
    }
}
