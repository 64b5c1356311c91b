//! `tidegate flag ls`: all flags, a line each.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{FlagRow, Flags};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::moment::distance_from_now;
use crate::cli::output::{Failure, table};

/// List all flags.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Ls {
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

impl Ls {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/api/v1/flags"))?;
        let flags: Flags = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &flags.flags)
    }
}

fn print(out: &mut dyn Write, flags: &[FlagRow]) -> Result<(), Failure> {
    if flags.is_empty() {
        writeln!(out, "there are no flags")?;
        return Ok(());
    }
    let header = [
        "FLAG",
        "TYPE",
        "DECIDED BY",
        "SERVES",
        "OWNER",
        "LAST ASKED",
        "STALE",
    ];
    let rows = flags.iter().map(|flag| {
        let last = flag.last_evaluated_at.as_deref().map(distance_from_now);
        let stale: Vec<&str> = flag.stale.iter().map(|it| it.cause.as_str()).collect();
        vec![
            flag.name.clone(),
            flag.kind.clone(),
            flag.decided_by.clone(),
            flag.serves.clone(),
            flag.owner.clone().unwrap_or_default(),
            last.map_or_else(|| "-".to_owned(), |last| format!("{last} ago")),
            stale.join(", "),
        ]
    });
    table(out, &header, &[], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Flags;
    use crate::cli::flag::list::print;

    #[test]
    fn a_flag_is_a_line_with_what_decides_it() {
        let flags: Flags = serde_json::from_value(json!({ "flags": [{
            "name": "new-checkout", "revision": 3, "type": "boolean", "owner": "team-shop",
            "decided_by": "killed", "serves": "off", "is_enabled": true, "is_killed": true,
            "variants": ["off", "on"], "version": "0123456789ab", "is_permanent": false,
            "stale": [{ "cause": "expired", "since": "2026-01-01T00:00:00Z", "text": "" }],
        }]}))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &flags.flags).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = "new-checkout boolean killed off team-shop - expired";
        assert_eq!(row.join(" "), expected);
    }
}
