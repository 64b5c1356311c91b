//! `tidegate freeze`: when nothing moves, and who lets something through.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use crate::admin::wire::{Changed, Closed, FreezeStatus, Freezes};
use crate::cli::block_on;
use crate::cli::client::{Answer, Client, Instance, encode};
use crate::cli::mutation::{Mutation, members};
use crate::cli::output::{Failure, table};

/// Show when nothing moves, and let something through.
#[derive(Args, Debug)]
pub(in crate::cli) struct Freeze {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the windows, and what is closed.
    Ls(Ls),
    /// Ask whether releases of a route may move; exit 1 when they may not.
    Check(Check),
    /// Let a freeze not hold for a while, in an emergency; a second person has to review it.
    Override(Override),
}

#[derive(Args, Debug)]
struct Ls {
    /// At another moment than now: 2026-12-24T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Check {
    /// The route; all of releases that are not over, where none is named.
    route: Option<String>,
    /// At another moment than now: 2026-12-24T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Override {
    /// The name of the freeze.
    name: String,
    /// For this release alone.
    #[arg(long, value_name = "ID")]
    release: Option<String>,
    /// When it holds again: a time such as 2h from now, or a moment.
    #[arg(long, value_name = "TIME")]
    until: String,
    #[command(flatten)]
    mutation: Mutation,
}

impl Freeze {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Ls(ls) => ls.json,
            Command::Check(check) => check.json,
            Command::Override(passed) => passed.mutation.json,
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.command {
            Command::Ls(ls) => ls.run(out),
            Command::Check(check) => check.run(out),
            Command::Override(passed) => passed.run(out),
        }
    }
}

impl Ls {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let (answer, freezes) = ask(&self.instance, self.at.as_deref(), None)?;
        if self.json {
            return answer.copy(out);
        }
        list(out, &freezes.freezes)?;
        if !freezes.closed.is_empty() {
            writeln!(out)?;
            closed(out, &freezes.closed)?;
        }
        Ok(())
    }
}

impl Check {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let (answer, freezes) = ask(&self.instance, self.at.as_deref(), self.route.as_deref())?;
        if self.json {
            answer.copy(out)?;
        } else if freezes.closed.is_empty() {
            writeln!(out, "open at {}", freezes.at)?;
        } else {
            closed(out, &freezes.closed)?;
        }
        if freezes.closed.is_empty() {
            Ok(())
        } else {
            Err(Failure::Negative)
        }
    }
}

impl Override {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let path = format!("/api/v1/freezes/{}/override", encode(&self.name));
        let members = members([
            ("release", json!(self.release)),
            ("until", json!(self.until)),
        ]);
        let answer = self.mutation.send(&Method::POST, &path, &members)?;
        let changed: Changed = answer.value()?;
        if self.mutation.json {
            return answer.copy(out);
        }
        writeln!(
            out,
            "the freeze {} does not hold for {}; record {} of the audit trail",
            self.name,
            self.release.as_deref().unwrap_or("any release"),
            changed.seq
        )?;
        Ok(())
    }
}

fn ask(
    instance: &Instance,
    at: Option<&str>,
    route: Option<&str>,
) -> Result<(Answer, Freezes), Failure> {
    let client = Client::new(instance)?;
    let asked = [("at", at), ("route", route)];
    let asked = asked.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(format!("{name}={}", encode(value)))
    });
    let query = asked.collect::<Vec<_>>().join("&");
    let answer = block_on(client.get(&format!("/api/v1/freezes?{query}")))?;
    let freezes = answer.value()?;
    Ok((answer, freezes))
}

fn list(out: &mut dyn Write, freezes: &[FreezeStatus]) -> Result<(), Failure> {
    let header = [
        "FREEZE",
        "KIND",
        "NOW",
        "WINDOW",
        "UNTIL",
        "BLOCKS",
        "ROUTES",
        "WHO CAN OVERRIDE",
    ];
    let rows = freezes.iter().map(|freeze| {
        let mut who = freeze.override_roles.join(", ");
        for passed in &freeze.overrides {
            let what = passed.release.as_deref().unwrap_or("everything");
            who.push_str(&format!(" ({what} until {})", passed.expires_at));
        }
        vec![
            freeze.name.clone(),
            freeze.kind.clone(),
            if freeze.is_active {
                "in it"
            } else {
                "not in it"
            }
            .to_owned(),
            freeze.window.clone(),
            freeze.changes_at.clone().unwrap_or_else(|| "-".to_owned()),
            freeze.blocks.join(" "),
            freeze.routes.join(" "),
            who.trim_start().to_owned(),
        ]
    });
    table(out, &header, &[], &rows.collect::<Vec<_>>())
}

fn closed(out: &mut dyn Write, closed: &[Closed]) -> Result<(), Failure> {
    let header = ["CLOSED", "ROUTE", "RELEASE", "BY", "OPENS"];
    let rows = closed.iter().map(|closed| {
        vec![
            closed.act.clone(),
            closed.route.clone(),
            closed.release.clone().unwrap_or_default(),
            closed.freezes.join(", "),
            closed.opens_at.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table(out, &header, &[], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Freezes;
    use crate::cli::freeze::{closed, list};

    #[test]
    fn windows_and_what_they_close_are_told() {
        let freezes: Freezes = serde_json::from_value(json!({
            "at": "2026-12-24T12:00:00Z",
            "freezes": [{
                "name": "xmas", "kind": "deny", "is_active": true, "window": "2026-12-20 to 2027-01-03",
                "changes_at": "2027-01-03T00:00:00Z", "blocks": ["start", "advance"],
                "routes": ["*"], "override_roles": ["release-manager"], "overrides": [{
                    "release": "fix-1", "by": "ana", "reason": "it burns", "at": "",
                    "expires_at": "2026-12-24T14:00:00Z",
                }],
            }],
            "closed": [{
                "route": "shop", "act": "advance", "freezes": ["xmas"],
                "opens_at": "2027-01-03T00:00:00Z",
            }],
        }))
        .unwrap();
        let mut out = Vec::new();
        list(&mut out, &freezes.freezes).unwrap();
        closed(&mut out, &freezes.closed).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "in it",
            "release-manager (fix-1 until 2026-12-24T14:00:00Z)",
            "advance  shop",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
