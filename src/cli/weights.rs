//! `tidegate weights`: how routes divide their traffic, set at run time without a file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, json};

use crate::admin::wire::{RouteWeights, Routes, WeightsChanged};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::mutation::{Mutation, members};
use crate::cli::output::{Failure, percent, table};

/// Show and set weights at run time.
#[derive(Args, Debug)]
pub(in crate::cli) struct Weights {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is obeyed, what the file says, and who decides.
    Get(Get),
    /// Set the weights of a route until the file changes, or for a while.
    Set(Set),
    /// Give the file its say again.
    Clear(Clear),
}

#[derive(Args, Debug)]
struct Get {
    /// The route; all, where none is named.
    route: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Set {
    /// The route.
    route: String,
    /// A variant and its weight; a variant that is not named gets nothing.
    #[arg(value_name = "VARIANT=WEIGHT", required = true, value_parser = weight)]
    weights: Vec<(String, u32)>,
    /// Until when: a time such as 2h from now, or a moment.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    mutation: Mutation,
}

#[derive(Args, Debug)]
struct Clear {
    /// The route.
    route: String,
    #[command(flatten)]
    mutation: Mutation,
}

impl Weights {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        match &self.command {
            Command::Get(get) => get.json,
            Command::Set(set) => set.mutation.json,
            Command::Clear(clear) => clear.mutation.json,
        }
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.command {
            Command::Get(get) => get.run(out),
            Command::Set(set) => set.run(out),
            Command::Clear(clear) => {
                let members = Map::new();
                change(
                    out,
                    &clear.mutation,
                    &Method::DELETE,
                    &clear.route,
                    &members,
                )
            }
        }
    }
}

impl Get {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let (answer, routes) = match self.route {
            None => {
                let answer = block_on(client.get("/api/v1/routes"))?;
                let routes: Routes = answer.value()?;
                (answer, routes.routes)
            }
            Some(route) => {
                let answer = block_on(client.get(&path(&route)))?;
                let weights: RouteWeights = answer.value()?;
                (answer, BTreeMap::from([(route, weights)]))
            }
        };
        if self.json {
            return answer.copy(out);
        }
        print(out, &routes)
    }
}

impl Set {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut weights = BTreeMap::new();
        for (variant, weight) in self.weights {
            if weights.insert(variant.clone(), weight).is_some() {
                return Err(Failure::Usage(format!("{variant} is named twice")));
            }
        }
        let members = members([
            ("weights", json!(weights)),
            ("expires", json!(self.expires)),
        ]);
        change(out, &self.mutation, &Method::PUT, &self.route, &members)
    }
}

fn path(route: &str) -> String {
    format!("/api/v1/routes/{}/weights", encode(route))
}

fn change(
    out: &mut dyn Write,
    mutation: &Mutation,
    method: &Method,
    route: &str,
    members: &Map<String, serde_json::Value>,
) -> Result<(), Failure> {
    let answer = mutation.send(method, &path(route), members)?;
    let changed: WeightsChanged = answer.value()?;
    if mutation.json {
        return answer.copy(out);
    }
    print(out, &BTreeMap::from([(route.to_owned(), changed.route)]))?;
    if !changed.changed.obeyed {
        writeln!(out, "it is kept, and the route does not obey it yet")?;
    }
    Ok(())
}

fn print(out: &mut dyn Write, routes: &BTreeMap<String, RouteWeights>) -> Result<(), Failure> {
    let header = ["ROUTE", "VARIANT", "WEIGHT", "SHARE", "FILE", "DECIDED BY"];
    let mut rows = Vec::new();
    for (name, route) in routes {
        let sum: f64 = route.weights.values().copied().map(f64::from).sum();
        let names = route.weights.keys().chain(route.file.keys());
        let names: BTreeSet<_> = names.collect();
        for (n, variant) in names.into_iter().enumerate() {
            let weight = route.weights.get(variant).copied().unwrap_or_default();
            let share = f64::from(weight) / sum.max(1.0);
            let file = route.file.get(variant);
            rows.push(vec![
                if n == 0 { name.clone() } else { String::new() },
                variant.clone(),
                weight.to_string(),
                percent(share),
                file.map_or_else(|| "-".to_owned(), ToString::to_string),
                if n == 0 { owner(route) } else { String::new() },
            ]);
        }
    }
    table(out, &header, &[2, 3, 4], &rows)
}

/// Who decides, in a few words.
fn owner(route: &RouteWeights) -> String {
    let release = route.release.as_deref().unwrap_or_default();
    let mut text = match (route.owner.as_str(), &route.set) {
        ("release", _) => format!("the release {release}"),
        ("override", Some(said)) if release.is_empty() => format!("{}: {}", said.by, said.reason),
        ("override", _) => format!("what the release {release} left"),
        _ => "the file".to_owned(),
    };
    if let Some(expires) = &route.expires_at {
        text.push_str(&format!(" (until {expires})"));
    }
    text
}

/// Reads `canary=5`.
fn weight(text: &str) -> Result<(String, u32), String> {
    let wrong = || "not VARIANT=WEIGHT, such as canary=5".to_owned();
    let (variant, weight) = text.split_once('=').ok_or_else(wrong)?;
    let weight = weight.parse().map_err(|_| wrong())?;
    if variant.is_empty() {
        return Err(wrong());
    }
    Ok((variant.to_owned(), weight))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Routes;
    use crate::cli::weights::{print, weight};

    #[test]
    fn a_weight_is_a_variant_and_a_number() {
        assert_eq!(weight("canary=5"), Ok(("canary".to_owned(), 5)));
        for text in ["canary", "=5", "canary=", "canary=-1", "canary=5%"] {
            assert!(weight(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_obeyed_stands_beside_what_the_file_says() {
        let routes: Routes = serde_json::from_value(json!({ "routes": { "shop": {
            "weights": { "stable": 80, "canary": 20 }, "file": { "stable": 100, "canary": 0 },
            "owner": "override", "revision": 3, "expires_at": "2026-01-01T02:00:00Z",
            "set": { "by": "ana", "reason": "a try", "at": "2026-01-01T00:00:00Z" },
        }}}))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &routes.routes).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let first = "shop canary 20 20 % 0 ana: a try (until 2026-01-01T02:00:00Z)";
        assert_eq!(rows[1..], [first, "stable 80 80 % 100"]);
    }
}
