//! Reads a release that stands in no file, as `[release.ID]` is read: with the routes, flags, strategies
//! and gates of a configuration that is there already.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use toml::de::DeTable;

use crate::config::problem::Problem;
use crate::config::reader::{Disk, Document};
use crate::config::releases::gate::Gates;
use crate::config::releases::release::{Known, Releases};
use crate::config::releases::strategy::Strategies;
use crate::config::settings::Config;
use crate::release::spec::Spec;

/// The keys that may name a file in a configuration.
const DOCUMENTS: [&str; 3] = ["notes", "rollback_plan", "procedure"];

/// Reads a release of which `keys` are what a `[release.ID]` has. `others` are the releases that there
/// are. No file is looked at: documents are texts here.
///
/// # Errors
/// All that is wrong with it, without places; the keys begin with that of the release.
pub fn release_of(
    id: &str,
    keys: &Map<String, Json>,
    config: &Config,
    others: &BTreeSet<String>,
) -> Result<Spec, Vec<Problem>> {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        if keys.get(document).is_some_and(Json::is_object) {
            let why = "names a file, and none is looked for here: the text belongs here";
            problems.push(problem(&format!("release.{id}.{document}"), why.to_owned()));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = toml::to_string(&json!({ "release": { id: keys } }));
    let text = text.map_err(|error| vec![problem("release", error.to_string())])?;
    let document = Document::new(Disk::Ignore);
    let unreadable = |why: &str| vec![problem("release", why.to_owned())];
    let text = document.add(PathBuf::new(), text);
    let text = text.ok_or_else(|| unreadable("cannot be read"))?;
    let entries = DeTable::parse(&text.text).map_err(|error| unreadable(error.message()))?;
    let specs = document.root(entries.get_ref(), |root| {
        let section = root.optional("release");
        let known_routes = config.routes.keys().map(String::as_str).collect();
        let known_flags = config.flags.specs.keys().map(String::as_str).collect();
        let mut known_releases: BTreeSet<&str> = others.iter().map(String::as_str).collect();
        known_releases.insert(id);
        let known = Known {
            routes: &config.routes,
            route_names: &known_routes,
            flags: &config.flags.specs,
            flag_names: &known_flags,
            segments: &config.segments,
            strategies: &Strategies::known(&config.releases.strategies),
            gates: &Gates::known(&config.releases.rules.gates),
            releases: &known_releases,
        };
        section.map(|section| Releases::of(&section, &known).specs)
    });
    let found = document.take_found().problems.into_iter();
    let found: Vec<Problem> = found
        .map(|found| problem(&found.key, found.message))
        .collect();
    let spec = specs.and_then(|mut specs| specs.remove(id));
    match spec {
        Some(spec) if spec.after.iter().any(|other| other == id) => {
            let why = "it would wait for itself".to_owned();
            Err(vec![problem(&format!("release.{id}.after"), why)])
        }
        Some(spec) if found.is_empty() => Ok(spec),
        _ if found.is_empty() => Err(unreadable("cannot be understood")),
        _ => Err(found),
    }
}

fn problem(key: &str, message: String) -> Problem {
    Problem {
        file: PathBuf::new(),
        line: 0,
        column: 0,
        key: key.to_owned(),
        message,
    }
}
