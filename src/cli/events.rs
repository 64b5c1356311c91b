//! `tidegate events`: what releases tell others, as it happens.
//!
//! Each transition has one event, which is kept with its record; so they are read from the audit
//! trail, and none is missed when the instance starts anew.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::audit::{Pages, Which};
use crate::cli::client::{Client, Instance};
use crate::cli::output::Failure;
use crate::cli::{block_on, printing};
use crate::notify::Event;
use crate::store::Record;
use crate::store::instant;

/// Follow what releases tell others, until Ctrl-C.
#[derive(Args, Debug)]
pub(in crate::cli) struct Events {
    /// Begin with the last so many records.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    lines: u64,
    /// Print those and end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    instance: Instance,
    /// Print one JSON document in each line: {"seq", "id", "event"}.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Events {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let pages = Pages::new(&client, Which::default());
        if self.once {
            let (records, _) = block_on(pages.last(self.lines))?;
            return self.print(&records);
        }
        block_on(pages.follow(self.lines, |records| self.print(records)))
    }

    fn print(&self, records: &[Record]) -> Result<(), Failure> {
        printing(|out| {
            for record in records {
                if let Some(event) = &record.event {
                    writeln!(out, "{}", line(record, event, self.json))?;
                }
            }
            Ok(())
        })
    }
}

fn line(record: &Record, event: &Value, as_json: bool) -> String {
    let told: Option<Event> = serde_json::from_value(event.clone()).ok();
    let Some(told) = told.filter(|_| !as_json) else {
        return json!({ "seq": record.seq, "id": record.id, "event": event }).to_string();
    };
    let detail = told.detail.or(told.reason).unwrap_or_default();
    format!(
        "{}  {:<24}  {}  {}",
        instant::text(told.at),
        told.kind,
        told.release.or(told.route).unwrap_or_default(),
        detail.replace('\n', "; "),
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::events::line;

    #[test]
    fn an_event_is_a_line_for_people_and_for_programs() {
        let event = json!({
            "at": "2026-01-01T00:00:00Z", "kind": "release.step", "severity": "info",
            "cluster": "c", "release": "shop-2.0.0", "detail": "a\nb",
        });
        let record = serde_json::from_value(json!({
            "v": 1, "seq": 7, "id": "01J", "ts": "2026-01-01T00:00:00.000Z",
            "cluster": "c", "replica": "edge-1", "event": event,
            "actor": { "kind": "controller", "id": "controller", "via": "analysis" },
            "action": "release.step", "object": { "kind": "release", "id": "shop-2.0.0" },
            "prev": "p", "hash": "h",
        }))
        .unwrap();
        let text = line(&record, &event, false);
        assert!(
            text.contains("release.step") && text.ends_with("shop-2.0.0  a; b"),
            "{text}"
        );
        let text = line(&record, &event, true);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({ "seq": 7, "id": "01J", "event": event }));
    }
}
