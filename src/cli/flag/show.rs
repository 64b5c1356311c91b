//! `tidegate flag get`: a flag whole.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{Flag, FlagSet, Said};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::flag::path;
use crate::cli::output::{Failure, Ink, table};

/// Show a flag whole.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Get {
    /// The flag.
    flag: String,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

impl Get {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get(&path(&self.flag)))?;
        let flag: Flag = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &flag, ink)
    }
}

/// What decides a flag, in a line.
pub(in crate::cli::flag) fn standing(flag: &Flag) -> String {
    let row = &flag.row;
    format!("{}: {}, decided by {}", row.name, row.serves, decider(flag))
}

fn decider(flag: &Flag) -> String {
    match (flag.row.decided_by.as_str(), &flag.release) {
        ("killed", _) => flag.killed.as_ref().map_or_else(
            || "a kill".to_owned(),
            |said| format!("a kill of {}", who(said)),
        ),
        ("disabled", _) => flag.switched.as_ref().map_or_else(
            || "the file, where it is off".to_owned(),
            |set| format!("{}, who disabled it", by(set)),
        ),
        ("override", _) => flag
            .overridden
            .as_ref()
            .map_or_else(|| "an override".to_owned(), by),
        ("release", Some(release)) => format!("the release {release}"),
        _ => "the file".to_owned(),
    }
}

fn who(said: &Said) -> String {
    format!("{} ({})", said.by, said.reason)
}

fn by(set: &FlagSet) -> String {
    let mut text = who(&set.said);
    if let Some(expires) = &set.expires_at {
        text.push_str(&format!(" until {expires}"));
    }
    text
}

fn print(out: &mut dyn Write, flag: &Flag, ink: Ink) -> Result<(), Failure> {
    let row = &flag.row;
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut add = |name, fact: Option<String>| {
        if let Some(fact) = fact.filter(|fact| !fact.is_empty()) {
            facts.push((name, fact));
        }
    };
    add("about", row.description.clone());
    add(
        "serves",
        Some(format!("{}, decided by {}", row.serves, decider(flag))),
    );
    let set = |set: &FlagSet| format!("{} by {}", set.value, by(set));
    add("killed", flag.killed.as_ref().map(who));
    add("switched", flag.switched.as_ref().map(set));
    add("override", flag.overridden.as_ref().map(set));
    add("release", flag.release.clone());
    add("owner", row.owner.clone());
    add("tags", Some(row.tags.join(", ")));
    add("type", Some(row.kind.clone()));
    add("off", Some(flag.off_variant.clone()));
    for need in &flag.prerequisites {
        add(
            "needs",
            Some(format!("{} to be {}", need.flag, need.variant)),
        );
    }
    let inject = flag.inject.as_ref();
    add(
        "told by",
        inject.map(|inject| format!("{} on {}", inject.header, inject.routes.join(", "))),
    );
    add("created", flag.created_at.clone());
    let expires = row.expires_at.clone();
    add(
        "expires",
        if row.is_permanent {
            Some("never".to_owned())
        } else {
            expires
        },
    );
    for stale in &row.stale {
        add("stale", Some(stale.text.clone()));
    }
    add("version", Some(row.version.clone()));
    add("revision", Some(row.revision.to_string()));
    writeln!(out, "{}", ink.bold(&row.name))?;
    for (name, fact) in facts {
        writeln!(out, "{name:<10}{fact}")?;
    }
    variants(out, flag)?;
    rules(out, flag)
}

fn variants(out: &mut dyn Write, flag: &Flag) -> Result<(), Failure> {
    let rows = flag.values.iter().map(|(name, value)| {
        let answers = flag.answers.get(name);
        vec![
            name.clone(),
            value.to_string(),
            answers.map_or_else(|| "-".to_owned(), |answers| answers.count.to_string()),
            answers.map_or_else(|| "-".to_owned(), |answers| answers.last_at.clone()),
        ]
    });
    writeln!(out)?;
    let header = ["VARIANT", "VALUE", "ANSWERS", "LAST"];
    table(out, &header, &[2], &rows.collect::<Vec<_>>())
}

fn rules(out: &mut dyn Write, flag: &Flag) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for rule in &flag.rules {
        let mut when = Vec::new();
        when.extend(rule.from.as_ref().map(|from| format!("from {from}")));
        when.extend(rule.to.as_ref().map(|to| format!("until {to}")));
        rows.push(vec![
            rule.name.clone(),
            rule.segment
                .clone()
                .unwrap_or_else(|| "everyone".to_owned()),
            rule.serves.clone(),
            rule.bucket_by.clone().unwrap_or_default(),
            when.join(" "),
        ]);
    }
    let everyone = ["else", "everyone", &flag.default, "", ""];
    rows.push(everyone.map(str::to_owned).to_vec());
    writeln!(out)?;
    table(
        out,
        &["RULE", "FOR", "SERVES", "DIVIDED BY", "WHEN"],
        &[],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::Flag;
    use crate::cli::flag::show::{print, standing};
    use crate::cli::output::Ink;

    fn flag() -> Flag {
        serde_json::from_value(json!({
            "name": "new-checkout", "revision": 3, "type": "boolean", "decided_by": "killed",
            "serves": "off", "is_enabled": true, "is_killed": true, "variants": ["off", "on"],
            "version": "0123456789ab", "is_permanent": false, "values": { "off": false, "on": true },
            "off_variant": "off", "default": "on=10 off=90", "has_kill_switch": true,
            "is_client_visible": false, "is_enabled_in_file": true,
            "rules": [{ "name": "beta", "segment": "beta-eu", "serves": "on" }],
            "killed": { "by": "ana", "reason": "it burns", "at": "2026-01-01T00:00:00Z" },
            "answers": { "on": { "count": 7, "last_at": "2026-01-01T00:00:00Z" } },
        }))
        .unwrap()
    }

    #[test]
    fn what_decides_a_flag_is_a_line() {
        let line = "new-checkout: off, decided by a kill of ana (it burns)";
        assert_eq!(standing(&flag()), line);
    }

    #[test]
    fn a_flag_is_told_with_its_variants_and_rules() {
        let mut out = Vec::new();
        print(&mut out, &flag(), Ink::Plain).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for row in [
            "serves off, decided by a kill of ana (it burns)",
            "on true 7 2026-01-01T00:00:00Z",
            "beta beta-eu on",
            "else everyone on=10 off=90",
        ] {
            assert!(rows.iter().any(|found| found == row), "{row}: {text}");
        }
    }
}
