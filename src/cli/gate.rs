//! `tidegate gate`: the gates that releases wait at, and what people say there.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Map;

use crate::admin::wire::{GateStatus, Gates};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::moment::distance_from_now;
use crate::cli::mutation::Mutation;
use crate::cli::output::{Failure, table};
use crate::cli::release;

/// Show gates, and say yes or no at them.
#[derive(Args, Debug)]
pub(in crate::cli) struct Gate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the gates that are waited at, with what is missing.
    Ls(Ls),
    /// Agree that a release goes on.
    Approve(Vote),
    /// Disagree: the release ends, and stable gets everything back.
    Reject(Vote),
    /// Pass a gate without its approvals, in an emergency; a second person has to review it.
    Pass(Vote),
}

#[derive(Args, Debug)]
struct Ls {
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Vote {
    /// The identity of the release.
    id: String,
    /// The name of the gate.
    gate: String,
    #[command(flatten)]
    mutation: Mutation,
}

impl Gate {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Ls(ls) => ls.json,
            Command::Approve(vote) | Command::Reject(vote) | Command::Pass(vote) => {
                vote.mutation.json
            }
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.command {
            Command::Ls(ls) => ls.run(out),
            Command::Approve(vote) => vote.run(out, "approve"),
            Command::Reject(vote) => vote.run(out, "reject"),
            Command::Pass(vote) => vote.run(out, "pass"),
        }
    }
}

impl Ls {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/api/v1/gates"))?;
        let gates: Gates = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &gates.gates)
    }
}

impl Vote {
    fn run(self, out: &mut dyn Write, word: &str) -> Result<(), Failure> {
        let (id, gate) = (encode(&self.id), encode(&self.gate));
        let path = format!("/api/v1/releases/{id}/gates/{gate}/{word}");
        let answer = self.mutation.send(&Method::POST, &path, &Map::new())?;
        release::tell(out, &answer, self.mutation.json)
    }
}

fn print(out: &mut dyn Write, gates: &[GateStatus]) -> Result<(), Failure> {
    let header = [
        "RELEASE", "GATE", "STATE", "APPROVED", "ASKED", "WHO CAN", "MISSING",
    ];
    let rows = gates.iter().map(|gate| {
        let asked = gate.asked_at.as_deref();
        vec![
            gate.release.clone(),
            gate.name.clone(),
            gate.state.clone(),
            format!("{} of {}", gate.have, gate.need),
            asked.map(distance_from_now).unwrap_or_default(),
            gate.who_may.join(", "),
            gate.missing.clone(),
        ]
    });
    table(out, &header, &[3, 4], &rows.collect::<Vec<_>>())?;
    for gate in gates.iter().filter(|gate| !gate.checklist.is_empty()) {
        writeln!(out, "\n{} at {}", gate.release, gate.name)?;
        checklist(out, gate)?;
    }
    Ok(())
}

/// What a gate asks for, and what of it is there.
pub(in crate::cli) fn checklist(out: &mut dyn Write, gate: &GateStatus) -> Result<(), Failure> {
    let mark = |done: bool| if done { "[x]" } else { "[ ]" };
    if gate.need > 0 {
        let approved = mark(gate.have >= gate.need);
        let who: Vec<_> = gate
            .approvals
            .iter()
            .map(|one| one.said.by.as_str())
            .collect();
        let who = who.join(", ");
        let line = format!("{approved} {} of {} approvals {who}", gate.have, gate.need);
        writeln!(out, "  {}", line.trim_end())?;
    }
    for item in &gate.checklist {
        let line = format!("{} {}  {}", mark(item.done), item.criterion, item.detail);
        writeln!(out, "  {}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Gates;
    use crate::cli::gate::print;

    #[test]
    fn a_gate_is_a_row_with_what_is_missing_and_a_checklist() {
        let gates: Gates = serde_json::from_value(json!({ "gates": [{
            "name": "sre", "release": "shop-2.0.0", "route": "shop", "state": "waiting",
            "is_next": true, "who_may": ["sre"], "have": 1, "need": 2,
            "approvals": [{ "by": "ana", "reason": "fine", "at": "2026-01-01T00:00:00Z" }],
            "missing": "1 approval, and notes", "checklist": [
                { "criterion": "verdict>=proven", "done": true, "detail": "" },
                { "criterion": "notes", "done": false, "detail": "there are none" },
            ],
        }]}))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &gates.gates).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = "shop-2.0.0 sre waiting 1 of 2 sre 1 approval, and notes";
        assert_eq!(row.join(" "), expected);
        for part in [
            "  [ ] 1 of 2 approvals ana\n",
            "  [x] verdict>=proven\n",
            "  [ ] notes  there are none\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
