//! `tidegate release start`: starts a release that waits for it, or makes one of a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use http::Method;
use serde_json::{Map, Value};

use crate::admin::wire::ReleaseChanged;
use crate::cli::mutation::Mutation;
use crate::cli::output::Failure;
use crate::cli::release::change::tell;
use crate::cli::release::path;

/// Start a release.
#[derive(Args, Debug)]
#[command(after_help = "\
The file has one section [release.\"ID\"] such as the configuration may have, and nothing else; a
release of a file that is made so is not removed with it.")]
pub(in crate::cli::release) struct Start {
    /// The identity of a release, or a file (its name ends in .toml, or has a slash).
    #[arg(value_name = "FILE|ID", value_hint = ValueHint::FilePath)]
    what: String,
    #[command(flatten)]
    mutation: Mutation,
}

impl Start {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.mutation.json
    }

    pub(in crate::cli::release) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut id = self.what.clone();
        if let Some(file) = self.file() {
            let release = read(&file)?;
            let send = self
                .mutation
                .send(&Method::POST, "/api/v1/releases", &release);
            let answer = send?;
            let made: ReleaseChanged = answer.value()?;
            if made.release.start != "manual" {
                return tell(out, &answer, self.json());
            }
            id = made.release.row.id;
        }
        let path = path(&id, "/start");
        let answer = self.mutation.send(&Method::POST, &path, &Map::new())?;
        tell(out, &answer, self.json())
    }

    fn file(&self) -> Option<PathBuf> {
        let is_file = self.what.ends_with(".toml") || self.what.contains('/');
        is_file.then(|| PathBuf::from(&self.what))
    }
}

/// Reads the release of a file as the API takes it.
fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let refused = |why: String| Failure::Refused(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    parse(&text).map_err(refused)
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let root: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(other) = root.keys().find(|key| *key != "release") {
        return Err(format!(
            "has {other}; a release alone belongs here, and the rest into the configuration"
        ));
    }
    let releases = root.get("release").and_then(toml::Value::as_table);
    let mut releases = releases.into_iter().flatten();
    let (Some((id, section)), None) = (releases.next(), releases.next()) else {
        return Err("has not exactly one section [release.\"ID\"]".to_owned());
    };
    let Value::Object(mut release) = json_of(section) else {
        return Err(format!("release.{id} is no section"));
    };
    release.insert("id".to_owned(), id.clone().into());
    Ok(release)
}

/// A value of TOML in JSON: moments become texts.
fn json_of(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| (key.clone(), json_of(value)));
            Value::Object(members.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::release::start::parse;

    #[test]
    fn a_release_of_a_file_is_what_the_api_takes() {
        let text = "[release.\"shop-2.0.0\"]\nroute = \"shop\"\nafter = [\"a\"]\n\
                    not_before = 2026-11-24T09:00:00Z\nstrategy = { steps = [{ weight = 0.5 }] }\n";
        let expected = json!({
            "id": "shop-2.0.0", "route": "shop", "after": ["a"],
            "not_before": "2026-11-24T09:00:00Z",
            "strategy": { "steps": [{ "weight": 0.5 }] },
        });
        let parsed = parse(text).map(serde_json::Value::Object);
        assert_eq!(parsed, Ok(expected));
    }

    #[test]
    fn a_file_that_is_no_single_release_is_refused() {
        for (text, why) in [
            ("", "not exactly one"),
            ("[release.a]\n[release.b]\n", "not exactly one"),
            ("release = 1\n", "not exactly one"),
            ("[release]\na = 1\n", "release.a is no section"),
            ("[release.a]\n[gate.b]\n", "has gate"),
            ("[release", "TOML"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
