//! `tidegate audit show`: one record whole.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use crate::admin::wire::Audit;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json};
use crate::store::Record;
use crate::store::instant;

/// Show one record whole.
#[derive(Args, Debug)]
pub(in crate::cli::audit) struct Show {
    /// Its number.
    #[arg(value_name = "SEQ")]
    seq: u64,
    #[command(flatten)]
    instance: Instance,
    /// Print the record as it is kept.
    #[arg(long)]
    pub(in crate::cli::audit) json: bool,
}

impl Show {
    pub(in crate::cli::audit) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let seq = self.seq;
        let path = format!("/api/v1/audit?since={seq}&until={seq}&limit=1");
        let audit: Audit = block_on(client.get(&path))?.value()?;
        let record = audit.records.first();
        let record = record.ok_or_else(|| {
            Failure::Refused(format!(
                "there is no record {seq}: the last is {}",
                audit.head
            ))
        })?;
        if self.json {
            return json(out, record);
        }
        print(out, record)
    }
}

fn print(out: &mut dyn Write, record: &Record) -> Result<(), Failure> {
    let actor = &record.actor;
    let roles = actor.roles.join(", ");
    let who = format!("{:?} {} ({roles}) by {:?}", actor.kind, actor.id, actor.via).to_lowercase();
    let object = match record.object.attempt {
        Some(attempt) => format!("{}, attempt {attempt}", record.object),
        None => record.object.to_string(),
    };
    let config = record.config.as_ref();
    for (name, fact) in [
        ("record", Some(format!("{} {}", record.seq, record.id))),
        ("at", Some(instant::text(record.at))),
        ("who", Some(who)),
        ("from", actor.addr.map(|addr| addr.to_string())),
        ("what", Some(record.action.clone())),
        ("of", Some(object)),
        ("why", record.reason.clone()),
        ("ticket", record.ticket.clone()),
        ("request", record.request_id.clone()),
        ("config", config.map(|config| config.sha256.clone())),
        ("replica", Some(record.replica.clone())),
        ("prev", Some(record.prev.clone())),
        ("hash", Some(record.hash.clone())),
    ] {
        if let Some(fact) = fact {
            writeln!(out, "{name:<9}{fact}")?;
        }
    }
    for (name, value) in [
        ("before", &record.before),
        ("after", &record.after),
        ("evidence", &record.evidence),
    ] {
        if let Some(value) = value.as_ref().filter(|value| **value != Value::Null) {
            writeln!(out, "\n{name}:")?;
            json(out, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::audit::show::print;

    #[test]
    fn a_record_tells_who_what_why_and_what_it_changed() {
        let record = json!({
            "v": 1, "seq": 7, "id": "01J", "ts": "2026-01-01T00:00:00.000Z",
            "cluster": "c", "replica": "edge-1",
            "actor": { "kind": "token", "id": "ana", "roles": ["sre"], "via": "cli" },
            "action": "release.abort", "object": { "kind": "release", "id": "a", "attempt": 2 },
            "reason": "it burns", "before": { "weight": 5 }, "prev": "p", "hash": "h",
        });
        let mut out = Vec::new();
        print(&mut out, &serde_json::from_value(record).unwrap()).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "who      token ana (sre) by cli\n",
            "of       release a, attempt 2\n",
            "why      it burns\n",
            "before:\n{\n  \"weight\": 5\n}\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("after:"), "{text}");
    }
}
