//! `tidegate drift`: what runs against the file.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;

use crate::admin::wire::{Drift as Status, FlagDrift, RouteDrift};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, table};
use crate::release::spec::FLAG;

/// Show what runs against the file.
#[derive(Args, Debug)]
pub(in crate::cli) struct Drift {
    /// Exit with 1 when anything does, as `git diff --exit-code`.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Drift {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/api/v1/drift"))?;
        let drift: Status = answer.value()?;
        if self.json {
            answer.copy(out)?;
        } else if drift.has_drifted {
            print(out, &drift)?;
        } else {
            writeln!(out, "everything is as the file says")?;
        }
        if drift.has_drifted && self.exit_code {
            return Err(Failure::Negative);
        }
        Ok(())
    }
}

fn print(out: &mut dyn Write, drift: &Status) -> Result<(), Failure> {
    let Status { stable, .. } = drift;
    // Flags are told below, each once.
    let routes = drift.routes.iter();
    let routes = routes.filter(|(name, _)| !name.starts_with(FLAG));
    let routes: BTreeMap<_, _> = routes.collect();
    if !routes.is_empty() {
        divided(out, &routes)?;
    }
    for (id, variant) in stable {
        let advice = "commit that as its `stable`, as `tidegate export` has it";
        writeln!(
            out,
            "\nthe release {id}: {variant} serves in the place of its stable variant; {advice}"
        )?;
    }
    if !routes.is_empty() && !drift.flags.is_empty() {
        writeln!(out)?;
    }
    if !drift.flags.is_empty() {
        flags(out, &drift.flags)?;
    }
    Ok(())
}

fn flags(out: &mut dyn Write, flags: &[FlagDrift]) -> Result<(), Failure> {
    let rows = flags.iter().map(|drift| {
        let said = &drift.said;
        let until = drift.expires_at.as_ref();
        let until = until.map_or_else(String::new, |until| format!(" until {until}"));
        vec![
            drift.flag.clone(),
            drift.file.clone(),
            drift.obeyed.clone(),
            format!("{} by {}: {}{until}", drift.cause, said.by, said.reason),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(out, &["FLAG", "FILE", "OBEYED", "BECAUSE OF"], &[], &rows)?;
    for drift in flags {
        writeln!(out, "\n{}: {}", drift.flag, drift.advice)?;
    }
    Ok(())
}

fn divided(out: &mut dyn Write, routes: &BTreeMap<&String, &RouteDrift>) -> Result<(), Failure> {
    let weights = |weights: &BTreeMap<String, u32>| {
        let pairs = weights
            .iter()
            .map(|(name, weight)| format!("{name}={weight}"));
        pairs.collect::<Vec<_>>().join(" ")
    };
    let rows = routes.iter().map(|(name, drift)| {
        vec![
            (*name).clone(),
            weights(&drift.file),
            weights(&drift.weights),
            cause(drift),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(out, &["ROUTE", "FILE", "OBEYED", "BECAUSE OF"], &[], &rows)?;
    for (name, drift) in routes {
        writeln!(out, "\n{name}: {}", drift.advice)?;
    }
    Ok(())
}

fn cause(drift: &RouteDrift) -> String {
    let release = drift.release.as_deref().unwrap_or_default();
    let mut text = match drift.cause.as_str() {
        "release" => format!("the release {release} goes on"),
        "left" => format!("the release {release} left it so"),
        _ => format!("{} set it", drift.by.as_deref().unwrap_or("somebody")),
    };
    if let Some(expires) = &drift.expires_at {
        text.push_str(&format!(" until {expires}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Drift;
    use crate::cli::drift::print;

    #[test]
    fn a_route_that_has_drifted_is_told_with_what_to_do() {
        let drift: Drift =
            serde_json::from_value(json!({ "has_drifted": true, "routes": { "shop": {
                "file": { "stable": 100, "canary": 0 }, "weights": { "stable": 0, "canary": 100 },
                "cause": "left", "release": "shop-2.0.0", "advice": "commit it",
            }}}))
            .unwrap();
        let mut out = Vec::new();
        print(&mut out, &drift).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected =
            "shop canary=0 stable=100 canary=100 stable=0 the release shop-2.0.0 left it so";
        assert_eq!(row.join(" "), expected);
        assert!(text.ends_with("\nshop: commit it\n"), "{text}");
    }
    #[test]
    fn a_flag_that_is_not_as_the_file_says_is_told_with_who_did_it() {
        let drift: Drift =
            serde_json::from_value(json!({ "has_drifted": true, "routes": {}, "flags": [{
                "flag": "cart", "file": "on", "obeyed": "off", "cause": "killed", "by": "ana",
                "reason": "it burns", "at": "2026-01-01T00:00:00Z", "advice": "unkill it",
            }]}))
            .unwrap();
        let mut out = Vec::new();
        print(&mut out, &drift).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row.join(" "), "cart on off killed by ana: it burns");
        assert!(text.ends_with("\ncart: unkill it\n"), "{text}");
    }
}
